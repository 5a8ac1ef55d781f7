"""Rounds of fetching: the records of many symbols land together, often enough that a kill loses little."""

import logging
import time
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from stocklib.errors import HistoryMissing, HistoryRefused, StocksError
from stocklib.lake import Lake
from stocklib.pipeline.history.symbol_history import Fetched, HistorySource

log = logging.getLogger(__name__)

_ROUND_SYMBOLS = 20
_ROUND_SECONDS = 30.0


@dataclass
class HistoryResult:
    """The result of a fetch. ``failed`` gives the reason for each failed symbol; ``note`` why there was nothing to do.

    ``hopeless`` are failed symbols for which another try would fail too. ``unknown`` are symbols without a bar and a
    company at a source that knows others: they are misspelt, or their bars begin later.
    """

    first: date
    last: date
    symbols: int
    source: str = ""
    up_to_date: int = 0
    bars: int = 0
    actions: int = 0
    profiles: int = 0
    objects: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    note: str = ""
    hopeless: set[str] = field(default_factory=set)
    unknown: dict[str, str] = field(default_factory=dict)

    def require_all(self) -> None:
        """Raise where a symbol failed: ``HistoryMissing``, or ``HistoryRefused`` where another try would fail too."""
        if not self.failed:
            return
        named = "; ".join(f"{symbol}: {reason}" for symbol, reason in self.failed.items())
        kind = HistoryRefused if self.hopeless >= self.failed.keys() else HistoryMissing
        raise kind(f"no history from {self.source} for {len(self.failed)} of {self.symbols} symbols: {named}")

    def __str__(self) -> str:
        if self.note:
            return self.note
        span = f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"
        brought = (
            f"landed {self.bars:,} bars, {self.actions:,} splits, dividends and checks, and {self.profiles} profiles "
            f"in {len(self.objects)} objects"
        )
        nothing = "nothing was missing" if self.up_to_date == self.symbols else "it had nothing new"
        lines = [f"{span}, {self.symbols} symbols from {self.source}: {brought if self.objects else nothing}"]
        lines += [f"failed: {symbol}: {reason}" for symbol, reason in self.failed.items()]
        lines += [f"left out: {symbol}: {reason}, or its bars begin later" for symbol, reason in self.unknown.items()]
        return "\n".join(lines)


class Rounds:
    """Collects the records of symbols, and lands them every so many symbols or seconds."""

    def __init__(self, lake: Lake, source: HistorySource, dataset: str, result: HistoryResult) -> None:
        self._lake = lake
        self._source = source
        self._dataset = dataset
        self._waiting: list[Fetched] = []
        self._since = time.monotonic()
        self.landed: set[tuple[str, date]] = set()
        self.result = result
        self.result.source = source.source

    @property
    def is_empty(self) -> bool:
        """Return whether no symbol had a record."""
        return not self._waiting and not self.result.objects and not self.result.up_to_date

    def add(self, symbol: str, fetched: Fetched, *, complete: bool) -> None:
        """Add the records of a symbol; ``complete`` says that nothing of it is missing."""
        self.result.up_to_date += complete
        self.landed |= {(symbol, candle.quote_date) for candle in fetched.candles}
        if fetched.candles or fetched.profile:
            self._waiting.append(fetched)
        if len(self._waiting) >= _ROUND_SYMBOLS or time.monotonic() - self._since >= _ROUND_SECONDS:
            self.land()

    def fail(self, symbol: str, error: StocksError) -> None:
        """Record why a symbol failed."""
        log.warning("%s: %s", symbol, error)
        if error.is_hopeless:
            self.result.hopeless.add(symbol)
        self.result.failed[symbol] = str(error)

    def leave_out(self, symbol: str, error: StocksError) -> None:
        """Record a symbol that the source does not know."""
        log.warning("%s: %s", symbol, error)
        self.result.unknown[symbol] = str(error)

    def check_any_known(self, asked: int) -> None:
        """Mark all symbols as failed where the source knows none of them."""
        if len(self.result.unknown) == asked:
            self.result.failed.update(self.result.unknown)
            self.result.hopeless.update(self.result.unknown)
            self.result.unknown.clear()

    def land(self) -> None:
        """Write the collected records, bars first: bars whose splits did not land are fetched again."""
        waiting, self._waiting, self._since = self._waiting, [], time.monotonic()
        marks = {"source": self._source.source, "data_source": self._source.data_source}
        candles = [candle for fetched in waiting for candle in fetched.candles]
        actions = [action for fetched in waiting for action in fetched.actions]
        profiles = [fetched.profile for fetched in waiting if fetched.profile]
        self._write(waiting, self._dataset, [candle.to_record(source=marks["source"]) for candle in candles])
        self._write(waiting, "corporate_actions", [action.to_record(**marks) for action in actions])
        self._write(waiting, "company_profiles", [profile.to_record(**marks) for profile in profiles])
        self.result.bars += len(candles)
        self.result.actions += len(actions)
        self.result.profiles += len(profiles)

    def _write(self, waiting: list[Fetched], dataset: str, records: list[dict[str, Any]]) -> None:
        if not records:
            return
        dates = [date.fromisoformat(record["date"]) for record in records if "date" in record]
        key = self._lake.write_history(
            dataset,
            records,
            first=min(dates, default=self.result.first),
            last=max(dates, default=self.result.last),
            fetched_at=max(fetched.fetched_at for fetched in waiting),
        )
        self.result.objects.append(str(key))
        log.info("landed %d lines in %s", len(records), key)
