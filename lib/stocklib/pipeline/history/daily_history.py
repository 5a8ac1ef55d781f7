"""source → lake: daily bars with the splits that they need, dividends and company profiles.

``backfill`` fetches what the warehouse lacks of a range, ``daily`` one trade date in any case. Both fetch symbol by
symbol and land many symbols together, often enough that a kill loses little. A symbol that fails is reported and the
rest goes on; a refused key, or a source that is down, ends the run after landing what was fetched.
"""

import logging
from collections.abc import Callable
from datetime import date, datetime, timedelta

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
from stocklib.pipeline.history.fetch_rounds import HistoryResult, Rounds
from stocklib.pipeline.history.loaded_history import Known, KnownSymbol, read_known
from stocklib.pipeline.history.symbol_history import HistorySource, fetch_symbol
from stocklib.pipeline.loading import load
from stocklib.quotes import check_symbol
from stocklib.sessions import (
    FIRST_DATE,
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

_REFUSALS = 3  # so many symbols refused before the first record: the plan is the cause, not the symbol
_SILENCES = 2  # so many symbols without an answer since the last one that was fetched: the source is down

Progress = Callable[[int, int | None, str], None]


def open_history(settings: Settings) -> HistorySource:
    """Return the source of history that ``HISTORY_SOURCE`` names."""
    if settings.history_source == "yfinance":
        from stocklib.yahoo import Yahoo

        return Yahoo(settings)
    from stocklib.finnhub import Finnhub

    return Finnhub(settings)


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
    watchlist. ``DateRangeError`` for a reversed or future range. A symbol that the source does not know is left out and
    named; it fails where the source knows none.
    """
    listed = _symbols(settings, symbols)
    with open_history(settings) as source:
        now = source.now()
        first, last = _range(now, start, end)
        days = sessions(first, last)
        if not days:
            note = f"no session from {first} to {last}: nothing to fetch"
            return HistoryResult(first, last, len(listed), note=note)
        known = _read_known(settings, source)
        settle = timedelta(seconds=settings.close_settle_seconds)
        wanted = {symbol: known.of(symbol).misses(days, settle=settle) for symbol in listed}
        rounds = Rounds(Lake(settings), source, "ytd_historical_quotes", HistoryResult(first, last, len(listed)))
        return _fetch(source, known, wanted, rounds, on_progress)


def daily(
    settings: Settings,
    day: date | None = None,
    *,
    symbols: list[str] | None = None,
    on_progress: Progress | None = None,
) -> HistoryResult:
    """Land the bars of one trade date, by default of the last session that is final.

    A session is final ``CLOSE_SETTLE_SECONDS`` after its close. For a date without a session ``note`` says so. A date
    that was fetched before is fetched again: the newer fetch counts. Where a symbol has older bars and the session
    before the date is missing, that one is fetched too: an afternoon schedule skips the session before a half day.
    """
    listed = _symbols(settings, symbols)
    settle = timedelta(seconds=settings.close_settle_seconds)
    with open_history(settings) as source:
        now = source.now()
        day = day or last_finished_session(now, settle=settle).session_date
        if day > new_york_date(now):
            raise DateRangeError(f"{day} is in the future: the source's date is {new_york_date(now)}")
        found = session(day)
        if found is None:
            return HistoryResult(day, day, len(listed), note=_closed(day))
        if now < found.close:
            raise DateRangeError(
                f"the session of {day} is not over: it closes at {found.close:%H:%M} UTC; ask after that"
            )
        known = _read_known(settings, source)
        rounds = Rounds(Lake(settings), source, "daily_historical_quotes", HistoryResult(day, day, len(listed)))
        wanted = {symbol: [*_missed_before(known.of(symbol), day, settle), day] for symbol in listed}
        done = _fetch(source, known, wanted, rounds, on_progress)
    for symbol in listed:
        if (symbol, day) not in rounds.landed and symbol not in done.failed | done.unknown:
            done.failed[symbol] = f"{done.source} has no bar of {day} (yet): ask again later, or check the symbol"
    return done


def _missed_before(known: KnownSymbol, day: date, settle: timedelta) -> list[date]:
    """Return the session before ``day`` where its bar is missing and an earlier one is there."""
    if not any(held < day for held in known.bars):
        return []
    return known.misses([previous_session(day)], settle=settle)


def _fetch(
    source: HistorySource,
    known: Known,
    wanted: dict[str, list[date]],
    rounds: Rounds,
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
            except SymbolError as error:
                rounds.leave_out(symbol, error)
            except (BadAnswer, PlanRefused, RateLimited, SourceUnavailable) as error:
                rounds.fail(symbol, error)
                refused += isinstance(error, PlanRefused)
                silent += isinstance(error, RateLimited | SourceUnavailable)
                is_refused = rounds.is_empty and refused in (_REFUSALS, len(wanted))
                if is_refused or silent in (_SILENCES, len(wanted)):
                    raise
    finally:
        rounds.land()
    rounds.check_any_known(len(wanted))
    if on_progress:
        on_progress(len(wanted), len(wanted), "")
    log.debug("%s", rounds.result)
    return rounds.result


def _symbols(settings: Settings, symbols: list[str] | None) -> list[str]:
    return list(dict.fromkeys(check_symbol(symbol) for symbol in symbols or settings.symbols))


def _range(now: datetime, start: date | None, end: date | None) -> tuple[date, date]:
    today = new_york_date(now)
    january = date(today.year, 1, 1)
    first = start or (previous_session(january).session_date if january > FIRST_DATE else FIRST_DATE)
    if first > today or (end is not None and end > today):
        raise DateRangeError(f"{max(first, end or first)} is in the future: the source's date is {today}")
    if end is not None and first > end:
        raise DateRangeError(f"the range from {first} to {end} is reversed")
    # a session that is not over has no bar yet
    finished = last_finished_session(now).session_date
    return first, min(end or finished, finished)


def _read_known(settings: Settings, source: HistorySource) -> Known:
    """Load what has landed, and return what is held; ``WrongSource`` when recorded and live data would mix."""
    load(settings)
    known = read_known(open_warehouse(settings))
    if known.source is not None and (known.source == "replay") != (source.source == "replay"):
        raise WrongSource(
            f"the warehouse holds history from {known.source} and the source is {source.source}: recorded and live "
            "data do not mix; use another STOCKS_HOME and MINIO_BUCKET for one of them"
        )
    return known


def _closed(day: date) -> str:
    why = "a weekend" if day.weekday() >= 5 else holiday(day) or "no trading day"
    return f"the exchange was closed on {day} ({why}): nothing to fetch"
