"""Drawdowns of a series: how far and how long it was below its own high."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stocklib import indicators
from stocklib.indicators.columns import check_number
from stocklib.indicators.times import session_days
from stocklib.metrics.growth import check_prices


@dataclass(frozen=True)
class Drawdown:
    """One fall from a high: its depth in percent (negative), its dates, and its length.

    ``peak`` is the last time at the high before it, ``trough`` the lowest value, ``recovered`` the first value at the
    high again, None while there is none. ``sessions`` counts those with a value from the peak to the
    recovery, or to the last value.
    """

    percent: float
    peak: Any
    trough: Any
    recovered: Any
    sessions: int


def drawdown(prices: pd.Series) -> pd.Series:
    """How far below its highest value so far, in percent: 100 (p_t / max(p_1 … p_t) - 1); 0 at a high.

    >>> drawdown(pd.Series([100.0, 80.0, 120.0, 90.0])).round(10).tolist()
    [0.0, -20.0, 0.0, -25.0]
    """
    return indicators.drawdown(check_prices(prices, at_least=1))


def worst_drawdowns(prices: pd.Series, count: int = 10) -> list[Drawdown]:
    """The deepest drawdowns, deepest first, at most ``count``; none for prices that only rise.

    Each lasts from one high to the next, so they do not overlap. ``pd.DataFrame`` makes a table of them.

    >>> days = pd.to_datetime(["2012-01-03", "2012-01-04", "2012-01-05", "2012-01-06", "2012-01-09"])
    >>> fell = worst_drawdowns(pd.Series([100.0, 75.0, 90.0, 100.0, 90.0], days))
    >>> [(round(one.percent, 6), one.sessions, one.recovered) for one in fell]
    [(-25.0, 3, Timestamp('2012-01-06 00:00:00')), (-10.0, 1, None)]
    """
    check_number("count", count, expected="a whole number, 1 or more", within=lambda value: value in range(1, 10**6))
    known = check_prices(prices, at_least=1).dropna()
    number = pd.Series(pd.factorize(session_days(known.index))[0], known.index)
    depths = drawdown(known)
    values = depths.to_numpy()
    # where a fall begins and where it is made good, in turn
    edges = np.flatnonzero(np.diff(np.concatenate([[False], values < 0, [False]]))).reshape(-1, 2)
    if not len(edges):
        return []
    deepest = np.argsort(np.minimum.reduceat(values, edges[:, 0]), kind="stable")[: int(count)]
    return [_fall(depths, number, begin, end) for begin, end in edges[deepest].tolist()]


def _fall(depths: pd.Series, number: pd.Series, begin: int, end: int) -> Drawdown:
    """Return the drawdown of the values from ``begin`` to before ``end``."""
    times, trough = depths.index, begin + int(depths.iloc[begin:end].to_numpy().argmin())
    last = number.iloc[-1] if end == len(depths) else number[times[end]]
    return Drawdown(
        percent=float(depths.iloc[trough]),
        peak=times[begin - 1],
        trough=times[trough],
        recovered=None if end == len(depths) else times[end],
        sessions=int(last - number[times[begin - 1]]),
    )


def max_drawdown(prices: pd.Series) -> Drawdown:
    """The deepest ``drawdown``, with its dates; 0 %, at the first value, for prices that only rise.

    >>> days = pd.to_datetime(["2012-01-03", "2012-01-04", "2012-01-05", "2012-01-06"])
    >>> worst = max_drawdown(pd.Series([100.0, 75.0, 90.0, 100.0], days))
    >>> worst.percent, worst.peak.date(), worst.trough.date(), worst.recovered.date()
    (-25.0, datetime.date(2012, 1, 3), datetime.date(2012, 1, 4), datetime.date(2012, 1, 6))
    """
    worst = worst_drawdowns(prices, 1)
    first = check_prices(prices, at_least=1).dropna().index[0]
    return worst[0] if worst else Drawdown(0.0, first, first, first, 0)


def ulcer_index(prices: pd.Series) -> float:
    """Ulcer index, in percent: √(mean of the squared ``drawdown`` of every value). Deep and long falls weigh most.

    Source: P. G. Martin, B. B. McCann, The Investor's Guide to Fidelity Funds (1989), chapter 6.

    Drawdowns of 0, 20, 0 and 40 %: √((400 + 1600) / 4) = √500:

    >>> round(ulcer_index(pd.Series([100.0, 80.0, 100.0, 60.0])) ** 2, 6)
    500.0
    """
    return float(np.sqrt((drawdown(prices).dropna() ** 2).mean()))
