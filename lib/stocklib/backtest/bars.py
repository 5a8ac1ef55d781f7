"""The bars that a backtest can stand on: one symbol's, in order, every price a positive number."""

import numpy as np
import pandas as pd

from stocklib.errors import InputError


def by_time(prices: pd.DataFrame) -> pd.DataFrame:
    """Open and close by date (or time), from a tidy frame of one symbol; ``InputError`` says what is wrong with it."""
    if "symbol" in prices and prices["symbol"].nunique() > 1:
        raise InputError("a backtest takes one symbol at a time, not " + ", ".join(prices["symbol"].unique()))
    when = next((column for column in ("date", "time") if column in prices), None)
    frame = prices.set_index(when) if when else prices
    missing = {"open", "close"} - set(frame.columns)
    if missing:
        raise InputError(f"the bars lack {', '.join(sorted(missing))}")
    bars = frame[["open", "close"]].astype("float64")
    if len(bars) < 2:
        raise InputError(f"{len(bars)} bars are too few: a signal of one bar is traded on the next")
    if not bars.index.is_monotonic_increasing or not bars.index.is_unique:
        raise InputError("the bars must be in order of time, one a date")
    values = bars.to_numpy()
    good = (np.isfinite(values) & (values > 0)).all(axis=1)
    if not good.all():
        raise InputError(f"the bar of {bars.index[~good][0]} has a price that is missing, zero or negative")
    return bars
