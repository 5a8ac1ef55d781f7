"""The daily history in the warehouse: bars with their fetches, known splits, and profiles.

It includes loaded data that is not published, so that a killed backfill continues where it was.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from stocklib.quotes import CorporateAction, from_epoch
from stocklib.sessions import Session, new_york_date
from stocklib.warehouse import Warehouse

_BARS = ("ytd_historical_quotes", "daily_historical_quotes")
_DAY: Callable[[str], date] = date.fromisoformat
_Fields = dict[str, Callable[[Any], Any]]
_AT: Callable[[str], datetime] = lambda text: from_epoch(float(text))  # noqa: E731


@dataclass
class KnownSymbol:
    """The history of one symbol: its bars as trade date → fetches, the ranges whose splits were asked for, and the
    dates of the splits that count."""

    bars: dict[date, set[datetime]] = field(default_factory=lambda: defaultdict(set))
    checks: list[tuple[date, date]] = field(default_factory=list)
    splits: set[date] = field(default_factory=set)
    profile_at: datetime | None = None

    @property
    def last_fetch(self) -> date | None:
        """Return the New York date of the newest fetch of a bar."""
        newest = max((fetched_at for fetches in self.bars.values() for fetched_at in fetches), default=None)
        return new_york_date(newest) if newest else None

    def changed_splits(self, answer: Iterable[CorporateAction]) -> set[date]:
        """Return the dates of splits that this answer has for the first time, or no longer has."""
        reported = {action.action_date for action in answer if action.kind == "split"}
        asked = [(action.action_date, action.checked_to) for action in answer if action.checked_to]
        again = {day for day in self.splits if any(first <= day <= last for first, last in asked)}
        return (reported - self.splits) | (again - reported)

    def misses(self, sessions: Iterable[Session], *, settle: timedelta) -> list[date]:
        """Return the sessions that lack a bar that is final and whose splits are known."""
        return [s.session_date for s in sessions if not self._holds(s, settle)]

    def _holds(self, session: Session, settle: timedelta) -> bool:
        day = session.session_date
        return any(
            fetched_at >= session.close + settle and self._is_covered(day, new_york_date(fetched_at))
            for fetched_at in self.bars.get(day, ())
        )

    def _is_covered(self, day: date, fetched_on: date) -> bool:
        # as in silver: a bar counts once every split after its date was asked for
        return any(first <= day + timedelta(days=1) and last >= fetched_on for first, last in self.checks)


@dataclass(frozen=True)
class Known:
    """The history of every symbol, and one of its sources."""

    symbols: dict[str, KnownSymbol]
    source: str | None

    def of(self, symbol: str) -> KnownSymbol:
        """Return the history of a symbol, which may be empty."""
        return self.symbols.get(symbol) or KnownSymbol()


def read_known(warehouse: Warehouse) -> Known:
    """Read the loaded history from the warehouse; an unreadable record is ignored."""
    found: dict[str, KnownSymbol] = defaultdict(KnownSymbol)
    reported: dict[tuple[str, str], dict[date, datetime]] = defaultdict(dict)
    asked: dict[tuple[str, str], list[tuple[date, date, datetime]]] = defaultdict(list)
    sources: set[str] = set()
    for dataset in _BARS:
        bars = _read(warehouse, dataset, symbol=str, date=_DAY, fetched_at=_AT, source=str)
        for symbol, day, fetched_at, source in bars:
            found[symbol].bars[day].add(fetched_at)
            sources.add(source)
    whose: _Fields = {"symbol": str, "data_source": str, "kind": str, "fetched_at": _AT, "date": _DAY}
    for symbol, vendor, kind, at, day in _read(warehouse, "corporate_actions", **whose):
        if kind == "split":
            reported[symbol, vendor][day] = max(reported[symbol, vendor].get(day, at), at)
    for symbol, vendor, kind, at, first, last in _read(warehouse, "corporate_actions", **whose, checked_to=_DAY):
        # a request for dividends tells nothing about splits
        if kind == "checked":
            found[symbol].checks.append((first, last))
            asked[symbol, vendor].append((first, last, at))
    for (symbol, vendor), days in reported.items():
        found[symbol].splits.update(_not_retracted(days, asked[symbol, vendor]))
    for symbol, fetched_at in _read(warehouse, "company_profiles", symbol=str, fetched_at=_AT):
        found[symbol].profile_at = max(found[symbol].profile_at or fetched_at, fetched_at)
    return Known(found, min(sources, default=None))


def _not_retracted(reported: dict[date, datetime], asked: list[tuple[date, date, datetime]]) -> set[date]:
    # as in silver: a split counts if its source's newest answer for the date has it. An answer that silver still
    # doubts causes one fetch too many, never one too few
    return {
        day
        for day, reported_at in reported.items()
        if not any(first <= day <= last and reported_at < asked_at for first, last, asked_at in asked)
    }


def _read(warehouse: Warehouse, dataset: str, **fields: Callable[[Any], Any]) -> Iterator[tuple[Any, ...]]:
    for row in warehouse.records(dataset, tuple(fields)):
        if None not in row:
            with suppress(ValueError, OverflowError):
                yield tuple(read(text) for read, text in zip(fields.values(), row, strict=True))
