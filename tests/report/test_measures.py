"""Figures of the report that gold does not hold: worked by hand, blind to the future, and silent without history."""

import math
from datetime import date

import numpy as np
import pandas as pd
import pytest

from stocklib.report.measures import benchmark_of, breadth, equal_weight, measures
from stocklib.sessions import session_dates

DAY = date(2013, 4, 30)


def bars(first: date = date(2012, 1, 3), last: date = DAY, symbol: str = "A") -> pd.DataFrame:
    """Closes 1, 2, 3 … a session each, high half above, low half below, ten shares more a session."""
    days = pd.to_datetime(session_dates(first, last))
    closes = np.arange(1.0, len(days) + 1)
    columns = {"close": closes, "high": closes + 0.5, "low": closes - 0.5, "volume": 10 * closes}
    return pd.DataFrame({"symbol": symbol, "date": days, **columns})


def of(frame: pd.DataFrame, symbol: str = "A") -> pd.Series:
    return measures(frame).loc[symbol]


def test_a_period_begins_at_the_last_session_on_or_before_that_date() -> None:
    frame = bars()
    found, closes = of(frame), frame.set_index("date")["close"]
    # 30 March 2013 is the Saturday after Good Friday, so the base is Thursday; 30 April of the year before a Monday
    for name, base in (("1w", "2013-04-23"), ("1m", "2013-03-28"), ("3m", "2013-01-30"), ("1y", "2012-04-30")):
        assert found[f"return_{name}_percent"] == pytest.approx(100 * (closes.iloc[-1] / closes[base] - 1)), name


def test_without_a_bar_that_long_ago_there_is_no_return() -> None:
    found = of(bars(first=date(2013, 2, 1)))
    assert math.isnan(found["return_3m_percent"])
    assert math.isnan(found["return_1y_percent"])
    assert found["return_1m_percent"] > 0


def test_a_base_may_be_five_sessions_old_and_no_older() -> None:
    frame = bars()
    hole = (frame["date"] > "2013-03-21") & (frame["date"] <= "2013-03-28")
    closes = frame.set_index("date")["close"]
    assert hole.sum() == 5
    expected = 100 * (closes.iloc[-1] / closes["2013-03-21"] - 1)
    assert of(frame[~hole])["return_1m_percent"] == pytest.approx(expected)
    # the neighbour has the sessions that this one lacks
    wider = pd.concat([frame[~(hole | (frame["date"] == "2013-03-21"))], bars(symbol="B")])
    assert math.isnan(of(wider)["return_1m_percent"])
    assert of(wider, "B")["return_1m_percent"] > 0


def test_the_range_is_that_of_the_highs_and_lows_of_52_weeks() -> None:
    frame = bars()
    found = of(frame)
    # 52 weeks before is 1 May 2012: the first session after it counts
    first = frame[frame["date"] == "2012-05-02"].iloc[0]
    assert pd.isna(found["range_since"])
    assert found["range_low"] == first["low"]
    assert found["range_high"] == frame["high"].iloc[-1]
    span = found["range_high"] - found["range_low"]
    assert found["range_percent"] == pytest.approx(100 * (frame["close"].iloc[-1] - found["range_low"]) / span)
    assert (found["is_new_high"], found["is_new_low"]) == (1, 0)


def test_a_short_history_has_a_range_since_its_first_bar_and_no_record() -> None:
    found = of(bars(first=date(2012, 9, 4)))
    assert found["range_since"] == pd.Timestamp("2012-09-04")
    assert math.isnan(found["is_new_high"])
    assert math.isnan(found["is_new_low"])


def test_a_high_that_was_reached_before_is_not_new() -> None:
    frame = bars()
    frame.loc[frame.index[-30], "high"] = frame["high"].iloc[-1]
    assert of(frame)["is_new_high"] == 0


def test_the_means_are_those_of_50_and_200_closes() -> None:
    falls = bars()
    falls["close"] = falls["close"].to_numpy()[::-1]
    falls[["high", "low"]] = np.column_stack([falls["close"] + 0.5, falls["close"] - 0.5])
    assert (of(bars())["is_above_50"], of(bars())["is_above_200"]) == (1, 1)
    assert (of(falls)["is_above_50"], of(falls)["is_above_200"]) == (0, 0)
    # 1 October 2012 to 30 April 2013 are 143 sessions
    assert math.isnan(of(bars(first=date(2012, 10, 1)))["is_above_200"])
    assert of(bars(first=date(2012, 10, 1)))["is_above_50"] == 1


def test_volume_is_set_against_the_twenty_sessions_before() -> None:
    frame = bars()
    before = frame["volume"].iloc[-21:-1]
    assert len(before) == 20
    assert of(frame)["relative_volume"] == pytest.approx(frame["volume"].iloc[-1] / before.mean())
    frame["volume"] = frame["volume"].where(frame["date"] != pd.Timestamp(DAY))
    assert math.isnan(of(frame)["relative_volume"])


def test_an_index_of_equal_weights_counts_symbols_with_a_bar_since_their_bar_before() -> None:
    # +10 % and +20 % are +15 %; then B has no bar, and A falls by 50 %; then A has none, and B has the close of before;
    # then A rises from 5.5 to 7, over the session that it lacks
    closes = pd.DataFrame({"A": [10, 11, 5.5, np.nan, 7], "B": [10, 12, np.nan, 12, np.nan]})
    assert equal_weight(closes).tolist() == pytest.approx([100, 115, 57.5, 57.5, 57.5 * 7 / 5.5])


def test_an_index_keeps_the_jump_over_a_session_without_any_bar() -> None:
    closes = pd.DataFrame({"A": [100, np.nan, 150], "B": [100, np.nan, 150]})
    assert equal_weight(closes).tolist() == pytest.approx([100, 100, 150])


def test_a_benchmark_without_a_bar_of_the_session_or_of_the_one_before_has_no_change() -> None:
    days = pd.to_datetime(["2012-12-12", "2012-12-13", "2012-12-14"])
    closes = pd.DataFrame({"A": [100, 110, 121], "HOLE": [100, np.nan, 121], "MISS": [100, 110, np.nan]}, days)
    changes = [benchmark_of(closes, symbol)[1]["1d"] for symbol in ("A", "HOLE", "MISS", None)]
    assert changes == pytest.approx([10, np.nan, np.nan, 100 * (0.1 + 0.21) / 2], nan_ok=True)


def test_breadth_counts_symbols_with_a_bar_of_the_session() -> None:
    day = pd.Timestamp(DAY)
    rows = pd.DataFrame(
        {
            "last_bar": [day, day, day, day, day - pd.Timedelta(days=1)],
            "change_percent": [1.0, 2.0, -1.0, np.nan, 3.0],
            "is_above_50": [1, 0, np.nan, 1, 1],
            "is_above_200": [np.nan] * 5,
            "is_new_high": [1, 0, 0, np.nan, 1],
            "is_new_low": [0, 0, 1, np.nan, 0],
        }
    )
    found = breadth(rows, day)
    assert (found.advancers, found.decliners, found.unchanged) == (2, 1, 0)
    assert found.above_50 == pytest.approx(200 / 3)
    assert math.isnan(found.above_200)
    assert (found.known_50, found.known_200) == (3, 0)
    assert (found.new_highs, found.new_lows) == (1, 1)
    assert breadth(rows.assign(is_new_high=np.nan, is_new_low=np.nan), day).new_highs is None
