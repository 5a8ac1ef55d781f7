"""The growing pauses of a loop that goes on after a failure, computed by tenacity's waits.

A call that only has to be repeated is decorated with tenacity itself. A ``Backoff`` is for a loop that does other work
until the next try: it polls, beats a heartbeat, watches a second process, or counts the failures for its health.
"""

import random
import time

from tenacity import RetryCallState, Retrying, wait_exponential

# nothing is called through it: tenacity's waits ask for the state of a call
_NO_CALL = Retrying()


def jitter() -> float:
    """Return a factor for a pause, a quarter around 1, so that clients do not come back all at once."""
    return random.uniform(0.75, 1.25)  # noqa: S311


class Backoff:
    """Pauses that begin at ``first`` seconds, double with each failure in a row, and reach ``longest`` at most.

    ``failures`` counts the failures in a row.

    >>> backoff = Backoff(first=0.5, longest=3.0)
    >>> [backoff.fail() for _ in range(4)], backoff.failures, backoff.is_over
    ([0.5, 1.0, 2.0, 3.0], 4, False)
    >>> backoff.succeed()
    >>> backoff.failures, backoff.is_over, backoff.fail()
    (0, True, 0.5)
    """

    def __init__(self, *, first: float, longest: float) -> None:
        self._wait = wait_exponential(multiplier=first, max=longest)
        self.succeed()

    def succeed(self) -> None:
        """Begin again at the first pause."""
        self.failures = 0
        self._due = 0.0

    def fail(self, *, times: float = 1.0, at_least: float = 0.0) -> float:
        """Count a failure, and return the seconds until the next try: ``times`` as many, and ``at_least`` so many."""
        self.failures += 1
        state = RetryCallState(_NO_CALL, None, (), {})
        state.attempt_number = self.failures
        pause = max(self._wait(state) * times, at_least)
        self._due = time.monotonic() + pause
        return pause

    @property
    def seconds_left(self) -> float:
        """Return the seconds of the pause that are left; 0 when it is over."""
        return max(0.0, self._due - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Return whether the next try is due."""
        return self.seconds_left == 0
