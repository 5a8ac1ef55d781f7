"""The rate budget: how many calls a source allows a minute and a second, kept by waiting rather than by failing.

A sliding window a limit: no span of a minute (or of a second) ever sees more calls than allowed, whenever one looks.
The budget runs on the wall clock, since it is the source's machine that counts.
"""

import threading
import time
from collections import deque
from collections.abc import Callable

from stocklib.errors import Interrupted

# The source counts calls as they arrive: this much wider, so that a late one does not meet the next window's first.
_SLACK = 1.02


class RateBudget:
    """At most ``per_minute`` calls in any minute and ``per_second`` in any second; 0 lifts a limit."""

    def __init__(self, *, per_minute: int, per_second: int) -> None:
        limits = ((per_minute, 60.0), (per_second, 1.0))
        self._windows = [_Window(limit, span * _SLACK) for limit, span in limits if limit > 0]
        self._lock = threading.Lock()

    def spend(self, wait: Callable[[float], bool]) -> float:
        """Take one call out of the budget, waiting until there is one; seconds waited.

        ``wait`` waits so many seconds and answers whether to stop: ``threading.Event().wait``. ``Interrupted`` when so.
        """
        waited = 0.0
        while pause := self._take():
            waited += pause
            if wait(pause):
                raise Interrupted("stopped while waiting for the source's rate budget")
        return waited

    def _take(self) -> float:
        """0 when a call was taken, else the seconds after which to ask again."""
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
