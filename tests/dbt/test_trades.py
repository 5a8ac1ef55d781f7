"""Bars made of trades: exact where the feed was whole, next to quotes where it was not, reopened by what comes late."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from landed import DAY, Bar, gold_hashes, landed, messages, recorded_bars, settings_in, trade_messages, utc
from story import Story, session_polls

from finnhub_replay import read_tape
from finnhub_replay.exchange import Exchange
from stocklib.pipeline.reconcile.ledger_queries import TRADES
from stocklib.sessions import session

Print = tuple[str, float, float, datetime]

HOURS = session(DAY)
assert HOURS is not None
OPEN, CLOSE = HOURS.open, HOURS.close
EXCHANGE = Exchange(read_tape())
BARS = {bar.symbol: bar for bar in recorded_bars(DAY, DAY)}
NOON = utc("2012-12-14T17:00:00")
LATE = ("AAPL", 1.0, 300.0, utc("2012-12-14T15:00:30"))


def prints(symbol: str, *, after: datetime = OPEN - timedelta(seconds=1), upto: datetime = CLOSE) -> list[Print]:
    """The recorded trades of a session, or of a part of it."""
    told = EXCHANGE.trades(symbol, after, upto)
    return [
        (symbol, trade["p"], float(trade["v"]), utc("1970-01-01") + timedelta(milliseconds=trade["t"]))
        for trade in told
    ]


def after_hours(symbol: str, *times: str) -> list[Print]:
    """Trades that are in no bar, and show how far the feed has come."""
    return [(symbol, 1.0, 1.0, utc(f"2012-12-14T{time}")) for time in times]


def trades(name: str, lines: Iterable[bytes]) -> Any:
    return landed("stock_trades", lines, name=name)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """One session, five ways of listening to it; the closing auction takes twenty minutes."""
    story = Story(settings_in(tmp_path_factory.mktemp("trades"), CLOSE_SETTLE_SECONDS="1200"))
    whole = [*prints("AAPL"), *after_hours("AAPL", "21:19:59", "21:20:00")]
    heard = trade_messages(whole, run_id="whole")
    half = len(heard) // 2
    # quotes of the whole session next to all trades and next to those from noon on; none next to the others
    quotes = messages(session_polls(symbols=["AAPL", "IBM"]))
    from_noon = [*prints("IBM", after=NOON), *after_hours("IBM", "21:20:00")]
    morning = prints("MSFT", upto=NOON)
    overlap = timedelta(minutes=20)
    story.tell(
        landed("stock_quotes", quotes[: len(quotes) // 2], name="q1"),
        trades("aapl1", heard[:half]),
        trades("ibm", trade_messages(from_noon, run_id="noon", since=NOON, partition=1)),
        trades("goog", trade_messages(prints("GOOG", after=NOON), run_id="goog", since=NOON, partition=2)),
        # two that listen, one taking over from the other; each trade of the twenty minutes comes twice
        trades("fb1", trade_messages(prints("FB", upto=NOON + overlap), run_id="first", partition=3)),
        trades("msft1", trade_messages(morning, run_id="cut", partition=4)),
    )
    story.note("half")
    # the second object repeats the end of the first, as after a crash between upload and commit
    story.tell(
        landed("stock_quotes", quotes[len(quotes) // 2 :], name="q2"),
        trades("aapl2", heard[half - 20 :]),
        trades(
            "fb2",
            trade_messages(
                [*prints("FB", after=NOON), *after_hours("FB", "21:20:00")], run_id="second", since=NOON, partition=5
            ),
        ),
        # one that came back a minute later
        trades(
            "msft2",
            trade_messages(
                [*prints("MSFT", after=NOON + timedelta(minutes=1)), *after_hours("MSFT", "21:20:00")],
                run_id="cut",
                since=NOON + timedelta(minutes=1),
                seqs=count(len(morning) + 1),
                first_offset=5000,
                partition=4,
            ),
        ),
    )
    story.note("whole")
    late = {"run_id": "whole", "fetched_at": utc("2012-12-14T21:30:00")}
    story.tell(
        trades("late", trade_messages([LATE], seqs=[len(heard) + 1], first_offset=len(heard), **late)),
        trades("bad", bad_trades()),
    )
    story.note("late")
    return story


def bad_trades() -> list[bytes]:
    """Trades that no bar may be made of."""
    at = utc("2012-12-14T16:00:00")
    bad = [("AAPL", 0.0, 1.0, at), ("AAPL", -5.0, 1.0, at), ("AAPL", 500.0, -1.0, at), ("AAPL", 500.0, 1e15, at)]
    bad += [("AAPL", 500.0, 1.0, at + timedelta(minutes=6)), ("AAPL", 500.0, 1.0, utc("2012-12-15T16:00:00"))]
    return [
        *trade_messages(bad[:5], run_id="bad", fetched_at=at, partition=6),
        *trade_messages(bad[5:], run_id="bad", seqs=[6], first_offset=5, partition=6),
    ]


def day_of(story: Story, note: str, symbol: str) -> pd.Series:
    facts = story.frames[f"{note}/fact_daily_stock_quotes"]
    (row,) = facts[facts["symbol"] == symbol].to_dict("records")
    return pd.Series(row)


def candles_of(story: Story, note: str, symbol: str, resolution: str) -> pd.DataFrame:
    candles = story.frames[f"{note}/gold_candlestick"]
    return candles[(candles["symbol"] == symbol) & (candles["resolution"] == resolution)].set_index("candle_time")


def ohlc(row: Any, *, prefix: str = "", suffix: str = "") -> list[float]:
    return [float(row[f"{prefix}{name}{suffix}"]) for name in ("open", "high", "low", "close")]


def of_bar(bar: Bar) -> list[float]:
    return [bar.open, bar.high, bar.low, bar.close]


def vwap(of: Iterable[Print]) -> float:
    """Σ price × volume / Σ volume, exact, rounded once."""
    pairs = [(Decimal(str(price)), Decimal(str(volume))) for _, price, volume, _ in of]
    return float(round(sum((p * v for p, v in pairs), Decimal(0)) / sum((v for _, v in pairs), Decimal(0)), 6))


@pytest.mark.parametrize("symbol", ["AAPL", "FB"])
def test_a_session_that_was_listened_to_is_the_recorded_bar_volume_included(story: Story, symbol: str) -> None:
    day = day_of(story, "whole", symbol)
    assert ohlc(day, suffix="_price") == of_bar(BARS[symbol])
    assert (day["volume"], day["data_source"], day["is_final"]) == (BARS[symbol].volume, "trades", True)
    candle = candles_of(story, "whole", symbol, "1d").iloc[0]
    assert ohlc(candle, prefix="candle_") == of_bar(BARS[symbol])
    assert (candle["volume"], candle["tick_count"]) == (BARS[symbol].volume, len(prints(symbol)))
    assert float(candle["vwap"]) == vwap(prints(symbol))


@pytest.mark.parametrize(("resolution", "minutes"), [("1m", 1), ("5m", 5), ("1h", 60)])
def test_bars_within_the_day_are_the_sources_own_candles_to_the_last_share(
    story: Story, resolution: str, minutes: int
) -> None:
    bars = candles_of(story, "whole", "AAPL", resolution)
    span = {"first": int(OPEN.timestamp()) // 3600 * 3600, "last": int(CLOSE.timestamp())}
    wanted = EXCHANGE.candles("AAPL", str(minutes), **span, now=CLOSE + timedelta(hours=5))
    assert [int(time.timestamp()) for time in bars.index] == wanted["t"]
    for name in ("open", "high", "low", "close"):
        assert bars[f"candle_{name}"].astype(float).tolist() == wanted[name[0]]
    assert bars["volume"].tolist() == wanted["v"]
    assert set(bars["data_source"]) == {"trades"}
    assert bars["is_final"].all()
    assert bars["volume"].sum() == BARS["AAPL"].volume
    place = bars.index[3]
    within = [t for t in prints("AAPL") if place <= pd.Timestamp(t[3].replace(tzinfo=None)) < bars.index[4]]
    assert float(bars["vwap"].iloc[3]) == vwap(within)


def test_a_session_that_is_on_is_told_by_quotes_and_its_minutes_by_trades(story: Story) -> None:
    day = day_of(story, "half", "AAPL")
    assert (day["data_source"], day["is_final"], pd.isna(day["volume"])) == ("quotes", False, True)
    minutes = candles_of(story, "half", "AAPL", "1m")
    listened = minutes[minutes["data_source"] == "trades"]
    assert listened["is_final"].iloc[:-1].all()
    # nothing is known beyond the feed's last trade
    assert not minutes["is_final"].iloc[-1]
    day = day_of(story, "half", "GOOG")
    assert (day["data_source"], day["is_final"]) == ("trades", False)


def test_trades_of_an_afternoon_do_not_outrank_the_quotes_of_the_day(story: Story) -> None:
    day = day_of(story, "whole", "IBM")
    assert ohlc(day, suffix="_price") == of_bar(BARS["IBM"])
    assert (day["data_source"], day["is_final"], pd.isna(day["volume"])) == ("quotes", False, True)
    minutes = candles_of(story, "whole", "IBM", "1m")
    # the feed began in the first instant of its first minute: a trade of that instant may be missing
    first_whole = pd.Timestamp(NOON.replace(tzinfo=None)) + pd.Timedelta(minutes=1)
    before, after = minutes[minutes.index < first_whole], minutes[minutes.index >= first_whole]
    assert (set(before["data_source"]), before["volume"].isna().all()) == ({"quotes"}, True)
    assert (set(after["data_source"]), after["is_final"].all()) == ({"trades"}, True)
    assert after["volume"].sum() == sum(v for _, _, v, _ in prints("IBM", after=NOON + timedelta(seconds=59)))


def test_trades_of_an_afternoon_alone_make_a_bar_that_is_never_final(story: Story) -> None:
    day = day_of(story, "whole", "GOOG")
    assert (day["data_source"], day["is_final"]) == ("trades", False)
    minutes = candles_of(story, "whole", "GOOG", "1m")
    assert not minutes["is_final"].iloc[0]
    assert minutes["is_final"].iloc[1:-1].all()


def test_a_gap_in_the_feed_is_a_gap_in_its_minute_and_in_its_day(story: Story) -> None:
    day = day_of(story, "whole", "MSFT")
    assert (day["data_source"], day["is_final"]) == ("trades", False)
    assert day["volume"] < BARS["MSFT"].volume
    minutes = candles_of(story, "whole", "MSFT", "1m")
    open_ones = minutes.index[~minutes["is_final"]].strftime("%H:%M").tolist()
    # it was cut with the trades of 17:00:00, before 16:59 had settled, and went on at 17:01:00
    assert open_ones == ["16:59", "17:00", "17:01"]


def test_two_that_listen_at_once_count_a_trade_once(story: Story) -> None:
    doubled = story.query("select count(*) as n from silver.stg_stock_trades_cleaned where symbol = 'FB'")["n"][0]
    assert doubled > len(prints("FB")) + 50
    assert day_of(story, "whole", "FB")["volume"] == BARS["FB"].volume
    stretches = story.query("select * from silver.int_trade_coverage where symbol = 'FB'")
    assert len(stretches) == 1


def test_a_late_trade_reopens_its_bars_and_no_other(story: Story) -> None:
    minute = pd.Timestamp("2012-12-14 15:00")
    before = candles_of(story, "whole", "AAPL", "1m")
    after, day = candles_of(story, "late", "AAPL", "1m"), day_of(story, "late", "AAPL")
    assert (day["low_price"], day["volume"]) == (1.0, BARS["AAPL"].volume + 300)
    # still the day's best bar; the feed has said nothing since, so that more may come
    assert (day["data_source"], day["is_final"]) == ("trades", False)
    late, was = after.loc[minute], before.loc[minute]
    assert (late["candle_low"], late["volume"]) == (1.0, was["volume"] + 300)
    assert (late["tick_count"], late["is_final"], was["is_final"]) == (was["tick_count"] + 1, False, True)
    pd.testing.assert_frame_equal(after.drop(minute), before.drop(minute))


def test_every_event_is_either_a_trade_or_quarantined_with_a_reason(story: Story) -> None:
    reasons = story.query("select reason, count(*) as n from silver.quarantined_trades group by 1 order by 1")
    assert dict(reasons.to_numpy().tolist()) == {
        "from the future": 1,
        "negative volume": 1,
        "no session on this date": 1,
        "price not positive": 2,
        "volume beyond all shares": 1,
    }
    counted = story.query(
        "select count(distinct run_id || '/' || symbol || '/' || seq) as raw, "
        "(select count(*) from silver.stg_stock_trades_cleaned) as cleaned, "
        "(select count(*) from silver.quarantined_trades) as refused from bronze.stg_stock_trades_raw"
    ).iloc[0]
    assert counted["raw"] == counted["cleaned"] + counted["refused"]
    assert TRADES.events == "silver.int_trade_events"


def test_loads_in_pieces_are_the_same_gold_as_one_load_of_everything(story: Story, tmp_path: Path) -> None:
    other = story.told_at_once(settings_in(tmp_path, CLOSE_SETTLE_SECONDS="1200"))
    assert gold_hashes(other.settings) == gold_hashes(story.settings)
    names = ("int_trade_coverage", "int_daily_bars")
    for name in names:
        sql = f"select * exclude (load_id) from silver.{name} order by all"
        pd.testing.assert_frame_equal(other.query(sql), story.query(sql))
