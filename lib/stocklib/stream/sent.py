"""A message in flight to the brokers, and its cut form where they refuse its size."""

import hashlib
import time
from dataclasses import dataclass, field
from typing import Any

# What every broker accepts: the default limit is 1 MiB a message.
_VALUE_BYTES, _HEADER_BYTES, _TEXT_BYTES = 64 * 1024, 32 * 1024, 2048


@dataclass(slots=True)
class Sent:
    """A message with all that sending it again needs; ``delivery`` is the client's future of its confirmation."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: list[tuple[str, bytes]]
    symbol: str = ""
    seq: int = 0
    delivery: Any = None
    is_cut: bool = False
    is_spooled: bool = False
    since: float = field(default_factory=time.monotonic, compare=False)

    @property
    def is_doubtful(self) -> bool:
        """Return whether a broker confirmed it without an offset, as a duplicate that it has seen before.

        The embedded broker says so of messages that it lost to a kill -9 between recording a batch and writing it.
        Sending them again is safe: they keep their seq.
        """
        return bool(
            self.delivery and self.delivery.is_done and self.delivery.succeeded() and self.delivery.value.offset < 0
        )

    @property
    def size(self) -> int:
        """Return the size in bytes of key, value and headers."""
        headers = sum(len(name) + len(text) for name, text in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers

    def cut(self) -> None:
        """Keep the beginning of the value; the headers ``full_bytes`` and ``full_sha256`` describe the whole one.

        The last headers are kept: they say where the message came from.
        """
        value = self.value or b""
        note = {"full_bytes": str(len(value)), "full_sha256": hashlib.sha256(value).hexdigest()}
        kept: list[tuple[str, bytes]] = []
        size = 0
        for name, text in reversed(self.headers):
            header = (name[:_TEXT_BYTES], _begin(text, _TEXT_BYTES))
            size += len(header[0].encode()) + len(header[1])
            if size > _HEADER_BYTES:
                break
            kept.append(header)
        self.headers = [*reversed(kept), *((name, text.encode()) for name, text in note.items())]
        self.key = None if self.key is None else _begin(self.key, _TEXT_BYTES)
        self.value = _begin(value, _VALUE_BYTES)
        self.is_cut = True


def _begin(text: bytes, limit: int) -> bytes:
    """Return the first bytes, without half a character at their end.

    >>> _begin("né".encode(), 2), _begin(b"ne", 2)
    (b'n', b'ne')
    """
    end = min(limit, len(text))
    while end < len(text) and end > max(0, limit - 4) and text[end] & 0xC0 == 0x80:
        end -= 1
    return text[:end]
