"""The Finnhub client: quotes, candles, profiles, splits, dividends and the market's hours.

What goes in: symbols and dates. What comes out: the records of ``quotes`` and ``answers``, each with ``fetched_at`` on
the source's clock (the answer's ``Date`` header, which a replay server sets to its virtual time). How a call is made,
repeated and refused is in ``connection``.
"""

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote as url_quote
from urllib.parse import urlencode

from stocklib.clocks import Pace, Stop
from stocklib.errors import BadAnswer, DateRangeError, SourceUnavailable, SymbolError
from stocklib.finnhub import answers
from stocklib.finnhub.answers import MarketHoliday, MarketStatus
from stocklib.finnhub.rest import Connection, is_on_this_machine, replay_move
from stocklib.quotes import Candle, CompanyProfile, CorporateAction, Quote, check_symbol, to_epoch
from stocklib.sessions import NEW_YORK, new_york_date
from stocklib.settings import Settings

# Finnhub answers at most a month of intraday candles a call.
_INTRADAY_SPAN = timedelta(days=30)
_DAILY = ("D", "W", "M")


class Finnhub:
    """A client of Finnhub, or of a replay server that speaks like it. Use it in a ``with`` block.

    ``stop`` interrupts every wait (``Interrupted``). A call is tried ``attempts`` times in all; the first pause takes
    about ``first_pause`` seconds, the next ones twice as long each.
    """

    # A replay speaks Finnhub's language, so its candles count as Finnhub's.
    data_source = "finnhub"

    def __init__(
        self, settings: Settings, *, stop: Stop | None = None, attempts: int = 6, first_pause: float = 0.5
    ) -> None:
        self._source = Connection(settings, stop=stop or threading.Event(), attempts=attempts, first_pause=first_pause)
        self._paced = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._source.close()

    @property
    def source(self) -> str:
        """``finnhub``, or ``replay`` when the answers say that they are recorded."""
        if self._source.replay is None:
            try:
                self.market_status()
            except BadAnswer:
                # garbage, from somebody who said who it is
                if self._source.replay is None:
                    raise
        return "replay" if self._source.replay else "finnhub"

    def now(self) -> datetime:
        """The source's time now, UTC."""
        self._read_pace()
        return self._source.clock.now()

    @property
    def pace(self) -> Pace:
        """How the source's time runs."""
        self._read_pace()
        return self._source.clock.pace

    @property
    def is_clock_lost(self) -> bool:
        """Whether ``now`` is off until the next call: this machine slept since the last one."""
        return self._source.clock.is_lost

    def wait(self, seconds: float) -> bool:
        """Let ``seconds`` of the source's time pass; False when ``stop`` was set meanwhile."""
        self._read_pace()
        return self._source.clock.wait(seconds)

    def look_at_clock(self) -> datetime:
        """The source's time, asked for anew where it is a replay: others may have moved its clock."""
        self._read_pace()
        if self.source == "replay":
            self._source.read_pace()
        return self._source.clock.now()

    def hear_time(self, instant: datetime) -> datetime:
        """Take note of an instant that the source named outside of an answer to a call."""
        clock = self._source.clock
        # what was said before a stepping replay was last moved may arrive after that
        return instant if clock.pace.step and instant < clock.now() else clock.see(instant)

    def wait_until(self, instant: datetime) -> bool:
        """Let the source's time pass until an instant; False when ``stop`` was set meanwhile.

        A stepping replay is moved there, unless others moved it further already.
        """
        self._read_pace()
        if not self.pace.step:
            return self.wait((instant - self.now()).total_seconds())
        self._source.move_replay({"until": to_epoch(instant)})
        return not self._source.is_stopped

    def set_clock(self, instant: datetime) -> datetime:
        """Set the clock of a replay server on this machine; its new time."""
        return self._source.move_replay(replay_move(instant))

    def quote(self, symbol: str) -> Quote:
        """What a symbol is worth now; ``NoQuote`` when the source has no price for it."""
        symbol = check_symbol(symbol)
        answer, fetched_at = self._source.get("/quote?symbol=" + url_quote(symbol, safe=""), symbol)
        return Quote.parse(symbol, _mapping(answer, f"the quote of {symbol}"), fetched_at=fetched_at)

    def candles(self, symbol: str, resolution: str, start: date | datetime, end: date | datetime) -> list[Candle]:
        """The bars from ``start`` to ``end``, both included, split-adjusted when daily; empty when there are none.

        ``resolution`` is one of 1, 5, 15, 30, 60 (minutes), D, W, M. Dates are New York dates.
        """
        symbol = check_symbol(symbol)
        _check_range(start, end, f"candles of {symbol}")
        found: list[Candle] = []
        for first, last in _spans(resolution, start, end):
            query = {"symbol": symbol, "resolution": resolution, "from": first, "to": last}
            answer, fetched_at = self._source.get("/stock/candle?" + urlencode(query), symbol)
            found += answers.read_candles(symbol, resolution, answer, fetched_at=fetched_at)
        return found

    def profile(self, symbol: str) -> CompanyProfile:
        """Who is behind a symbol; ``SymbolError`` when Finnhub does not know it."""
        symbol = check_symbol(symbol)
        answer, fetched_at = self._source.get("/stock/profile2?" + urlencode({"symbol": symbol}), symbol)
        if not _mapping(answer, f"the profile of {symbol}"):
            raise SymbolError(f"Finnhub knows no company behind {symbol}: check its spelling in the watchlist")
        return CompanyProfile(symbol, answer, fetched_at)

    def splits(self, symbol: str, start: date, end: date) -> list[CorporateAction]:
        """What is known of a symbol's splits from ``start`` to ``end``: that they were asked for, then each of them.

        The first record is the ``checked`` one. It reaches no further than the day of the answer: a split that is
        announced for later is neither reported nor excluded.
        """
        symbol = check_symbol(symbol)
        answer, fetched_at = self._dated("/stock/split", symbol, start, end)
        asked_to = min(end, new_york_date(fetched_at))
        found = answers.read_splits(symbol, answer, fetched_at=fetched_at)
        checked = CorporateAction(symbol, "checked", start, fetched_at, checked_to=asked_to)
        return [checked, *(split for split in found if start <= split.action_date <= asked_to)]

    def dividends(self, symbol: str, start: date, end: date) -> list[CorporateAction]:
        """That the dividends of ``start`` to ``end`` were asked for, then each of them, in the amount that was paid.

        The first record is the ``checked_dividends`` one; it reaches no further than the day of the answer.
        """
        symbol = check_symbol(symbol)
        answer, fetched_at = self._dated("/stock/dividend", symbol, start, end)
        asked_to = min(end, new_york_date(fetched_at))
        found = answers.read_dividends(symbol, answer, fetched_at=fetched_at)
        checked = CorporateAction(symbol, "checked_dividends", start, fetched_at, checked_to=asked_to)
        return [checked, *(dividend for dividend in found if start <= dividend.action_date <= asked_to)]

    def market_status(self) -> MarketStatus:
        """Whether the US exchanges are open."""
        answer, fetched_at = self._source.get("/stock/market-status?exchange=US", "the US exchanges")
        return answers.read_market_status(answer, fetched_at=fetched_at)

    def market_holidays(self) -> list[MarketHoliday]:
        """The US exchanges' holidays that Finnhub knows, oldest first."""
        answer, _ = self._source.get("/stock/market-holiday?exchange=US", "the US exchanges")
        return answers.read_market_holidays(answer)

    def _dated(self, path: str, symbol: str, start: date, end: date) -> tuple[Any, datetime]:
        _check_range(start, end, f"{path.rpartition('/')[2]}s of {symbol}")
        return self._source.get(f"{path}?" + urlencode({"symbol": symbol, "from": start, "to": end}), symbol)

    def _read_pace(self) -> None:
        if not self._paced and self.source == "replay":
            self._source.read_pace()
        self._paced = True


def replay_now(settings: Settings) -> datetime | None:
    """What time a replay server on this machine says it is; None where none answers. It costs no call of a plan."""
    if not is_on_this_machine(settings):
        return None
    source = Connection(settings, stop=threading.Event(), attempts=1, first_pause=0)
    try:
        source.read_pace()
        return source.clock.now()
    except (SourceUnavailable, BadAnswer):
        return None
    finally:
        source.close()


def _mapping(answer: Any, what: str) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise BadAnswer(f"Finnhub answered {what} with {type(answer).__name__} instead of an object")
    return answer


def _check_range(start: date, end: date, what: str) -> None:
    if start > end:
        raise DateRangeError(f"{what}: the range from {start} to {end} is reversed")


def _spans(resolution: str, start: date | datetime, end: date | datetime) -> Iterator[tuple[int, int]]:
    """The from and to (epoch seconds) of each call that a range takes."""
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
