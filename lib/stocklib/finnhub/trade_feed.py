"""Trades as they happen: symbols in, ``Trade`` records out, over a websocket that reconnects when it is lost.

Each trade carries ``covered_since``: since when the feed has brought every trade. A lost connection or an unreadable
message resets it, so that a sum over trades shows where some are missing.
"""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import orjson

from stocklib.backoff import Backoff, jitter
from stocklib.clocks import Stop
from stocklib.errors import BadAnswer, Interrupted, NoQuote, RateLimited, SourceUnavailable, SymbolError
from stocklib.finnhub import Finnhub
from stocklib.finnhub.wire import Wire
from stocklib.quotes import Trade, check_symbol, read_epoch
from stocklib.settings import Settings

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
# If so many first connections are all refused, a setting is wrong.
_REFUSED_CONNECTIONS = 3
# The source reports its clock in whole seconds, so the start of a feed is known to a second.
_CLOCK_DOUBT = timedelta(seconds=1)


class TradeFeed:
    """The trades of some symbols. Symbols beyond ``FINNHUB_WS_SYMBOLS`` are left out, and named in a warning.

    Counters: ``losses`` (of connections), ``reconnects``, ``rejected`` (invalid trades, by symbol),
    ``garbled`` (messages that could not be read). ``complete_until`` is the replay's time up to which every trade has
    come; None live.
    """

    def __init__(self, settings: Settings, finnhub: Finnhub, symbols: Sequence[str], *, stop: Stop) -> None:
        listed = list(dict.fromkeys(check_symbol(symbol) for symbol in symbols))
        limit = settings.finnhub_ws_symbols
        self.symbols, self.left_out = listed[:limit], listed[limit:]
        if self.left_out:
            log.warning(
                "the plan's websocket takes %d symbols (FINNHUB_WS_SYMBOLS): no trades of %s",
                limit,
                ", ".join(self.left_out),
            )
        self._settings, self._finnhub, self._stop = settings, finnhub, stop
        self._wire: Wire | None = None
        self._waiting: list[str] = []
        self._since: datetime | None = None
        self._is_replay = False
        self._backoff = Backoff(first=_FIRST_PAUSE, longest=_LONGEST_PAUSE)
        self.losses = 0
        self._warned: set[str] = set()
        self.connections = 0
        self.garbled = 0
        self.rejected: Counter[str] = Counter()
        self.complete_until: datetime | None = None
        self.trouble: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether the feed is connected."""
        return self._wire is not None

    @property
    def reconnects(self) -> int:
        """The number of times that a connection was replaced."""
        return max(0, self.connections - 1)

    def receive(self, seconds: float) -> list[Trade]:
        """Return the trades of the next message, in its order; none when nothing came for so many seconds.

        Connects where there is no connection, and again where it was lost, after a pause that grows. Raises
        ``KeyRefused``, ``PlanRefused`` or ``BadAnswer`` when the source refuses us, ``SourceUnavailable`` when it
        accepted none of the first connections, ``Interrupted`` when the run is stopping.
        """
        if self._waiting:
            return self._read(self._waiting.pop(0))
        try:
            if self._wire is None:
                self._connect(seconds)
            text = self._wire.receive(seconds) if self._wire and not self._waiting else None
        except (SourceUnavailable, RateLimited) as error:
            self._lose(error)
            return []
        return [] if text is None else self._read(text)

    def close(self) -> None:
        """Hang up."""
        if self._wire:
            self._wire.close()
        self._wire, self._since, self.trouble = None, None, None

    def _connect(self, seconds: float) -> None:
        """Connect and subscribe; where it is too early to try again, wait ``seconds`` at most."""
        if self._stop.is_set():
            raise Interrupted("stopped before connecting to Finnhub's websocket")
        if pause := self._backoff.seconds_left:
            self._stop.wait(min(pause, seconds))
            if pause > seconds:
                return
        wire = self._wire = Wire(self._settings)
        self._is_replay = wire.is_replay
        for symbol in self.symbols:
            wire.send(json.dumps({"type": "subscribe", "symbol": symbol}))
        self.connections += 1
        wire.settle(self._waiting)
        self._begin_coverage()
        self._backoff.succeed()
        self.trouble = None
        log.info("%s: subscribed to %d symbols", wire.where, len(self.symbols))

    def _lose(self, error: SourceUnavailable | RateLimited) -> None:
        self.close()
        self.losses += 1
        self.trouble = str(error)
        pause = self._backoff.fail(times=jitter() * (4 if isinstance(error, RateLimited) else 1))
        if not self.connections and self._backoff.failures >= _REFUSED_CONNECTIONS:
            raise error
        log.warning("%s; connecting again in %.1f s", error, pause)

    def _begin_coverage(self) -> None:
        """Start a new coverage: every trade comes from now on."""
        doubt = timedelta(0) if self._is_replay else _CLOCK_DOUBT
        self._since = self._finnhub.refresh_clock() + doubt

    def _read(self, text: str) -> list[Trade]:
        message = _decode(text)
        kind = message.get("type") if message else None
        if message is None or (kind == "trade" and not isinstance(message.get("data"), list)):
            self._warn_once("garbled", "a message of the websocket could not be read: trades may be missing")
            self.garbled += 1
            if self._wire:
                self._begin_coverage()
            return []
        now = self._time_of(message)
        if kind == "trade":
            read = (self._trade(item, now) for item in message["data"])
            return [trade for trade in read if trade]
        if kind == "ping":
            self.complete_until = now if self._is_replay else None
        elif kind == "error":
            answer = str(message.get("msg"))[:200]
            self.rejected["error"] += 1
            self._warn_once(answer, f"Finnhub's websocket says: {answer}")
        else:
            self._warn_once(
                f"type {kind}", f"Finnhub's websocket sent a message of an unknown type, {str(kind)[:40]!r}"
            )
        return []

    def _time_of(self, message: dict[str, Any]) -> datetime:
        """Return the source's time of a message: a replay's own, else the clock's."""
        answer = message.get("now")
        if self._is_replay and answer is not None:
            with suppress(BadAnswer):
                return self._finnhub.note_time(read_epoch(answer, "the time of a message"))
        return self._finnhub.now()

    def _trade(self, item: Any, now: datetime) -> Trade | None:
        try:
            trade = Trade.parse(item, fetched_at=now, covered_since=self._since)
            if trade.symbol not in self.symbols:
                raise SymbolError(f"Finnhub's websocket sent a trade of {trade.symbol}, to which we did not subscribe")
        except (NoQuote, BadAnswer, SymbolError) as error:
            name = str(item.get("s"))[:32] if isinstance(item, dict) else "?"
            self._warn_once(f"trade {name}", str(error))
            self.rejected[name] += 1
            return None
        return trade

    def _warn_once(self, what: str, text: str) -> None:
        log.log(logging.DEBUG if what in self._warned else logging.WARNING, "%s", text)
        if len(self._warned) < 1000:
            self._warned.add(what)


def _decode(text: str) -> dict[str, Any] | None:
    """Return a message; NaN, which is invalid JSON, rejects only the trade that holds it."""
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            message = json.loads(text, parse_int=float)
        except (ValueError, RecursionError):
            return None
    return message if isinstance(message, dict) else None
