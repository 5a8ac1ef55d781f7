"""Indicators over prices: a series, or a panel with one column a symbol, in; the same shape out.

Until a window is full the answer is NaN; a window longer than the data is never full. The answer for a missing bar
(NaN) is NaN. After it, an indicator of a fixed window takes the last n bars that exist, unless they span more than n +
⌈n/10⌉ (``sma``, ``wma``, ``bollinger``, ``zscore``, ``stochastic``), or the values of the last n bars unless more than
⌈n/10⌉ of them are missing (``rolling_volatility``, ``parkinson``, ``garman_klass``), as gold's columns do;
``rolling_beta`` and ``rolling_correlation`` are NaN while a missing return is inside the window. One that uses all bars
so far (``ema``, ``rsi``, ``macd``, ``atr``, ``obv``, ``ewma_volatility``) skips the missing bar. A hole shows when its
row exists: ``prices(…, holes="nan")``. No answer looks ahead: that of bar t uses bars up to t. A value that has left a
window leaves no rounding error in it, however large.

Numbers of any kind become doubles, on their own index; dates may be datetimes, ISO 8601 text, Python's or Arrow's.
``InputError``: lists and arrays, text instead of numbers, unordered or duplicate dates, a zero or negative price where
returns or logarithms are taken (volatilities, ``drawdown``), a high below its low or a close outside them, a negative
volume, infinite values and those beyond 1e50. Averages, ``rsi``, ``zscore`` and the like use sums and differences,
which are defined for any number. No answer is infinite.

``windows`` computes means and deviations of a window; TA-Lib the other indicators that it has, a contiguous column at a
time; pandas the rest.
"""

from stocklib.indicators.averages import ema, sma, wma
from stocklib.indicators.bands import Bands, atr, bollinger, zscore
from stocklib.indicators.momentum import Macd, Stochastic, macd, rsi, stochastic
from stocklib.indicators.relations import rolling_beta, rolling_correlation
from stocklib.indicators.rolling_risk import drawdown, ewma_volatility, garman_klass, parkinson, rolling_volatility
from stocklib.indicators.volume import obv, vwap

__all__ = [
    "Bands",
    "Macd",
    "Stochastic",
    "atr",
    "bollinger",
    "drawdown",
    "ema",
    "ewma_volatility",
    "garman_klass",
    "macd",
    "obv",
    "parkinson",
    "rolling_beta",
    "rolling_correlation",
    "rolling_volatility",
    "rsi",
    "sma",
    "stochastic",
    "vwap",
    "wma",
    "zscore",
]
