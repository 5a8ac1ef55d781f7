"""Dead letters: messages that the consumer refused, from RAW, from the lake (landed, not loaded) and from Kafka.

The three systems in; each refused message once out, under its original identity. A dead letter of another program,
without our headers, is identified by its own position. A batch that cannot be decoded is one dead letter for a range of
offsets, and never was a message of the dead-letter topic.
"""

import base64
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import orjson

from stocklib.quotes import from_epoch
from stocklib.sessions import new_york_date
from stocklib.settings import Settings
from stocklib.stream import Inspector, Message, event_seq
from stocklib.warehouse import Warehouse

log = logging.getLogger(__name__)

_LARGEST = 2**63 - 1
_LAST_PARTITION = 2**31 - 1
# The headers that the consumer adds to a refused message; the others are the message's own.
_ADDED = {"topic", "topic_id", "partition", "offset", "reason", "last_offset", "full_bytes", "full_sha256"}
_FIELDS = ("topic", "topic_id", "partition", "offset", "timestamp", "key", "headers", "payload", "payload_base64")
_BEYOND = "in Kafka, not landed"


@dataclass(frozen=True)
class DeadLetter:
    """One refused message. ``topic`` to ``offset`` are its origin, ``dlq`` the position of its dead letter."""

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
        """Return its id for people, ``stock-quotes/0/17@3f9a2b1c``; the part after the @ names the topic's creation."""
        return f"{self.topic}/{self.partition}/{self.offset}@{self.topic_id[:8]}"

    @property
    def origin(self) -> tuple[str, str, int, int]:
        """Return the identity of the refused message."""
        return self.topic, self.topic_id, self.partition, self.offset

    @property
    def reason(self) -> str:
        """Return why it was refused."""
        return self.headers.get("reason", "no reason is given")

    @property
    def own_headers(self) -> dict[str, str]:
        """Return the headers that the message had."""
        return {name: text for name, text in self.headers.items() if name not in _ADDED}

    @property
    def is_batch(self) -> bool:
        """Return whether it is a batch that could not be decoded, and landed without a dead letter in Kafka."""
        last_offset = read_count(self.headers.get("last_offset"))
        return self.is_landed and self.origin == self.dlq and last_offset is not None

    @property
    def last(self) -> int:
        """Return the last offset that it covers."""
        return max(self.offset, int(self.headers["last_offset"])) if self.is_batch else self.offset

    @property
    def count(self) -> int:
        """Return the number of messages that it covers."""
        return self.last - self.offset + 1

    @property
    def is_ours(self) -> bool:
        """Return whether our consumer wrote it, rather than another program."""
        return self.origin != self.dlq or self.is_batch

    @property
    def is_landed(self) -> bool:
        """Return whether it is in the lake."""
        return self.place != _BEYOND

    @property
    def day(self) -> date | None:
        """Return the New York date of the refused message's timestamp; None where that is invalid or unknown."""
        return None if self.is_batch else day_of(self.timestamp_ms)

    @property
    def is_cut(self) -> bool:
        """Return whether only the beginning of its payload was kept."""
        return "full_bytes" in self.headers

    @cached_property
    def event(self) -> tuple[str, str, int] | None:
        """(run, symbol, seq) of the refused message; None for another program's."""
        run_id, seq = self.headers.get("run_id"), event_seq(self.headers)
        return (run_id, self.key, seq) if run_id and self.key and seq is not None else None

    @classmethod
    def of_message(cls, message: Message, *, place: str = _BEYOND) -> "DeadLetter":
        """Return the dead letter that is this message of the dead-letter topic; by default it has not landed."""
        dlq = message[:4]
        origin = read_position(message.headers)
        if origin is None or not origin[1]:
            origin = dlq
        return cls(*origin, message.timestamp_ms, message.key, message.headers, message.value, dlq, place)

    @classmethod
    def of_record(cls, record: Mapping[str, Any], *, place: str) -> "DeadLetter":
        """Return the dead letter of a landed line; ``ValueError`` for a line that our consumer did not write."""
        dlq, headers = read_position(record), record.get("headers") or {}
        if dlq is None:
            raise ValueError("it lacks its topic, partition or offset")
        if not isinstance(headers, dict):
            raise ValueError("its headers are not an object")
        payload, packed = record.get("payload"), record.get("payload_base64")
        value = None if payload is None else str(payload).encode()
        if value is None and packed:
            value = base64.b64decode(str(packed))
        key = None if record.get("key") is None else str(record["key"])
        # messages of other programs may have no timestamp, which is -1
        timestamp = str(record.get("timestamp"))
        timestamp_ms = (read_count(timestamp.removeprefix("-")) or 0) * (-1 if timestamp.startswith("-") else 1)
        texts = {str(name): str(text) for name, text in headers.items()}
        return cls.of_message(Message(*dlq, timestamp_ms, key, value, texts), place=place)


def read_position(fields: Mapping[str, Any]) -> tuple[str, str, int, int] | None:
    """Return (topic, topic id, partition, offset) of a landed record or of a dead letter's headers.

    The topic id may be empty; None where the others are not valid.
    """
    partition, offset = read_count(fields.get("partition")), read_count(fields.get("offset"))
    if not fields.get("topic") or partition is None or partition > _LAST_PARTITION or offset is None:
        return None
    return str(fields["topic"]), str(fields.get("topic_id") or ""), partition, offset


def day_of(timestamp_ms: int) -> date | None:
    """Return the New York date of a record's timestamp, which may be any number in another program's message.

    >>> day_of(1355495400000), day_of(2**62)
    (datetime.date(2012, 12, 14), None)
    """
    try:
        return new_york_date(from_epoch(timestamp_ms / 1000))
    except (ValueError, OverflowError, OSError):
        return None


def read_count(value: Any) -> int | None:
    """Return a whole number from 0 within 64 bits, given as a number or its digits; None for anything else.

    >>> read_count(17), read_count("17"), read_count("²"), read_count(True), read_count("9" * 5000)
    (17, 17, None, None, None)
    """
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(_LARGEST)):
        value = int(value)
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST
    return value if is_count else None


def landed_letters(records: Iterable[Mapping[str, Any]], *, place: str) -> list[DeadLetter]:
    """Return the dead letters among landed lines; other lines are logged and left out."""
    letters, foreign, why = [], 0, ""
    for record in records:
        try:
            letters.append(DeadLetter.of_record(record, place=place))
        except ValueError as error:
            foreign, why = foreign + 1, why or str(error)
    if foreign:
        log.warning("%d lines of dead_letters (%s) are no dead letters: %s; they are left out", foreign, place, why)
    return letters


def loaded_letters(warehouse: Warehouse) -> list[DeadLetter]:
    """Return the dead letters in RAW."""
    return landed_letters(_loaded(warehouse), place="in RAW")


def _loaded(warehouse: Warehouse) -> Iterator[dict[str, Any]]:
    for row in warehouse.records("dead_letters", _FIELDS):
        record = dict(zip(_FIELDS, row, strict=True))
        try:
            record["headers"] = orjson.loads(record["headers"] or "{}")
        except orjson.JSONDecodeError:
            # stays text: ``of_record`` rejects it
            log.debug("headers that are not JSON: %s", record["headers"])
        yield record


def read_letters(settings: Settings, *, landed: bool = False) -> list[DeadLetter]:
    """Return the dead letters in Kafka that have not landed, or all of them with ``landed``."""
    letters: list[DeadLetter] = []
    with Inspector(settings) as inspector:
        for position in inspector.positions([settings.kafka_dlq_topic]):
            first = position.first if landed else position.committed
            found = inspector.read(position, first=first, end=position.end)
            letters += [DeadLetter.of_message(one) for one in found if isinstance(one, Message)]
    return letters


def once(letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    """Return each refused message once, in the order of origin: of several dead letters the first."""
    first: dict[tuple[str, str, int, int], DeadLetter] = {}
    for letter in letters:
        first.setdefault(letter.origin, letter)
    return [first[origin] for origin in sorted(first)]
