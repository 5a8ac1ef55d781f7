"""Moving averages, in the values' own unit."""

import talib

from stocklib.indicators import holes, windows
from stocklib.indicators.columns import Floats, Values, by_memory, check_window, like, numbers_of, read


def sma(values: Values, window: int) -> Values:
    """Simple moving average: the mean of the last ``window`` values. Of daily bars this is gold's ``ma_30day``.

    SMA_t = (p_t + p_(t-1) + … + p_(t-n+1)) / n.
    Source: J. J. Murphy, Technical Analysis of the Financial Markets (1999), chapter 9.

    >>> import pandas as pd
    >>> sma(pd.Series([1.0, 2.0, 6.0, 4.0]), 3).tolist()
    [nan, nan, 3.0, 4.0]
    """
    check_window(window)
    (values,) = read(values)
    means = holes.over_bars(lambda bars: windows.mean(bars, window), window, numbers_of(values))
    averaged: Values = like(values, means)
    return averaged


def ema(values: Values, window: int) -> Values:
    """Exponential moving average: recent values count more.

    EMA_t = α p_t + (1 - α) EMA_(t-1) with α = 2 / (n + 1), begun with the simple mean of the first n values.
    Source: J. J. Murphy, Technical Analysis of the Financial Markets (1999), chapter 9.

    >>> import pandas as pd
    >>> ema(pd.Series([1.0, 2.0, 6.0, 4.0]), 3).tolist()
    [nan, nan, 3.0, 3.5]
    """
    check_window(window)
    return by_memory(lambda prices: exponential(prices, window), values)


def wma(values: Values, window: int) -> Values:
    """Linearly weighted moving average: the newest of ``window`` values counts n times, the oldest once.

    WMA_t = (n p_t + (n - 1) p_(t-1) + … + p_(t-n+1)) / (n (n + 1) / 2).
    Source: J. J. Murphy, Technical Analysis of the Financial Markets (1999), chapter 9.

    (3 · 6 + 2 · 2 + 1 · 1) / 6 and (3 · 4 + 2 · 6 + 1 · 2) / 6:

    >>> import pandas as pd
    >>> wma(pd.Series([1.0, 2.0, 6.0, 4.0]), 3).round(6).tolist()
    [nan, nan, 3.833333, 4.333333]
    """
    check_window(window)
    (values,) = read(values)
    means = holes.over_bars(lambda bars: windows.weighted_mean(bars, window), window, numbers_of(values))
    averaged: Values = like(values, means)
    return averaged


def exponential(prices: Floats, window: int) -> Floats:
    """The exponential average of one complete column."""
    averaged: Floats = talib.EMA(prices, window)
    return averaged
