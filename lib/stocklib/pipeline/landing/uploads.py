"""Closed batches that wait for the lake, and the thread that writes them.

The reading thread fills and closes batches; the writing thread writes each as an object, in order, and retries until it
is written. The reading thread then commits what is written.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from queue import SimpleQueue

import tenacity

from stocklib.errors import LakeError
from stocklib.lake import Lake, name_batch
from stocklib.stream import Message, Partition, UnreadableBatch

log = logging.getLogger(__name__)

# Batches that may wait for S3 before reading pauses: with the open ones, this bounds the memory.
_MAX_WAITING = 3
# Between two tries while S3 is out of reach, in seconds.
_LONGEST_PAUSE = 15.0
# For the request that is running when the rest is given up.
_FAREWELL_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class OpenBatch:
    """Consecutive messages of one partition. ``next`` is the offset to commit, past those that became dead letters.

    ``is_superseded``: its messages are read again, so this batch must not be committed.
    """

    dataset: str
    partition: Partition
    topic_id: str
    next: int
    opened: float = field(default_factory=time.monotonic)
    lines: list[bytes] = field(default_factory=list)
    first: int = -1
    last: int = -1
    size: int = 0
    is_superseded: bool = False

    def add(self, message: Message | UnreadableBatch, line: bytes) -> None:
        """Add a line."""
        if not self.lines:
            self.first = message.offset
        self.last = message.last
        self.lines.append(line)
        self.size += len(line) + 1

    def precedes(self, message: Message) -> bool:
        """Return whether the message may follow in the same object: it is later, and of the same topic id."""
        return self.topic_id == message.topic_id and self.next <= message.offset

    @property
    def object_name(self) -> str:
        """Return its object's name in the lake."""
        return name_batch(*self.partition, first=self.first, last=self.last)


class Uploads:
    """The closed batches that ``take_finished`` has not yielded yet, in order."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._tasks: SimpleQueue[tuple[OpenBatch, Future[str]] | None] = SimpleQueue()
        # a daemon: a request that S3 never answers must not keep the process from ending
        threading.Thread(target=self._work, name="lake", daemon=True).start()
        self._waiting: deque[tuple[OpenBatch, Future[str]]] = deque()
        self._abandon = threading.Event()
        # the writing thread's current trouble, if any, and how many failures it has had
        self.trouble: str | None = None
        self.errors = 0

    @property
    def lines(self) -> int:
        """Return the number of lines that wait."""
        return sum(len(batch.lines) for batch, _ in self._waiting)

    @property
    def is_full(self) -> bool:
        """Return whether so many batches wait that reading must pause."""
        return len(self._waiting) >= _MAX_WAITING

    @property
    def partitions(self) -> set[Partition]:
        """Return the partitions with a waiting batch."""
        return {batch.partition for batch, _ in self._waiting}

    def add(self, batch: OpenBatch) -> None:
        """Queue a batch for writing."""
        future: Future[str] = Future()
        self._waiting.append((batch, future))
        self._tasks.put((batch, future))

    def take_finished(self) -> Iterator[tuple[OpenBatch, str | LakeError]]:
        """Yield the finished batches in order, each with its key, or with the error that kept it from being written."""
        while self._waiting and self._waiting[0][1].done():
            batch, future = self._waiting.popleft()
            try:
                yield batch, future.result()
            except LakeError as error:
                yield batch, error
            except Exception as error:
                # on any other error too, the batch is not in the lake
                log.exception("writing %s", batch.object_name)
                yield batch, LakeError(f"{batch.object_name} was not written: {error!r}")

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Mark the batches of these partitions as superseded: they are read again, and must not be committed."""
        gone = set(partitions)
        for batch, _ in self._waiting:
            batch.is_superseded = batch.is_superseded or batch.partition in gone

    def finish(self, *, seconds: float) -> None:
        """Wait for the waiting batches, ``seconds`` at most, then give up the rest, even if S3 never answers."""
        futures = [future for _, future in self._waiting]
        wait(futures, timeout=seconds)
        self._abandon.set()
        self._tasks.put(None)
        wait(futures, timeout=_FAREWELL_SECONDS)
        given_up: Future[str] = Future()
        given_up.set_exception(LakeError(self.trouble or "S3 did not answer in time: check MINIO_ENDPOINT"))
        self._waiting = deque((batch, future if future.done() else given_up) for batch, future in self._waiting)

    def _work(self) -> None:
        while (task := self._tasks.get()) and not self._abandon.is_set():
            batch, future = task
            try:
                future.set_result(self._write(batch))
            except Exception as error:  # noqa: BLE001 - raised in the thread that asks for the result
                future.set_exception(error)

    def _write(self, batch: OpenBatch) -> str:
        @tenacity.retry(
            retry=tenacity.retry_if_exception_type(LakeError),
            wait=tenacity.wait_exponential(multiplier=0.5, max=_LONGEST_PAUSE),
            stop=tenacity.stop_when_event_set(self._abandon),
            sleep=tenacity.sleep_using_event(self._abandon),
            before_sleep=self._log_wait,
            reraise=True,
        )
        def write() -> str:
            if batch.is_superseded or not batch.lines:
                return ""
            # the hour of the attempt that succeeds: loaders no longer list earlier hours
            key = self._lake.write(batch.dataset, batch.object_name, batch.lines, landed=datetime.now(UTC))
            self.trouble = None
            return key

        return write()

    def _log_wait(self, state: tenacity.RetryCallState) -> None:
        self.trouble = str(state.outcome.exception() if state.outcome else None)
        self.errors += 1
        pause = state.next_action.sleep if state.next_action else 0
        log.warning("%s; what was read is kept, next try in %.1f s", self.trouble, pause)
