"""Return for risk, and against a benchmark that has the same dates."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd

from stocklib.errors import InputError
from stocklib.indicators.columns import check_number
from stocklib.metrics.drawdowns import max_drawdown
from stocklib.metrics.growth import SESSIONS_A_YEAR, cagr, check_sessions, finite, known_returns, returns

# A deviation up to this is a rounding error and counts as zero.
NO_DEVIATION = 1e-15


@dataclass(frozen=True)
class SharpeBand:
    """The bounds of a Sharpe ratio's confidence band."""

    low: float
    high: float


def sharpe(prices: pd.Series, *, risk_free_percent: float = 0.0) -> float:
    """Sharpe ratio, annualised: √252 × mean / sample standard deviation of the returns above the risk-free rate.

    Source: W. F. Sharpe, The Sharpe Ratio, Journal of Portfolio Management (1994).

    Returns of +10 % and 0 % have mean 0.05 and deviation √0.005, and √252 · 0.05 / √0.005 = √126:

    >>> round(sharpe(pd.Series([100.0, 110.0, 110.0])) ** 2, 6)
    126.0
    """
    excess = _excess(prices, risk_free_percent)
    return _ratio(math.sqrt(SESSIONS_A_YEAR) * excess.mean(), excess.std(ddof=1))


def sharpe_band(prices: pd.Series, *, level: float = 0.95, risk_free_percent: float = 0.0) -> SharpeBand:
    """Confidence band of ``sharpe``: the ratio ± Φ⁻¹((1 + level) / 2) standard errors.

    With s the ratio of one session, g the skewness and k the kurtosis of the n returns (k is 3 for a normal
    distribution), the standard error is √252 × √((1 - g s + (k - 1) s² / 4) / (n - 1)). Losses that are larger than
    gains (g below 0) and fat tails widen it; it takes returns as independent of one another.

    Source: J. D. Opdyke, Comparing Sharpe Ratios: So Where Are the p-Values?, Journal of Asset Management (2007), after
    E. Mertens (2002); n - 1 as D. H. Bailey, M. López de Prado, The Sharpe Ratio Efficient Frontier, Journal of Risk
    (2012).

    Returns of +10 % and 0 %: g is 0, k is 1 and n - 1 is 1, so the error is √252; the band is √126 ± 1.96 √252:

    >>> band = sharpe_band(pd.Series([100.0, 110.0, 110.0]))
    >>> round(band.low, 4), round(band.high, 4)
    (-19.8885, 42.3384)
    """
    check_number("level", level, expected="between 0 and 1, such as 0.95", within=lambda value: 0 < value < 1)
    excess = _excess(prices, risk_free_percent)
    deviation = excess.std(ddof=0)
    if len(excess) < 2 or not deviation > NO_DEVIATION:
        return SharpeBand(math.nan, math.nan)
    apart = (excess - excess.mean()) / deviation
    a_session = excess.mean() / excess.std(ddof=1)
    spread = 1 - (apart**3).mean() * a_session + ((apart**4).mean() - 1) / 4 * a_session**2
    # of returns with two values it is 0, or a rounding error below
    error = math.sqrt(SESSIONS_A_YEAR * max(spread, 0.0) / (len(excess) - 1))
    ratio, reach = math.sqrt(SESSIONS_A_YEAR) * a_session, NormalDist().inv_cdf((1 + level) / 2) * error
    return SharpeBand(finite(ratio - reach), finite(ratio + reach))


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
