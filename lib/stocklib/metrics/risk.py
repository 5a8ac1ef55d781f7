"""Risk of a series: volatility, the shape of the returns, and how gains and losses compare."""

import math

import pandas as pd

from stocklib import indicators
from stocklib.indicators.columns import check_window
from stocklib.indicators.holes import allowed
from stocklib.metrics.growth import SESSIONS_A_YEAR, check_sessions, finite, known_returns, returns

VOLATILITY_WINDOW = 30
_ANNUAL_PERCENT = 100 * math.sqrt(SESSIONS_A_YEAR)


def volatility(prices: pd.Series, *, window: int | None = VOLATILITY_WINDOW) -> float:
    """Annualised volatility, in percent: 100 √252 times the sample standard deviation of the last 30 simple returns.

    This is gold's ``volatility_30day_percent``. ``window=None`` takes every return. NaN where there are fewer returns
    than the window, and where more than a tenth of those of its sessions are missing.

    Returns of +10 % and -10 % have a sample standard deviation of √0.02, and 100 √(0.02 · 252) = 224.499…:

    >>> round(volatility(pd.Series([100.0, 110.0, 99.0]), window=2), 6)
    224.499443
    """
    if window is not None:
        check_window(window)
    checked = check_sessions(prices)
    # from the first price to the last: a missing price before or after is not a hole
    changes = returns(checked[checked.bfill().notna() & checked.ffill().notna()])
    count = len(changes) if window is None else window
    if not 2 <= count <= len(changes):
        return math.nan
    known = changes.tail(count).dropna()
    if window is not None and len(known) < count - allowed(count):
        return math.nan
    return _ANNUAL_PERCENT * float(known.std(ddof=1))


def rolling_volatility(prices: pd.Series, window: int = VOLATILITY_WINDOW) -> pd.Series:
    """Return ``volatility`` after each session; NaN until the window is full.

    >>> rolling_volatility(pd.Series([100.0, 110.0, 99.0]), 2).round(6).tolist()
    [nan, nan, 224.499443]
    """
    return indicators.rolling_volatility(check_sessions(prices), window)


def skew(prices: pd.Series) -> float:
    """Skewness of the returns, corrected for bias: negative when the large moves are falls.

    Source: D. N. Joanes, C. A. Gill, Comparing Measures of Sample Skewness and Kurtosis, The Statistician (1998), G1.

    >>> round(skew(pd.Series([100.0, 110.0, 121.0, 108.9])), 6)
    -1.732051
    """
    return float(known_returns(prices).skew())  # type: ignore[arg-type]


def kurtosis(prices: pd.Series) -> float:
    """Excess kurtosis of the returns, corrected for bias: 0 for a normal distribution, above it with fat tails.

    Source: Joanes and Gill (1998), G2.

    >>> round(kurtosis(pd.Series([100.0, 110.0, 121.0, 108.9, 98.01])), 6)
    -6.0
    """
    return float(known_returns(prices).kurt())  # type: ignore[arg-type]


def hit_rate(prices: pd.Series) -> float:
    """The share of sessions that rose among those that moved, in percent; NaN when none did.

    >>> round(hit_rate(pd.Series([100.0, 110.0, 110.0, 121.0, 108.9])), 6)
    66.666667
    """
    moved = known_returns(prices)
    moved = moved[moved != 0]
    return float(100 * (moved > 0).mean()) if len(moved) else math.nan


def average_gain(prices: pd.Series) -> float:
    """The mean return of the sessions that rose, in percent; NaN when none did.

    >>> round(average_gain(pd.Series([100.0, 110.0, 99.0, 118.8])), 6)
    15.0
    """
    changes = known_returns(prices)
    return float(100 * changes[changes > 0].mean())


def average_loss(prices: pd.Series) -> float:
    """The mean return of the sessions that fell, in percent (negative); NaN when none did.

    >>> round(average_loss(pd.Series([100.0, 90.0, 99.0, 79.2])), 6)
    -15.0
    """
    changes = known_returns(prices)
    return float(100 * changes[changes < 0].mean())


def profit_factor(prices: pd.Series) -> float:
    """Profit factor of the sessions: the sum of the positive returns / that of the negative ones, as a positive number.

    NaN without a loss. Source: J. D. Schwager, Schwager on Futures: Technical Analysis (1996), chapter 21.

    Gains of 10 % and 20 %, losses of 10 % and 10 %:

    >>> round(profit_factor(pd.Series([100.0, 110.0, 99.0, 118.8, 106.92])), 6)
    1.5
    """
    changes = known_returns(prices)
    lost = -float(changes[changes < 0].sum())
    return finite(float(changes[changes > 0].sum()) / lost) if lost > 0 else math.nan
