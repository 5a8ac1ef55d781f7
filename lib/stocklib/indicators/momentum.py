"""How fast and how far prices moved: RSI, MACD, stochastic."""

from dataclasses import dataclass
from typing import Any, Generic

import numpy as np
import talib

from stocklib.errors import InputError
from stocklib.indicators.averages import exponential, sma
from stocklib.indicators.columns import Floats, Values, by_memory, by_window, check_ranges, check_window, read
from stocklib.indicators.windows import compiled


@dataclass(frozen=True)
class Macd(Generic[Values]):
    """The ``line``, its ``signal`` and their difference, the ``histogram``; each in the shape and unit of the input."""

    line: Values
    signal: Values
    histogram: Values


@dataclass(frozen=True)
class Stochastic(Generic[Values]):
    """``k`` and its average ``d``, from 0 to 100."""

    k: Values
    d: Values


def rsi(values: Values, window: int = 14) -> Values:
    """Relative strength index, from 0 to 100; NaN as long as a price has never moved.

    RSI = 100 U / (U + D): U and D are the averages of the rises and of the falls; they begin as the means of the first
    n changes and go on as U_t = ((n - 1) U_(t-1) + u_t) / n.
    Source: J. W. Wilder, New Concepts in Technical Trading Systems (1978).

    Rises of 2 and 1 and no fall, then a fall of 3: U = 1.5 / 2 = 0.75, D = 3 / 2 = 1.5, and 100 · 0.75 / 2.25:

    >>> import pandas as pd
    >>> rsi(pd.Series([5.0, 7.0, 8.0, 5.0]), 2).round(6).tolist()
    [nan, nan, 100.0, 33.333333]
    """
    check_window(window, at_least=2)
    return by_memory(lambda prices: compiled(_rsi)(prices, window), values)


def macd(values: Values, *, fast: int = 12, slow: int = 26, signal: int = 9) -> Macd[Values]:
    """Moving average convergence divergence: the fast EMA less the slow one, and the EMA of that.

    line = EMA_fast - EMA_slow, signal = EMA of the line over ``signal`` bars, histogram = line - signal.
    Source: G. Appel, The Moving Average Convergence-Divergence Trading Method (1985).

    Each average begins with its own first window; TA-Lib's MACD begins the fast one where the slow one begins, and
    differs from this until both have forgotten their beginning.

    >>> import pandas as pd
    >>> found = macd(pd.Series([1.0, 2.0, 4.0, 8.0, 16.0]), fast=2, slow=3, signal=2)
    >>> found.line.round(4).tolist(), found.signal.round(4).tolist()
    ([nan, nan, 0.8333, 1.2222, 2.213], [nan, nan, nan, 1.0278, 1.8179])
    """
    for name, window in (("fast", fast), ("slow", slow), ("signal", signal)):
        check_window(window, name=name)
    if fast >= slow:
        raise InputError(f"fast={fast} must be shorter than slow={slow}")
    line = by_memory(lambda prices: exponential(prices, fast) - exponential(prices, slow), values)
    # the line's warm-up is not missing: its average begins where the line does
    smoothed = by_memory(lambda found: exponential(found, signal), line)
    return Macd(line, smoothed, line - smoothed)


def stochastic(
    high: Values, low: Values, close: Values, *, window: int = 14, smooth: int = 1, signal: int = 3
) -> Stochastic[Values]:
    """Stochastic oscillator: where the close stands in the range of the last ``window`` bars.

    %K = 100 (C - L_n) / (H_n - L_n), averaged over ``smooth`` bars (1: as it is, 3: the slow one); %D is the simple
    average of %K over ``signal`` bars. NaN while the range is empty (a price that did not move).
    Source: G. C. Lane, Lane's Stochastics, Technical Analysis of Stocks & Commodities (1984).

    >>> import pandas as pd
    >>> high, low = pd.Series([3.0, 4.0, 6.0]), pd.Series([1.0, 2.0, 3.0])
    >>> stochastic(high, low, pd.Series([2.0, 3.0, 5.0]), window=3, signal=1).k.tolist()
    [nan, nan, 80.0]
    """
    for name, length in (("window", window), ("smooth", smooth), ("signal", signal)):
        check_window(length, name=name)
    high, low, close = read(high, low, close)
    check_ranges(high, low, close=close)
    raw = by_window(lambda h, l, c: _position(h, l, c, window), window, high, low, close)  # noqa: E741
    k = sma(raw, smooth)
    return Stochastic(k, sma(k, signal))


def _rsi(prices, window):  # type: ignore[no-untyped-def]
    answer, latest = np.full(len(prices), np.nan), np.nan
    rises, falls = 0.0, 0.0
    for bar in range(1, len(prices)):
        change = prices[bar] - prices[bar - 1]
        kept = 1.0 if bar <= window else (window - 1) / window
        rises = rises * kept + max(change, 0.0) / window
        falls = falls * kept + max(-change, 0.0) / window
        # a bar without a move shrinks both averages alike: RSI keeps its value, though both approach 0
        if bar >= window and (change != 0.0 or bar == window) and rises + falls > 0.0:
            latest = 100.0 * rises / (rises + falls)
        answer[bar] = latest
    return answer


def _position(high: Floats, low: Floats, close: Floats, window: int) -> Any:
    top, bottom = (high, low) if window == 1 else (talib.MAX(high, window), talib.MIN(low, window))
    width = top - bottom
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(width > 0, 100 * (close - bottom) / width, np.nan)
