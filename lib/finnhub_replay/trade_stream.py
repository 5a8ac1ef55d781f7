"""The websocket side of a replay: subscriptions, and trades as virtual time passes.

It has the protocol of wss://ws.finnhub.io, on the port of the REST paths: the key as ``?token=``, ``subscribe`` and
``unsubscribe``, ``trade``, ``ping`` and ``error`` messages. A ``trade`` or ``ping`` also holds the virtual time as
``now``, like the REST ``Date`` header; the ping after the trades means that no older trade comes. Trades of passing
time are streamed: of a running clock, a quote's second, an advance. Setting the clock jumps over the trades in between.
"""

from datetime import datetime
from typing import Any

import orjson
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from finnhub_replay.api import WRONG_KEY, ApiRules
from finnhub_replay.clock import VirtualClock
from finnhub_replay.exchange import Exchange
from finnhub_replay.faults import Faults
from finnhub_replay.handlers import ReplayHandler

# How often a running clock's trades are sent (this machine's seconds).
PUMP_SECONDS, PING_SECONDS = 0.05, 0.5
_TRADES_A_MESSAGE = 50


class TradeStream:
    """The connections of the stream, and the time up to which they have the trades."""

    def __init__(self, exchange: Exchange, clock: VirtualClock, rules: ApiRules, faults: Faults) -> None:
        self.exchange, self.clock, self.rules, self.faults = exchange, clock, rules, faults
        self.listeners: set[TradesHandler] = set()
        self._jumps = clock.jumps
        self._minute = clock.now().replace(second=0, microsecond=0)

    def pump(self, *, ping: bool = False) -> None:
        """Send the trades since the last call; a ``ping`` after them says that they are complete."""
        now, jumped = self.clock.now(), self.clock.jumps != self._jumps
        self._jumps = self.clock.jumps
        # quotes that step the clock by a second send trades once a minute
        minute = now.replace(second=0, microsecond=0)
        ping = ping or jumped or (self.clock.mode == "step" and minute != self._minute)
        self._minute = minute
        for listener in list(self.listeners):
            listener.send_trades(now, jumped_to=self.clock.base if jumped else None, ping=ping)


class TradesHandler(ReplayHandler, WebSocketHandler):
    """One connection."""

    def initialize(self, feed: TradeStream) -> None:
        self._feed, self.clock, self.rules = feed, feed.clock, feed.rules
        # the instant up to which trades were sent, by symbol
        self._covered_until: dict[str, datetime] = {}
        # messages that a fault delays
        self._held: list[bytes] = []

    async def get(self, *args: Any, **kwargs: Any) -> None:
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            self.refuse(404, "this is a replay of Finnhub's API: use paths under /api/v1")
        elif not self.rules.takes(self.get_query_argument("token", "")):
            self.refuse(401, WRONG_KEY)
        else:
            await super().get(*args, **kwargs)

    def check_origin(self, origin: str) -> bool:
        """Accept every origin: ``prepare`` has refused foreign ones, with a reason."""
        return True

    def open(self, *args: str, **kwargs: str) -> None:
        self._feed.listeners.add(self)

    def on_close(self) -> None:
        self._feed.listeners.discard(self)

    def on_message(self, message: str | bytes) -> None:
        try:
            asked = orjson.loads(message)
            kind, symbol = asked["type"], str(asked["symbol"]).upper()
        except (orjson.JSONDecodeError, KeyError, TypeError):
            self.send({"type": "error", "msg": "Invalid message"})
            return
        if kind == "unsubscribe":
            self._covered_until.pop(symbol, None)
        elif kind == "subscribe":
            self._subscribe(symbol)
        else:
            self.send({"type": "error", "msg": "Invalid message type"})

    def send_trades(self, now: datetime, *, jumped_to: datetime | None, ping: bool) -> None:
        """Send the trades up to now, since the last call or a jump of the clock."""
        found = []
        for symbol, covered_until in self._covered_until.items():
            since = covered_until if jumped_to is None else jumped_to
            found += self._feed.exchange.trades(symbol, since, now)
            self._covered_until[symbol] = now
        found.sort(key=lambda trade: trade["t"])
        for first in range(0, len(found), _TRADES_A_MESSAGE):
            trades = found[first : first + _TRADES_A_MESSAGE]
            self.send({"type": "trade", "data": trades, "now": now.timestamp()})
        if ping:
            self.send({"type": "ping", "now": now.timestamp()})

    def send(self, message: dict[str, Any]) -> None:
        """Send a message, with its fault if any."""
        relayed = self._feed.faults.relay(orjson.dumps(message), held=self._held)
        try:
            for text in relayed or ():
                self.write_message(text.decode())
            if relayed is None:
                self.close()
        except WebSocketClosedError:
            self._feed.listeners.discard(self)

    def _subscribe(self, symbol: str) -> None:
        if symbol not in self._feed.exchange.tape.symbols:
            self.send({"type": "error", "msg": f"Invalid symbol {symbol}"})
        elif symbol not in self._covered_until and len(self._covered_until) >= self.rules.ws_symbols:
            self.send({"type": "error", "msg": "Subscribing to too many symbols"})
        else:
            self.clock.start()
            self._covered_until.setdefault(symbol, self.clock.now())
