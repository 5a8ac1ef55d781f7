"""source → lake: daily bars with the splits that make sense of them, dividends and company profiles.

``backfill`` fetches what the warehouse does not hold of a range, ``daily`` one trade date whatever it holds. Both work
symbol by symbol and land many symbols together, often enough that a kill loses little. A symbol that fails is
reported and the rest goes on; a refused key, or a source that is gone, ends the run after landing what there is.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from stocklib.errors import (
    BadAnswer,
    DateRangeError,
    PlanRefused,
    RateLimited,
    SourceUnavailable,
    SymbolError,
    WrongSource,
)
from stocklib.lake import Lake
from stocklib.pipeline.fetching import Fetched, HistorySource, fetch_symbol
from stocklib.pipeline.known import Known, read_known
from stocklib.pipeline.loading import load
from stocklib.quotes import check_symbol
from stocklib.sessions import (
    holiday,
    last_finished_session,
    new_york_date,
    previous_session,
    session,
    sessions,
)
from stocklib.settings import Settings
from stocklib.warehouse import open_warehouse

log = logging.getLogger(__name__)

_ROUND_SYMBOLS = 20
_ROUND_SECONDS = 30.0
_REFUSALS = 3  # so many symbols refused in a row, and none answered: it is the plan, not the symbol
_SILENCES = 2

Progress = Callable[[int, int | None, str], None]


@dataclass(frozen=True)
class HistoryResult:
    """What a fetch brought. ``failed`` says for each symbol that failed why; ``note`` why there was nothing to do."""

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

    def __str__(self) -> str:
        if self.note:
            return self.note
        span = f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"
        brought = (
            f"landed {self.bars:,} bars, {self.actions:,} splits, dividends and checks, and {self.profiles} profiles "
            f"in {len(self.objects)} objects"
        )
        lines = [
            f"{span}, {self.symbols} symbols from {self.source}: {brought if self.objects else 'nothing was missing'}"
        ]
        lines += [f"failed: {symbol}: {reason}" for symbol, reason in self.failed.items()]
        return "\n".join(lines)


def open_history(settings: Settings) -> HistorySource:
    """The source of history that ``HISTORY_SOURCE`` names."""
    if settings.history_source == "yfinance":
        from stocklib.yahoo import Yahoo

        return Yahoo(settings)
    return _open_finnhub(settings)


def backfill(
    settings: Settings,
    *,
    symbols: list[str] | None = None,
    start: date | None = None,
    end: date | None = None,
    on_progress: Progress | None = None,
) -> HistoryResult:
    """Land every daily bar from ``start`` to ``end`` that the warehouse does not hold.

    By default from the last session before 1 January of the source's year to its last finished session, for the
    watchlist. ``DateRangeError`` for a range that runs backwards or lies ahead.
    """
    listed = _symbols(settings, symbols)
    with open_history(settings) as source:
        now = source.now()
        first, last = _range(now, start, end)
        days = sessions(first, last)
        if not days:
            note = f"no session from {first} to {last}: nothing to fetch"
            return HistoryResult(first, last, len(listed), note=note)
        lake = Lake(settings)
        known = _read_known(settings, source, lake)
        settle = timedelta(seconds=settings.close_settle_seconds)
        wanted = {symbol: known.of(symbol).misses(days, settle=settle) for symbol in listed}
        rounds = _Rounds(lake, source, "ytd_historical_quotes", HistoryResult(first, last, len(listed)))
        return _fetch(source, known, wanted, rounds, on_progress)


def daily(
    settings: Settings,
    day: date | None = None,
    *,
    symbols: list[str] | None = None,
    on_progress: Progress | None = None,
) -> HistoryResult:
    """Land the bars of one trade date, by default of the last finished session.

    A day without a session is nothing to do, and ``note`` says so. A day that is there already is fetched again: the
    newer fetch counts.
    """
    listed = _symbols(settings, symbols)
    with open_history(settings) as source:
        now = source.now()
        day = day or last_finished_session(now).session_date
        if day > new_york_date(now):
            raise DateRangeError(f"{day} lies ahead: the source's date is {new_york_date(now)}")
        found = session(day)
        if found is None:
            return HistoryResult(day, day, len(listed), note=_closed(day))
        if now < found.close:
            raise DateRangeError(
                f"the session of {day} is not over: it closes at {found.close:%H:%M} UTC; ask after that"
            )
        lake = Lake(settings)
        known = _read_known(settings, source, lake)
        rounds = _Rounds(lake, source, "daily_historical_quotes", HistoryResult(day, day, len(listed)))
        return _fetch(source, known, {symbol: [day] for symbol in listed}, rounds, on_progress)


def _open_finnhub(settings: Settings) -> HistorySource:
    from stocklib.finnhub import Finnhub

    return Finnhub(settings)


def _fetch(
    source: HistorySource,
    known: Known,
    wanted: dict[str, list[date]],
    rounds: "_Rounds",
    on_progress: Progress | None,
) -> HistoryResult:
    refused = silent = 0
    try:
        for done, (symbol, dates) in enumerate(wanted.items()):
            if on_progress:
                on_progress(done, len(wanted), symbol)
            try:
                rounds.add(symbol, fetch_symbol(source, symbol, known.of(symbol), wanted=dates), complete=not dates)
                refused = silent = 0
            except (SymbolError, BadAnswer) as error:
                rounds.fail(symbol, error)
            except PlanRefused as error:
                rounds.fail(symbol, error)
                refused += 1
                if rounds.is_empty and refused in (_REFUSALS, len(wanted)):
                    raise
            except (SourceUnavailable, RateLimited) as error:
                rounds.fail(symbol, error)
                silent += 1
                if silent in (_SILENCES, len(wanted)):
                    raise
    finally:
        rounds.land()
    if on_progress:
        on_progress(len(wanted), len(wanted), "")
    log.info("%s", rounds.result)
    return rounds.result


class _Rounds:
    """Gathers what the symbols bring, and lands it every so many symbols or seconds."""

    def __init__(self, lake: Lake, source: HistorySource, dataset: str, result: HistoryResult) -> None:
        self._lake = lake
        self._source = source
        self._dataset = dataset
        self._waiting: list[Fetched] = []
        self._since = time.monotonic()
        self.result = replace(result, source=source.source)

    @property
    def is_empty(self) -> bool:
        """Whether no symbol has brought anything."""
        return not self._waiting and not self.result.objects and not self.result.up_to_date

    def add(self, symbol: str, fetched: Fetched, *, complete: bool) -> None:
        """Take what a symbol brought; ``complete``: nothing of it was missing."""
        self.result = replace(self.result, up_to_date=self.result.up_to_date + complete)
        if fetched.candles or fetched.profile:
            self._waiting.append(fetched)
        if len(self._waiting) >= _ROUND_SYMBOLS or time.monotonic() - self._since >= _ROUND_SECONDS:
            self.land()

    def fail(self, symbol: str, error: Exception) -> None:
        """Remember why a symbol failed."""
        log.warning("%s: %s", symbol, error)
        self.result.failed[symbol] = str(error)

    def land(self) -> None:
        """Write what is waiting. Bars first: those whose splits did not follow are fetched again."""
        waiting, self._waiting, self._since = self._waiting, [], time.monotonic()
        marks = {"source": self._source.source, "data_source": self._source.data_source}
        candles = [candle for fetched in waiting for candle in fetched.candles]
        actions = [action for fetched in waiting for action in fetched.actions]
        profiles = [fetched.profile for fetched in waiting if fetched.profile]
        self._write(self._dataset, [candle.to_record(source=marks["source"]) for candle in candles], waiting)
        self._write("corporate_actions", [action.to_record(**marks) for action in actions], waiting)
        self._write("company_profiles", [profile.to_record(**marks) for profile in profiles], waiting)
        self.result = replace(
            self.result,
            bars=self.result.bars + len(candles),
            actions=self.result.actions + len(actions),
            profiles=self.result.profiles + len(profiles),
        )

    def _write(self, dataset: str, records: list[dict[str, Any]], waiting: list[Fetched]) -> None:
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


def _symbols(settings: Settings, symbols: list[str] | None) -> list[str]:
    return list(dict.fromkeys(check_symbol(symbol) for symbol in symbols or settings.symbols))


def _range(now: datetime, start: date | None, end: date | None) -> tuple[date, date]:
    today = new_york_date(now)
    first = start or previous_session(date(today.year, 1, 1)).session_date
    if first > today or (end is not None and end > today):
        raise DateRangeError(f"{max(first, end or first)} lies ahead: the source's date is {today}")
    if end is not None and first > end:
        raise DateRangeError(f"the range from {first} to {end} runs backwards")
    # a session that is not over has no bar yet
    finished = last_finished_session(now).session_date
    return first, min(end or finished, finished)


def _read_known(settings: Settings, source: HistorySource, lake: Lake) -> Known:
    """What is held once all that landed is loaded; ``WrongSource`` when it is recorded data and the source is live."""
    lake.ensure_bucket()
    load(settings)
    known = read_known(open_warehouse(settings))
    if known.source is not None and (known.source == "replay") != (source.source == "replay"):
        raise WrongSource(
            f"the warehouse holds history from {known.source} and the source is {source.source}: recorded and live "
            "data do not mix; use another STOCKS_HOME and MINIO_BUCKET for the one or the other"
        )
    return known


def _closed(day: date) -> str:
    why = "a weekend" if day.weekday() >= 5 else holiday(day) or "no trading day"
    return f"the exchange was closed on {day} ({why}): nothing to fetch"
