"""Outages to order: a server killed by its record, and a proxy that can be cut between a client and a server."""

import asyncio
import os
import re
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stocklib.settings import Settings
from stocklib.stream import Consumer, Message
from workbench.embedded import processes


def kill(home: Path, name: str) -> None:
    """kill -9 an embedded server (``s3``, ``kafka``) of a home, and wait until it is gone."""
    daemon = processes.recall(home / "embedded" / name)
    assert daemon
    os.kill(daemon.pid, signal.SIGKILL)
    # a Java's threads may hold its ports for a moment longer than it lives
    wait_for(lambda: not daemon.is_alive() and all(map(processes.is_free, daemon.ports.values())))


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """No file of this process, or of one that it starts, can grow beyond ``size`` bytes: a full disk.

    Nor is compiled code written: Python leaves what fits, and fails to import it from then on.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = sys.dont_write_bytecode, os.environ.get("PYTHONDONTWRITEBYTECODE")
    sys.dont_write_bytecode, os.environ["PYTHONDONTWRITEBYTECODE"] = True, "1"
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        sys.dont_write_bytecode, was = before
        if was is None:
            del os.environ["PYTHONDONTWRITEBYTECODE"]
        else:
            os.environ["PYTHONDONTWRITEBYTECODE"] = was


def wait_for(truth: Callable[[], bool], *, seconds: float = 90) -> None:
    """Wait until something is true; fail when it does not become so."""
    deadline = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def drain(settings: Settings, *, count: int, topic: str = "", seconds: float = 90) -> list[Message]:
    """All messages of a topic (the quotes'): at least so many, and whatever comes within a moment after.

    A consumer whose group has not settled is replaced after 30 seconds, so more than that is waited.
    """
    consumer = Consumer(settings, [topic or settings.kafka_topic])
    found: list[Message] = []
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            polled = [message for messages in consumer.poll(0.3).values() for message in messages]
            found += polled
            if len(found) >= count and not polled:
                break
    finally:
        consumer.close()
    assert len(found) >= count
    return found


class Proxy:
    """Passes TCP on to ``host:port`` until it is cut, stalled or made slow; ``mend`` lets everything through again.

    ``passed`` counts the bytes that went to the server.
    """

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._target_port = int(port)
        self._open = True
        self._swallowing = False
        self.swallowed = 0
        self.passed = 0
        self._flows = threading.Event()
        self._flows.set()
        self._rate: float | None = None
        self._says = b""
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._run(self._listen())
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Break every connection, and refuse new ones."""
        self._open = False
        self._run(self._hang_up())

    def swallow(self) -> None:
        """Pass requests on and lose the answers: what was asked for is done, and nobody learns of it."""
        self._swallowing = True

    def stall(self) -> None:
        """Take connections and requests, and answer nothing until it is mended."""
        self._flows.clear()

    def slow(self, rate: float) -> None:
        """Let so many bytes a second through, each way."""
        self._rate = rate

    def say(self, answer: bytes) -> None:
        """Answer this to every request, in the server's place."""
        self._says = answer
        self._run(self._hang_up())

    def mend(self) -> None:
        """Let connections and answers through again."""
        self._open, self._swallowing, self._rate, self._says = True, False, None, b""
        self._flows.set()

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._hang_up())
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _close(self) -> None:
        self._server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _hang_up(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        if self._says:
            await self._reply(reader, writer)
            return
        with suppress(OSError):
            upstream, onward = await asyncio.open_connection(self._host, self._target_port)
            self._writers |= {writer, onward}
            await asyncio.gather(self._pass(reader, onward), self._pass(upstream, writer, answers=True))
            self._writers -= {writer, onward}

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b"100-continue" in head:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if sized := re.search(rb"content-length: *(\d+)", head):
                await reader.readexactly(int(sized[1]))
            writer.write(self._says)
            await writer.drain()
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False) -> None:
        with suppress(OSError):
            while data := await reader.read(min(65_536, round(self._rate / 10)) if self._rate else 65_536):
                while not self._flows.is_set():
                    await asyncio.sleep(0.02)
                if self._rate:
                    await asyncio.sleep(len(data) / self._rate)
                self.passed += 0 if answers else len(data)
                # "go on" is no answer yet: without it, the client would not send what it has
                if answers and self._swallowing and not data.startswith(b"HTTP/1.1 100 "):
                    self.swallowed += 1
                    writer.transport.abort()
                    return
                writer.write(data)
                await writer.drain()
        writer.close()
