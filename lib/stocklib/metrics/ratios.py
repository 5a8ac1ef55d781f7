"""Return for risk, and against a benchmark that has the same dates."""

import math

import numpy as np
import pandas as pd

from stocklib.errors import InputError
from stocklib.indicators.columns import check_number
from stocklib.metrics.growth import SESSIONS_A_YEAR, cagr, check_sessions, finite, known_returns, returns
from stocklib.metrics.risk import max_drawdown

# A deviation up to this is a rounding error and counts as zero.
NO_DEVIATION = 1e-15


def sharpe(prices: pd.Series, *, risk_free_percent: float = 0.0) -> float:
    """Sharpe ratio, annualised: √252 × mean / sample standard deviation of the returns above the risk-free rate.

    Source: W. F. Sharpe, The Sharpe Ratio, Journal of Portfolio Management (1994).

    Returns of +10 % and 0 % have mean 0.05 and deviation √0.005, and √252 · 0.05 / √0.005 = √126:

    >>> round(sharpe(pd.Series([100.0, 110.0, 110.0])) ** 2, 6)
    126.0
    """
    excess = _excess(prices, risk_free_percent)
    return _ratio(math.sqrt(SESSIONS_A_YEAR) * excess.mean(), excess.std(ddof=1))


def sortino(prices: pd.Series, *, risk_free_percent: float = 0.0) -> float:
    """Sortino ratio, annualised: √252 × mean of the excess returns / √(mean of the squared ones below zero).

    Source: F. A. Sortino, L. N. Price, Performance Measurement in a Downside Risk Framework, Journal of Investing
    (1994).

    Returns of +20 % and -10 %: mean 0.05, downside √(0.01 / 2), and √252 · 0.05 / √0.005 = √126:

    >>> round(sortino(pd.Series([100.0, 120.0, 108.0])) ** 2, 6)
    126.0
    """
    excess = _excess(prices, risk_free_percent)
    return _ratio(math.sqrt(SESSIONS_A_YEAR) * excess.mean(), float(np.sqrt((excess.clip(upper=0) ** 2).mean())))


def calmar(prices: pd.Series) -> float:
    """Calmar ratio: ``cagr`` / the deepest drawdown, as a positive number; NaN when there was none.

    Source: T. W. Young, Calmar Ratio: A Smoother Tool, Futures (1991).

    >>> round(calmar(pd.Series([100.0, 75.0] + [100.0] * 249 + [110.0, 110.0])), 6)
    0.4
    """
    return _ratio(cagr(prices), -max_drawdown(prices).percent)


def beta(prices: pd.Series, benchmark: pd.Series) -> float:
    """Beta: cov(r, b) / var(b) of the simple returns.

    Source: W. F. Sharpe, Capital Asset Prices, Journal of Finance (1964).

    >>> round(beta(pd.Series([100.0, 120.0, 96.0]), pd.Series([100.0, 110.0, 99.0])), 10)
    2.0
    """
    mine, theirs = _together(prices, benchmark)
    if len(mine) < 2:
        return math.nan
    return _ratio(float(np.cov(mine, theirs, ddof=1)[0, 1]), float(np.var(theirs, ddof=1)))


def alpha(prices: pd.Series, benchmark: pd.Series, *, risk_free_percent: float = 0.0) -> float:
    """Jensen's alpha, in percent a year: 100 ((1 + mean(r - f - β (b - f)))^252 - 1).

    Source: M. C. Jensen, The Performance of Mutual Funds, Journal of Finance (1968).

    Twice the benchmark's returns are beta, not alpha:

    >>> round(alpha(pd.Series([100.0, 120.0, 96.0]), pd.Series([100.0, 110.0, 99.0])), 6) + 0
    0.0
    """
    mine, theirs = _together(check_sessions(prices), benchmark)
    check_number("risk_free_percent", risk_free_percent, expected="a number, in percent a year")
    free = risk_free_percent / 100 / SESSIONS_A_YEAR
    left = (mine - free) - beta(prices, benchmark) * (theirs - free)
    with np.errstate(over="ignore"):
        return finite(100 * ((1 + left.mean()) ** SESSIONS_A_YEAR - 1))


def information_ratio(prices: pd.Series, benchmark: pd.Series) -> float:
    """Information ratio, annualised: √252 × mean / sample standard deviation of the returns above the benchmark's.

    Source: R. C. Grinold, R. N. Kahn, Active Portfolio Management (1999), chapter 5.

    Above the benchmark by 10 % and 0 %, as in ``sharpe``:

    >>> round(information_ratio(pd.Series([100.0, 110.0, 110.0]), pd.Series([100.0, 100.0, 100.0])) ** 2, 6)
    126.0
    """
    mine, theirs = _together(check_sessions(prices), benchmark)
    active = mine - theirs
    return _ratio(math.sqrt(SESSIONS_A_YEAR) * active.mean(), active.std(ddof=1))


def _excess(prices: pd.Series, risk_free_percent: float) -> pd.Series:
    check_number("risk_free_percent", risk_free_percent, expected="a number, in percent a year")
    return known_returns(check_sessions(prices)) - risk_free_percent / 100 / SESSIONS_A_YEAR


def _together(prices: pd.Series, benchmark: pd.Series) -> tuple[pd.Series, pd.Series]:
    mine, theirs = returns(prices), returns(benchmark)
    if len(prices) != len(benchmark) or not mine.index.equals(theirs.index):
        only = mine.index.symmetric_difference(theirs.index)
        where = f"; {only[0]} is in one of them only" if len(only) else ""
        raise InputError(f"the values and the benchmark's must be on the same dates{where}")
    both = mine.notna() & theirs.notna()
    return mine[both], theirs[both]


def _ratio(above: float, below: float) -> float:
    return finite(above / below) if below > NO_DEVIATION else math.nan
