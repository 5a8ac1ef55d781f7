"""How symbols move together, over a rolling window of returns."""

from typing import Any

import numpy as np
import pandas as pd

from stocklib.errors import InputError
from stocklib.indicators import windows
from stocklib.indicators.columns import Floats, Values, check_window, like, numbers_of, read

# A deviation up to this is a rounding error and counts as zero: in returns, and relative to their mean.
_NOISE = 1e-12


def rolling_beta(returns: Values, market: pd.Series, window: int = 60) -> Values:
    """Beta to a market: cov(r, m) / var(m) over the last ``window`` returns; NaN where the market stood still.

    Source: W. F. Sharpe, Capital Asset Prices, Journal of Finance (1964).

    >>> import pandas as pd
    >>> market = pd.Series([0.01, -0.02, 0.03])
    >>> rolling_beta(market * 2, market, 3).round(10).tolist()
    [nan, nan, 2.0]
    """
    returns, mine, theirs = _read(returns, market, window)
    found = windows.covariance(mine, theirs, window, ddof=1) / _varies(theirs, window) ** 2
    answer: Values = like(returns, found)
    return answer


def rolling_correlation(returns: Values, market: pd.Series, window: int = 60) -> Values:
    """Pearson's correlation with another series over the last ``window`` returns, from -1 to 1; NaN where one is flat.

    >>> import pandas as pd
    >>> market = pd.Series([0.01, -0.02, 0.03])
    >>> rolling_correlation(-market, market, 3).round(10).tolist()
    [nan, nan, -1.0]
    """
    returns, mine, theirs = _read(returns, market, window)
    scale = _varies(mine, window) * _varies(theirs, window)
    answer: Values = like(returns, np.clip(windows.covariance(mine, theirs, window, ddof=1) / scale, -1.0, 1.0))
    return answer


def _read(returns: Any, market: Any, window: int) -> tuple[Any, Floats, Floats]:
    """Return the returns, and both inputs as arrays."""
    check_window(window, at_least=2)
    if not isinstance(market, pd.Series):
        raise InputError(f"the market must be a series of returns, not {type(market).__name__}")
    (returns,), (market,) = read(returns), read(market)
    if not returns.index.equals(market.index):
        raise InputError("the returns and the market's must be on the same dates")
    return returns, numbers_of(returns), numbers_of(market)


def _varies(values: Floats, window: int) -> Floats:
    """Return the deviation of each window; NaN where it is only a rounding error."""
    spread, level = windows.deviation(values, window, ddof=1), np.abs(windows.mean(values, window))
    return np.where(spread > np.maximum(_NOISE, level * _NOISE), spread, np.nan)
