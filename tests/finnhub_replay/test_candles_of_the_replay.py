"""The replay's candles: complete, on Finnhub's basis, and never one that is not over."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from finnhub_replay.clock import read_start as new_york
from finnhub_replay.exchange import Exchange
from stocklib.sessions import session

NO_DATA = {"s": "no_data"}


def midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def ask(exchange: Exchange, symbol: str, resolution: str, first: date, last: date, *, now: str) -> dict[str, Any]:
    """Both days included."""
    span = {"first": midnight(first), "last": midnight(last + timedelta(1)) - 1}
    return exchange.candles(symbol, resolution, **span, now=new_york(now))


def begins(answer: dict[str, Any]) -> list[str]:
    return [datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%dT%H:%M") for t in answer["t"]]


def ohlcv(answer: dict[str, Any]) -> tuple[float, ...]:
    """All candles of an answer as one."""
    return answer["o"][0], max(answer["h"]), min(answer["l"]), answer["c"][-1], sum(answer["v"])


# ── days ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_daily_candles_are_the_recorded_bars(exchange: Exchange) -> None:
    for symbol in exchange.tape.symbols:
        answer = ask(exchange, symbol, "D", date(2012, 1, 1), date(2012, 12, 31), now="2013-01-02T12:00")
        bars = exchange.tape.between(symbol, date(2012, 1, 1), date(2012, 12, 31))
        assert answer == {
            "t": [midnight(bar.day) for bar in bars],
            "o": [bar.open for bar in bars],
            "h": [bar.high for bar in bars],
            "l": [bar.low for bar in bars],
            "c": [bar.close for bar in bars],
            "v": [bar.volume for bar in bars],
            "s": "ok",
        }


def test_from_and_to_are_both_included(exchange: Exchange) -> None:
    stamps = [midnight(date(2012, 12, 11)), midnight(date(2012, 12, 13))]
    answer = exchange.candles("IBM", "D", first=stamps[0], last=stamps[1], now=new_york("2012-12-14T12:00"))
    assert begins(answer) == ["2012-12-11T00:00", "2012-12-12T00:00", "2012-12-13T00:00"]
    later = exchange.candles("IBM", "D", first=stamps[0] + 1, last=stamps[1] - 1, now=new_york("2012-12-14T12:00"))
    assert begins(later) == ["2012-12-12T00:00"]


@pytest.mark.parametrize(("day", "close"), [(date(2012, 12, 14), "16:00:00"), (date(2012, 11, 23), "13:00:00")])
def test_a_daily_candle_is_absent_before_its_close(exchange: Exchange, day: date, close: str) -> None:
    at_close = new_york(f"{day}T{close}")
    span = {"first": midnight(day), "last": midnight(day)}
    assert exchange.candles("AAPL", "D", **span, now=at_close - timedelta(seconds=1)) == NO_DATA
    assert begins(exchange.candles("AAPL", "D", **span, now=at_close)) == [f"{day}T00:00"]


@pytest.mark.parametrize(
    ("symbol", "before", "split", "factor"),
    [
        ("AAPL", date(2005, 2, 25), date(2005, 2, 28), 2),
        ("MSFT", date(2003, 2, 14), date(2003, 2, 18), 2),
        ("AAPL", date(2000, 6, 20), date(2000, 6, 21), 2),
    ],
)
def test_a_daily_candle_is_on_the_basis_of_the_day_it_is_asked_on(
    exchange: Exchange, symbol: str, before: date, split: date, factor: float
) -> None:
    bar = exchange.tape.bar(symbol, before)
    assert bar
    as_traded = ask(exchange, symbol, "D", before, before, now=f"{split - timedelta(1)}T23:59")
    assert ohlcv(as_traded) == (bar.open, bar.high, bar.low, bar.close, bar.volume)
    adjusted = ask(exchange, symbol, "D", before, before, now=f"{split}T00:00")
    prices = (bar.open, bar.high, bar.low, bar.close)
    assert ohlcv(adjusted) == (*(price / factor for price in prices), bar.volume * factor)


def test_two_splits_multiply(exchange: Exchange) -> None:
    day = date(2000, 6, 20)
    bar = exchange.tape.bar("AAPL", day)
    assert bar
    assert ask(exchange, "AAPL", "D", day, day, now="2012-12-14T12:00")["c"] == [bar.close / 4]


# ── weeks and months ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_week_and_a_month_sum_up_their_days(exchange: Exchange) -> None:
    now = "2012-12-14T12:00"
    days = ask(exchange, "IBM", "D", date(2012, 11, 1), date(2012, 11, 30), now=now)
    month = ask(exchange, "IBM", "M", date(2012, 11, 1), date(2012, 11, 1), now=now)
    assert (begins(month), ohlcv(month)) == (["2012-11-01T00:00"], ohlcv(days))
    days = ask(exchange, "IBM", "D", date(2012, 11, 19), date(2012, 11, 23), now=now)
    week = ask(exchange, "IBM", "W", date(2012, 11, 19), date(2012, 11, 19), now=now)
    assert (begins(week), ohlcv(week)) == (["2012-11-19T00:00"], ohlcv(days))


def test_a_week_is_the_same_whatever_day_is_asked_up_to(exchange: Exchange) -> None:
    whole = ask(exchange, "IBM", "W", date(2012, 11, 12), date(2012, 11, 25), now="2012-12-14T12:00")
    middle = ask(exchange, "IBM", "W", date(2012, 11, 12), date(2012, 11, 20), now="2012-12-14T12:00")
    assert middle == whole
    # a week that began before ``from`` is not in the answer
    later = ask(exchange, "IBM", "W", date(2012, 11, 14), date(2012, 11, 25), now="2012-12-14T12:00")
    assert begins(later) == ["2012-11-19T00:00"]


def test_the_running_week_holds_its_finished_days_only(exchange: Exchange) -> None:
    week = ask(exchange, "AAPL", "W", date(2012, 12, 10), date(2012, 12, 10), now="2012-12-14T15:59:59")
    days = ask(exchange, "AAPL", "D", date(2012, 12, 10), date(2012, 12, 13), now="2012-12-14T12:00")
    assert ohlcv(week) == ohlcv(days)


def test_a_week_with_a_split_in_it_is_on_one_basis(exchange: Exchange) -> None:
    week = ask(exchange, "MSFT", "W", date(2003, 2, 10), date(2003, 2, 23), now="2003-02-24T12:00")
    days = ask(exchange, "MSFT", "D", date(2003, 2, 10), date(2003, 2, 21), now="2003-02-24T12:00")
    assert ohlcv(week) == ohlcv(days)
    assert max(days["h"]) < 26


# ── minutes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("resolution", ["1", "5", "15", "30", "60"])
@pytest.mark.parametrize("day", [date(2012, 12, 14), date(2012, 11, 23), date(2012, 7, 2)])
def test_intraday_candles_aggregate_to_the_recorded_day(exchange: Exchange, resolution: str, day: date) -> None:
    for symbol in ("AAPL", "FB"):
        answer = ask(exchange, symbol, resolution, day, day, now=f"{day}T23:00")
        bar, found = exchange.tape.bar(symbol, day), session(day)
        assert bar
        assert found
        assert ohlcv(answer) == (bar.open, bar.high, bar.low, bar.close, bar.volume)
        span = int(resolution) * 60
        assert all(t % span == 0 for t in answer["t"])
        assert answer["t"][0] == int(found.open.timestamp()) // span * span
        assert answer["t"][-1] == int(found.close.timestamp()) - span
        assert all(b - a == span for a, b in zip(answer["t"], answer["t"][1:], strict=False))


def test_an_hour_has_seven_candles_a_session_and_four_on_a_half_day(exchange: Exchange) -> None:
    for day, count in ((date(2012, 12, 14), 7), (date(2012, 7, 2), 7), (date(2012, 11, 23), 4)):
        assert len(ask(exchange, "IBM", "60", day, day, now=f"{day}T23:00")["t"]) == count
    assert len(ask(exchange, "IBM", "1", date(2012, 11, 23), date(2012, 11, 23), now="2012-11-24T12:00")["t"]) == 210


def test_a_minute_is_what_the_quotes_of_its_seconds_were(exchange: Exchange) -> None:
    answer = ask(exchange, "GOOG", "1", date(2012, 12, 14), date(2012, 12, 14), now="2012-12-14T16:00")
    begin = new_york("2012-12-14T11:07")
    place = answer["t"].index(int(begin.timestamp()))
    prices = [exchange.quote("GOOG", begin + timedelta(seconds=second))["c"] for second in range(60)]
    candle = tuple(answer[name][place] for name in "ohlc")
    assert candle == (prices[0], max(prices), min(prices), prices[-1])


@pytest.mark.parametrize(("resolution", "end"), [("1", "11:08:00"), ("5", "11:10:00"), ("60", "12:00:00")])
def test_an_intraday_candle_is_absent_before_its_end(exchange: Exchange, resolution: str, end: str) -> None:
    over, span = new_york(f"2012-12-14T{end}"), timedelta(minutes=int(resolution))
    at = {"first": int((over - span).timestamp()), "last": int(over.timestamp())}
    assert exchange.candles("IBM", resolution, **at, now=over - timedelta(seconds=0.1)) == NO_DATA
    assert exchange.candles("IBM", resolution, **at, now=over)["t"] == [at["first"]]


def test_intraday_candles_are_as_traded_and_a_month_at_most(exchange: Exchange) -> None:
    answer = ask(exchange, "AAPL", "60", date(2004, 1, 1), date(2005, 2, 25), now="2012-12-14T12:00")
    assert begins(answer)[0][:10] == "2005-01-26"
    bar = exchange.tape.bar("AAPL", date(2005, 2, 25))
    assert bar
    assert answer["c"][-1] == bar.close == 88.99


# ── nothing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("resolution", ["1", "60", "D", "W", "M"])
@pytest.mark.parametrize(
    ("symbol", "first", "last"),
    [
        ("NOBODY", date(2012, 12, 3), date(2012, 12, 13)),
        ("FB", date(2012, 4, 2), date(2012, 4, 30)),
        ("AAPL", date(2012, 12, 15), date(2012, 12, 16)),
        ("AAPL", date(2013, 1, 7), date(2013, 1, 31)),
        ("AAPL", date(2012, 12, 13), date(2012, 12, 3)),
        ("AAPL", date(1990, 1, 1), date(1990, 12, 31)),
    ],
)
def test_nothing_is_no_data_and_not_an_empty_list(
    exchange: Exchange, resolution: str, symbol: str, first: date, last: date
) -> None:
    assert ask(exchange, symbol, resolution, first, last, now="2012-12-14T12:00") == NO_DATA
