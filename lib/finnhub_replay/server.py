"""The HTTP side of a replay: Finnhub's paths, keys, limits, status codes and error bodies around an ``Exchange``.

Every answer names its source (``X-Stocks-Source: replay``) and carries the virtual time as its ``Date``. The clock is
read and moved under ``/replay/clock``, faults are set and counted under ``/replay/faults``, with the server's key.
Requests of web pages are refused (``web_guard``).
"""

import asyncio
import errno
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
from tornado.httpserver import HTTPServer
from tornado.ioloop import PeriodicCallback
from tornado.netutil import bind_sockets
from tornado.web import Application

from finnhub_replay.api import WRONG_KEY, Api, Refusal
from finnhub_replay.faults import Sending
from finnhub_replay.handlers import ReplayHandler
from finnhub_replay.trade_stream import PING_SECONDS, PUMP_SECONDS, TradesHandler, TradeStream
from stocklib.errors import EmbeddedError
from stocklib.quotes import from_epoch
from stocklib.web_guard import is_loopback


def serve(feed: TradeStream, *, port: int, host: str, on_ready: Callable[[], None]) -> None:
    """Answer until SIGINT or SIGTERM; ``EmbeddedError`` when the port is in use, or others could move the clock."""
    if not feed.rules.key and not is_loopback(host):
        raise EmbeddedError(
            f"at {host} other machines reach the replay, and without a key they move its clock: put one into "
            "STOCKS_REPLAY_KEY, or leave out --host"
        )
    asyncio.run(_serve(feed, host, port, on_ready))


async def _serve(feed: TradeStream, host: str, port: int, on_ready: Callable[[], None]) -> None:
    ours = {"feed": feed, "api": Api(feed.exchange, feed.rules)}
    handlers: list[Any] = [
        (r"/(?:ws)?", TradesHandler, {"feed": feed}),
        (r"/replay/clock", _ClockHandler, ours),
        (r"/replay/faults", _FaultsHandler, ours),
        (r"/api/v1/*(/.*)", _ApiHandler, ours),
        (r".*", _NowhereHandler, ours),
    ]
    application = Application(handlers, log_function=lambda handler: None, compress_response=False)
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
    pumps = []
    if feed.clock.mode == "speed":
        # the request that moves a stepping clock also pumps the feed
        pumps.append(PeriodicCallback(feed.pump, PUMP_SECONDS * 1000))
        pumps.append(PeriodicCallback(partial(feed.pump, ping=True), PING_SECONDS * 1000))
    for pump in pumps:
        pump.start()
    on_ready()
    await ended.wait()
    for pump in pumps:
        pump.stop()
    server.stop()
    await server.close_all_connections()


class _Handler(ReplayHandler):
    def initialize(self, feed: TradeStream, api: Api) -> None:
        self.feed, self.clock, self.faults, self.rules, self.api = feed, feed.clock, feed.faults, feed.rules, api

    @property
    def key(self) -> str:
        """The key that came with the request, empty where none did."""
        return self.request.headers.get("X-Finnhub-Token") or self.get_query_argument("token", "")


class _ApiHandler(_Handler):
    async def get(self, path: str) -> None:
        path, now = "/" + path.strip("/"), self.clock.now()
        sent = self.request.query_arguments.items()
        parameters = {name: values[-1].decode("utf-8", "replace") for name, values in sent}
        parameters.pop("token", "")
        try:
            answer, status = self.api.answer(path, parameters, key=self.key, now=now), 200
        except Refusal as refusal:
            answer, status = {"error": refusal.text}, refusal.status
        if path == "/quote" and status == 200:
            self.clock.tick()
            self.feed.pump()
        sending = Sending(orjson.dumps(answer), now, status)
        query = f"{sorted(parameters.items())}"
        sending = self.faults.spoil(
            path, sending, query=query, earlier=lambda at: self.api.recall(path, parameters, now=at)
        )
        if sending.delay:
            await asyncio.sleep(sending.delay)
        if sending.cut is None:
            self.leave(sending)
        else:
            await self._break_off(sending.body, sending.cut)

    async def _break_off(self, body: bytes, cut: int) -> None:
        """End the connection: without a byte, or after the head and the first bytes of a longer body."""
        stream = self.detach()
        if cut:
            await stream.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:cut])
        stream.close()


class _Control(_Handler):
    """Answers any client with the key; it is not a call of the API, so neither counted nor spoiled."""

    def prepare(self) -> None:
        super().prepare()
        if not self._finished and not self.rules.takes(self.key):
            self.refuse(401, WRONG_KEY)


class _ClockHandler(_Control):
    def get(self) -> None:
        now = self.clock.now()
        waiting = {"waiting": True} if self.clock.is_waiting else {}
        self.reply({"now": now.timestamp(), "mode": self.clock.mode, "speed": self.clock.speed or 1, **waiting}, now)

    def post(self) -> None:
        try:
            self._move(orjson.loads(self.request.body))
        except EmbeddedError as error:
            self.refuse(422, str(error))
        except (ValueError, TypeError, OverflowError, OSError):
            self.refuse(422, 'send {"now": epoch seconds}, {"until": epoch seconds} or {"advance": seconds, 0 or more}')
        else:
            self.clock.start()
            self.feed.pump(ping=True)
            self.get()

    def _move(self, move: Any) -> None:
        if set(move) == {"now"}:
            self.clock.set(from_epoch(float(move["now"])))
        elif set(move) == {"until"}:
            self.clock.advance_to(from_epoch(float(move["until"])))
        elif set(move) == {"advance"} and float(move["advance"]) >= 0:
            self.clock.advance(float(move["advance"]))
        else:
            raise ValueError("neither now, until nor advance")


class _FaultsHandler(_Control):
    def get(self) -> None:
        faults = self.faults
        counts = {name: dict(getattr(faults, name)) for name in ("calls", "spoiled", "injected")}
        self.reply({"faults": faults.text, "seed": faults.seed, **counts}, self.clock.now())

    def post(self) -> None:
        try:
            ordered = orjson.loads(self.request.body)
            if not {"faults"} <= set(ordered) <= {"faults", "seed"} or not isinstance(ordered["faults"], str):
                raise ValueError("not an order")
            self.faults.order(ordered["faults"], seed=int(ordered.get("seed", 0)))
        except EmbeddedError as error:
            self.refuse(422, str(error))
        except (ValueError, TypeError):
            self.refuse(422, 'send {"faults": "drop=0.01", "seed": 0}; no faults: ""')
        else:
            self.get()


class _NowhereHandler(_Handler):
    def prepare(self) -> None:
        super().prepare()
        if not self._finished:
            self.refuse(404, "this is a replay of Finnhub's API: use paths under /api/v1")
