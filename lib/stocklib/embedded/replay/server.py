"""The HTTP side of a replay: Finnhub's paths, keys, limits, status codes and error bodies around an ``Exchange``.

Every answer names its source (``X-Stocks-Source: replay``) and carries the virtual time as its ``Date``. The clock is
read and moved under ``/replay/clock``, from this machine only.
"""

import asyncio
import errno
import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import format_datetime
from typing import Any

import orjson
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from stocklib.embedded.replay.clock import VirtualClock
from stocklib.embedded.replay.exchange import RESOLUTIONS, Exchange
from stocklib.errors import EmbeddedError
from stocklib.quotes import from_epoch

_LOOPBACK = ("127.0.0.1", "::1")
_PREMIUM = ("/stock/candle", "/stock/split", "/stock/dividend")
_KEY = "Invalid API key."
_PLAN = "You don't have access to this resource."
_LIMIT = "API limit reached. Please try again later. Remaining Limit: 0"


@dataclass(frozen=True)
class Rules:
    """What this Finnhub insists on: a key (empty: any), a free plan's 403s, calls a minute (0: any number)."""

    key: str = ""
    free_plan: bool = False
    calls_per_minute: int = 0


class Refusal(Exception):
    """A status code and the sentence that Finnhub sends with it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


def serve(
    exchange: Exchange, clock: VirtualClock, *, port: int, host: str = "127.0.0.1", rules: Rules | None = None
) -> None:
    """Answer until SIGINT or SIGTERM; ``EmbeddedError`` when the port is taken."""
    application = make_application(exchange, clock, rules=rules or Rules())
    asyncio.run(_serve(application, host, port))


def make_application(exchange: Exchange, clock: VirtualClock, *, rules: Rules) -> Application:
    """The server's routes."""
    replay = _Replay(exchange, clock, rules)
    handlers: list[Any] = [
        (r"/replay/clock", _Clock, {"clock": clock}),
        (r"/api/v1/*(/.*)", _Api, {"replay": replay}),
        (r".*", _Nowhere, {"clock": clock}),
    ]
    return Application(handlers, log_function=lambda handler: None, compress_response=False)


async def _serve(application: Application, host: str, port: int) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    try:
        sockets = bind_sockets(port, address=host)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise EmbeddedError(f"the replay cannot listen on {host}:{port}: {error.strerror}") from error
        raise EmbeddedError(f"port {port} is in use: stop what listens there, or choose another with --port") from error
    server = HTTPServer(application)
    server.add_sockets(sockets)
    await ended.wait()
    server.stop()
    await server.close_all_connections()


class _Replay:
    """One API path to one function of the exchange."""

    def __init__(self, exchange: Exchange, clock: VirtualClock, rules: Rules) -> None:
        self.clock, self.rules = clock, rules
        self._exchange = exchange
        self._calls: deque[float] = deque()
        self._paths: dict[str, Callable[[_Query, datetime], Any]] = {
            "/quote": lambda query, now: exchange.quote(query.symbol(), now),
            "/stock/candle": self._candles,
            "/stock/profile2": lambda query, now: exchange.profile(query.symbol(), now),
            "/stock/symbol": self._listed,
            "/search": self._search,
            "/stock/split": lambda query, now: exchange.splits(query.symbol(), **query.dates(), now=now),
            "/stock/dividend": lambda query, now: exchange.dividends(query.symbol(), **query.dates(), now=now),
            "/stock/market-status": lambda query, now: exchange.status(now),
            "/stock/market-holiday": lambda query, now: exchange.holidays(now),
        }

    def answer(self, path: str, query: "_Query", key: str, now: datetime) -> Any:
        """The answer at this instant, or a ``Refusal``."""
        if self.rules.key and key != self.rules.key:
            raise Refusal(401, _KEY)
        self._count()
        if self.rules.free_plan and path in _PREMIUM:
            raise Refusal(403, _PLAN)
        if path not in self._paths:
            raise Refusal(404, f"there is no {path} in this replay")
        return self._paths[path](query, now)

    def _count(self) -> None:
        if not self.rules.calls_per_minute:
            return
        now = time.monotonic()
        while self._calls and self._calls[0] <= now - 60:
            self._calls.popleft()
        if len(self._calls) >= self.rules.calls_per_minute:
            raise Refusal(429, _LIMIT)
        self._calls.append(now)

    def _candles(self, query: "_Query", now: datetime) -> dict[str, Any]:
        resolution = query.text("resolution")
        if resolution not in RESOLUTIONS:
            raise Refusal(422, f"resolution is one of {', '.join(RESOLUTIONS)}")
        first, last = query.number("from"), query.number("to")
        return self._exchange.candles(query.symbol(), resolution, first=first, last=last, now=now)

    def _listed(self, query: "_Query", now: datetime) -> list[dict[str, str]]:
        return [{**found, "currency": "USD", "mic": "", "figi": ""} for found in self._exchange.listed(now)]

    def _search(self, query: "_Query", now: datetime) -> dict[str, Any]:
        found = self._exchange.listed(now, query.text("q"))
        return {"count": len(found), "result": found}


class _Query:
    """The parameters of a call; one that is missing or makes no sense is a 422."""

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler

    def text(self, name: str) -> str:
        value = self._handler.get_query_argument(name, "")
        if not value:
            raise Refusal(422, f"Missing parameter: {name}")
        return value

    def symbol(self) -> str:
        return self.text("symbol").upper()

    def number(self, name: str) -> int:
        try:
            return int(float(self.text(name)))
        except (ValueError, OverflowError):
            raise Refusal(422, f"Wrong parameter: {name}") from None

    def dates(self) -> dict[str, date]:
        """``from`` and ``to``, as ``first`` and ``last``."""
        try:
            return {"first": date.fromisoformat(self.text("from")), "last": date.fromisoformat(self.text("to"))}
        except ValueError:
            raise Refusal(422, "Wrong parameter: from and to are dates like 2012-12-14") from None


class _Json(RequestHandler):
    """Sends one JSON answer with the virtual time."""

    def send(self, answer: Any, now: datetime, *, status: int = 200) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.set_header("Date", format_datetime(now.astimezone(UTC).replace(microsecond=0), usegmt=True))
        self.set_header("X-Stocks-Source", "replay")
        self.finish(orjson.dumps(answer))

    def set_default_headers(self) -> None:
        self.clear_header("Server")

    def compute_etag(self) -> None:
        """None: two equal answers at two instants are two answers."""


class _Api(_Json):
    def initialize(self, replay: _Replay) -> None:
        self._replay = replay

    def get(self, path: str) -> None:
        now = self._replay.clock.now()
        key = self.request.headers.get("X-Finnhub-Token") or self.get_query_argument("token", "")
        try:
            answer = self._replay.answer("/" + path.strip("/"), _Query(self), key, now)
        except Refusal as refusal:
            self.send({"error": refusal.text}, now, status=refusal.status)
            return
        if path.strip("/") == "quote":
            self._replay.clock.tick()
        self.send(answer, now)


class _Clock(_Json):
    def initialize(self, clock: VirtualClock) -> None:
        self._clock = clock

    def prepare(self) -> None:
        if self.request.remote_ip not in _LOOPBACK:
            self.send({"error": "the clock is read and moved from this machine only"}, self._clock.now(), status=403)

    def get(self) -> None:
        self._say()

    def post(self) -> None:
        try:
            move = orjson.loads(self.request.body)
            if set(move) == {"now"}:
                self._clock.set(from_epoch(float(move["now"])))
            elif set(move) == {"advance"} and float(move["advance"]) >= 0:
                self._clock.advance(float(move["advance"]))
            else:
                raise ValueError("neither now nor advance")
        except (ValueError, TypeError, OverflowError, OSError):
            wanted = 'send {"now": epoch seconds} or {"advance": seconds, 0 or more}'
            self.send({"error": wanted}, self._clock.now(), status=422)
            return
        self._say()

    def _say(self) -> None:
        now = self._clock.now()
        state = {"now": now.timestamp(), "mode": self._clock.mode, "speed": self._clock.speed or 1}
        self.send(state, now)


class _Nowhere(_Json):
    def initialize(self, clock: VirtualClock) -> None:
        self._clock = clock

    def prepare(self) -> None:
        self.send({"error": "this is a replay of Finnhub's API: ask under /api/v1"}, self._clock.now(), status=404)
