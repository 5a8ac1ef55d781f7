"""The Finnhub client: quotes, candles, profiles, splits, dividends and the market's hours.

What goes in: symbols and dates. What comes out: the records of ``quotes`` and ``answers``, each with ``fetched_at`` on
the source's clock (the answer's ``Date`` header, which a replay server sets to its virtual time). ``rest`` makes the
calls, repeats them and translates refusals.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from datetime import UTC, date, datetime, time, timedelta
from typing import Self
from urllib.parse import quote as url_quote
from urllib.parse import urlencode

from stocklib.clocks import Pace
from stocklib.errors import BadAnswer, DateRangeError, NoQuote, SourceUnavailable, SymbolError
from stocklib.finnhub import answers
from stocklib.finnhub.answers import MarketHoliday, MarketStatus
from stocklib.finnhub.rest import Connection, is_on_this_machine
from stocklib.quotes import Candle, CompanyProfile, CorporateAction, Quote, SymbolMatch, check_symbol, to_epoch
from stocklib.sessions import NEW_YORK, new_york_date
from stocklib.settings import Settings

# Finnhub answers at most a month of intraday candles a call.
_INTRADAY_SPAN = timedelta(days=30)
_DAILY = ("D", "W", "M")
# What reads an answer about a symbol's splits or dividends.
ReadActions = Callable[..., list[CorporateAction]]


class Finnhub(Connection):
    """A client of Finnhub, or of a replay server with the same API. Use it in a ``with`` block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def source(self) -> str:
        """``finnhub``, or ``replay`` when the answers say that they are recorded."""
        if self.replay is None:
            try:
                self.market_status()
            except BadAnswer:
                # an invalid answer, but its headers name the source
                if self.replay is None:
                    raise
        return "replay" if self.replay else "finnhub"

    @property
    def data_source(self) -> str:
        """The vendor of the history: a replay's bars are recorded ones, not Finnhub's."""
        return self.source

    def now(self) -> datetime:
        """The source's time now, UTC."""
        self._read_pace()
        return self.clock.now()

    @property
    def pace(self) -> Pace:
        """How the source's time runs."""
        self._read_pace()
        return self.clock.pace

    def wait(self, seconds: float) -> bool:
        """Let ``seconds`` of the source's time pass; return False when ``stop`` was set before that."""
        self._read_pace()
        return self.clock.wait(seconds)

    def refresh_clock(self) -> datetime:
        """Return the source's time; ask a replay again, since another process may have moved its clock."""
        if self.source == "replay":
            self.read_pace()
        return self.clock.now()

    def note_time(self, instant: datetime) -> datetime:
        """Record an instant that the source named outside of an answer to a call."""
        # a message from before the last move of a stepping replay may arrive after the move
        return instant if self.clock.pace.step and instant < self.clock.now() else self.clock.see(instant)

    def wait_until(self, instant: datetime) -> bool:
        """Let the source's time pass until an instant; return False when ``stop`` was set before that.

        It moves a stepping replay there, unless another process has moved it further.
        """
        if not self.pace.step:
            return self.wait((instant - self.now()).total_seconds())
        self.move_replay({"until": to_epoch(instant)})
        return not self._stop.is_set()

    def start_clock(self) -> None:
        """Start the clock of a replay with a speed, which waits for its first quote; do nothing for other sources."""
        if self.source == "replay" and not self.pace.step:
            self.move_replay({"advance": 0})

    def set_clock(self, instant: datetime) -> datetime:
        """Set the clock of a replay server on this machine; return its new time."""
        return self.move_replay({"now": to_epoch(instant)})

    def quote(self, symbol: str) -> Quote:
        """Return the current quote of a symbol; ``NoQuote`` when the source has no price for it."""
        symbol = check_symbol(symbol)
        answer, fetched_at = self.get("/quote?symbol=" + url_quote(symbol, safe=""), symbol)
        return Quote.parse(symbol, answers.read_object(answer, f"the quote of {symbol}"), fetched_at=fetched_at)

    def candles(self, symbol: str, resolution: str, start: date | datetime, end: date | datetime) -> list[Candle]:
        """Return the bars from ``start`` to ``end``, both included, split-adjusted when daily; empty when there are
        none.

        ``resolution`` is one of 1, 5, 15, 30, 60 (minutes), D, W, M. Dates are New York dates.
        """
        symbol = check_symbol(symbol)
        _check_range(start, end, f"candles of {symbol}")
        found: list[Candle] = []
        for first, last in _spans(resolution, start, end):
            query = {"symbol": symbol, "resolution": resolution, "from": first, "to": last}
            answer, fetched_at = self.get("/stock/candle?" + urlencode(query), symbol)
            found += answers.read_candles(
                symbol, resolution, answer, data_source=self.data_source, fetched_at=fetched_at
            )
        return found

    def profile(self, symbol: str) -> CompanyProfile:
        """Return the company of a symbol; ``SymbolError`` when Finnhub does not know it."""
        symbol = check_symbol(symbol)
        answer, fetched_at = self.get("/stock/profile2?" + urlencode({"symbol": symbol}), symbol)
        if not answers.read_object(answer, f"the profile of {symbol}"):
            raise SymbolError(f"Finnhub knows no company behind {symbol}: `stocks symbols search` finds its spelling")
        return CompanyProfile(symbol, answer, fetched_at)

    def search(self, text: str) -> list[SymbolMatch]:
        """Return the symbols whose name or symbol matches a text, the best match first; empty when there are none."""
        answer, _ = self.get("/search?" + urlencode({"q": text}), text)
        return answers.read_matches(answer)

    def is_priced(self, symbol: str) -> bool:
        """Return whether the source has a price for a symbol."""
        try:
            self.quote(symbol)
        except NoQuote:
            return False
        return True

    def splits(self, symbol: str, start: date, end: date) -> list[CorporateAction]:
        """Return a symbol's splits from ``start`` to ``end``, after a record that they were asked for.

        The first record has the kind ``checked``. It covers dates up to the day of the answer: it says nothing about
        splits that are announced for later.
        """
        return self._actions("/stock/split", symbol, start, end, answers.read_splits, checked="checked")

    def dividends(self, symbol: str, start: date, end: date) -> list[CorporateAction]:
        """Return a symbol's dividends from ``start`` to ``end`` as paid, after a record that they were asked for.

        The first record has the kind ``checked_dividends``. It covers dates up to the day of the answer.
        """
        return self._actions("/stock/dividend", symbol, start, end, answers.read_dividends, checked="checked_dividends")

    def market_status(self) -> MarketStatus:
        """Return whether the US exchanges are open."""
        answer, fetched_at = self.get("/stock/market-status?exchange=US", "the US exchanges")
        return answers.read_market_status(answer, fetched_at=fetched_at)

    def market_holidays(self) -> list[MarketHoliday]:
        """Return the US exchanges' holidays that Finnhub knows, oldest first."""
        answer, _ = self.get("/stock/market-holiday?exchange=US", "the US exchanges")
        return answers.read_market_holidays(answer)

    def _actions(
        self, path: str, symbol: str, start: date, end: date, read: ReadActions, *, checked: str
    ) -> list[CorporateAction]:
        symbol = check_symbol(symbol)
        _check_range(start, end, f"{path.rpartition('/')[2]}s of {symbol}")
        asked = f"{path}?" + urlencode({"symbol": symbol, "from": start, "to": end})
        answer, fetched_at = self.get(asked, symbol)
        asked_to = min(end, new_york_date(fetched_at))
        first = CorporateAction(symbol, checked, start, fetched_at, checked_to=asked_to)
        found = read(symbol, answer, fetched_at=fetched_at)
        return [first, *(action for action in found if start <= action.action_date <= asked_to)]

    def _read_pace(self) -> None:
        if self._paced or self.source != "replay":
            return
        # a replay that went away before its first quote: the pace that it named goes on until it is back
        with suppress(SourceUnavailable, BadAnswer) if self._has_pace else nullcontext():
            self.read_pace()


def replay_now(settings: Settings) -> datetime | None:
    """Return the time of a replay server on this machine; None where none answers. It counts as no call of the API."""
    if not is_on_this_machine(settings):
        return None
    with Finnhub(settings, attempts=1) as finnhub, suppress(SourceUnavailable, BadAnswer):
        finnhub.read_pace()
        return finnhub.clock.now()
    return None


def _check_range(start: date, end: date, what: str) -> None:
    if start > end:
        raise DateRangeError(f"{what}: the range from {start} to {end} is reversed")


def _spans(resolution: str, start: date | datetime, end: date | datetime) -> Iterator[tuple[int, int]]:
    """Yield from and to (epoch seconds) of each call that a range needs."""
    first, last = _edge(start, resolution, time.min), _edge(end, resolution, time.max)
    step = last - first if resolution in _DAILY else _INTRADAY_SPAN
    while first <= last:
        upto = min(last, first + step)
        yield int(to_epoch(first)), int(to_epoch(upto))
        first = upto + timedelta(seconds=1)


def _edge(edge: date | datetime, resolution: str, at: time) -> datetime:
    if isinstance(edge, datetime):
        return edge
    # a daily bar lies at 00:00 UTC of its trade date, an intraday one inside its New York day
    if resolution in _DAILY:
        return datetime.combine(edge, time.min, UTC)
    return datetime.combine(edge, at, NEW_YORK)
