"""The inspector: where each partition begins and ends, how far the group has committed, and the messages.

It is not a member of the group: it moves no offset, and no member notices it.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple, Self

from kafka import KafkaConsumer, TopicPartition

from stocklib.errors import StreamError
from stocklib.settings import Settings
from stocklib.stream.broker import FAILURES, connect, topic_ids, translated
from stocklib.stream.messages import Message, UnreadableBatch, read_into_messages

_SILENT_SECONDS = 20.0


class Position(NamedTuple):
    """A partition now: its messages have the offsets ``first`` to ``end`` - 1; those before ``committed`` landed."""

    topic: str
    topic_id: str
    partition: int
    first: int
    committed: int
    end: int


class Inspector:
    """Reads topics without joining a group; use it from one thread, in a ``with`` block."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Any = connect(
            settings,
            KafkaConsumer,
            group_id=settings.kafka_group,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=4 * 2**20,
            fetch_max_wait_ms=100,
            isolation_level="read_committed",
        )
        self._ids: dict[str, str] = {}
        read_into_messages(self._client, self._ids, up_to_open=True)

    def positions(self, topics: Iterable[str]) -> list[Position]:
        """Return the position of every partition of these topics; a topic that does not exist has none."""
        ids = topic_ids(self._settings, topics)
        with translated(self._settings, "asking for positions"):
            numbers = {topic: sorted(self._client.partitions_for_topic(topic) or ()) for topic in ids}
            natives = [TopicPartition(topic, number) for topic in ids for number in numbers[topic]]
            if not natives:
                return []
            begins = self._client.beginning_offsets(natives)
            marks = {native: self._committed(native, ids[native.topic], begins[native]) for native in natives}
            self._client.assign(natives)
            for native in natives:
                self._client.seek(native, max(marks[native], begins[native]))
            ends = self._ends(natives)
        return [
            Position(n.topic, ids[n.topic], n.partition, begins[n], min(marks[n], ends[n]), ends[n]) for n in natives
        ]

    def read(self, position: Position, *, first: int, end: int) -> Iterator[Message | UnreadableBatch]:
        """Yield the messages of a partition whose offsets are ``first`` to ``end`` - 1, as far as they exist."""
        if first >= end:
            return
        self._ids[position.topic] = position.topic_id
        native = TopicPartition(position.topic, position.partition)
        with translated(self._settings, f"reading {position.topic}"):
            self._client.assign([native])
            self._client.seek(native, first)
            last_seen = time.monotonic()
            while self._client.position(native) < end:
                for record in self._client.poll(timeout_ms=200, max_records=5000).get(native, []):
                    last_seen = time.monotonic()
                    if record.offset >= end:
                        return
                    yield record
                if time.monotonic() - last_seen > _SILENT_SECONDS:
                    raise StreamError(
                        f"{position.topic}/{position.partition} gave nothing from offset "
                        f"{self._client.position(native)} on, but has messages up to {end - 1}; check that Kafka runs"
                    )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(*FAILURES):
            self._client.close(autocommit=False, timeout_ms=5000)

    def _committed(self, native: Any, topic_id: str, begin: int) -> int:
        """Return the committed offset; one of a deleted topic means nothing in its successor."""
        mark = self._client.committed(native, metadata=True, timeout_ms=10_000)
        if mark is None or (mark.metadata and mark.metadata != topic_id):
            return begin
        return max(begin, int(mark.offset))

    def _ends(self, natives: list[Any]) -> dict[Any, int]:
        # end_offsets is wrong on brokers that count batches; the high watermark of a fetch is right on all
        deadline = time.monotonic() + _SILENT_SECONDS
        while True:
            self._client.poll(timeout_ms=100, max_records=1)
            ends = {native: self._client.highwater(native) for native in natives}
            if all(end is not None for end in ends.values()):
                return ends
            if time.monotonic() > deadline:
                raise StreamError(f"Kafka at {self._settings.kafka_broker} does not say how long its topics are")
