"""Risk of a series: volatility, drawdown, and the shape of the returns."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stocklib import indicators
from stocklib.indicators.columns import check_window
from stocklib.indicators.holes import allowed
from stocklib.metrics.growth import SESSIONS_A_YEAR, check_prices, check_sessions, known_returns, returns

VOLATILITY_WINDOW = 30
_ANNUAL_PERCENT = 100 * math.sqrt(SESSIONS_A_YEAR)


@dataclass(frozen=True)
class Drawdown:
    """The deepest fall: in percent (negative), its first and last date, and the date of recovery, if any."""

    percent: float
    peak: pd.Timestamp
    trough: pd.Timestamp
    recovered: pd.Timestamp | None


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


def drawdown(prices: pd.Series) -> pd.Series:
    """How far below its highest value so far, in percent: 100 (p_t / max(p_1 … p_t) - 1); 0 at a high.

    >>> drawdown(pd.Series([100.0, 80.0, 120.0, 90.0])).round(10).tolist()
    [0.0, -20.0, 0.0, -25.0]
    """
    return indicators.drawdown(check_prices(prices, at_least=1))


def max_drawdown(prices: pd.Series) -> Drawdown:
    """The deepest ``drawdown``, with its dates.

    >>> days = pd.to_datetime(["2012-01-03", "2012-01-04", "2012-01-05", "2012-01-06"])
    >>> worst = max_drawdown(pd.Series([100.0, 75.0, 90.0, 100.0], days))
    >>> worst.percent, worst.peak.date(), worst.trough.date(), worst.recovered.date()
    (-25.0, datetime.date(2012, 1, 3), datetime.date(2012, 1, 4), datetime.date(2012, 1, 6))
    """
    prices = check_prices(prices, at_least=1).dropna()
    values, depths = prices.to_numpy(), drawdown(prices).to_numpy()
    trough = int(depths.argmin())
    peak = int(values[: trough + 1].argmax())
    back = np.flatnonzero(values[trough:] >= values[peak])
    recovered = prices.index[trough + back[0]] if len(back) else None
    return Drawdown(float(depths[trough]), prices.index[peak], prices.index[trough], recovered)


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
