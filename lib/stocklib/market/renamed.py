"""Renamed symbols: which of gold's symbols an asked name stands for.

Gold holds each company under one symbol, that since its last rename (``silver.int_symbol_holders``). An old symbol
that no other company has taken since is another name of it, and so is a new one before the data has come to the rename.
"""

from collections.abc import Collection, Iterable, Mapping

import pandas as pd

from stocklib.reference_data import SymbolChange


def same_company(name: str, there: Collection[str], changes: Iterable[SymbolChange]) -> str | None:
    """The symbol among ``there`` under which a name's company is; None for one that is not there.

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
    """The rows of gold's symbols under the names that were asked for (name → gold's symbol), in the names' order."""
    if all(name == symbol for name, symbol in asked.items()):
        return rows
    parts = [rows[rows["symbol"] == symbol].assign(symbol=name) for name, symbol in asked.items()]
    return pd.concat(parts, ignore_index=True)
