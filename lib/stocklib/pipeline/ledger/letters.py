"""Dead letters: what the consumer refused, wherever it is now: in RAW, landed and not loaded, or in Kafka alone.

In go the three places; out comes each refused message once, under the identity that it had where it was refused. A
letter that a stranger wrote to the dead-letter topic, without our headers, has its own place for an identity. A batch
that cannot be decoded is one letter for a range of offsets, and never was a message of the dead-letter topic.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import orjson

from stocklib.quotes import from_epoch
from stocklib.sessions import new_york_date
from stocklib.settings import Settings
from stocklib.stream import Message, Onlooker
from stocklib.warehouse import Warehouse

# The headers that the consumer adds when it refuses a message; the others are the message's own.
_ORIGIN = ("topic", "topic_id", "partition", "offset")
_ADDED = {*_ORIGIN, "reason", "last_offset", "full_bytes", "full_sha256"}
_FIELDS = ("topic", "topic_id", "partition", "offset", "timestamp", "key", "headers", "payload", "payload_base64")
_BEYOND = "in Kafka, not landed"


@dataclass(frozen=True)
class Letter:
    """One refused message. ``topic`` to ``offset`` say where it was, ``dlq`` where its letter is."""

    topic: str
    topic_id: str
    partition: int
    offset: int
    timestamp_ms: int
    key: str | None
    headers: Mapping[str, str]
    payload: bytes | None
    dlq: tuple[str, str, int, int]
    place: str

    @property
    def id(self) -> str:
        """What a person types: ``stock-quotes/0/17@3f9a2b1c``; the part after the @ tells re-created topics apart."""
        return f"{self.topic}/{self.partition}/{self.offset}@{self.topic_id[:8]}"

    @property
    def origin(self) -> tuple[str, str, int, int]:
        """The identity of the refused message."""
        return self.topic, self.topic_id, self.partition, self.offset

    @property
    def reason(self) -> str:
        """Why it was refused."""
        return self.headers.get("reason", "no reason is given")

    @property
    def own_headers(self) -> dict[str, str]:
        """The headers that the message had."""
        return {name: text for name, text in self.headers.items() if name not in _ADDED}

    @property
    def is_batch(self) -> bool:
        """Whether it is a batch that could not be decoded, and landed without a message in the dead-letter topic."""
        return self.origin == self.dlq and self.headers.get("last_offset", "").isdigit()

    @property
    def last(self) -> int:
        """The last offset that it stands for."""
        return max(self.offset, int(self.headers["last_offset"])) if self.is_batch else self.offset

    @property
    def count(self) -> int:
        """How many messages it stands for."""
        return self.last - self.offset + 1

    @property
    def is_ours(self) -> bool:
        """Whether the consumer wrote it; else a stranger did."""
        return self.origin != self.dlq or self.is_batch

    @property
    def is_landed(self) -> bool:
        """Whether its letter is in the lake."""
        return self.place != _BEYOND

    @property
    def day(self) -> date | None:
        """The New York date of the refused message's timestamp; None where that is no instant, or not known."""
        return None if self.is_batch else day_of(self.timestamp_ms)

    @property
    def is_cut(self) -> bool:
        """Whether only the beginning of its payload was kept."""
        return "full_bytes" in self.headers

    @cached_property
    def event(self) -> tuple[str, str, int] | None:
        """(run, symbol, seq) of the refused message; None for a stranger's."""
        run_id, seq = self.headers.get("run_id"), self.headers.get("seq", "")
        return (run_id, self.key, int(seq)) if run_id and self.key and seq.isdigit() else None

    @classmethod
    def of_message(cls, message: Message) -> "Letter":
        """A message of the dead-letter topic that has not landed."""
        dlq = (message.topic, message.topic_id, message.partition, message.offset)
        return cls(*_origin(message.headers, dlq), *message[4:6], message.headers, message.value, dlq, _BEYOND)

    @classmethod
    def of_record(cls, record: Mapping[str, Any], *, place: str) -> "Letter":
        """A landed line of dead_letters."""
        dlq = (str(record["topic"]), str(record["topic_id"]), int(record["partition"]), int(record["offset"]))
        headers = {str(name): str(text) for name, text in (record["headers"] or {}).items()}
        payload = record.get("payload")
        packed = base64.b64decode(record["payload_base64"]) if record.get("payload_base64") else None
        value = packed if payload is None else str(payload).encode()
        return cls(*_origin(headers, dlq), int(record["timestamp"]), record["key"], headers, value, dlq, place)


def day_of(timestamp_ms: int) -> date | None:
    """The New York date of a record's timestamp; strangers write any number there.

    >>> day_of(1355495400000), day_of(2**62)
    (datetime.date(2012, 12, 14), None)
    """
    try:
        return new_york_date(from_epoch(timestamp_ms / 1000))
    except (ValueError, OverflowError, OSError):
        return None


def loaded_letters(warehouse: Warehouse) -> list[Letter]:
    """The letters in RAW."""
    letters = []
    for row in warehouse.records("dead_letters", _FIELDS):
        record = dict(zip(_FIELDS, row, strict=True))
        record["headers"] = orjson.loads(record["headers"] or "{}")
        letters.append(Letter.of_record(record, place="in RAW"))
    return letters


def read_letters(settings: Settings, *, landed: bool = False) -> list[Letter]:
    """The letters that Kafka holds: those that have not landed, or all of them with ``landed``."""
    letters: list[Letter] = []
    with Onlooker(settings) as onlooker:
        for position in onlooker.positions([settings.kafka_dlq_topic]):
            first = position.first if landed else position.committed
            found = onlooker.read(position, first=first, end=position.end)
            letters += [Letter.of_message(one) for one in found if isinstance(one, Message)]
    return letters


def once(letters: Iterable[Letter]) -> list[Letter]:
    """Each refused message once, however often it was refused, in the order of origin; the first letter is taken."""
    best: dict[tuple[str, str, int, int], Letter] = {}
    for letter in letters:
        best.setdefault(letter.origin, letter)
    return [best[origin] for origin in sorted(best)]


def _origin(headers: Mapping[str, str], dlq: tuple[str, str, int, int]) -> tuple[str, str, int, int]:
    topic, topic_id, partition, offset = (headers.get(name, "") for name in _ORIGIN)
    if not (topic and topic_id and partition.isdigit() and offset.isdigit()):
        return dlq
    return topic, topic_id, int(partition), int(offset)
