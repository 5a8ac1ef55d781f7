"""Moving the clock of a stepping replay while trades are streamed from it.

Quotes move it, a second each. Trades do not move it, so this module does, one minute at a time: when every trade up to
its last target has come, or when the clock has stood still for a second. It leaves a running clock alone.
"""

import time
from datetime import datetime, timedelta

from stocklib.finnhub import Finnhub
from stocklib.finnhub.trade_feed import TradeFeed

_STRIDE = timedelta(minutes=1)
# No other process moves a clock that stood still for so long (seconds of this machine).
_STILL_SECONDS = 1.0


class Stepper:
    """Moves the clock behind one feed."""

    def __init__(self, finnhub: Finnhub, feed: TradeFeed) -> None:
        self._finnhub, self._feed = finnhub, feed
        self._seen: datetime | None = None
        self._still_since = time.monotonic()
        # where this run moved it, as long as no other process moved it further
        self._target: datetime | None = None

    def step(self) -> None:
        """Move the clock by a minute if it is due; call it after each message, and when there is none."""
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
