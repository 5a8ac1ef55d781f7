"""The bars of a backtest: arrays of bars × symbols, in order; every price is positive or missing.

Every function of this room reads its bars with ``read_bars``.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stocklib.errors import InputError
from stocklib.indicators.columns import LARGEST, ROUNDED, SMALLEST, shown, to_doubles
from stocklib.indicators.times import read_times

Floats = NDArray[np.float64]
PRICES = ("open", "close", "high", "low", "vwap")


@dataclass(frozen=True, repr=False)
class Bars:
    """Prices of ``symbols`` at ``times``, each array bars × symbols, in the listing's currency; NaN where it is
    missing.

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
        """Return the prices at which orders are filled: ``open``, ``close`` or ``vwap``."""
        if not isinstance(at, str) or at not in ("open", "close", "vwap"):
            raise InputError(f"fill={shown(at)} is not possible: open, close or vwap")
        found: Floats | None = getattr(self, at)
        if found is None:
            raise InputError("the bars have no vwap: add the column, or fill at the open or the close")
        if at == "vwap":
            self._check_vwap(found)
        return found

    def _check_vwap(self, vwap: Floats) -> None:
        """Raise ``InputError`` for a vwap outside of its bar's range."""
        if (wrong := _outside(vwap, self.high, self.low)).any():
            bar, symbol = np.argwhere(wrong)[0]
            where = _named(self.symbols[symbol], self.times[bar])
            raise InputError(f"the bar{where} has its vwap outside its low and high")

    def closes(self) -> pd.DataFrame:
        """Return the closes of every symbol: times × symbols."""
        return pd.DataFrame(self.close, self.times, self.symbols)

    def one(self, column: str = "close") -> pd.Series:
        """Return a column of the only symbol by time, by default the closes; NaN on a session without a bar."""
        if len(self.symbols) > 1:
            raise InputError("this takes one symbol at a time, not " + ", ".join(self.symbols))
        values: Floats | None = getattr(self, column)
        if values is None:
            raise InputError(f"this needs the bars' {column}")
        return pd.Series(values[:, 0], self.times, name=column)


def read_bars(prices: "pd.DataFrame | Bars") -> Bars:
    """Return bars from a tidy frame (symbol, date or time, open, close and optional columns) of one or more symbols.

    For many backtests read the bars once: ``run``, ``sweep`` and the strategies here take ``Bars``, too.
    Dates may be datetimes, ISO 8601 text, Python's or Arrow's. A row without any price is a session on which its symbol
    has no bar. ``InputError`` names a bar that is unordered or duplicate, has a price that is not positive, or an open
    or close outside its low and high.
    """
    if isinstance(prices, Bars):
        return prices
    if not isinstance(prices, pd.DataFrame):
        raise InputError(f"the bars must be a frame with a row a bar, not {type(prices).__name__}")
    missing = {"open", "close"} - set(prices.columns)
    if missing:
        raise InputError(f"the bars lack {', '.join(sorted(missing))}")
    when, columns = bar_times(prices), [name for name in PRICES if name in prices]
    values = {name: _numbers(prices, name) for name in columns}
    names, codes = _symbols(prices)
    there = ~np.all([np.isnan(array) for array in values.values()], axis=0)
    _check_order(when, codes, names)
    _check_prices(when[there], {name: array[there] for name, array in values.items()}, codes[there], names)
    if len(names) == 1:
        times, wide = when, {name: array[:, None] for name, array in values.items()}
    else:
        rows, times = pd.factorize(when, sort=True)
        wide = {name: np.full((len(times), len(names)), np.nan) for name in columns}
        for name, array in values.items():
            wide[name][rows, codes] = array
    if np.bincount(codes[there], minlength=1).max() < 2:
        raise InputError(f"{there.sum()} bars are too few: a signal of one bar is traded on the next")
    return Bars(times=times, symbols=names, attrs=dict(prices.attrs), **wide)


def bar_times(prices: pd.DataFrame) -> pd.Index:
    """Return the time of each row of a frame of bars: its column ``time`` or ``date``, else its index."""
    name = next((column for column in ("time", "date") if column in prices), None)
    return read_times(prices[name] if name else prices.index)


def day_of(when: Any) -> str:
    """Return a date as text, or a position where there are no dates."""
    return f"{when:%Y-%m-%d}" if hasattr(when, "strftime") else str(when)


def _symbols(prices: pd.DataFrame) -> tuple[list[str], Any]:
    """Return the symbols in order, and each row's position among them."""
    alone = np.zeros(len(prices), dtype=int)
    if "symbol" not in prices or not len(prices):
        return [""], alone
    symbols = prices["symbol"]
    # a fast path for the usual frame; a missing symbol equals no symbol
    if (symbols.array == symbols.iloc[0]).all():
        return [str(symbols.iloc[0])], alone
    codes, labels = pd.factorize(symbols, sort=True)
    if (codes < 0).any():
        raise InputError("a bar has no symbol")
    return [str(label) for label in labels], codes


def _numbers(prices: pd.DataFrame, name: str) -> Floats:
    if not isinstance(prices[name], pd.Series):
        raise InputError(f"the bars have several columns {name}: keep one")
    return to_doubles(prices[name], name=f"numbers of the column {name}")


def _bar(when: pd.Index, codes: Any, names: list[str], row: int) -> str:
    return _named(names[codes[row]], when[row])


def _named(symbol: str, when: Any) -> str:
    return f" of {symbol} of {when}" if symbol else f" of {when}"


def _check_order(when: pd.Index, codes: Any, names: list[str]) -> None:
    """Raise ``InputError`` where a symbol's bars are unordered or duplicate."""
    order = np.argsort(codes, kind="stable") if len(names) > 1 else slice(None)
    ours, at = codes[order], when.to_numpy()[order]
    late = np.flatnonzero((ours[1:] == ours[:-1]) & ~(at[1:] > at[:-1]))
    if len(late):
        row = int(np.arange(len(codes))[order][late[0] + 1])
        where = _bar(when, codes, names, row)
        raise InputError(f"the bars must be in order of time, one a date: the first that is not is that{where}")


def _check_prices(when: pd.Index, values: dict[str, Floats], codes: Any, names: list[str]) -> None:
    """Raise ``InputError`` for an invalid price, or one outside its bar's range."""
    for name, array in values.items():
        good = (array >= SMALLEST) & (array <= LARGEST)
        if name == "vwap":
            # a bar without a trade has no vwap
            good |= np.isnan(array)
        if not good.all():
            where = _bar(when, codes, names, int(good.argmin()))
            raise InputError(f"the bar{where} has a {name} price that is missing, zero or negative, or infinite")
    high, low = values.get("high"), values.get("low")
    for name, array in values.items():
        if name != "vwap" and (wrong := _outside(array, high, low)).any():
            where = _bar(when, codes, names, int(wrong.argmax()))
            fault = "a high below its low" if name in ("high", "low") else f"its {name} outside its low and high"
            raise InputError(f"the bar{where} has {fault}")


def _outside(prices: Floats, high: Floats | None, low: Floats | None) -> NDArray[np.bool_]:
    """Return which prices are outside their bar's range by more than rounding; None is no bound."""
    above = prices > (np.inf if high is None else high * (1 + ROUNDED))
    below = prices < (-np.inf if low is None else low * (1 - ROUNDED))
    return above | below
