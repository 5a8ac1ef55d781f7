"""The source's clock: the time where the prices come from, and waits in that time.

"Today" and every wait follow the source, so that a replayed day behaves like a live one: live time runs with this
machine's, a replay at ×N runs N times as fast, and a stepping replay stands still until a process moves it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Protocol

# The monotonic clock and the wall clock drift by less, except where the machine slept.
_JUMP_SECONDS = 5.0


class Stop(Protocol):
    """An event that ends a run: a ``threading.Event``, or a ``Deadline`` around one."""

    def is_set(self) -> bool:
        """Return whether the run must end."""

    def wait(self, timeout: float) -> bool:
        """Wait for the end, ``timeout`` seconds at most; return whether it has come."""


class Deadline:
    """A stop that is also set ``seconds`` of this machine's time from now (None: never)."""

    def __init__(self, stop: Stop, *, seconds: float | None) -> None:
        self._stop = stop
        self._ends = float("inf") if seconds is None else time.monotonic() + seconds

    def is_set(self) -> bool:
        """Return whether the stop is set or the time is up."""
        return self._stop.is_set() or time.monotonic() >= self._ends

    def wait(self, timeout: float) -> bool:
        """Wait for either, ``timeout`` seconds at most."""
        self._stop.wait(max(0.0, min(timeout, self._ends - time.monotonic())))
        return self.is_set()


class KeepAliveStop:
    """Stop event that calls ``keep_alive``, where one is set, every two seconds while it waits."""

    _EVERY_SECONDS = 2.0

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self.keep_alive: Callable[[], None] | None = None

    def is_set(self) -> bool:
        """Return whether the stop is set."""
        return self._stop.is_set()

    def wait(self, timeout: float) -> bool:
        """Wait for the end, ``timeout`` seconds at most."""
        ends = time.monotonic() + timeout
        while (left := ends - time.monotonic()) > self._EVERY_SECONDS:
            if self._stop.wait(self._EVERY_SECONDS):
                return True
            if self.keep_alive:
                self.keep_alive()
        return self._stop.wait(max(0.0, left))


# The years of which a source may have data.
_FIRST_YEAR, _LAST_YEAR = 2000, 2099
# A source's time is accepted this close to the expected one, and beyond that when it is repeated.
_LEEWAY_SECONDS, _LATENCY_SECONDS, _AGREEING = 60.0, 5.0, 3


@dataclass(frozen=True, slots=True)
class Pace:
    """How a source's time runs: ``speed`` seconds a second, or ``step``: only when it is moved."""

    speed: float = 1.0
    step: bool = False


class SourceClock:
    """The source's time: the last instant that it named, and the time since.

    ``advance(seconds)`` moves a stepping replay and returns its new time.
    """

    def __init__(self, stop: Stop, *, advance: Callable[[float], datetime]) -> None:
        self.pace = Pace()
        self._stop = stop
        self._advance = advance
        self._instant: datetime | None = None
        self._seen_at = self._seen_wall = 0.0
        # how far off the last doubtful instant was, and how many agreed with it
        self._off = timedelta()
        self._agreed = 0

    def see(self, instant: datetime) -> datetime:
        """Record an instant that the source just named."""
        self._instant = instant
        self._seen_at, self._seen_wall = time.monotonic(), time.time()
        self._agreed = 0
        return instant

    @property
    def is_lost(self) -> bool:
        """Whether this machine slept, or its clock was set, since the source last named an instant."""
        elapsed = time.monotonic() - self._seen_at
        return self._instant is not None and abs(time.time() - self._seen_wall - elapsed) > _JUMP_SECONDS

    def doubts(self, instant: datetime) -> timedelta | None:
        """Return how far off an instant of the source is where it is too far off to accept, else None.

        A clock that jumped is accepted after three answers in a row, so that one wrong ``Date`` of a gateway does not
        date a quote. After this machine slept it is accepted at once.
        """
        if self._instant is None or self.is_lost:
            return None
        off = instant - self.now()
        leeway = timedelta(seconds=_LEEWAY_SECONDS + _LATENCY_SECONDS * self.pace.speed)
        if abs(off) <= leeway:
            return None
        self._agreed = self._agreed + 1 if self._agreed and abs(off - self._off) <= leeway else 1
        self._off = off
        return None if self._agreed >= _AGREEING else off

    def now(self) -> datetime:
        """Return the source's time now, UTC: its last instant plus the time since then at its pace."""
        if self._instant is None:
            return datetime.now(UTC)
        if self.pace.step:
            return self._instant
        return self._instant + timedelta(seconds=(time.monotonic() - self._seen_at) * self.pace.speed)

    def wait(self, seconds: float) -> bool:
        """Let ``seconds`` of the source's time pass; return False when the run was stopped before that."""
        if self._stop.is_set():
            return False
        if seconds <= 0:
            return True
        if self.pace.step:
            self.see(self._advance(seconds))
            return not self._stop.is_set()
        return not self._stop.wait(seconds / self.pace.speed)


@lru_cache(maxsize=256)
def read_http_date(text: str) -> datetime | None:
    """Return the instant of an HTTP ``Date`` header; None when it is invalid.

    >>> read_http_date("Fri, 14 Dec 2012 14:30:00 GMT")
    datetime.datetime(2012, 12, 14, 14, 30, tzinfo=datetime.timezone.utc)
    >>> read_http_date("yesterday") is None
    True
    """
    try:
        parsed = parsedate_to_datetime(text)
        named = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    # a server whose clock is unset says 1970
    return named if _FIRST_YEAR <= named.year <= _LAST_YEAR else None
