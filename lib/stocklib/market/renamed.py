"""Renamed symbols: the rows of a company under each name that it had, joined under the one that was asked for.

Until a rename the old symbol's rows count, and where it has none, the new one's own (a source may answer a company's
whole history under its present name); from the day of the rename on, only the new one's: somebody else may have taken
the old name since.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stocklib.settings import SymbolChange


@dataclass(frozen=True)
class Company:
    """The symbols that a company had, oldest first; ``since`` holds the first date of each but the first."""

    symbols: tuple[str, ...]
    since: tuple[pd.Timestamp, ...]


Companies = Mapping[str, Company]


def companies(changes: Iterable[SymbolChange]) -> dict[str, Company]:
    """Every company that was renamed, by each of its symbols.

    >>> from datetime import date
    >>> found = companies([SymbolChange("FB", "META", date(2022, 6, 9))])
    >>> sorted(found), found["META"].symbols
    (['FB', 'META'], ('FB', 'META'))
    """
    found: dict[str, Company] = {}
    for change in sorted(changes, key=lambda change: change.since):
        before = found.get(change.old, Company((change.old,), ()))
        company = Company((*before.symbols, change.new), (*before.since, pd.Timestamp(change.since)))
        found |= dict.fromkeys(company.symbols, company)
    return found


def every_name(names: Iterable[str], renamed: Companies) -> list[str]:
    """The symbols under which rows of these may lie."""
    return list(dict.fromkeys(each for name in names for each in _symbols(name, renamed)))


def current(symbols: Sequence[str], renamed: Companies) -> list[str]:
    """Without the old names of a company that is there under a later one."""
    return [symbol for symbol in symbols if not set(_later(symbol, renamed)) & set(symbols)]


def that_matter(names: Iterable[str], there: Sequence[str], renamed: Companies) -> dict[str, Company]:
    """Those of the names whose rows lie under another name, or under several."""
    return {
        name: renamed[name]
        for name in names
        if name in renamed and [symbol for symbol in renamed[name].symbols if symbol in there] != [name]
    }


def join(rows: pd.DataFrame, names: Sequence[str], renamed: Companies, *, days: Any, by: Sequence[str]) -> pd.DataFrame:
    """The rows of each name, in order; ``days`` are their trade dates, and one row is kept for each ``by``."""
    if not renamed:
        return rows
    rows = rows.assign(_day=np.asarray(days))
    parts = [rows[rows["symbol"].isin([name for name in names if name not in renamed])]]
    for name in names:
        if name in renamed:
            parts.append(_of_company(rows, renamed[name], by).assign(symbol=name))
    return pd.concat(parts).drop(columns="_day").sort_values(["symbol", *by], kind="stable", ignore_index=True)


def _of_company(rows: pd.DataFrame, company: Company, by: Sequence[str]) -> pd.DataFrame:
    place = rows["symbol"].map({symbol: n for n, symbol in enumerate(company.symbols)}).astype("float64")
    rows, place = rows[place.notna()], place[place.notna()]
    at_that_time = np.searchsorted(np.array(company.since, "datetime64[us]"), rows["_day"].to_numpy(), side="right")
    kept = rows.assign(_place=place)[(place >= at_that_time).to_numpy()]
    return kept.sort_values([*by, "_place"]).drop_duplicates([*by]).drop(columns="_place")


def _symbols(name: str, renamed: Companies) -> tuple[str, ...]:
    return renamed[name].symbols if name in renamed else (name,)


def _later(name: str, renamed: Companies) -> tuple[str, ...]:
    names = _symbols(name, renamed)
    return names[names.index(name) + 1 :]
