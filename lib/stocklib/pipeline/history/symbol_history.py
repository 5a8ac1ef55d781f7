"""One symbol's history from its source: bars, then splits, then dividends, and sometimes the profile.

The order matters: a source divides its bars by the splits up to the day of its answer, so the splits are asked for
after the bars, up to that day. When midnight in New York falls between the two, the splits are known for one date more
than the bars need, which is safe; in the other order silver would not count the bars.
"""

import logging
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Protocol, Self

from stocklib.errors import BadAnswer, PlanRefused, SymbolError
from stocklib.pipeline.history.loaded_history import KnownSymbol
from stocklib.quotes import Candle, CompanyProfile, CorporateAction, SymbolMatch
from stocklib.sessions import new_york_date

log = logging.getLogger(__name__)

_PROFILE_AGE = timedelta(days=30)
# A source may list a split some days late: splits are asked for again from so far before the last fetch.
_LOOK_BACK = timedelta(days=7)


class HistorySource(Protocol):
    """A source of daily history: Finnhub's client, or Yahoo's."""

    @property
    def source(self) -> str:
        """finnhub, replay or yfinance: the server that answers."""

    @property
    def data_source(self) -> str:
        """finnhub or yfinance, the vendor of the numbers; replay where they are recorded ones."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *about: Any) -> None: ...

    def now(self) -> datetime:
        """Return the source's time."""

    def candles(self, symbol: str, resolution: str, start: date, end: date) -> list[Candle]:
        """Return bars, split-adjusted as of the answer."""

    def splits(self, symbol: str, start: date, end: date) -> list[CorporateAction]:
        """Return the record of the asking, then the splits."""

    def dividends(self, symbol: str, start: date, end: date) -> list[CorporateAction]:
        """Return the record of the asking, then the dividends by ex date."""

    def profile(self, symbol: str) -> CompanyProfile:
        """Return the company of the symbol."""

    def search(self, text: str) -> list[SymbolMatch]:
        """Return the symbols whose name or symbol matches a text, the best match first."""

    def is_priced(self, symbol: str) -> bool:
        """Return whether the source has a price for the symbol."""


@dataclass
class Fetched:
    """The records of one symbol."""

    candles: list[Candle] = field(default_factory=list)
    actions: list[CorporateAction] = field(default_factory=list)
    profile: CompanyProfile | None = None

    @property
    def fetched_at(self) -> datetime:
        """Return when its last record was fetched."""
        profile = [self.profile.fetched_at] if self.profile else []
        return max([*(bar.fetched_at for bar in self.candles), *(fact.fetched_at for fact in self.actions), *profile])


def fetch_symbol(source: HistorySource, symbol: str, known: KnownSymbol, *, wanted: list[date]) -> Fetched:
    """Return the bars of the wanted trade dates with their splits; ``SymbolError`` for an unknown symbol."""
    fetched = Fetched()
    if wanted:
        answered = source.candles(symbol, "D", wanted[0], wanted[-1])
        dates = set(wanted)
        fetched.candles = [candle for candle in answered if candle.quote_date in dates]
    if fetched.candles:
        _add_actions(source, symbol, known, fetched, wanted)
    must_exist = bool(wanted) and not fetched.candles and not known.bars
    fetched.profile = _profile(source, symbol, known, last=wanted[-1] if must_exist else None)
    return fetched


def _add_actions(source: HistorySource, symbol: str, known: KnownSymbol, fetched: Fetched, wanted: list[date]) -> None:
    # from the first bar in the warehouse: a source may correct its splits of any date since
    since, last = min([wanted[0], *known.bars]), wanted[-1]
    if known.last_fetch:
        since = min(since, known.last_fetch - _LOOK_BACK)
    splits = _splits(source, symbol, since)
    if known.bars and any(day > min(known.bars) for day in known.changed_splits(splits)):
        last = max(last, *known.bars)
        log.info(
            "%s has other splits than when it was last fetched: its history is fetched again from %s", symbol, since
        )
        fetched.candles = source.candles(symbol, "D", since, last)
        splits = _splits(source, symbol, since)
    fetched.actions = splits + _dividends(source, symbol, since)


def _splits(source: HistorySource, symbol: str, since: date) -> list[CorporateAction]:
    # to tomorrow, since the answer may be of a later date than the request; the answer says which dates it covers
    return source.splits(symbol, since, new_york_date(source.now()) + timedelta(days=1))


def _dividends(source: HistorySource, symbol: str, since: date) -> list[CorporateAction]:
    try:
        return source.dividends(symbol, since, new_york_date(source.now()) + timedelta(days=1))
    except PlanRefused as error:
        # prices do not need them; after a refusal they are unknown, which is not the same as none
        log.warning("%s; its dividends are left out", error)
        return []


def _profile(source: HistorySource, symbol: str, known: KnownSymbol, *, last: date | None) -> CompanyProfile | None:
    """Return the company where it is due; ``last`` is the last date of a range in which nothing was found.

    ``SymbolError`` for an unknown symbol: no company, no bar in that range and none after it. A symbol whose bars begin
    later is valid.
    """
    if known.profile_at is not None and source.now() - known.profile_at <= _PROFILE_AGE:
        return None
    try:
        return source.profile(symbol)
    except SymbolError as error:
        if last is not None and not _begins_after(source, symbol, last):
            raise
        log.debug("%s; funds and indices have none", error)
    except (BadAnswer, PlanRefused) as error:
        log.warning("%s; the symbol goes without a profile for now", error)
    return None


def _begins_after(source: HistorySource, symbol: str, last: date) -> bool:
    today = new_york_date(source.now())
    return last < today and bool(source.candles(symbol, "D", last, today))
