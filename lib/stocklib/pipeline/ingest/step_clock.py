"""Who moves the clock of a stepping replay while trades are streamed from it.

Quotes move it, a second each. Trades alone would wait for ever: so a minute at a time it is moved from here, each time
when everything up to the last minute has come; but only where nobody else has moved it for a second. A clock that runs,
live or replayed, is left alone.
"""

import time
from datetime import datetime, timedelta

from stocklib.finnhub import Finnhub
from stocklib.finnhub.trade_feed import TradeFeed

_STRIDE = timedelta(minutes=1)
# Nobody else moves a clock that stood still for so long (seconds of this machine).
_STILL_SECONDS = 1.0


class Stepper:
    """Moves the clock behind one feed."""

    def __init__(self, finnhub: Finnhub, feed: TradeFeed) -> None:
        self._finnhub, self._feed = finnhub, feed
        self._seen: datetime | None = None
        self._still_since = time.monotonic()
        # where it was moved to, as long as nobody else moved it further
        self._target: datetime | None = None

    def step(self) -> None:
        """Move a minute on if it is time to; to be called after each message, and when there is none."""
        if not self._finnhub.pace.step:
            return
        now = self._finnhub.now()
        if now != self._seen:
            self._seen, self._still_since = now, time.monotonic()
            self._target = self._target if self._target and now <= self._target else None
        arrived = self._target and self._feed.complete_until and self._feed.complete_until >= self._target
        if arrived or time.monotonic() - self._still_since >= _STILL_SECONDS:
            self._move(now + _STRIDE)

    def _move(self, target: datetime) -> None:
        self._finnhub.wait_until(target)
        self._seen, self._still_since = self._finnhub.now(), time.monotonic()
        self._target = target if self._seen == target else None
