"""The rate limit: how many calls a source allows a minute and a second; callers wait rather than fail.

A sliding window a limit: no minute (or second) ever holds more calls than allowed, wherever it begins. The windows use
this machine's clock, since the source counts in real time.
"""

import threading
import time
from collections import deque
from collections.abc import Callable

from stocklib.errors import Interrupted

# The source counts calls as they arrive: windows are this much wider, so that a late call does not fall into the next.
_SLACK = 1.02


class RateLimit:
    """Allow at most ``per_minute`` calls in any minute and ``per_second`` in any second; 0 lifts a limit."""

    def __init__(self, *, per_minute: int, per_second: int) -> None:
        limits = ((per_minute, 60.0), (per_second, 1.0))
        self._windows = [_Window(limit, span * _SLACK) for limit, span in limits if limit > 0]
        self._lock = threading.Lock()

    def acquire(self, wait: Callable[[float], bool]) -> float:
        """Wait until a call is allowed, count it, and return the seconds waited.

        ``wait`` waits so many seconds and returns whether to stop, like ``threading.Event().wait``; then
        ``Interrupted``.
        """
        waited = 0.0
        while pause := self._take():
            waited += pause
            if wait(pause):
                raise Interrupted("stopped while waiting for the source's rate limit")
        return waited

    def _take(self) -> float:
        """Return 0 when a call was counted, else the seconds after which to ask again."""
        if not self._windows:
            return 0.0
        with self._lock:
            now = time.monotonic()
            if pause := max(window.pause(now) for window in self._windows):
                return pause
            for window in self._windows:
                window.calls.append(now)
            return 0.0


class _Window:
    def __init__(self, limit: int, span: float) -> None:
        self.limit = limit
        self.span = span
        self.calls: deque[float] = deque()

    def pause(self, now: float) -> float:
        while self.calls and self.calls[0] + self.span <= now:
            self.calls.popleft()
        return self.calls[0] + self.span - now if len(self.calls) >= self.limit else 0.0
