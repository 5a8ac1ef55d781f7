"""stream → lake: messages become objects, a batch at a time; offsets are committed after their object is written.

A batch belongs to one partition and is closed by count, bytes or age. After a crash between writing and committing, the
same messages are in two objects; silver counts them once. A malformed message goes to the dead-letter topic, and lands
from there. While S3 is out of reach reading pauses, the batches are tried again, and the group membership stays.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from stocklib.backoff import Backoff
from stocklib.errors import LakeError, StreamError
from stocklib.lake import Lake
from stocklib.monitoring.heartbeat import Heartbeat, name_run
from stocklib.pipeline.landing import validation
from stocklib.pipeline.landing.run_end import RunEnd
from stocklib.pipeline.landing.uploads import OpenBatch, Uploads
from stocklib.settings import Settings
from stocklib.stream import Consumer, Message, Partition, Producer, UnreadableBatch

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.2
_MAX_OPEN_BYTES = 64_000_000
# How long a run that is stopping waits for S3.
_LAST_CHANCE = 20.0
# A message that Kafka counts and does not deliver for so long does not exist: a killed broker may lose its last ones.
_SLOW_ANSWER = 20.0
# A producer's clock may be this far ahead of ours; a later timestamp is wrong.
_AHEAD_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class LandedBatch:
    """One object that was written: its content and its key."""

    dataset: str
    key: str
    topic: str
    partition: int
    first: int
    last: int
    messages: int
    bytes: int


@dataclass(slots=True)
class LandResult:
    """The result of one run. ``messages`` counts those of every dataset; ``dead_letters`` those that were refused."""

    messages: int = 0
    objects: int = 0
    bytes: int = 0
    dead_letters: int = 0
    seconds: float = 0.0
    ended: str = ""

    def __str__(self) -> str:
        dead = f", {self.dead_letters:,} sent to the dead letters" if self.dead_letters else ""
        return (
            f"landed {self.messages:,} messages in {self.objects:,} objects ({self.bytes / 1e6:,.1f} MB before "
            f"compression){dead} in {self.seconds:.1f} s; {self.ended}"
        )


def land(
    settings: Settings,
    *,
    duration: float | None = None,
    max_quotes: int | None = None,
    until_idle: float | None = None,
    until_close: bool = False,
    stop: threading.Event | None = None,
    drain: threading.Event | None = None,
    on_batch: Callable[[LandedBatch], None] | None = None,
) -> LandResult:
    """Land messages until ``stop`` is set, ``drain`` is set and nothing more comes, ``duration`` seconds are over,
    ``max_quotes`` messages were read, nothing came for ``until_idle`` seconds, or (``until_close``) the last
    message is later than the close plus ``CLOSE_SETTLE_SECONDS``. However it ends, what was read is written and
    committed first.

    Raise ``StreamError`` or ``LakeError`` when Kafka or S3 cannot be reached at the start, or S3 at the end; in
    between it waits for them. A run with an end of its own (``duration``, ``until_idle``, ``drain``) also raises
    ``StreamError`` where its group does not settle or Kafka does not answer, since it could not read what came.
    """
    lake = Lake(settings)
    lake.ensure_bucket()
    settle = timedelta(seconds=settings.close_settle_seconds) if until_close else None
    end = RunEnd(stop or threading.Event(), duration, max_quotes, until_idle, settle, drain)
    landing = _Landing(settings, lake, end, on_batch)
    ended = "error"
    try:
        landing.run()
        ended = "stopped" if (stop and stop.is_set()) or (drain and drain.is_set()) else "done"
    except KeyboardInterrupt:
        ended, landing.result.ended = "stopped", "stopped as asked"
        raise
    finally:
        landing.finish(ended=ended)
    log.info("%s", landing.result)
    return landing.result


class _Landing:
    """One run. Everything except writing objects happens in the thread that made it."""

    def __init__(
        self, settings: Settings, lake: Lake, end: RunEnd, on_batch: Callable[[LandedBatch], None] | None
    ) -> None:
        self.result = LandResult()
        self._settings = settings
        self._max_lines, self._max_bytes = settings.batch_max_quotes, settings.batch_max_bytes
        self._end = end
        self._on_batch = on_batch
        # a topic's dataset, its check of messages, and its format of lines
        self._topics = {
            settings.kafka_topic: ("stock_quotes", validation.validate_quote, validation.format_line),
            settings.kafka_trades_topic: ("stock_trades", validation.validate_trade, validation.format_line),
            settings.kafka_dlq_topic: ("dead_letters", validation.accept, validation.format_dead_letter),
        }
        self._open: dict[Partition, OpenBatch] = {}
        self._uploads = Uploads(lake)
        self._consumer: Consumer | None = None
        self._dead_letters: Producer | None = None
        self._errors = 0
        self._received_at = time.monotonic()
        self._state = "joining the group"
        # offsets that Kafka deleted before they were read
        self._deleted_offsets: dict[Partition, list[tuple[int, int]]] = {}
        # what keeps it from reading, if anything
        self._trouble: str | None = None
        self._heartbeat = Heartbeat(
            settings.home,
            role=f"consumer-{os.getpid()}",
            run_id=name_run("consumer"),
            metrics_port=settings.metrics_port,
        )

    def run(self) -> None:
        """Read, batch, write and commit until the end."""
        self._heartbeat.beat(self._facts, now=True)
        backoff = Backoff(first=0.5, longest=10.0)
        self._consumer = self._join()
        while not (reason := self._end.reason()):
            is_joined = self._consumer is not None
            try:
                self._consumer = self._consumer or self._join()
                self._turn(self._consumer)
                backoff.succeed()
            except StreamError as error:
                pause = backoff.fail()
                self._end.note(answered=False, idle=False)
                log.error("%s; what was read and not landed will be read again; next try in %.1f s", error, pause)
                self._errors += 1
                self._state = "waiting for Kafka"
                self._trouble = str(error)
                self._leave()
                self._heartbeat.beat(self._facts)
                if not is_joined:
                    self._end.stop.wait(pause)
        self.result.ended = reason

    def finish(self, *, ended: str) -> None:
        """Write and commit the open batches, then close everything; ``ended`` is for the last heartbeat."""
        for partition in list(self._open):
            self._close(partition)
        self._uploads.finish(seconds=_LAST_CHANCE)
        try:
            self._commit_landed()
        except (LakeError, StreamError):
            ended = "error"
            raise
        finally:
            self._state = self.result.ended or "ended by an error"
            self._heartbeat.end(self._facts, ended=ended)
            self._leave()
            self.result.seconds = time.monotonic() - self._end.began

    def _turn(self, consumer: Consumer) -> None:
        """Poll once and process the answer."""
        self._commit_landed()
        blocked = self._uploads.is_full
        if blocked:
            consumer.pause()
        else:
            consumer.resume()
        polled = consumer.poll(_POLL_SECONDS, limit=self._end.limit)
        self._trouble = consumer.trouble
        now = time.monotonic()
        if polled or blocked or consumer.is_joining:
            self._received_at = now
            self._end.note(answered=not consumer.is_joining, idle=False)
        else:
            # a broker that counts unread messages and is slow to deliver them is not empty
            unread = consumer.unread
            is_over = unread == 0 or now - self._received_at >= _SLOW_ANSWER
            self._end.note(answered=unread is not None, idle=unread is not None and is_over)
        for partition, messages in polled.items():
            self._add_messages(partition, messages)
        self._close_due()
        self._state = self._name_state(consumer, blocked=blocked)
        self._heartbeat.beat(self._facts)

    def _name_state(self, consumer: Consumer, *, blocked: bool) -> str:
        if consumer.missing:
            return f"waiting for the topic {', '.join(consumer.missing)}"
        if consumer.is_joining:
            return "joining the group"
        return "waiting for S3" if blocked else "landing"

    def _add_messages(self, partition: Partition, messages: list[Message | UnreadableBatch]) -> None:
        """Add messages to the partition's batch, and close it where it is full."""
        dataset, validate, form = self._topics[partition.topic]
        batch = self._open.get(partition)
        # a wrong timestamp must not end the session
        latest_plausible_ms = (time.time() + _AHEAD_SECONDS) * 1000
        for message in messages:
            if isinstance(message, UnreadableBatch):
                self._land_unreadable(partition, message)
                batch = None
                continue
            if batch and not batch.precedes(message):
                self._close(partition)
                batch = None
            if batch is None:
                batch = self._open[partition] = OpenBatch(dataset, partition, message.topic_id, message.offset)
            if reason := validate(message.value) or validation.validate_line(line := form(message)):
                self._send_to_dlq(message, reason)
            else:
                batch.add(message, line)
                if self._end.newest_ms < message.timestamp_ms <= latest_plausible_ms:
                    self._end.newest_ms = message.timestamp_ms
            batch.next = message.offset + 1
            if len(batch.lines) >= self._max_lines or batch.size >= self._max_bytes:
                self._close(partition)
                batch = None
        self._end.read += len(messages)

    def _send_to_dlq(self, message: Message, reason: str) -> None:
        """Send a malformed message to the dead-letter topic, with the reason and its origin."""
        if self._dead_letters is None:
            self._dead_letters = Producer(self._settings, source="landing")
        headers = validation.explain(message, reason)
        topic = self._settings.kafka_dlq_topic
        self._dead_letters.forward(
            topic, message.key, message.value, timestamp_ms=message.timestamp_ms, headers=headers
        )
        self.result.dead_letters += 1
        log.warning("%s/%d offset %d is a dead letter: %s", message.topic, message.partition, message.offset, reason)

    def _land_unreadable(self, partition: Partition, found: UnreadableBatch) -> None:
        """Land a batch that cannot be decoded as one dead letter: its bytes may be too large for a message.

        It queues with the other batches of its partition, so that it is in the lake before its offsets are committed.
        """
        if partition in self._open:
            self._close(partition)
        dead_letter = OpenBatch("dead_letters", partition, found.topic_id, found.last + 1)
        dead_letter.add(found, validation.format_unreadable(found))
        self._uploads.add(dead_letter)
        self.result.dead_letters += found.last - found.offset + 1
        log.error(
            "%s/%d offsets %d to %d cannot be decoded, and become a dead letter with their bytes: %s",
            *(found.topic, found.partition, found.offset, found.last, found.reason),
        )

    def _close_due(self) -> None:
        """Close the batches that are old enough, and the largest one where too many lines are held."""
        now = time.monotonic()
        for partition, batch in list(self._open.items()):
            if now - batch.opened >= self._settings.batch_max_seconds:
                self._close(partition)
        while sum(batch.size for batch in self._open.values()) > _MAX_OPEN_BYTES:
            self._close(max(self._open, key=lambda partition: self._open[partition].size))

    def _close(self, partition: Partition) -> None:
        self._uploads.add(self._open.pop(partition))

    def _commit_landed(self) -> None:
        """Commit what is written. A dead letter is confirmed before the offset of its message is committed."""
        marks: dict[Partition, int] = {}
        failure, left = None, 0
        for batch, key in self._uploads.take_finished():
            if isinstance(key, LakeError):
                failure, left = key, left + len(batch.lines)
                # no later offset of this partition may be committed past the missing ones
                self._forget({batch.partition})
                continue
            if key:
                self._count(batch, key)
            if not batch.is_superseded:
                marks[batch.partition] = batch.next
        if marks and self._consumer:
            if self._dead_letters:
                self._dead_letters.flush()
            self._consumer.commit(marks)
        if failure:
            raise LakeError(
                f"{left:,} messages did not land; Kafka keeps them for the next run: {failure}"
            ) from failure

    def _count(self, batch: OpenBatch, key: str) -> None:
        topic, number = batch.partition
        first, last, count = batch.first, batch.last, len(batch.lines)
        self.result.messages += count
        self.result.objects += 1
        self.result.bytes += batch.size
        log.info("landed %s messages of %s/%d, offsets %d to %d, in %s", f"{count:,}", topic, number, first, last, key)
        if self._on_batch:
            self._on_batch(LandedBatch(batch.dataset, key, topic, number, first, last, count, batch.size))

    def _facts(self) -> dict[str, Any]:
        """Return the heartbeat's facts: ``lag`` counts unread messages, ``held`` those read and not landed."""
        behind = self._behind()
        return {
            "state": self._state,
            "group": self._settings.kafka_group,
            "partitions": sorted(map(str, self._consumer.assigned if self._consumer else ())),
            "messages": self.result.messages,
            "objects": self.result.objects,
            "dead_letters": self.result.dead_letters,
            "errors": self._errors + self._uploads.errors,
            "lag": None if behind is None else sum(behind.values()),
            "lags": {str(partition): count for partition, count in (behind or {}).items()},
            "held": self._uploads.lines + sum(len(batch.lines) for batch in self._open.values()),
            "waiting_for_s3": self._uploads.trouble is not None,
            "trouble": self._trouble or self._uploads.trouble,
            "deleted": self._deleted(),
            "last_event_at": self._end.newest_ms / 1000 if self._end.newest_ms else None,
        }

    def _deleted(self) -> list[str]:
        """Return what Kafka deleted before this run read it, as ``topic/partition first-last``."""
        if self._consumer:
            self._deleted_offsets |= self._consumer.deleted
        return [
            f"{where} {first}-{last}" for where, spans in sorted(self._deleted_offsets.items()) for first, last in spans
        ]

    def _behind(self) -> dict[Partition, int] | None:
        """Return the lag of each assigned partition; None while it is unknown."""
        try:
            return self._consumer.lag() if self._consumer and not self._consumer.is_joining else None
        except StreamError as error:
            log.debug("asking for the lag: %s", error)
            return None

    def _join(self) -> Consumer:
        return Consumer(self._settings, self._topics, on_lost=self._forget)

    def _leave(self) -> None:
        """Close the consumer; the next member of the group reads again what is not committed."""
        self._forget({*self._open, *self._uploads.partitions})
        consumer, self._consumer = self._consumer, None
        dead_letters, self._dead_letters = self._dead_letters, None
        with suppress(StreamError):
            if consumer:
                consumer.close()
        with suppress(StreamError):
            if dead_letters:
                # the dead letters of committed offsets were flushed before
                dead_letters.close(flush=False)

    def _forget(self, partitions: set[Partition]) -> None:
        """Forget the uncommitted messages of these partitions: their owner reads them again."""
        for partition in partitions:
            self._open.pop(partition, None)
        self._uploads.forget(partitions)
