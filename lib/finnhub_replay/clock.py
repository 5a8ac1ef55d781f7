"""The virtual clock of a replay: it runs ``speed`` times as fast as this machine's, or steps a second a quote."""

import time
from datetime import UTC, datetime, timedelta

from stocklib.errors import EmbeddedError
from stocklib.sessions import FIRST_DATE, LAST_DATE, NEW_YORK, new_york_date


class VirtualClock:
    """``speed`` is a factor from 1 to 3600, or None for a clock that moves only by ``tick`` and ``advance``.

    A clock with a speed waits until ``start``, so that a slow machine misses nothing of the opening.

    ``base`` is the instant to which it was last set or advanced, ``jumps`` how often it was set after the start.
    """

    base: datetime

    def __init__(self, start: datetime, *, speed: float | None) -> None:
        self.speed = speed
        # how often it was set, which does not count as passing time
        self.jumps = -1
        self._since: float | None = None
        self.set(start)

    @property
    def mode(self) -> str:
        """``step`` or ``speed``."""
        return "step" if self.speed is None else "speed"

    @property
    def is_waiting(self) -> bool:
        """Whether it has a speed and does not run yet."""
        return self.speed is not None and self._since is None

    def now(self) -> datetime:
        """Return the virtual instant, UTC."""
        if self.speed is None or self._since is None:
            return self.base
        return self.base + timedelta(seconds=(time.monotonic() - self._since) * self.speed)

    def set(self, instant: datetime) -> None:
        """Set it to this instant; ``EmbeddedError`` outside of the trading calendar."""
        self._move(instant)
        self.jumps += 1

    def advance(self, seconds: float) -> None:
        """Let so many virtual seconds pass at once."""
        self._move(self.now() + timedelta(seconds=seconds))

    def advance_to(self, instant: datetime) -> None:
        """Let time pass until this instant; do nothing when it is in the past."""
        if instant > self.now():
            self._move(instant)

    def start(self) -> None:
        """Let a clock that waits run."""
        if self.is_waiting:
            self._since = time.monotonic()

    def tick(self) -> None:
        """Count an answered quote: a stepping clock moves by a second, one that waits starts."""
        self.start()
        if self.speed is None:
            self.base += timedelta(seconds=1)

    def _move(self, instant: datetime) -> None:
        if not FIRST_DATE <= new_york_date(instant) <= LAST_DATE:
            raise EmbeddedError(f"{instant:%Y-%m-%d} is not in the trading calendar, {FIRST_DATE} to {LAST_DATE}")
        self.base = instant.astimezone(UTC)
        self._since = None if self._since is None else time.monotonic()


def read_start(text: str) -> datetime:
    """Return a start instant, in New York time unless the text has an offset.

    >>> read_start("2012-12-14T09:30")
    datetime.datetime(2012, 12, 14, 14, 30, tzinfo=datetime.timezone.utc)
    """
    try:
        instant = datetime.fromisoformat(text)
        return (instant if instant.tzinfo else instant.replace(tzinfo=NEW_YORK)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise EmbeddedError(f"{text!r} is not an instant like 2012-12-14T09:30 (New York time)") from None


def read_speed(text: str) -> float | None:
    """Return None for ``step``, or a factor from 1 to 3600."""
    if text == "step":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 1 <= speed <= 3600:
        raise EmbeddedError(f"{text!r} is not a speed: step, or a factor from 1 to 3600")
    return speed
