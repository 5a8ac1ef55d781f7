"""Indicators over prices: a series, or a panel with one column a symbol, in; the same shape out.

Until a window is full the answer is NaN, never a guess; a window longer than the data is never full. A missing value
makes an indicator of a fixed window NaN while it is inside the window; one that remembers everything (``ema``,
``rsi``, ``macd``, ``atr``, ``obv``, ``ewma_volatility``) skips the missing bar and is NaN on it alone. No answer looks
ahead: that of bar t is made of bars up to t.

Dates out of order or twice there, a zero or negative price where returns or logarithms are taken (volatilities,
``drawdown``), a negative volume, infinite values: ``InputError``. Averages, ``rsi``, ``zscore`` and the like are made
of sums and differences, which hold for any number.

TA-Lib computes what it has, a contiguous column at a time; the rest is pandas.
"""

from stocklib.indicators.averages import ema, sma, wma
from stocklib.indicators.bands import Bands, atr, bollinger, zscore
from stocklib.indicators.momentum import Macd, Stochastic, macd, rsi, stochastic
from stocklib.indicators.relations import rolling_beta, rolling_correlation
from stocklib.indicators.risk import drawdown, ewma_volatility, garman_klass, parkinson, rolling_volatility
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
