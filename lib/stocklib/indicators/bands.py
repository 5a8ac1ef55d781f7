"""How far prices move from their average: Bollinger bands, average true range, z-score."""

from dataclasses import dataclass
from typing import Generic

import talib

from stocklib.indicators import holes, windows
from stocklib.indicators.averages import sma
from stocklib.indicators.columns import (
    Values,
    by_memory,
    check_number,
    check_ranges,
    check_window,
    like,
    numbers_of,
    read,
)

# A deviation below this share of the mean is a rounding error and counts as zero.
_NOISE = 1e-12


@dataclass(frozen=True)
class Bands(Generic[Values]):
    """``lower``, ``middle`` and ``upper``, in the unit of the input."""

    lower: Values
    middle: Values
    upper: Values


def bollinger(values: Values, window: int = 20, *, deviations: float = 2.0) -> Bands[Values]:
    """Bollinger bands: the simple average, and so many population standard deviations (ddof 0) around it.

    Source: J. Bollinger, Bollinger on Bollinger Bands (2001).

    Of 1, 2, 6 the mean is 3 and the deviation √(14 / 3) = 2.160247:

    >>> import pandas as pd
    >>> found = bollinger(pd.Series([1.0, 2.0, 6.0]), 3)
    >>> [round(float(band.iloc[-1]), 6) for band in (found.lower, found.middle, found.upper)]
    [-1.320494, 3.0, 7.320494]
    """
    check_window(window, at_least=2)
    check_number("deviations", deviations, expected="a number, 0 or more", within=lambda value: value >= 0)
    (values,) = read(values)
    middle = sma(values, window)
    width = deviations * _deviation(values, window, ddof=0)
    return Bands(middle - width, middle, middle + width)


def atr(high: Values, low: Values, close: Values, window: int = 14) -> Values:
    """Average true range, in the unit of the prices.

    TR_t = max(H_t - L_t, |H_t - C_(t-1)|, |L_t - C_(t-1)|); ATR begins as the mean of the first n true ranges (the
    first bar has none) and goes on as ATR_t = ((n - 1) ATR_(t-1) + TR_t) / n.
    Source: J. W. Wilder, New Concepts in Technical Trading Systems (1978).

    True ranges of 3 (a gap: 5 - 2), 2 and 4; (3 + 2) / 2 = 2.5, then (2.5 + 4) / 2:

    >>> import pandas as pd
    >>> high, low = pd.Series([3.0, 5.0, 5.0, 8.0]), pd.Series([1.0, 4.0, 3.0, 5.0])
    >>> atr(high, low, pd.Series([2.0, 4.5, 4.0, 7.0]), 2).tolist()
    [nan, nan, 2.5, 3.25]
    """
    check_window(window)
    high, low, close = read(high, low, close)
    check_ranges(high, low, close=close)
    return by_memory(lambda h, l, c: talib.ATR(h, l, c, window), high, low, close)  # noqa: E741


def zscore(values: Values, window: int) -> Values:
    """How many sample standard deviations (ddof 1) a value stands from the mean of its window; NaN where none vary.

    >>> import pandas as pd
    >>> zscore(pd.Series([1.0, 2.0, 3.0]), 3).round(10).tolist()
    [nan, nan, 1.0]
    """
    check_window(window, at_least=2)
    (values,) = read(values)
    mean, deviation = sma(values, window), _deviation(values, window, ddof=1)
    return (values - mean) / deviation.where(deviation > mean.abs() * _NOISE)


def _deviation(values: Values, window: int, *, ddof: int) -> Values:
    deviations = holes.over_bars(lambda bars: windows.deviation(bars, window, ddof=ddof), window, numbers_of(values))
    found: Values = like(values, deviations)
    return found
