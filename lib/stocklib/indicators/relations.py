"""How symbols move together, over a rolling window of returns."""

from typing import Any

import pandas as pd

from stocklib.errors import InputError
from stocklib.indicators.columns import Values, check_order, check_window


def rolling_beta(returns: Values, market: pd.Series, window: int = 60) -> Values:
    """Beta to a market: cov(r, m) / var(m) over the last ``window`` returns; NaN where the market stood still.

    Source: W. F. Sharpe, Capital Asset Prices, Journal of Finance (1964).

    >>> import pandas as pd
    >>> market = pd.Series([0.01, -0.02, 0.03])
    >>> rolling_beta(market * 2, market, 3).round(10).tolist()
    [nan, nan, 2.0]
    """
    window_of, market_of = _windows(returns, market, window)
    answer: Values = _divide(window_of.cov(market, ddof=1), market_of.var(ddof=1))
    return answer


def rolling_correlation(returns: Values, market: pd.Series, window: int = 60) -> Values:
    """Pearson's correlation with another series over the last ``window`` returns, from -1 to 1; NaN where one is flat.

    >>> import pandas as pd
    >>> market = pd.Series([0.01, -0.02, 0.03])
    >>> rolling_correlation(-market, market, 3).round(10).tolist()
    [nan, nan, -1.0]
    """
    window_of, market_of = _windows(returns, market, window)
    scale = window_of.std(ddof=1).mul(market_of.std(ddof=1), axis=0)
    covariance = window_of.cov(market, ddof=1)
    answer: Values = _divide(covariance, scale).clip(-1.0, 1.0)
    return answer


def _windows(returns: Any, market: pd.Series, window: int) -> tuple[Any, Any]:
    check_window(window, at_least=2)
    check_order(market)
    if not returns.index.equals(market.index):
        raise InputError("the returns and the market's must be on the same dates")
    return returns.rolling(window, min_periods=window), market.rolling(window, min_periods=window)


def _divide(above: Any, below: Any) -> Any:
    # what rounding leaves of a flat stretch is no variance
    kept = below.where(below > 1e-18)
    return above.div(kept, axis=0)
