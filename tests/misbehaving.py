"""A tiny HTTP server on a real socket that answers what a test scripted: status, headers, body, delays, half bodies."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Asked:
    """One request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    at: float


@dataclass
class Reply:
    """What to answer. ``truncate`` promises the whole body and breaks off in its middle."""

    body: Any = b"{}"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    truncate: bool = False
    date: str | None = "Fri, 14 Dec 2012 15:00:00 GMT"

    def raw(self) -> bytes:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        headers = {"Content-Length": str(len(body)), "Content-Type": "application/json", **self.headers}
        if self.date:
            headers["Date"] = self.date
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        sent = body[: len(body) // 2] if self.truncate else body
        return f"HTTP/1.1 {self.status} Whatever\r\n{head}\r\n".encode() + sent


Answer = Callable[[Asked], Reply]


class Server:
    """Answers with ``answer(asked)``; remembers what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    def close(self) -> None:
        with suppress(OSError):  # wakes the thread that accepts; where that is not allowed, closing does
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as stream:
                while asked := _read(stream):
                    self.asked.append(asked)
                    reply = self.answer(asked)
                    time.sleep(reply.delay)
                    connection.sendall(reply.raw())
                    if reply.truncate:
                        return
        except OSError:
            return


def _read(stream: Any) -> Asked | None:
    line = stream.readline().decode("latin-1").split()
    if len(line) != 3:
        return None
    headers = {}
    while (text := stream.readline().decode("latin-1").strip()) != "":
        name, _, value = text.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", "0")))
    parts = urlsplit(line[1])
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return Asked(line[0], parts.path, query, headers, body, time.monotonic())


@contextmanager
def serving(answer: Answer | Reply | list[Reply]) -> Iterator[Server]:
    """A server that answers always the same, or one reply after the other (the last one for ever), or by function."""
    if isinstance(answer, Reply):
        fixed = answer
        script: Answer = lambda _: fixed  # noqa: E731
    elif isinstance(answer, list):
        replies = answer
        script = lambda _: replies.pop(0) if len(replies) > 1 else replies[0]  # noqa: E731
    else:
        script = answer
    server = Server(script)
    try:
        yield server
    finally:
        server.close()
