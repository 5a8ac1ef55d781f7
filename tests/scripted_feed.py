"""A websocket of a test's own: each connection plays the next script, a list of texts to send and what else to do."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketHandler


@dataclass
class Script:
    """What one connection does: refuses with ``status``, or sends ``says`` once ``after`` symbols are subscribed to.

    Then it hangs up, unless it ``stays``. ``freezes``: it does not even answer pings for so many seconds.
    """

    says: Sequence[Any] = ()
    after: int = 1
    stays: bool = False
    status: int = 101
    freezes: float = 0.0


@dataclass
class ScriptedFeed:
    """The server; the last script is played for ever."""

    scripts: list[Script]
    port: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def next(self) -> Script:
        return self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]


class _Handler(WebSocketHandler):
    def initialize(self, feed: ScriptedFeed) -> None:
        self.feed = feed
        self.script = feed.next()
        self.subscribed = 0

    async def get(self, *args: Any, **kwargs: Any) -> None:
        self.feed.tokens.append(self.get_query_argument("token", ""))
        for name, value in self.feed.headers.items():
            self.set_header(name, value)
        if self.script.status != 101:
            self.set_status(self.script.status)
            self.set_header("Location", "/elsewhere")
            self.finish({"error": "no"})
            return
        await super().get(*args, **kwargs)

    def on_message(self, message: str | bytes) -> None:
        self.feed.asked.append(json.loads(message))
        self.subscribed += 1
        time.sleep(self.script.freezes)
        if self.subscribed == self.script.after:
            for text in self.script.says:
                self.write_message(text if isinstance(text, str) else json.dumps(text))
            if not self.script.stays:
                # not before the other side has heard that it is subscribed
                asyncio.get_running_loop().call_later(0.2, self.close)


@contextmanager
def feeding(*scripts: Script, headers: dict[str, str] | None = None) -> Iterator[ScriptedFeed]:
    """The server in a thread of its own."""
    feed = ScriptedFeed(list(scripts), headers=headers or {})
    ready, loops = threading.Event(), []

    async def serve() -> None:
        ended = asyncio.Event()
        loops.append((asyncio.get_running_loop(), ended))
        server = HTTPServer(Application([(r"/.*", _Handler, {"feed": feed})], log_function=lambda handler: None))
        sockets = bind_sockets(0, address="127.0.0.1")
        feed.port = sockets[0].getsockname()[1]
        server.add_sockets(sockets)
        ready.set()
        await ended.wait()
        server.stop()
        await server.close_all_connections()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield feed
    finally:
        loop, ended = loops[0]
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
