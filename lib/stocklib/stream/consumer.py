"""Reading: in polls, as a member of a group, committing only what the caller says is safe."""

import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition

from stocklib.errors import StreamError
from stocklib.settings import Settings
from stocklib.stream.broker import FAILURES, connect, create_topics, topic_ids, translated
from stocklib.stream.group import JoinWatch, keep_joined, take_place
from stocklib.stream.messages import Message, UnreadableBatch, read_into_messages

log = logging.getLogger(__name__)

# How often a running consumer asks whether a topic was deleted and created again.
_IDENTITY_SECONDS = 30.0
# How soon a client notices new partitions of a topic; until then no member reads them.
_METADATA_MS = 10_000
# A group that has not settled after the first time is reported; after the second, or a session, a new client joins.
_TROUBLE_SECONDS, _REPLACE_SECONDS = 15.0, 30.0


class Partition(TopicPartition):  # type: ignore[misc]
    """One partition of a topic; it equals the client's own object."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


class Consumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """A member of the group ``KAFKA_GROUP``, to be used from one thread.

    ``on_lost`` is called with the partitions that this member no longer owns, while it is inside ``poll`` or ``close``:
    forget what was read from them and not committed; a member of the group reads it again.
    """

    _client: Any
    _watch: JoinWatch
    _watch_at: float

    def __init__(
        self, settings: Settings, topics: Iterable[str], *, on_lost: Callable[[set[Partition]], None] | None = None
    ) -> None:
        self._settings = settings
        self._topics = list(topics)
        self._on_lost = on_lost
        # assigned partitions whose start ``poll`` must still seek
        self._to_begin: set[Partition] = set()
        create_topics(settings)
        self._ids = topic_ids(settings, self._topics)
        # whether the group has not yet assigned the partitions
        self.is_joining = True
        self._asked = time.monotonic()
        # since when the group has not settled, and since when this client has tried
        self._joining_since = self._client_since = self._asked
        # why Kafka did not answer the last question about the topics, asked every half minute
        self._unanswered: str | None = None
        self._recreated: set[str] = set()
        # the next offset of each partition that this member reads
        self._next: dict[Partition, int] = {}
        # topics that were deleted
        self.missing: list[str] = []
        # first and last offsets that Kafka deleted before they were read, by partition
        self.deleted: dict[Partition, list[tuple[int, int]]] = {}
        self._join()

    @property
    def assigned(self) -> set[Partition]:
        """Return the partitions that this member reads now; empty until the group has assigned them."""
        return {Partition(*native) for native in self._client.assignment()}

    @property
    def trouble(self) -> str | None:
        """Return what keeps this member from reading; None while nothing does."""
        if self.missing:
            return f"Kafka has no topic {', '.join(self.missing)} any more: create it again, or start `stocks produce`"
        joining = time.monotonic() - self._joining_since
        if not self.is_joining or joining < _TROUBLE_SECONDS:
            return self._unanswered
        return (
            f"the consumer group {self._settings.kafka_group} has not settled for {joining:.0f} s: another member is "
            "slow, or was killed and has not expired; on the embedded broker, `stocks down` and `stocks up` set it free"
        )

    def poll(self, seconds: float, *, limit: int = 5000) -> dict[Partition, list[Message | UnreadableBatch]]:
        """Return what has come, in the order of offsets; wait up to ``seconds`` when nothing has.

        A batch that cannot be decoded keeps its position among the messages.
        """
        with translated(self._settings, "reading"):
            polled = self._client.poll(timeout_ms=round(seconds * 1000), max_records=limit)
            if self.is_joining and self._help_joining():
                return {}
            is_due = bool(self._to_begin) or time.monotonic() - self._asked > _IDENTITY_SECONDS
            # offsets that start again may belong to another topic of this name
            is_due = is_due or any(found[0].offset < self._next.get(p, 0) for p, found in polled.items())
            # never during a join: the embedded broker would wait for a leader that has left
            if is_due and not self.is_joining and not self._check_identity():
                self._rejoin()
                return {}
            if self._to_begin:
                polled = self._begin_assigned(polled)
        found = {Partition(*native): messages for native, messages in polled.items()}
        self._find_deleted(p for p, messages in found.items() if messages[0].offset > self._next.get(p, 2**63))
        self._next |= {partition: messages[-1].last + 1 for partition, messages in found.items()}
        return found

    def commit(self, offsets: Mapping[Partition, int]) -> bool:
        """Tell Kafka that everything before these offsets is safe.

        Return False when Kafka refused (the group is changing, or the broker is away) and for a partition that another
        member reads now: the next commit covers it, or the messages come again.
        """
        # brokers check only that the member belongs to the group, not which partitions it owns
        if lost := set(offsets) - self.assigned:
            log.warning("not committed, since another member reads it now: %s", ", ".join(map(str, lost)))
            offsets = {p: offset for p, offset in offsets.items() if p not in lost}

        # with the topic's id, so that an offset of a deleted topic is not used for its successor
        marks = {p: OffsetAndMetadata(offset, self._ids.get(p.topic, ""), -1) for p, offset in offsets.items()}
        try:
            self._client.commit(marks, timeout_ms=10_000)
        except FAILURES as error:
            log.warning("Kafka at %s did not confirm a commit: %r", self._settings.kafka_broker, error)
            return False
        return not lost

    def pause(self) -> None:
        """Read nothing until ``resume``; membership stays as long as ``poll`` is called."""
        self._client.pause(*self._client.assignment())

    def resume(self) -> None:
        """Read again."""
        self._client.resume(*self._client.paused())

    def lag(self) -> dict[Partition, int]:
        """Return how many unread messages each partition has; known after the first poll of a partition."""
        behind = {}
        for native in self._client.assignment():
            end = self._client.highwater(native)
            if end is not None:
                with translated(self._settings, "asking for a position"):
                    # None while the client still asks where to begin
                    position = self._client.position(native, timeout_ms=1000)
                    if position is not None:
                        behind[Partition(*native)] = max(0, end - position)
        return behind

    @property
    def unread(self) -> int | None:
        """Return the number of unread messages; None until Kafka has reported each partition."""
        behind = self.lag()
        return None if self.is_joining or behind.keys() != self.assigned else sum(behind.values())

    def close(self) -> None:
        """Leave the group."""
        with translated(self._settings, "leaving the group"):
            self._client.close(autocommit=False, timeout_ms=5000)

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        """Forget these partitions; the client calls it within ``poll`` and ``close``."""
        lost = {Partition(*native) for native in revoked}
        self._to_begin -= lost
        if not self.is_joining:
            self._joining_since = self._client_since = time.monotonic()
        self.is_joining = True
        if self._on_lost:
            self._on_lost(lost)

    def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """Note these partitions; the client calls it within ``poll``."""
        self._to_begin |= {Partition(*native) for native in assigned}
        self.is_joining = False

    def _help_joining(self) -> bool:
        """Join with a new client where this one cannot; return whether it was replaced."""
        now = time.monotonic()
        if now - max(self._asked, self._joining_since) > _TROUBLE_SECONDS:
            self._asked = now
            # a group does not settle on a deleted topic
            ids = topic_ids(self._settings, self._topics)
            self.missing = [topic for topic in self._topics if topic not in ids]
        # the group waits for a killed member until its session expires
        if now - self._client_since > max(_REPLACE_SECONDS, self._settings.kafka_session_timeout_ms / 1000):
            log.warning("%s; joining it with a new client", self.trouble)
            self._drop_client()
            self._join()
            return True
        if now < self._watch_at:
            return False
        # random, so that of several members that miss the same leader one is first
        self._watch_at = now + random.uniform(0.2, 2.0)  # noqa: S311 - no secret
        if leader := self._watch.gone_leader():
            self._drop_client()
            self._join(in_place_of=leader)
        return leader is not None

    def _begin_assigned(self, polled: dict[Any, list[Any]]) -> dict[Any, list[Any]]:
        """Seek the new partitions to their committed offsets, and drop what this poll brought of them.

        The client keeps its position in a partition that it keeps over a rebalance, although ``on_lost`` dropped what
        was read of it: without the seek those messages would be skipped.
        """
        fresh, self._to_begin = self._to_begin, set()
        self._next = {partition: offset for partition, offset in self._next.items() if partition not in fresh}
        for partition in fresh:
            mark = self._client.committed(partition, metadata=True, timeout_ms=10_000)
            # the offset of a deleted topic means nothing in its successor
            stale = mark and mark.metadata and mark.metadata != self._ids.get(partition.topic)
            if mark is None or stale or (partition.topic in self._recreated and not mark.metadata):
                self._client.seek_to_beginning(partition)
                self._next[partition] = 0
            else:
                self._client.seek(partition, mark.offset)
                self._next[partition] = mark.offset
        self._find_deleted(fresh)
        self._recreated -= {partition.topic for partition in fresh}
        return {partition: found for partition, found in polled.items() if partition not in fresh}

    def _find_deleted(self, partitions: Iterable[Partition]) -> None:
        """Record the offsets that Kafka deleted between the next one to read and the first that it still has.

        The client itself skips them silently.
        """
        read = [partition for partition in partitions if partition in self._next]
        if not read:
            return
        with suppress(*FAILURES):
            for native, first in self._client.beginning_offsets(read, timeout_ms=5000).items():
                partition, since = Partition(*native), self._next[native]
                if first > since:
                    self.deleted.setdefault(partition, []).append((since, first - 1))
                    self._next[partition] = first
                    log.error(
                        "Kafka has deleted %s offsets %d to %d before they were read: see `stocks ledger`, and the "
                        "topic's retention (retention.ms=-1 keeps everything)",
                        *(partition, since, first - 1),
                    )

    def _check_identity(self) -> bool:
        """Return whether the topics are still the same creations."""
        self._asked = time.monotonic()
        try:
            ids = topic_ids(self._settings, self._topics)
        except StreamError as error:
            if self._to_begin:
                # where to begin in a new partition depends on it
                raise
            log.debug("asking for topic ids: %s", error)
            self._unanswered = str(error)
            return True
        self._unanswered = None
        self.missing = [topic for topic in self._topics if topic not in ids]
        changed = {topic for topic, topic_id in ids.items() if topic_id != self._ids.get(topic)}
        # a deleted or replaced topic has no such offsets
        self._find_deleted(p for p in self.assigned if p.topic in ids and p.topic not in changed)
        self._ids |= ids
        self._recreated |= changed
        return not changed

    def _rejoin(self) -> None:
        """Join again with a new client: the old one would notice a new topic only minutes later."""
        log.warning("%s was created again: reading it from its start", ", ".join(self._recreated))
        self._drop_client()
        self._joining_since = time.monotonic()
        self._join()

    def _drop_client(self) -> None:
        with suppress(*FAILURES):
            self._client.close(autocommit=False, timeout_ms=5000)
        self._to_begin = set()
        self._next = {}
        self.is_joining = True

    def _join(self, *, in_place_of: str | None = None) -> None:
        self._client_since = self._watch_at = time.monotonic()
        self._client = _connect(self._settings)
        keep_joined(self._client)
        self._watch = JoinWatch(self._client)
        if in_place_of:
            take_place(self._client, in_place_of)
        read_into_messages(self._client, self._ids)
        with translated(self._settings, "subscribing"):
            self._client.subscribe(self._topics, listener=self)
            for topic in self._topics:
                # known before the first join, or the group would settle first on no partitions and then again
                self._client.partitions_for_topic(topic)


def _connect(settings: Settings) -> Any:
    session_ms = settings.kafka_session_timeout_ms
    return connect(
        settings,
        KafkaConsumer,
        group_id=settings.kafka_group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=session_ms,
        heartbeat_interval_ms=max(1, min(3000, session_ms // 3)),
        max_partition_fetch_bytes=4 * 2**20,
        fetch_max_wait_ms=200,
        metadata_max_age_ms=_METADATA_MS,
        # skips aborted transactions, where a broker supports transactions (the embedded one does not)
        isolation_level="read_committed",
    )
