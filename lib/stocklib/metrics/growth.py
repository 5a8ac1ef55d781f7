"""What a series brought: returns, total and a year."""

import numpy as np
import pandas as pd

from stocklib.errors import InputError

SESSIONS_A_YEAR = 252


def returns(prices: pd.Series) -> pd.Series:
    """Simple returns, as fractions: p_t / p_(t-1) - 1. One shorter than the prices.

    >>> returns(pd.Series([100.0, 110.0, 99.0])).round(10).tolist()
    [0.1, -0.1]
    """
    checked = check_prices(prices, at_least=2)
    return (checked / checked.shift(1) - 1).iloc[1:]


def total_return(prices: pd.Series) -> float:
    """What the whole period brought, in percent: 100 (p_last / p_first - 1).

    >>> round(total_return(pd.Series([100.0, 110.0, 99.0])), 10)
    -1.0
    """
    checked = check_prices(prices, at_least=2)
    return float(100 * (checked.iloc[-1] / checked.iloc[0] - 1))


def cagr(prices: pd.Series) -> float:
    """Compound annual growth rate, in percent: 100 ((p_last / p_first)^(252 / n) - 1) over n returns.

    126 sessions that bring 10 % are half a year, so 1.1 ** 2 - 1 a year:

    >>> round(cagr(pd.Series([100.0] * 126 + [110.0])), 10)
    21.0
    """
    checked = check_prices(prices, at_least=2)
    growth = checked.iloc[-1] / checked.iloc[0]
    return float(100 * (growth ** (SESSIONS_A_YEAR / (len(checked) - 1)) - 1))


def check_prices(prices: pd.Series, *, at_least: int) -> pd.Series:
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
