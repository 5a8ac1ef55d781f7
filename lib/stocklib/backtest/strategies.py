"""Rules that say what to hold: one symbol's bars in, a signal of 0 and 1 by date out."""

import pandas as pd

from stocklib.backtest.bars import by_time
from stocklib.errors import InputError
from stocklib.indicators import sma

# Two averages of equal prices may differ in the last digit; that is no crossing.
_TOLERANCE = 1e-9


def sma_crossover(prices: pd.DataFrame, fast: int, slow: int) -> pd.Series:
    """Hold while the fast simple moving average of the closes is above the slow one.

    Until the slow window is full, and while the two are equal to within 1e-9 of their value, there is nothing to hold.

    >>> days = pd.date_range("2012-01-02", periods=5)
    >>> frame = pd.DataFrame({"date": days, "open": 1.0, "close": [3.0, 2.0, 1.0, 4.0, 4.0]})
    >>> sma_crossover(frame, 1, 2).tolist()
    [0.0, 0.0, 0.0, 1.0, 0.0]
    """
    if not 0 < fast < slow:
        raise InputError(f"fast={fast} must be at least 1 and shorter than slow={slow}")
    closes = by_time(prices)["close"]
    above = sma(closes, fast) > sma(closes, slow) * (1 + _TOLERANCE)
    return above.astype("float64").rename("signal")


def buy_and_hold(prices: pd.DataFrame) -> pd.Series:
    """Hold from the first bar on: bought at the second bar's open, like any other signal."""
    return pd.Series(1.0, index=by_time(prices).index, name="signal")
