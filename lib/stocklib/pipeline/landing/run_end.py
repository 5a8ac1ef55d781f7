"""When a run of the consumer is over: the caller's limits, what it has read, and how long nothing has come."""

import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta

from stocklib.errors import DateRangeError, StreamError
from stocklib.quotes import from_epoch
from stocklib.sessions import new_york_date, session

_POLL_MESSAGES = 5000
# With ``settle``, the session's last round counts as complete so long after the last message.
_QUIET_AFTER_CLOSE = 5.0
# When ``drain`` is set, a topic counts as empty after so long without a message.
_QUIET_AT_THE_END = 1.0
# A run that ends when nothing comes fails after so long without an answer; one that ends by the clock, sooner.
_UNANSWERED, _UNANSWERED_AT_THE_END = 120.0, 15.0
_NO_ANSWER = (
    "no member of the consumer group could read: it has not settled, or Kafka did not answer. See `stocks status` and "
    "KAFKA_BROKER, and start it again: nothing is lost"
)


@dataclass
class RunEnd:
    """When a run is over, and why."""

    stop: threading.Event
    duration: float | None
    max_messages: int | None
    until_idle: float | None
    # how long a close takes to settle; None: the run does not end with the session
    settle: timedelta | None
    # set when nothing more is published: the messages that are there still land
    drain: threading.Event | None = None
    read: int = 0
    newest_ms: int = 0
    began: float = field(default_factory=time.monotonic)
    # since when Kafka has had no message, and since when it has not answered
    idle: float | None = None
    unanswered: float | None = field(default_factory=time.monotonic)

    def note(self, *, answered: bool, idle: bool) -> None:
        """Record a poll: whether Kafka answered it, and whether it had no message."""
        now = time.monotonic()
        self.unanswered = None if answered else self.unanswered or now
        self.idle = (self.idle or now) if idle else None

    def reason(self) -> str | None:
        """Return why the run is over, if it is; ``StreamError`` where its end cannot be known."""
        now = time.monotonic()
        quiet = 0.0 if self.idle is None else now - self.idle
        if self.stop.is_set():
            return "stopped as asked"
        waited = 0.0 if self.unanswered is None else now - self.unanswered
        if self.duration is not None and now - self.began >= self.duration:
            if waited > _UNANSWERED_AT_THE_END:
                raise StreamError(f"{self.duration:g} seconds are over, and for {waited:.0f} s {_NO_ANSWER}")
            return f"{self.duration:g} seconds are over"
        if self.max_messages is not None and self.read >= self.max_messages:
            return f"{self.read:,} messages were asked for"
        is_draining = self.drain is not None and self.drain.is_set()
        if (self.until_idle is not None or is_draining) and waited > _UNANSWERED:
            raise StreamError(f"for {waited:.0f} s {_NO_ANSWER}")
        if self.until_idle is not None and self.idle is not None and quiet >= self.until_idle:
            return f"nothing came for {self.until_idle:g} seconds"
        if is_draining and quiet >= _QUIET_AT_THE_END:
            return "stopped as asked, with nothing left to read"
        if self.settle is not None and quiet >= _QUIET_AFTER_CLOSE and self._has_closed(self.settle):
            return "the session is over"
        return None

    def _has_closed(self, settle: timedelta) -> bool:
        """Return whether the newest message is later than the close, or of a date without a session."""
        if not self.newest_ms:
            return False
        newest = from_epoch(self.newest_ms / 1000)
        try:
            today = session(new_york_date(newest))
        except DateRangeError:
            # no message is within the calendar
            return False
        return today is None or newest >= today.close + settle

    @property
    def limit(self) -> int:
        """Return the largest number of messages that the next poll may return."""
        return _POLL_MESSAGES if self.max_messages is None else min(_POLL_MESSAGES, self.max_messages - self.read)
