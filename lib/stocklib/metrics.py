"""Return and risk of a series of prices or of an account's value: one positive number a session in, oldest first.

Conventions, the same in gold: simple returns of split-adjusted closes, 252 sessions a year, sample standard deviation
(ddof 1). Rates come in percent, as gold's columns do: a ``cagr`` of 12.5 is 12.5 % a year. Only ``returns`` are
fractions, because one multiplies them.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stocklib.errors import InputError

SESSIONS_A_YEAR = 252
VOLATILITY_WINDOW = 30
_ANNUAL_PERCENT = 100 * math.sqrt(SESSIONS_A_YEAR)


@dataclass(frozen=True)
class Drawdown:
    """The deepest fall: how far in percent (negative), from which date to which, and when it was made good, if ever."""

    percent: float
    peak: pd.Timestamp
    trough: pd.Timestamp
    recovered: pd.Timestamp | None


def returns(prices: pd.Series) -> pd.Series:
    """Simple returns, as fractions: p_t / p_(t-1) - 1. One shorter than the prices.

    >>> returns(pd.Series([100.0, 110.0, 99.0])).round(10).tolist()
    [0.1, -0.1]
    """
    checked = _checked(prices, at_least=2)
    return (checked / checked.shift(1) - 1).iloc[1:]


def total_return(prices: pd.Series) -> float:
    """What the whole period brought, in percent: 100 (p_last / p_first - 1).

    >>> round(total_return(pd.Series([100.0, 110.0, 99.0])), 10)
    -1.0
    """
    checked = _checked(prices, at_least=2)
    return float(100 * (checked.iloc[-1] / checked.iloc[0] - 1))


def cagr(prices: pd.Series) -> float:
    """Compound annual growth rate, in percent: 100 ((p_last / p_first)^(252 / n) - 1) over n returns.

    126 sessions that bring 10 % are half a year, so 1.1 ** 2 - 1 a year:

    >>> round(cagr(pd.Series([100.0] * 126 + [110.0])), 10)
    21.0
    """
    checked = _checked(prices, at_least=2)
    growth = checked.iloc[-1] / checked.iloc[0]
    return float(100 * (growth ** (SESSIONS_A_YEAR / (len(checked) - 1)) - 1))


def volatility(prices: pd.Series, *, window: int | None = VOLATILITY_WINDOW) -> float:
    """Annualised volatility, in percent: 100 √252 times the sample standard deviation of the last 30 simple returns.

    This is gold's ``volatility_30day_percent``. ``window=None`` takes every return. NaN where there are fewer returns
    than the window.

    Returns of +10 % and -10 % have a sample standard deviation of √0.02, and 100 √(0.02 · 252) = 224.499…:

    >>> round(volatility(pd.Series([100.0, 110.0, 99.0]), window=2), 6)
    224.499443
    """
    changes = returns(prices)
    count = len(changes) if window is None else window
    if not 2 <= count <= len(changes):
        return math.nan
    return _ANNUAL_PERCENT * float(changes.tail(count).std(ddof=1))


def rolling_volatility(prices: pd.Series, window: int = VOLATILITY_WINDOW) -> pd.Series:
    """``volatility`` as it stood after each session; NaN until the window is full.

    >>> rolling_volatility(pd.Series([100.0, 110.0, 99.0]), 2).round(6).tolist()
    [nan, nan, 224.499443]
    """
    changes = returns(prices).reindex(prices.index)
    return changes.rolling(window, min_periods=window).std(ddof=1) * _ANNUAL_PERCENT


def sharpe(prices: pd.Series, *, risk_free_percent: float = 0.0) -> float:
    """Sharpe ratio, annualised: √252 × mean / sample standard deviation of the returns above the risk-free rate.

    ``risk_free_percent`` is a year's simple rate; a session's is 1/252 of it. NaN when the returns do not vary.
    Source: W. F. Sharpe, The Sharpe Ratio, Journal of Portfolio Management (1994).

    Returns of +10 % and 0 % have mean 0.05 and deviation √0.005, and √252 · 0.05 / √0.005 = √126:

    >>> round(sharpe(pd.Series([100.0, 110.0, 110.0])) ** 2, 6)
    126.0
    """
    excess = returns(prices) - risk_free_percent / 100 / SESSIONS_A_YEAR
    deviation = float(excess.std(ddof=1))
    if not deviation > 1e-15:
        return math.nan
    return float(math.sqrt(SESSIONS_A_YEAR) * excess.mean() / deviation)


def drawdown(prices: pd.Series) -> pd.Series:
    """How far below its highest value so far, in percent: 100 (p_t / max(p_1 … p_t) - 1); 0 at a high.

    >>> drawdown(pd.Series([100.0, 80.0, 120.0, 90.0])).round(10).tolist()
    [0.0, -20.0, 0.0, -25.0]
    """
    checked = _checked(prices, at_least=1)
    return 100 * (checked / checked.cummax() - 1)


def max_drawdown(prices: pd.Series) -> Drawdown:
    """The deepest ``drawdown``, with its dates.

    >>> days = pd.to_datetime(["2012-01-03", "2012-01-04", "2012-01-05", "2012-01-06"])
    >>> worst = max_drawdown(pd.Series([100.0, 75.0, 90.0, 100.0], days))
    >>> worst.percent, worst.peak.date(), worst.trough.date(), worst.recovered.date()
    (-25.0, datetime.date(2012, 1, 3), datetime.date(2012, 1, 4), datetime.date(2012, 1, 6))
    """
    depths = drawdown(prices).to_numpy()
    trough = int(depths.argmin())
    values = prices.to_numpy()
    peak = int(values[: trough + 1].argmax())
    back = np.flatnonzero(values[trough:] >= values[peak])
    recovered = prices.index[trough + back[0]] if len(back) else None
    return Drawdown(float(depths[trough]), prices.index[peak], prices.index[trough], recovered)


def _checked(prices: pd.Series, *, at_least: int) -> pd.Series:
    """The prices, when every formula here holds for them."""
    if len(prices) < at_least:
        raise InputError(f"{len(prices)} values are too few: at least {at_least} are needed")
    if not prices.index.is_monotonic_increasing or not prices.index.is_unique:
        raise InputError("the values must be in order of time, one a date")
    values = prices.to_numpy(dtype="float64", na_value=np.nan)
    if not np.isfinite(values).all() or (values <= 0).any():
        where = prices.index[~(np.isfinite(values) & (values > 0))][0]
        raise InputError(f"the value of {where} is missing, zero or negative; drop or fill it first")
    return prices.astype("float64")
