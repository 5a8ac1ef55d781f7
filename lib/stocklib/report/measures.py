"""Figures of each symbol that gold does not hold: returns by period, ranges, means, relative volume; and of the market.

Panels in, one row a session and one column a symbol, split-adjusted, NaN where a symbol has no bar; values of the last
session out. ``docs/numbers.md`` (*The market report*) has the definitions. A figure without enough history is NaN.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stocklib.indicators import sma
from stocklib.report.stale import MANY_SESSIONS
from stocklib.sessions import FIRST_DATE, LAST_DATE, session_dates

# How long ago each period begins, by the calendar.
PERIODS = {
    "1w": pd.DateOffset(weeks=1),
    "1m": pd.DateOffset(months=1),
    "3m": pd.DateOffset(months=3),
    "1y": pd.DateOffset(years=1),
}
_YEAR = pd.DateOffset(weeks=52)
_VOLUME_SESSIONS = 20


def panel(bars: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a column of daily bars as sessions × symbols, with a row of NaN for a session without any bar."""
    wide = bars.pivot(index="date", columns="symbol", values=column).astype("float64")
    first, last = max(wide.index[0].date(), FIRST_DATE), min(wide.index[-1].date(), LAST_DATE)
    return wide.reindex(wide.index.union(pd.DatetimeIndex(session_dates(first, last))))


def period_returns(closes: pd.DataFrame, bases: Mapping[str, pd.Timestamp]) -> pd.DataFrame:
    """Return symbols × names of bases: the percent from the last close on or before each date to the last close.

    A close up to five sessions old stands for a missing one; NaN where there is no such close.

    >>> days = pd.to_datetime(["2012-12-07", "2012-12-10", "2012-12-14"])
    >>> closes = pd.DataFrame({"A": [100.0, 120.0, 90.0]}, days)
    >>> period_returns(closes, {"1w": days[0], "3m": pd.Timestamp("2012-09-14")}).loc["A"].round(6).tolist()
    [-10.0, nan]
    """
    known = closes.ffill(limit=MANY_SESSIONS)
    # a row of NaN comes before the first session
    rows = np.vstack([np.full(closes.shape[1], np.nan), known.to_numpy()])
    places = closes.index.searchsorted(list(bases.values()), side="right")
    changes = 100 * (rows[-1] / rows[places] - 1)
    return pd.DataFrame(changes.T, closes.columns, pd.Index(list(bases)))


def measures(bars: pd.DataFrame) -> pd.DataFrame:
    """Return a row a symbol, of its bars up to the last session.

    return_1w_percent, …_1m_, …_3m_, …_1y_; range_low, range_high (of 52 weeks), range_since (the first bar of a symbol
    with fewer weeks, else NaT), range_percent (0 at the low, 100 at the high); is_above_50, is_above_200, is_new_high,
    is_new_low (1, 0, NaN); relative_volume.
    """
    closes, highs, lows, volumes = (panel(bars, column) for column in ("close", "high", "low", "volume"))
    day = closes.index[-1]
    found = period_returns(closes, {name: day - ago for name, ago in PERIODS.items()})
    found.columns = pd.Index([f"return_{name}_percent" for name in found])
    last, year = closes.ffill(limit=MANY_SESSIONS).iloc[-1], closes.index > day - _YEAR
    # a record of 52 weeks needs 52 weeks
    is_whole = closes[~year].tail(MANY_SESSIONS + 1).notna().any()
    first = bars.groupby("symbol")["date"].min().mask(is_whole)
    high, low = highs[year].max().where(last.notna()), lows[year].min().where(last.notna())
    found = found.assign(range_low=low, range_high=high, range_since=first)
    found["range_percent"] = 100 * (last - low) / (high - low).where(high > low)
    for window in (50, 200):
        mean = sma(closes, window).ffill(limit=MANY_SESSIONS).iloc[-1]
        found[f"is_above_{window}"] = (last > mean).astype(float).where(mean.notna() & last.notna())
    before = year & (closes.index < day)
    is_known = is_whole & closes.iloc[-1].notna()
    found["is_new_high"] = (highs.iloc[-1] > highs[before].max()).astype(float).where(is_known)
    found["is_new_low"] = (lows.iloc[-1] < lows[before].min()).astype(float).where(is_known)
    usual = sma(volumes, _VOLUME_SESSIONS).ffill(limit=MANY_SESSIONS).shift(1).iloc[-1]
    found["relative_volume"] = volumes.iloc[-1] / usual.where(usual > 0)
    return found


def equal_weight(closes: pd.DataFrame) -> pd.Series:
    """Return an index of these symbols: 100 at first, then the mean of their one-session returns is its own.

    Each session counts the symbols with a bar in it, from their last one, up to five sessions before; without any, the
    index stands still.

    >>> equal_weight(pd.DataFrame({"A": [10.0, 11.0, 11.0], "B": [np.nan, 50.0, 40.0]})).round(6).tolist()
    [100.0, 110.0, 99.0]
    """
    changes = (closes / closes.ffill(limit=MANY_SESSIONS).shift(1) - 1).mean(axis=1).fillna(0.0)
    index: pd.Series = 100 * (1 + changes).cumprod()
    return index


def benchmark_of(closes: pd.DataFrame, symbol: str | None) -> tuple[pd.Series, dict[str, float]]:
    """Return the curve of a symbol, or else of all with equal weights, by session; and its percent by period."""
    curve = equal_weight(closes) if symbol is None else closes[symbol]
    day = closes.index[-1]
    bases = {name: day - ago for name, ago in PERIODS.items()} | {"ytd": pd.Timestamp(day.year - 1, 12, 31)}
    returns = period_returns(curve.to_frame("index"), bases).loc["index"].to_dict()
    # of the session itself, and of none before it
    one = float(100 * curve.pct_change(fill_method=None).iloc[-1])
    return curve.rename(symbol or "Equal weight"), {"1d": one, **{str(name): value for name, value in returns.items()}}


@dataclass(frozen=True)
class Breadth:
    """How many symbols rose and fell in the session, and the shares and records of those for which they are known."""

    advancers: int
    decliners: int
    unchanged: int
    # of the symbols whose mean is known: the percent above it, and their number
    above_50: float
    above_200: float
    known_50: int
    known_200: int
    # of the symbols with 52 weeks of bars; None without any
    new_highs: int | None
    new_lows: int | None


def breadth(symbols: pd.DataFrame, session_date: pd.Timestamp) -> Breadth:
    """Return the breadth of the symbols with a bar of the session."""
    there = symbols[symbols["last_bar"] == session_date]
    changes = np.sign(there["change_percent"].dropna().astype(float))
    counts = {sign: int((changes == sign).sum()) for sign in (1, -1, 0)}
    known = there["is_new_high"].notna().any()
    highs, lows = (int(there[name].sum()) if known else None for name in ("is_new_high", "is_new_low"))
    is_above = {window: there[f"is_above_{window}"].dropna() for window in (50, 200)}
    return Breadth(
        advancers=counts[1],
        decliners=counts[-1],
        unchanged=counts[0],
        above_50=100 * float(is_above[50].mean()),
        above_200=100 * float(is_above[200].mean()),
        known_50=len(is_above[50]),
        known_200=len(is_above[200]),
        new_highs=highs,
        new_lows=lows,
    )
