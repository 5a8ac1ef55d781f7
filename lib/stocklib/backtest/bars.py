"""The bars that a backtest stands on: arrays of bars × symbols, in order; every price is positive, or not there."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stocklib.errors import InputError

Floats = NDArray[np.float64]

_PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Bars:
    """Prices of ``symbols`` at ``times``, each array bars × symbols, in the listing's currency; NaN where none is.

    ``high``, ``low``, ``vwap`` are None where the frame had none.
    """

    times: pd.Index
    symbols: list[str]
    open: Floats
    close: Floats
    high: Floats | None
    low: Floats | None
    vwap: Floats | None

    def fills(self, at: str) -> Floats:
        """The prices at which orders are filled: ``open``, ``close`` or ``vwap``."""
        if at not in ("open", "close", "vwap"):
            raise InputError(f"fill={at!r} is not possible: open, close or vwap")
        found: Floats | None = getattr(self, at)
        if found is None:
            raise InputError("the bars have no vwap: add the column, or fill at the open or the close")
        return found


def read_bars(prices: pd.DataFrame) -> Bars:
    """Bars from a tidy frame (symbol, date or time, open, close and what else there is) of one symbol or several.

    ``InputError`` says which bar is unordered, twice there, or has a price that is not positive.
    """
    when = next((column for column in ("date", "time") if column in prices), None)
    frame = prices.set_index(when) if when else prices
    missing = {"open", "close"} - set(frame.columns)
    if missing:
        raise InputError(f"the bars lack {', '.join(sorted(missing))}")
    groups = frame.groupby("symbol", sort=True) if "symbol" in frame else [("", frame)]
    names: list[str] = []
    parts: list[pd.DataFrame] = []
    columns = [column for column in (*_PRICES, "vwap") if column in frame]
    for name, group in groups:
        names.append(str(name))
        parts.append(_checked(str(name), group[columns].astype("float64")))
    if not parts or max(len(part) for part in parts) < 2:
        raise InputError(f"{len(frame)} bars are too few: a signal of one bar is traded on the next")
    times = parts[0].index
    for part in parts[1:]:
        times = times.union(part.index)
    wide = {column: _wide(parts, column, times) for column in columns}
    return Bars(
        times=times,
        symbols=names,
        open=wide["open"],
        close=wide["close"],
        high=wide.get("high"),
        low=wide.get("low"),
        vwap=wide.get("vwap"),
    )


def by_time(prices: pd.DataFrame) -> pd.DataFrame:
    """The bars of one symbol by date (or time), whatever columns they have; ``InputError`` says what is wrong."""
    if "symbol" in prices and prices["symbol"].nunique() > 1:
        raise InputError("this takes one symbol at a time, not " + ", ".join(prices["symbol"].unique()))
    read_bars(prices)
    when = next((column for column in ("date", "time") if column in prices), None)
    return prices.set_index(when) if when else prices


def closes(prices: pd.DataFrame) -> pd.DataFrame:
    """The closes of every symbol: times × symbols."""
    bars = read_bars(prices)
    return pd.DataFrame(bars.close, bars.times, bars.symbols)


def _checked(name: str, bars: pd.DataFrame) -> pd.DataFrame:
    of = f" of {name}" if name else ""
    if not bars.index.is_monotonic_increasing or not bars.index.is_unique:
        raise InputError(f"the bars{of} must be in order of time, one a date")
    values = bars[[column for column in bars if column != "vwap"]].to_numpy()
    good = (np.isfinite(values) & (values > 0)).all(axis=1)
    if not good.all():
        raise InputError(f"the bar{of} of {bars.index[~good][0]} has a price that is missing, zero or negative")
    if {"high", "low"} <= set(bars.columns):
        inside = bars["high"].to_numpy() >= bars["low"].to_numpy()
        if not inside.all():
            raise InputError(f"the bar{of} of {bars.index[~inside][0]} has a high below its low")
    return bars


def _wide(parts: list[pd.DataFrame], column: str, times: Any) -> Floats:
    array = np.full((len(times), len(parts)), np.nan)
    for number, part in enumerate(parts):
        array[times.get_indexer(part.index), number] = part[column].to_numpy()
    return array
