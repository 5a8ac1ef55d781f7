"""One symbol's history from its source: bars, then splits, then dividends, and now and then the profile.

The order carries the truth of the prices: a source divides its answer by the splits of the day it answers on, so the
splits are asked for after the bars, up to that day. When midnight in New York falls between the two, the record of the
splits asked for reaches further than the bars need, which is safe; the other way round the warehouse would not admit
the bars.
"""

import logging
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Protocol, Self

from stocklib.errors import BadAnswer, PlanRefused, SymbolError
from stocklib.pipeline.history.loaded_history import KnownSymbol
from stocklib.quotes import Candle, CompanyProfile, CorporateAction
from stocklib.sessions import new_york_date

log = logging.getLogger(__name__)

_PROFILE_AGE = timedelta(days=30)
# A source may list a split some days late: so far before the last fetch it is asked for splits again.
_LOOK_BACK = timedelta(days=7)


class HistorySource(Protocol):
    """What a source of daily history can do: Finnhub's client, and Yahoo's."""

    @property
    def source(self) -> str:
        """finnhub, replay or yfinance: who answers."""

    @property
    def data_source(self) -> str:
        """finnhub or yfinance: whose numbers they are."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *about: Any) -> None: ...

    def now(self) -> datetime:
        """The source's time."""

    def candles(self, symbol: str, resolution: str, start: date, end: date) -> list[Candle]:
        """Bars, split-adjusted as of the answer."""

    def splits(self, symbol: str, start: date, end: date) -> list[CorporateAction]:
        """The record of having asked, then the splits."""

    def dividends(self, symbol: str, start: date, end: date) -> list[CorporateAction]:
        """The record of having asked, then the dividends by ex date."""

    def profile(self, symbol: str) -> CompanyProfile:
        """Who is behind the symbol."""


@dataclass
class Fetched:
    """What one symbol brought."""

    candles: list[Candle] = field(default_factory=list)
    actions: list[CorporateAction] = field(default_factory=list)
    profile: CompanyProfile | None = None

    @property
    def fetched_at(self) -> datetime:
        """When the last of it was fetched."""
        profile = [self.profile.fetched_at] if self.profile else []
        return max([*(bar.fetched_at for bar in self.candles), *(fact.fetched_at for fact in self.actions), *profile])


def fetch_symbol(source: HistorySource, symbol: str, known: KnownSymbol, *, wanted: list[date]) -> Fetched:
    """The bars of the wanted trade dates, and what it takes to read them; ``SymbolError`` for a symbol nobody knows."""
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
    # from the first bar that is held: a source corrects what it said of any date since
    since, last = min([wanted[0], *known.bars]), wanted[-1]
    if known.last_fetch:
        since = min(since, known.last_fetch - _LOOK_BACK)
    splits = _splits(source, symbol, since)
    if known.bars and any(day > min(known.bars) for day in known.changed_splits(splits)):
        last = max(last, *known.bars)
        log.info(
            "%s has other splits than when it was last fetched: its history is fetched anew from %s", symbol, since
        )
        fetched.candles = source.candles(symbol, "D", since, last)
        splits = _splits(source, symbol, since)
    fetched.actions = splits + _dividends(source, symbol, since)


def _splits(source: HistorySource, symbol: str, since: date) -> list[CorporateAction]:
    # to tomorrow, since the answer may be of a later day than the question; it says itself how far it reaches
    return source.splits(symbol, since, new_york_date(source.now()) + timedelta(days=1))


def _dividends(source: HistorySource, symbol: str, since: date) -> list[CorporateAction]:
    try:
        return source.dividends(symbol, since, new_york_date(source.now()) + timedelta(days=1))
    except PlanRefused as error:
        # prices do not need them, and a refusal is no answer: nothing is known of them, not that there are none
        log.warning("%s; its dividends are left out", error)
        return []


def _profile(source: HistorySource, symbol: str, known: KnownSymbol, *, last: date | None) -> CompanyProfile | None:
    """The company, where it is time to ask again; ``last`` is the last date of a range in which nothing was found.

    ``SymbolError`` for a symbol that has no company, no bar in that range and none after it: nobody knows it. One whose
    bars begin later is no mistake.
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
