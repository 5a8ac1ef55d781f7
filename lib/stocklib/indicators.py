"""Indicators over prices: a series, or a panel with one column a symbol, in; the same shape out.

Until a window is full the answer is NaN, never a guess; a window longer than the data is never full. A missing value
makes ``sma`` NaN while it is inside the window, and ``ema`` NaN on that bar alone.
"""

from typing import TypeVar

import pandas as pd

from stocklib.errors import InputError

Values = TypeVar("Values", pd.Series, pd.DataFrame)


def sma(values: Values, window: int) -> Values:
    """Simple moving average: the mean of the last ``window`` values, in their own unit.

    SMA_t = (p_t + p_(t-1) + … + p_(t-n+1)) / n.
    Source: J. J. Murphy, Technical Analysis of the Financial Markets (1999), chapter 9.

    >>> sma(pd.Series([1.0, 2.0, 6.0, 4.0]), 3).tolist()
    [nan, nan, 3.0, 4.0]
    """
    _check(window)
    return values.rolling(window, min_periods=window).mean()


def ema(values: Values, window: int) -> Values:
    """Exponential moving average: recent values count more; in the values' own unit.

    EMA_t = α p_t + (1 - α) EMA_(t-1) with α = 2 / (n + 1), begun with the simple mean of the first n values, as TA-Lib
    begins it. Source: J. J. Murphy, Technical Analysis of the Financial Markets (1999), chapter 9.

    >>> ema(pd.Series([1.0, 2.0, 6.0, 4.0]), 3).tolist()
    [nan, nan, 3.0, 3.5]
    """
    _check(window)
    seen = values.notna().cumsum()
    first = values.expanding().mean().where(seen == window)
    begun = values.where(seen > window).fillna(first).where(values.notna())
    averaged = begun.ewm(span=window, adjust=False, ignore_na=True).mean()
    return averaged.where(values.notna())


def _check(window: int) -> None:
    if isinstance(window, bool) or not isinstance(window, int) or window < 1:
        raise InputError(f"window={window!r} is not possible: a window is a whole number of bars, 1 or more")
