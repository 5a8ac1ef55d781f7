"""The spool: messages on disk until Kafka has confirmed them, one append-only file a run in ``STOCKS_HOME/spool``.

A message is written before it is sent, so that neither an outage nor a kill -9 loses one; a confirmed one is removed.
While Kafka is away messages wait only here, and ``next_waiting`` returns them later, in order. The next run finds the
file of an ended run with ``abandoned``; its messages keep their run id and seq, under which some may have arrived
already.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import orjson

from stocklib.host import lock
from stocklib.state_files import sync_folder
from stocklib.stream.sent import Sent

log = logging.getLogger(__name__)

_SYNC_SECONDS = 1.0
# A file whose beginning is confirmed is compacted from so many bytes on.
_COMPACT_BYTES = 1_000_000


class Spool:
    """The file of one run, locked while the run lives. ``OSError`` where the disk refuses a message.

    ``held`` counts the messages that are not confirmed, ``waiting`` those of them that are not sent either.
    """

    def __init__(self, home: Path, *, run_id: str) -> None:
        self.path = home / "spool" / f"{run_id}.spool"
        self.waiting = 0
        self._sizes: deque[int] = deque()
        self._written = self._confirmed = 0
        # byte offsets: the end of the confirmed messages, the start of the waiting ones, the end of the file
        self._confirmed_end = self._next = self._end = 0
        self._synced = 0.0
        # confirmed bytes at which it is compacted; doubled after a failure, since each try costs the same
        self._compact_at = _COMPACT_BYTES
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = _open_locked(self.path)
        # a power cut may lose the name of a new file, and with it what was synced
        sync_folder(self.path.parent)

    @property
    def held(self) -> int:
        """Return the number of messages that are not confirmed."""
        return len(self._sizes)

    @property
    def size(self) -> int:
        """Return the size of the unconfirmed messages in bytes."""
        return self._end - self._confirmed_end

    def append(self, message: Sent, *, waits: bool) -> None:
        """Write a message. With ``waits=False`` the caller sends it immediately; nothing else may be waiting."""
        line = encode(message, number=self._written + 1, confirmed=self._confirmed)
        try:
            if os.write(self._file, line) < len(line):
                raise OSError(f"only a part of a message could be written to {self.path}")
        except OSError:
            os.ftruncate(self._file, self._end)
            raise
        self._written += 1
        self._end += len(line)
        self._sizes.append(len(line))
        if waits:
            self.waiting += 1
        else:
            self._next = self._end

    def next_waiting(self) -> Sent:
        """Return the first waiting message, which no longer waits: the caller sends it."""
        line = _read_line(self._file, self._next)
        self._next += len(line)
        self.waiting -= 1
        record = decode(line)
        if record is None:
            raise OSError(f"{self.path} was changed by another process")
        return _message(record)

    def confirm(self) -> None:
        """Drop the first unconfirmed message: Kafka has confirmed it."""
        self._confirmed_end += self._sizes.popleft()
        self._confirmed += 1
        if not self._sizes:
            os.ftruncate(self._file, 0)
            self._confirmed_end = self._next = self._end = 0
            self._compact_at = _COMPACT_BYTES
        elif self._confirmed_end > max(self._compact_at, self._end // 2):
            self._compact()

    def sync(self) -> None:
        """Sync the file to disk at most once a second, for outages that include the power."""
        if time.monotonic() - self._synced >= _SYNC_SECONDS:
            os.fsync(self._file)
            self._synced = time.monotonic()

    def close(self) -> None:
        """Close the file; it stays where it holds messages."""
        if not self._sizes:
            discard(self.path)
        os.close(self._file)

    def _compact(self) -> None:
        """Replace the file by one with the unconfirmed messages."""
        fresh = self.path.with_suffix(".tmp")
        kept = os.pread(self._file, self._end - self._confirmed_end, self._confirmed_end)
        file = None
        try:
            file = _open_locked(fresh)
            # a nearly full disk writes only a part, without an error
            if os.write(file, kept) < self._end - self._confirmed_end:
                raise OSError(f"only a part of it could be written to {fresh}")
            os.fsync(file)
            fresh.replace(self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            log.warning("%s cannot be compacted (%s) and grows", self.path, error)
            if file is not None:
                os.close(file)
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
            self._compact_at = 2 * self._confirmed_end
            return
        os.close(self._file)
        self._file = file
        self._compact_at = _COMPACT_BYTES
        self._next, self._end, self._confirmed_end = self._next - self._confirmed_end, len(kept), 0


def encode(message: Sent, *, number: int, confirmed: int) -> bytes:
    """Return a record: a line that begins with its checksum. ``confirmed`` is how many earlier ones are confirmed."""
    body = orjson.dumps(
        {
            "number": number,
            "confirmed": confirmed,
            "topic": message.topic,
            "key": (message.key or b"").decode("latin-1"),
            "timestamp_ms": message.timestamp_ms,
            "headers": [[name, text.decode("latin-1")] for name, text in message.headers],
            "seq": message.seq,
            "value": (message.value or b"").decode("latin-1"),
        }
    )
    return b"%08x %b\n" % (crc32(body), body)


def decode(line: bytes) -> dict[str, Any] | None:
    """Return the record of a line; None when the line is torn, or was written by another program."""
    checksum, _, body = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % crc32(body):
        return None
    try:
        record: dict[str, Any] = orjson.loads(body)
        counts = record["number"], record["confirmed"], record["seq"], record["timestamp_ms"]
        _message(record)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    is_ours = all(type(number) is int for number in counts) and isinstance(record["topic"], str)
    return record if is_ours else None


def read_spool(path: Path) -> Iterator[Sent]:
    """Yield the messages of a file that may be unconfirmed, in order; torn lines are left out."""
    confirmed = max((record["confirmed"] for record in _records(path)), default=0)
    for record in _records(path):
        if record["number"] > confirmed:
            # they count for the run that wrote them, not for the one that sends them
            yield replace(_message(record), symbol="", is_spooled=False)


def count_torn(path: Path) -> int:
    """Return how many lines of a file are torn: their events are lost, unless Kafka had them."""
    with path.open("rb") as lines:
        return sum(decode(line) is None for line in lines)


@contextmanager
def abandoned(home: Path) -> Iterator[list[Path]]:
    """Yield the files of ended runs, locked within the block: read them, send them and call ``discard``."""
    files: list[int] = []
    found: list[Path] = []
    try:
        for path in sorted((home / "spool").glob("*.spool")):
            try:
                files.append(os.open(path, os.O_RDWR))
            except FileNotFoundError:
                continue
            except OSError as error:
                log.error("%s cannot be read (%s): what it holds is not sent", path, error.strerror or error)
                continue
            if lock(files[-1], wait=0):
                found.append(path)
        yield found
    finally:
        for file in files:
            os.close(file)


def discard(path: Path) -> None:
    """Delete a file whose messages are all confirmed."""
    path.with_suffix(".tmp").unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def keep_torn(path: Path) -> None:
    """Rename a file whose whole lines are sent: its torn lines are lost, and ``stocks status`` reports them."""
    path.with_suffix(".tmp").unlink(missing_ok=True)
    path.replace(path.with_suffix(".torn"))


def damaged_spools(home: Path) -> list[str]:
    """Return a sentence for each file that lost events or that cannot be read."""
    damages = [
        f"{path} had lines that were torn (a power cut?): the events in them were not confirmed, and are lost; "
        "delete it to take note of that"
        for path in sorted((home / "spool").glob("*.torn"))
    ]
    for path in sorted((home / "spool").glob("*.spool")):
        try:
            path.open("rb").close()
        except FileNotFoundError:
            continue
        except OSError as error:
            damages.append(f"{path} cannot be read ({error.strerror or error}): what it holds is not sent")
    return damages


def _open_locked(path: Path) -> int:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        # a process that looked for abandoned files may have deleted it first
        with suppress(FileNotFoundError):
            if lock(file, wait=5) and path.stat().st_ino == os.fstat(file).st_ino:
                return file
        os.close(file)


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as lines:
        for line in lines:
            if record := decode(line):
                yield record


def _read_line(file: int, start: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        part = os.pread(file, 4096, start + len(line))
        end = part.find(b"\n") + 1
        line += part[:end] if end else part
        if not part:
            break
    return line


def _message(record: dict[str, Any]) -> Sent:
    return Sent(
        record["topic"],
        record["key"].encode("latin-1"),
        record["value"].encode("latin-1"),
        record["timestamp_ms"],
        [(name, text.encode("latin-1")) for name, text in record["headers"]],
        record["key"],
        record["seq"],
        is_spooled=True,
    )
