"""Renamed symbols: gold's symbol for a requested name.

Gold holds each company under one symbol, the one since its last rename (``silver.int_symbol_holders``). An old symbol
that no other company uses now is another name of it, and so is a new symbol before the data reaches the rename.
"""

from collections.abc import Collection, Iterable, Mapping

import pandas as pd

from stocklib.reference_data import SymbolChange


def same_company(name: str, there: Collection[str], changes: Iterable[SymbolChange]) -> str | None:
    """Return the symbol among ``there`` of a name's company; None where there is none.

    >>> from datetime import date
    >>> change = SymbolChange("FB", "META", date(2022, 6, 9))
    >>> same_company("FB", ["IBM", "META"], [change]), same_company("META", ["FB"], [change])
    ('META', 'FB')
    >>> same_company("FB", ["FB", "META"], [change])  # another company has the symbol now
    'FB'
    """
    if name in there:
        return name
    ordered = sorted(changes, key=lambda change: change.since)
    later, earlier = [name], [name]
    for change in ordered:
        if change.old == later[-1]:
            later.append(change.new)
    for change in reversed(ordered):
        if change.new == earlier[-1]:
            earlier.append(change.old)
    return next((each for each in [*reversed(later), *earlier] if each in there), None)


def under_asked_names(rows: pd.DataFrame, asked: Mapping[str, str]) -> pd.DataFrame:
    """Return the rows of gold's symbols under the requested names (name → gold's symbol), in the names' order."""
    if all(name == symbol for name, symbol in asked.items()):
        return rows
    parts = [rows[rows["symbol"] == symbol].assign(symbol=name) for name, symbol in asked.items()]
    return pd.concat(parts, ignore_index=True)
