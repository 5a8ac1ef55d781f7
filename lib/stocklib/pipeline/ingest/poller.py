"""The polls of a round: ask for a quote, publish it, count it.

A symbol without a valid price is counted and logged once. A source that stops answering is tried again after growing
pauses; one that never answered, and a refused key, end the run.
"""

import logging
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from stocklib.clocks import Stop
from stocklib.errors import (
    BadAnswer,
    Interrupted,
    NoQuote,
    PlanRefused,
    RateLimited,
    SourceUnavailable,
)
from stocklib.finnhub import Finnhub
from stocklib.stream import Producer

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 60.0
# A source that answered none of so many first calls is not just down: a setting is wrong.
_PATIENCE = 3


class Poller:
    """Polls symbols and publishes their quotes to ``topic``; counts results by symbol."""

    def __init__(
        self,
        finnhub: Finnhub,
        producer: Producer,
        *,
        topic: str,
        stop: Stop,
        limit: int | None,
        after_each: Callable[[], None],
    ) -> None:
        self._finnhub = finnhub
        self._producer = producer
        self._topic = topic
        self._stop = stop
        self._after_each = after_each
        self.limit = limit
        self._silences = 0
        self.quotes = 0
        self.skipped: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.first: datetime | None = None
        self.last: datetime | None = None
        # the newest instant at which one of the prices was true
        self.last_market: datetime | None = None

    @property
    def is_done(self) -> bool:
        """Whether the requested number of quotes is published."""
        return self.limit is not None and self.quotes >= self.limit

    @property
    def is_unanswered(self) -> bool:
        """Whether the source did not answer the last call."""
        return self._silences > 0

    def poll(self, symbols: list[str]) -> list[str]:
        """Poll one round; return the symbols without a quote."""
        missing = []
        for symbol in symbols:
            if self.is_done or self._stop.is_set():
                break
            if not self._poll(symbol):
                missing.append(symbol)
            self._after_each()
        return missing

    def wait_for_source(self, error: Exception) -> None:
        """Pause after a call without an answer, longer each time until the source answers."""
        pause = min(_FIRST_PAUSE * 2**self._silences, _LONGEST_PAUSE)
        self._silences += 1
        log.error("%s; quotes go on when it answers, next try in %.0f s", error, pause)
        # this machine's time: the source's clock is unknown while it does not answer
        if self._stop.wait(pause):
            raise Interrupted("stopped while the source was down")

    def _poll(self, symbol: str) -> bool:
        try:
            quote = self._finnhub.quote(symbol)
        except (NoQuote, BadAnswer, PlanRefused) as error:
            log.log(logging.DEBUG if self.skipped[symbol] else logging.WARNING, "%s", error)
            self.skipped[symbol] += 1
            self._silences = 0
            return False
        except (SourceUnavailable, RateLimited) as error:
            self.failed[symbol] += 1
            if not self.quotes and not self.skipped and self.failed.total() >= _PATIENCE:
                raise
            self.wait_for_source(error)
            return False
        self._silences = 0
        self._producer.publish(self._topic, symbol, quote.to_json(), timestamp=quote.fetched_at)
        self.quotes += 1
        self.first = self.first or quote.fetched_at
        self.last = quote.fetched_at
        self.last_market = max(self.last_market or quote.market_timestamp, quote.market_timestamp)
        return True
