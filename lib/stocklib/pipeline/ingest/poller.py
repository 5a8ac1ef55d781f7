"""The polls of a round: ask for a quote, publish it, count it.

A symbol without a valid price is counted and logged once. A source that stops answering is tried again after growing
pauses; one that never answered, and a refused key, end the run.
"""

import logging

from stocklib.errors import BadAnswer, Interrupted, NoQuote, PlanRefused, RateLimited, SourceUnavailable
from stocklib.pipeline.ingest.feed_run import FeedRun

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 60.0
# A source that answered none of so many first calls is not just down: a setting is wrong.
_PATIENCE = 3


class Poller:
    """Polls symbols for a run, and counts in its result."""

    def __init__(self, run: FeedRun) -> None:
        self._run = run
        self._silences = 0

    @property
    def is_unanswered(self) -> bool:
        """Whether the source did not answer the last call."""
        return self._silences > 0

    def poll(self, symbols: list[str]) -> list[str]:
        """Poll one round; return the symbols without a quote."""
        missing = []
        for symbol in symbols:
            if self._run.is_over:
                break
            if not self._poll(symbol):
                missing.append(symbol)
            self._run.beat()
        return missing

    def wait_for_source(self, error: Exception) -> None:
        """Pause after a call without an answer, longer each time until the source answers."""
        pause = min(_FIRST_PAUSE * 2**self._silences, _LONGEST_PAUSE)
        self._silences += 1
        log.error("%s; quotes go on when it answers, next try in %.0f s", error, pause)
        # this machine's time: the source's clock is unknown while it does not answer
        if self._run.stop.wait(pause):
            raise Interrupted("stopped while the source was down")

    def _poll(self, symbol: str) -> bool:
        result = self._run.result
        try:
            quote = self._run.finnhub.quote(symbol)
        except (NoQuote, BadAnswer, PlanRefused) as error:
            log.log(logging.DEBUG if result.skipped[symbol] else logging.WARNING, "%s", error)
            result.skipped[symbol] += 1
            self._silences = 0
            return False
        except (SourceUnavailable, RateLimited) as error:
            result.failed[symbol] += 1
            if not result.messages and not result.skipped and result.failed.total() >= _PATIENCE:
                raise
            self.wait_for_source(error)
            return False
        self._silences = 0
        self._run.publish(quote, at=quote.fetched_at)
        return True
