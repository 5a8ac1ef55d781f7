"""The HTTP side of a replay: Finnhub's paths, keys, limits, status codes and error bodies around an ``Exchange``.

Every answer names its source (``X-Stocks-Source: replay``) and carries the virtual time as its ``Date``. The clock is
read and moved under ``/replay/clock``, from this machine only.
"""

import asyncio
import errno
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any

import orjson
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from stocklib.embedded.replay.api import Api, Refusal, Rules
from stocklib.embedded.replay.clock import VirtualClock
from stocklib.embedded.replay.exchange import Exchange
from stocklib.errors import EmbeddedError
from stocklib.quotes import from_epoch

_LOOPBACK = ("127.0.0.1", "::1")


def serve(
    exchange: Exchange,
    clock: VirtualClock,
    *,
    port: int,
    host: str = "127.0.0.1",
    rules: Rules | None = None,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Answer until SIGINT or SIGTERM; ``EmbeddedError`` when the port is taken."""
    application = make_application(Api(exchange, rules or Rules()), clock)
    asyncio.run(_serve(application, host, port, on_ready))


def make_application(api: Api, clock: VirtualClock) -> Application:
    """The server's routes."""
    ours = {"clock": clock, "api": api}
    handlers: list[Any] = [
        (r"/replay/clock", _ClockHandler, ours),
        (r"/api/v1/*(/.*)", _ApiHandler, ours),
        (r".*", _NowhereHandler, ours),
    ]
    return Application(handlers, log_function=lambda handler: None, compress_response=False)


async def _serve(application: Application, host: str, port: int, on_ready: Callable[[], None]) -> None:
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
    on_ready()
    await ended.wait()
    server.stop()
    await server.close_all_connections()


class _Json(RequestHandler):
    """Sends one JSON answer with the virtual time."""

    def initialize(self, clock: VirtualClock, api: Api) -> None:
        self.clock, self.api = clock, api

    def send(self, answer: Any, now: datetime, *, status: int = 200) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.set_header("Date", format_datetime(now.astimezone(UTC).replace(microsecond=0), usegmt=True))
        self.set_header("X-Stocks-Source", "replay")
        self.finish(orjson.dumps(answer))

    def refuse(self, status: int, text: str) -> None:
        self.send({"error": text}, self.clock.now(), status=status)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.refuse(status_code, HTTPStatus(status_code).phrase)

    def set_default_headers(self) -> None:
        self.clear_header("Server")

    def compute_etag(self) -> None:
        """None: two equal answers at two instants are two answers."""


class _ApiHandler(_Json):
    def get(self, path: str) -> None:
        path, now = "/" + path.strip("/"), self.clock.now()
        sent = self.request.query_arguments.items()
        parameters = {name: values[-1].decode("utf-8", "replace") for name, values in sent}
        key = self.request.headers.get("X-Finnhub-Token") or parameters.get("token", "")
        try:
            answer = self.api.answer(path, parameters, key=key, now=now)
        except Refusal as refusal:
            self.refuse(refusal.status, refusal.text)
            return
        if path == "/quote":
            self.clock.tick()
        self.send(answer, now)


class _ClockHandler(_Json):
    def prepare(self) -> None:
        if self.request.remote_ip not in _LOOPBACK:
            self.refuse(403, "the clock is read and moved from this machine only")

    def get(self) -> None:
        now = self.clock.now()
        self.send({"now": now.timestamp(), "mode": self.clock.mode, "speed": self.clock.speed or 1}, now)

    def post(self) -> None:
        try:
            self._move(orjson.loads(self.request.body))
        except EmbeddedError as error:
            self.refuse(422, str(error))
        except (ValueError, TypeError, OverflowError, OSError):
            self.refuse(422, 'send {"now": epoch seconds} or {"advance": seconds, 0 or more}')
        else:
            self.get()

    def _move(self, move: Any) -> None:
        if set(move) == {"now"}:
            self.clock.set(from_epoch(float(move["now"])))
        elif set(move) == {"advance"} and float(move["advance"]) >= 0:
            self.clock.advance(float(move["advance"]))
        else:
            raise ValueError("neither now nor advance")


class _NowhereHandler(_Json):
    def prepare(self) -> None:
        self.refuse(404, "this is a replay of Finnhub's API: ask under /api/v1")
