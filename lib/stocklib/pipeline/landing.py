"""stream → lake: messages become objects, a batch at a time; an object is written, and only then is Kafka told so.

A batch belongs to one partition and is closed by count, bytes or age. After a crash between the two, the same messages
are in two objects, which silver does not mind. A message that is not what it should be goes to the dead-letter topic,
and lands from there. While S3 is out of reach nothing more is read, what is held is tried again, and the group
membership stays.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tenacity import (
    RetryCallState,
    retry,
    retry_if_exception_type,
    sleep_using_event,
    stop_when_event_set,
    wait_exponential,
)

from stocklib.errors import LakeError, StreamError
from stocklib.lake import Lake, name_batch
from stocklib.pipeline import forms
from stocklib.settings import Settings
from stocklib.stream import Consumer, Message, Partition, Producer

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.2
# Batches that may wait for S3 before reading pauses: with the open ones, this bounds the memory.
_MAX_WAITING = 3
_MAX_OPEN_BYTES = 64_000_000
# How long a run that is stopping waits for S3.
_LAST_CHANCE = 20.0


@dataclass(frozen=True, slots=True)
class LandedBatch:
    """One object that was written: what it holds, and where it is."""

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
    """What one run landed. ``messages`` are those of every dataset, ``dead_letters`` were sent to their topic."""

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
    stop: threading.Event | None = None,
    on_batch: Callable[[LandedBatch], None] | None = None,
) -> LandResult:
    """Land messages until ``stop`` is set, ``duration`` seconds are over, ``max_quotes`` messages were read, or nothing
    came for ``until_idle`` seconds. However it ends, what was read is written and committed first.

    Raises ``StreamError`` or ``LakeError`` when Kafka or S3 cannot be reached at the start, or S3 at the end; in
    between it waits for them.
    """
    lake = Lake(settings)
    lake.ensure_bucket()
    ends = _Ends(stop or threading.Event(), duration, max_quotes, until_idle)
    landing = _Landing(settings, lake, ends, on_batch or _ignore)
    with ThreadPoolExecutor(1, thread_name_prefix="lake") as landing.worker:
        try:
            landing.run()
        finally:
            landing.finish()
    log.info("%s", landing.result)
    return landing.result


@dataclass
class _Ends:
    """Why and when a run is over."""

    stop: threading.Event
    duration: float | None
    max_quotes: int | None
    until_idle: float | None
    read: int = 0
    began: float = field(default_factory=time.monotonic)
    active: float = field(default_factory=time.monotonic)

    def reason(self) -> str | None:
        now = time.monotonic()
        if self.stop.is_set():
            return "stopped as asked"
        if self.duration is not None and now - self.began >= self.duration:
            return f"{self.duration:g} seconds are over"
        if self.max_quotes is not None and self.read >= self.max_quotes:
            return f"{self.read:,} messages were asked for"
        if self.until_idle is not None and now - self.active >= self.until_idle:
            return f"nothing came for {self.until_idle:g} seconds"
        return None

    def limit(self) -> int:
        return 5000 if self.max_quotes is None else min(5000, self.max_quotes - self.read)


@dataclass(slots=True, eq=False)
class _Batch:
    dataset: str
    partition: Partition
    topic_id: str
    first: int
    next: int
    opened: float
    lines: list[bytes] = field(default_factory=list)
    last: int = -1
    bytes: int = 0
    lost: bool = False

    @property
    def what(self) -> str:
        return name_batch(self.partition.topic, self.partition.number, first=self.first, last=self.last)


class _Landing:
    """One run. Everything but the writing of objects happens in the thread that made it."""

    worker: ThreadPoolExecutor

    def __init__(self, settings: Settings, lake: Lake, ends: _Ends, on_batch: Callable[[LandedBatch], None]) -> None:
        self.result = LandResult()
        self._settings = settings
        self._lake = lake
        self._ends = ends
        self._on_batch = on_batch
        self._forms = {
            settings.kafka_topic: ("stock_quotes", forms.judge_quote, forms.format_line),
            settings.kafka_trades_topic: ("stock_trades", forms.judge_trade, forms.format_line),
            settings.kafka_dlq_topic: ("dead_letters", forms.accept, forms.format_dead_letter),
        }
        self._open: dict[Partition, _Batch] = {}
        self._waiting: deque[tuple[Future[str], _Batch]] = deque()
        self._abandon = threading.Event()
        self._dead_letters: Producer | None = None
        self._consumer: Consumer | None = self._join()

    def run(self) -> None:
        """Read, batch, write, commit, until the end."""
        while not (reason := self._ends.reason()):
            try:
                self._turn(self._consumer or self._rejoin())
            except StreamError as error:
                log.error("%s; what was read and not landed will be read again", error)
                self._leave()
        self.result.ended = reason

    def finish(self) -> None:
        """Write and commit what is held, then let go of everything."""
        try:
            for partition in list(self._open):
                self._close(partition)
            if wait([future for future, _ in self._waiting], timeout=_LAST_CHANCE).not_done:
                self._abandon.set()
            self._settle(at_end=True)
        finally:
            self._abandon.set()
            self._leave()
            if self._dead_letters:
                with suppress(StreamError):
                    self._dead_letters.close()
            self.result.seconds = time.monotonic() - self._ends.began

    def _turn(self, consumer: Consumer) -> None:
        """One poll and what follows from it."""
        self._settle()
        if blocked := len(self._waiting) >= _MAX_WAITING:
            consumer.pause()
        else:
            consumer.resume()
        polled = consumer.poll(_POLL_SECONDS, limit=self._ends.limit())
        if polled or blocked or not consumer.assigned:
            self._ends.active = time.monotonic()
        for partition, messages in polled.items():
            self._take(partition, messages)
        self._close_due()

    def _take(self, partition: Partition, messages: list[Message]) -> None:
        dataset, judge, form = self._forms[partition.topic]
        batch = self._open.get(partition)
        for message in messages:
            # another topic under the same name, or offsets that began anew, are another batch
            if batch and (batch.topic_id != message.topic_id or message.offset < batch.next):
                self._close(partition)
                batch = None
            if batch is None:
                batch = _Batch(dataset, partition, message.topic_id, message.offset, message.offset, time.monotonic())
                self._open[partition] = batch
            if reason := judge(message.value):
                self._bury(message, reason)
            else:
                line = form(message)
                if not batch.lines:
                    batch.first = message.offset
                batch.lines.append(line)
                batch.last = message.offset
                batch.bytes += len(line) + 1
            batch.next = message.offset + 1
            if len(batch.lines) >= self._settings.batch_max_quotes or batch.bytes >= self._settings.batch_max_bytes:
                self._close(partition)
                batch = None
        self._ends.read += len(messages)

    def _bury(self, message: Message, reason: str) -> None:
        """Send a message that is not what it should be to the dead letters, with the reason and where it was."""
        if self._dead_letters is None:
            self._dead_letters = Producer(self._settings, source="landing")
        self._dead_letters.forward(
            self._settings.kafka_dlq_topic,
            message.key,
            message.value,
            timestamp_ms=message.timestamp_ms,
            headers=forms.explain(message, reason),
        )
        self.result.dead_letters += 1
        log.warning("%s/%d offset %d is a dead letter: %s", message.topic, message.partition, message.offset, reason)

    def _close_due(self) -> None:
        """Close what is old enough, and the largest where too much is held."""
        now = time.monotonic()
        for partition, batch in list(self._open.items()):
            if now - batch.opened >= self._settings.batch_max_seconds:
                self._close(partition)
        while sum(batch.bytes for batch in self._open.values()) > _MAX_OPEN_BYTES:
            self._close(max(self._open, key=lambda partition: self._open[partition].bytes))

    def _close(self, partition: Partition) -> None:
        batch = self._open.pop(partition)
        self._waiting.append((self.worker.submit(self._write, batch), batch))

    def _write(self, batch: _Batch) -> str:
        """In the worker: write the object, trying until it succeeds or the run gives up."""
        if not batch.lines or batch.lost:
            return ""

        @retry(
            retry=retry_if_exception_type(LakeError),
            wait=wait_exponential(multiplier=0.5, max=15),
            stop=stop_when_event_set(self._abandon),
            sleep=sleep_using_event(self._abandon),
            before_sleep=_say_waiting,
            reraise=True,
        )
        def write() -> str:
            # the hour of landing is that of the attempt that succeeds: a loader has moved on from earlier ones
            return self._lake.write(batch.dataset, batch.what, batch.lines, landed=datetime.now(UTC))

        return write()

    def _settle(self, *, at_end: bool = False) -> None:
        """Commit what is written, in order; a dead letter is confirmed before the message that it replaces is."""
        marks: dict[Partition, int] = {}
        failure: LakeError | None = None
        left = 0
        while self._waiting and (self._waiting[0][0].done() or at_end):
            future, batch = self._waiting.popleft()
            try:
                key = future.result()
            except LakeError as error:
                failure, left = error, left + len(batch.lines)
                # nothing later in this partition may be committed past what is missing
                self._forget({batch.partition})
                continue
            if key:
                self._count(batch, key)
            if not batch.lost:
                marks[batch.partition] = batch.next
        if marks and self._consumer:
            if self._dead_letters:
                self._dead_letters.flush()
            self._consumer.commit(marks)
        if failure:
            raise LakeError(
                f"{left:,} messages did not land; they stay in Kafka, and come again: {failure}"
            ) from failure

    def _count(self, batch: _Batch, key: str) -> None:
        topic, number = batch.partition
        landed = LandedBatch(batch.dataset, key, topic, number, batch.first, batch.last, len(batch.lines), batch.bytes)
        self.result.messages += landed.messages
        self.result.objects += 1
        self.result.bytes += landed.bytes
        log.info(
            "landed %s messages of %s/%d, offsets %d to %d, in %s",
            f"{landed.messages:,}", topic, number, batch.first, batch.last, key,
        )  # fmt: skip
        self._on_batch(landed)

    def _join(self) -> Consumer:
        return Consumer(self._settings, self._forms, on_lost=self._forget)

    def _rejoin(self) -> Consumer:
        """A new consumer after the old one failed; tried until it succeeds or the run is over."""
        pause = 0.5
        while True:
            try:
                self._consumer = self._join()
                self._ends.active = time.monotonic()
                return self._consumer
            except StreamError as error:
                if self._ends.stop.wait(pause) or self._ends.reason():
                    raise
                pause = min(pause * 2, 10.0)
                log.warning("%s; next try in %.1f s", error, pause)

    def _leave(self) -> None:
        """Close the consumer; what is not committed is read again by whoever comes next."""
        consumer, self._consumer = self._consumer, None
        if consumer:
            with suppress(StreamError):
                consumer.close()
        self._forget({*self._open, *(batch.partition for _, batch in self._waiting)})

    def _forget(self, partitions: set[Partition]) -> None:
        """These partitions are read elsewhere or anew: what is held of them must not be committed."""
        for partition in partitions:
            self._open.pop(partition, None)
        for _, batch in self._waiting:
            if batch.partition in partitions:
                batch.lost = True


def _say_waiting(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    pause = state.next_action.sleep if state.next_action else 0
    log.warning("%s; reading waits, next try in %.1f s", error, pause)


def _ignore(batch: LandedBatch) -> None:
    """Where nobody listens."""
