"""Sessions without a bar: no figure counts rows, and a bar that arrives later mends every row that it reaches."""

import math
import random
from dataclasses import replace
from datetime import date
from pathlib import Path
from statistics import mean, stdev

import pandas as pd
import pytest
from landed import Bar, actions, candles, gold_hashes, landed, recorded_bars, settings_in, utc
from story import Story

from stocklib import indicators, market, metrics
from stocklib.errors import DateRangeError, InputError
from stocklib.monitoring.suspect_count import count_suspects
from stocklib.report.facts import gather
from stocklib.report.shell import part
from stocklib.sessions import sessions

FIRST, LAST = date(2010, 9, 1), date(2012, 3, 30)
FETCHED = utc("2012-04-01T02:00")
SESSIONS = [session.session_date for session in sessions(FIRST, LAST)]
NUMBER = {day: number for number, day in enumerate(SESSIONS)}
# symbols do not touch each other, so each is a trial of its own
TRIALS = [f"H{number:02}" for number in range(12)]
WHOLE, FIVE, SPIKE = "WHOLE", "FIVE", "SPIKE"
FIVE_DAYS = SESSIONS[100:105]
STEPS = ("with holes", "filled")

Figures = dict[str, list[float | None]]


def holes_of(symbol: str) -> set[date]:
    """Random stretches without a bar: some short, one of a month or two, some around the end of the year."""
    chance = random.Random(symbol)
    stretches = [(chance.randrange(len(SESSIONS)), chance.choice([1, 1, 2, 3, 4, 5])) for _ in range(14)]
    stretches += [(chance.randrange(len(SESSIONS)), chance.randrange(20, 70))]
    year_end = NUMBER[date(2010, 12, 31)]
    stretches += [(year_end - chance.randrange(8), chance.randrange(1, 9))]
    return {day for start, length in stretches for day in SESSIONS[start : start + length]}


def filled_of(symbol: str) -> set[date]:
    """The holes whose bars arrive later: all of them, or a random half."""
    if symbol == SPIKE:
        return HOLES[SPIKE]
    chance = random.Random(symbol + " fills")
    share = chance.choice([0.5, 0.5, 1])
    return {day for day in sorted(HOLES[symbol]) if chance.random() < share}


# the last bar of the first load of SPIKE is a hundred times too high
HOLES = {symbol: holes_of(symbol) for symbol in TRIALS}
HOLES |= {WHOLE: set(), FIVE: set(FIVE_DAYS), SPIKE: {SESSIONS[-1]}}
MISSING = {
    "with holes": HOLES,
    "filled": {symbol: holes - filled_of(symbol) for symbol, holes in HOLES.items()},
}


def bars_of(symbol: str) -> list[Bar]:
    bars = [replace(bar, symbol=symbol) for bar in recorded_bars(FIRST, LAST, ["AAPL"])]
    if symbol == SPIKE:
        bad = bars[-2]
        bars[-2] = replace(bad, open=bad.open, high=bad.high * 100, low=bad.low, close=bad.close * 100)
    return bars


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Bars with holes, of which some are filled later."""
    story = Story(settings_in(tmp_path_factory.mktemp("holes")))
    bars = [bar for symbol in HOLES for bar in bars_of(symbol)]
    checks = [landed("corporate_actions", actions(list(HOLES), FETCHED), name="a")]
    for step in STEPS:
        came = [bar for bar in bars if bar.day not in MISSING[step][bar.symbol]]
        bars = [bar for bar in bars if bar.day in MISSING[step][bar.symbol]]
        story.tell(landed("daily_historical_quotes", candles(came, FETCHED), name=step.replace(" ", "-")), *checks)
        story.frames[f"{step}/suspect"] = story.query("select * from silver.suspect_bars")
        if checks:
            story.frames["prices"] = market.prices(list(HOLES), holes="nan", settings=story.settings)
        checks = []
        story.frames[step] = story.query(
            "select p.*, f.sessions_since_previous, f.daily_return_percent, f.price_direction, f.volatility_category, "
            "c.trend_line from gold.fact_stock_performance as p "
            "join gold.fact_daily_stock_quotes as f using (symbol, quote_date) "
            "join gold.gold_candlestick as c on p.symbol = c.symbol and p.quote_date = c.candle_time "
            "and c.resolution = '1d' order by symbol, quote_date"
        )
    return story


# ── the same figures, worked out session by session ───────────────────────────────────────────────────────────────────


def average(closes: dict[int, float], at: int, count: int) -> float | None:
    # so far back that a window which began earlier would span too much
    there = [number for number in range(at - 2 * count, at + 1) if number in closes][-count:]
    if len(there) < count or at - there[0] + 1 > count + math.ceil(count / 10):
        return None
    return mean(closes[number] for number in there)


def one_session_return(closes: dict[int, float], at: int) -> float | None:
    return closes[at] / closes[at - 1] - 1 if at in closes and at - 1 in closes else None


def volatility(closes: dict[int, float], at: int) -> float | None:
    found = [one_session_return(closes, number) for number in range(at - 29, at + 1)]
    known = [value for value in found if value is not None]
    if at - min(closes) < 30 or len(known) < 27:
        return None
    return stdev(known) * math.sqrt(252) * 100


def base_of_year(closes: dict[int, float], at: int) -> int | None:
    year = SESSIONS[at].year
    if SESSIONS[min(closes)].year == year:
        return min(closes)
    last_five = [number for number, day in enumerate(SESSIONS) if day.year == year - 1][-5:]
    return max((number for number in last_five if number in closes), default=None)


def percent(now: float, before: float | None) -> float | None:
    return None if before is None else (now / before - 1) * 100


def expected(symbol: str, missing: set[date]) -> Figures:
    closes = {NUMBER[bar.day]: bar.close for bar in bars_of(symbol) if bar.day not in missing}
    figures: Figures = {}
    previous, peak = None, 0.0
    for at, close in sorted(closes.items()):
        peak = max(peak, close)
        change = one_session_return(closes, at)
        base = base_of_year(closes, at)
        row = {
            "sessions_since_previous": None if previous is None else at - previous,
            "daily_return_percent": None if change is None else change * 100,
            "ma_7day": average(closes, at, 7),
            "ma_30day": average(closes, at, 30),
            "ma_90day": average(closes, at, 90),
            "trend_line": average(closes, at, 20),
            "momentum_30day_percent": percent(close, closes.get(at - 30)),
            "volatility_30day_percent": volatility(closes, at),
            "ytd_return_percent": percent(close, None if base is None else closes[base]),
            "drawdown_percent": percent(close, peak),
        }
        for name, value in row.items():
            figures.setdefault(name, []).append(value)
        previous = at
    return figures


@pytest.mark.parametrize("step", STEPS)
def test_figures_count_sessions_whatever_is_filled_in_later(story: Story, step: str) -> None:
    gold = story.frames[step]
    for symbol in HOLES:
        missing = MISSING[step][symbol]
        rows = gold[gold["symbol"] == symbol].reset_index(drop=True)
        assert rows["quote_date"].dt.date.tolist() == [day for day in SESSIONS if day not in missing]
        for name, values in expected(symbol, missing).items():
            wanted = pd.Series(values, dtype="float64")
            pd.testing.assert_series_equal(
                rows[name].astype("float64"), wanted, check_names=False, atol=1.5e-6, rtol=0, obj=f"{symbol} {name}"
            )
        unknown = rows["daily_return_percent"].isna()
        assert rows.loc[unknown, ["price_direction", "volatility_category"]].isna().all(axis=None)
        assert rows.loc[~unknown, ["price_direction", "volatility_category"]].notna().all(axis=None)


def test_a_build_after_holes_were_filled_is_the_whole_one(story: Story, tmp_path: Path) -> None:
    other = story.told_at_once(settings_in(tmp_path))
    assert gold_hashes(other.settings) == gold_hashes(story.settings)


def test_a_return_over_five_missing_sessions_is_no_daily_one(story: Story) -> None:
    rows = story.frames["with holes"].query("symbol == 'FIVE'").set_index("quote_date")
    after = rows.loc[pd.Timestamp(SESSIONS[105])]
    assert after["sessions_since_previous"] == 6
    assert after[["daily_return_percent", "price_direction", "volatility_category"]].isna().all()
    # 30 closes over 35 sessions are no window of 30, 90 over 95 are one of 90; 24 of 30 returns are too few
    assert after[["ma_7day", "ma_30day", "volatility_30day_percent"]].isna().all()
    assert after[["ma_90day", "momentum_30day_percent", "ytd_return_percent"]].notna().all()


# ── what an analyst reads of them ─────────────────────────────────────────────────────────────────────────────────────


def test_prices_with_holes_have_a_row_for_each_session_of_the_symbol(story: Story) -> None:
    prices = story.frames["prices"]
    for symbol, holes in HOLES.items():
        rows = prices[prices["symbol"] == symbol]
        there = [day for day in SESSIONS if day not in holes]
        assert rows["date"].dt.date.tolist() == [day for day in SESSIONS if there[0] <= day <= there[-1]]
        empty = rows[rows["close"].isna()]
        assert empty["date"].dt.date.tolist() == [day for day in SESSIONS if day in holes and day < there[-1]]
        assert empty[["open", "high", "low", "volume", "data_source"]].isna().all(axis=None)
        assert not empty["is_final"].any()
        assert rows.loc[rows["close"].notna(), "is_final"].all()


def test_a_range_that_begins_or_ends_in_a_hole_shows_it(story: Story) -> None:
    def read(**more: object) -> pd.DataFrame:
        return market.prices(FIVE, settings=story.settings, **more)  # type: ignore[arg-type]

    missing = MISSING["filled"][FIVE]
    first, last = min(missing), SESSIONS[106]
    days = [day for day in SESSIONS if first <= day <= last]
    found = read(start=first, end=last, holes="nan")
    assert found["date"].dt.date.tolist() == days
    assert found["close"].isna().tolist() == [day in missing for day in days]
    # without being asked, nothing has changed
    assert read(start=first, end=last)["date"].dt.date.tolist() == [day for day in days if day not in missing]
    wide = market.prices([FIVE, WHOLE], first, last, holes="nan", wide="close", settings=story.settings)
    assert wide[FIVE].isna().tolist() == [day in missing for day in days]
    with pytest.raises(DateRangeError, match="there are no 1d prices"):
        read(start=first, end=first, holes="nan")
    with pytest.raises(InputError, match="at resolution="):
        read(resolution="1m", holes="nan")
    with pytest.raises(InputError, match="holes='zero' is not possible"):
        read(holes="zero")


@pytest.mark.parametrize("symbol", HOLES)
def test_indicators_and_metrics_agree_with_gold_around_holes(story: Story, symbol: str) -> None:
    gold = story.frames["with holes"].query("symbol == @symbol").set_index("quote_date")
    prices = story.frames["prices"].query("symbol == @symbol").set_index("date")["close"]
    changes = metrics.returns(prices).reindex(prices.index)
    ours = {f"ma_{count}day": indicators.sma(prices, count) for count in (7, 30, 90)} | {
        "trend_line": indicators.bollinger(prices, 20).middle,
        "volatility_30day_percent": metrics.rolling_volatility(prices),
        "drawdown_percent": metrics.drawdown(prices),
        "daily_return_percent": changes * 100,
        "momentum_30day_percent": (prices / prices.shift(30) - 1) * 100,
    }
    for name, values in ours.items():
        assert values[prices.isna()].isna().all()
        pd.testing.assert_series_equal(
            values[prices.notna()],
            gold[name].astype("float64"),
            check_names=False,
            check_index_type=False,
            check_freq=False,
            atol=1e-5,
            rtol=0,
            obj=name,
        )
    known = prices.dropna()
    assert metrics.volatility(prices) == pytest.approx(ours["volatility_30day_percent"][known.index[-1]], nan_ok=True)
    assert metrics.total_return(prices) == metrics.total_return(known)
    assert metrics.max_drawdown(prices) == metrics.max_drawdown(known)


# ── a bar that looks like a mistake ───────────────────────────────────────────────────────────────────────────────────


def test_a_close_times_a_hundred_is_suspect_when_the_next_bar_is_there_and_not_before(story: Story) -> None:
    assert story.frames["with holes/suspect"].empty
    (found,) = story.frames["filled/suspect"].to_dict("records")
    assert (found["symbol"], found["data_quality_flag"]) == (SPIKE, "suspect_jump")
    assert [found["quote_date"].date(), found["judged_date"].date()] == SESSIONS[-2:]
    closes = [bar.close for bar in bars_of(SPIKE)[-3:]]
    assert [found["previous_close"], found["close_price"], found["next_close"]] == closes


def test_suspect_bars_are_kept_unless_they_are_not_wanted(story: Story) -> None:
    def dates(**more: object) -> list[date]:
        found = market.prices([SPIKE, WHOLE], SESSIONS[-3], settings=story.settings, **more)  # type: ignore[arg-type]
        return list(found.loc[found["symbol"].eq(SPIKE) & found["close"].notna(), "date"].dt.date)

    assert dates() == dates(suspect="keep") == SESSIONS[-3:]
    assert dates(suspect="drop") == dates(suspect="drop", holes="nan") == [SESSIONS[-3], SESSIONS[-1]]
    wide = market.prices([SPIKE, WHOLE], suspect="drop", wide="close", settings=story.settings)
    assert wide[SPIKE].isna().sum() == 1
    with pytest.raises(InputError, match="suspect"):
        market.prices(SPIKE, suspect="drop", resolution="5m", settings=story.settings)


def test_the_report_and_the_evening_count_suspect_bars(story: Story) -> None:
    told = part("suspects.html", suspects=gather(story.settings).suspects)
    assert f"<li>{SPIKE} on 29 March 2012: " in told
    assert '<span class="verdict down">1</span>' in told
    # what was judged later is not in an earlier session's report
    assert not part("suspects.html", suspects=gather(story.settings, day=SESSIONS[-2]).suspects)
    said = count_suspects(story.settings)
    assert said == "1 bar is suspect, the last one SPIKE on 2012-03-29: see silver.suspect_bars"
