"""The bars that a backtest stands on: arrays of bars × symbols, in order; every price is positive, or not there."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stocklib.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class Bars:
    """Prices of ``symbols`` at ``times``, each array bars × symbols, in the listing's currency; NaN where none is.

    ``high``, ``low``, ``vwap`` are None where the frame had none. ``attrs`` are the frame's own, such as the version of
    its data.
    """

    times: pd.Index
    symbols: list[str]
    open: Floats
    close: Floats
    high: Floats | None = None
    low: Floats | None = None
    vwap: Floats | None = None
    attrs: Mapping[Hashable, Any] = field(default_factory=dict)

    def fills(self, at: str) -> Floats:
        """The prices at which orders are filled: ``open``, ``close`` or ``vwap``."""
        if at not in ("open", "close", "vwap"):
            raise InputError(f"fill={at!r} is not possible: open, close or vwap")
        found: Floats | None = getattr(self, at)
        if found is None:
            raise InputError("the bars have no vwap: add the column, or fill at the open or the close")
        return found

    def closes(self) -> pd.DataFrame:
        """The closes of every symbol: times × symbols."""
        return pd.DataFrame(self.close, self.times, self.symbols)

    def one(self, column: str = "close") -> pd.Series:
        """The closes, or what else there is, of the only symbol, by time."""
        if len(self.symbols) > 1:
            raise InputError("this takes one symbol at a time, not " + ", ".join(self.symbols))
        values: Floats | None = getattr(self, column)
        if values is None:
            raise InputError(f"this needs the bars' {column}")
        return pd.Series(values[:, 0], self.times, name=column)


def read_bars(prices: "pd.DataFrame | Bars") -> Bars:
    """Bars from a tidy frame (symbol, date or time, open, close and what else there is) of one symbol or several.

    Whoever runs many backtests reads the bars once: ``run``, ``sweep`` and the strategies here take ``Bars``, too.
    ``InputError`` says which bar is unordered, twice there, or has a price that is not positive.
    """
    if isinstance(prices, Bars):
        return prices
    missing = {"open", "close"} - set(prices.columns)
    if missing:
        raise InputError(f"the bars lack {', '.join(sorted(missing))}")
    when = _times(prices)
    columns = [name for name in ("open", "close", "high", "low", "vwap") if name in prices]
    values = {name: _numbers(prices, name) for name in columns}
    symbols = prices["symbol"] if "symbol" in prices and len(prices) else None
    if symbols is None or _all_equal(symbols):
        names = ["" if symbols is None else str(symbols.iloc[0])]
        wide = {name: array[:, None] for name, array in values.items()}
        _check(when, values, np.zeros(len(prices), dtype=int), names)
        times, most = when, len(prices)
    else:
        codes, labels = pd.factorize(symbols, sort=True)
        names = [str(label) for label in labels]
        if (codes < 0).any():
            raise InputError("a bar has no symbol")
        _check(when, values, codes, names)
        rows, times = pd.factorize(when, sort=True)
        most = int(np.bincount(codes).max())
        wide = {name: np.full((len(times), len(names)), np.nan) for name in columns}
        for name, array in values.items():
            wide[name][rows, codes] = array
    if most < 2:
        raise InputError(f"{len(prices)} bars are too few: a signal of one bar is traded on the next")
    return Bars(times=times, symbols=names, attrs=dict(prices.attrs), **wide)


def _times(prices: pd.DataFrame) -> pd.Index:
    name = _when(prices)
    times = pd.Index(prices[name]) if name else prices.index
    if times.hasnans:
        raise InputError("a bar has no date")
    return times


def _when(prices: pd.DataFrame) -> str | None:
    return next((column for column in ("date", "time") if column in prices), None)


def _numbers(prices: pd.DataFrame, name: str) -> Floats:
    try:
        return prices[name].to_numpy(dtype="float64", na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise InputError(f"the column {name} must hold numbers: {error}") from error


def _all_equal(symbols: pd.Series) -> bool:
    # a missing one equals nothing
    return bool((symbols.array == symbols.iloc[0]).all())


def _check(when: pd.Index, values: dict[str, Floats], codes: Any, names: list[str]) -> None:
    """Every symbol's bars are in order, one a time, and their prices are such."""

    def bar(row: int) -> str:
        of = f" of {names[codes[row]]}" if names[codes[row]] else ""
        return f"{of} of {when[row]}"

    order = np.argsort(codes, kind="stable") if len(names) > 1 else slice(None)
    ours, at = codes[order], when.to_numpy()[order]
    late = np.flatnonzero((ours[1:] == ours[:-1]) & ~(at[1:] > at[:-1]))
    if len(late):
        row = int(np.arange(len(codes))[order][late[0] + 1])
        raise InputError(f"the bars must be in order of time, one a date: look at that{bar(row)}")
    for name, array in values.items():
        good = np.isfinite(array) & (array > 0)
        if name == "vwap":
            # a bar on which nothing was traded has none
            good |= np.isnan(array)
        if not good.all():
            raise InputError(f"the bar{bar(int(good.argmin()))} has a {name} price that is missing, zero or negative")
    if "high" in values and "low" in values:
        outside = values["high"] < values["low"]
        if outside.any():
            raise InputError(f"the bar{bar(int(outside.argmax()))} has a high below its low")
