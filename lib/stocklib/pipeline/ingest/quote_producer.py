"""finnhub → stream: polls every symbol in rounds, and publishes each quote keyed by its symbol.

A round starts every ``POLL_SECONDS`` of the source's time while the market is open, as fast as the rate limit allows.
The round that finds the market closed makes the day's last prices known; ``CLOSE_SETTLE_SECONDS`` after the close one
more sees the closing auction. Outside sessions the producer waits for the next one. However a run ends, what was
published is flushed first.

A symbol without a valid price is counted and logged once. A source that stops answering is tried again after growing
pauses; one that never answered, and a refused key, end the run.
"""

import logging
import threading
from dataclasses import dataclass
from functools import partial
from typing import Any

from stocklib.backoff import Backoff
from stocklib.errors import BadAnswer, Interrupted, NoQuote, PlanRefused, RateLimited, SourceUnavailable
from stocklib.pipeline.ingest.feed_run import FeedResult, FeedRun, Progress, name_counts, run_feed
from stocklib.pipeline.ingest.market_hours import MarketHours
from stocklib.quotes import check_symbol
from stocklib.sessions import last_finished_session, new_york_date, session
from stocklib.settings import Settings

log = logging.getLogger(__name__)

# Passes over the symbols without a last price: so many that were answered, so many that were not (a minute a call).
_LAST_ROUND_TRIES, _LAST_ROUND_SILENCES = 3, 30
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 60.0
# If so many first calls all fail, a setting is wrong: end the run.
_SILENT_CALLS = 3


@dataclass
class ProduceResult(FeedResult):
    """What one run did; ``first`` and ``last`` are when the first and the last quote were fetched (source's clock)."""

    rounds: int = 0

    def __str__(self) -> str:
        remarks = {"no usable price": name_counts(self.skipped), "no answer": name_counts(self.failed)}
        return self.describe(f"quotes in {self.rounds:,} rounds", remarks)


def produce(
    settings: Settings,
    *,
    duration: float | None = None,
    max_quotes: int | None = None,
    until_close: bool = False,
    symbols: list[str] | None = None,
    stop: threading.Event | None = None,
    on_progress: Progress | None = None,
) -> ProduceResult:
    """Publish quotes until ``stop`` is set, ``duration`` seconds or ``max_quotes`` are over, or the session is.

    ``until_close`` ends after the last round of today's session; where today has none, or it is over already, after
    the one round that makes the last close known.
    """
    listed = list(dict.fromkeys(check_symbol(symbol) for symbol in symbols or settings.symbols))
    result: ProduceResult = run_feed(
        settings,
        partial(_QuoteRun, symbols=listed, limit=max_quotes, on_progress=on_progress),
        role="producer",
        topic=settings.kafka_topic,
        duration=duration,
        until_close=until_close,
        stop=stop,
    )
    return result


class _QuoteRun(FeedRun):
    what = "quotes"
    result: ProduceResult

    def __post_init__(self) -> None:
        super().__post_init__()
        self.result = ProduceResult(self.producer.run_id, self.finnhub.source)
        # its failures are the calls that the source has not answered since its last answer
        self.backoff = Backoff(first=_FIRST_PAUSE, longest=_LONGEST_PAUSE)
        self.hours = MarketHours(self.finnhub, settle=self.settings.close_settle_seconds)
        self.per_minute = self.settings.finnhub_calls_per_minute
        self.every = self.settings.poll_seconds
        # how long a round takes, of the source's time
        self.round_seconds = max(self.every, len(self.symbols) * 60 / self.per_minute if self.per_minute else 0)

    def follow(self, *, until_close: bool) -> str:
        """Poll round after round; return which session is over, where that ends the run."""
        # asked before the date is taken, so that not one answer alone says which day it is
        self.hours.refresh_is_open()
        now = self.finnhub.now()
        today = session(new_york_date(now)) or last_finished_session(now)
        self._announce(over=today.close <= now, today=f"{today.session_date}")
        while not self.is_over:
            if self.hours.refresh_is_open():
                self._round()
            elif closing := self.hours.take_due_session():
                self._last_round()
                if until_close and self.hours.settled == closing >= today.session_date and not self.is_over:
                    return f"the session of {closing} is over"
            else:
                self._wait_for_the_bell()
        return ""

    def _own_facts(self) -> dict[str, Any]:
        return {
            "state": self._state(),
            "market_open": self.hours.was_open,
            "round_seconds": self.round_seconds,
            "rounds": self.result.rounds,
        }

    def _source_trouble(self) -> str | None:
        trouble = "the source does not answer: `stocks doctor` says why, and quotes go on when it does"
        return trouble if self.backoff.failures else None

    def _state(self) -> str:
        if self.producer.is_away and self.producer.spooled:
            return f"{self.state}; Kafka is away, quotes are kept on disk"
        return "waiting for the source to answer" if self.backoff.failures else self.state

    def _announce(self, *, over: bool, today: str) -> None:
        count, every = len(self.symbols), self.every
        log.info("polling %d symbols every %g s; run %s", count, every, self.producer.run_id)
        if over:
            log.info("the session of %s is over: asking once for its last prices", today)
        if self.round_seconds > every:
            log.warning(
                "a round of %d symbols takes %.0f s at %d calls a minute", count, self.round_seconds, self.per_minute
            )

    def _round(self) -> None:
        began = self.finnhub.now()
        self.state = "polling"
        self._poll_all(self.symbols)
        # a clock that was set back makes no wait longer
        rest = min(self.every, self.every - (self.finnhub.now() - began).total_seconds())
        if rest > 0 and not self.is_over:
            self._wait(rest)

    def _last_round(self) -> None:
        """After the close, ask for every symbol; repeat for those without an answer."""
        missing, tries, unanswered = self.symbols, 0, 0
        self.state = "asking for the last prices: the market is closed"
        while missing and not self.is_over and tries < _LAST_ROUND_TRIES and unanswered < _LAST_ROUND_SILENCES:
            missing = self._poll_all(missing)
            unanswered += bool(self.backoff.failures)
            tries += not self.backoff.failures
        if missing and not self.is_over:
            log.warning("no last price of %s", ", ".join(missing))

    def _wait(self, seconds: float) -> None:
        try:
            self.finnhub.wait(seconds)
        except SourceUnavailable as error:
            self._wait_for_source(error)

    def _wait_for_the_bell(self) -> None:
        seconds, bell = self.hours.until_next()
        self._say_waiting(bell)
        self._wait(seconds)

    def _wait_for_source(self, error: Exception) -> None:
        """Pause after a call without an answer, longer each time until the source answers."""
        pause = self.backoff.fail()
        log.error("%s; quotes go on when it answers, next try in %.0f s", error, pause)
        # this machine's time: the source's clock is unknown while it does not answer
        if self.stop.wait(pause):
            raise Interrupted("stopped while the source was down")

    def _poll_all(self, symbols: list[str]) -> list[str]:
        """Poll one round; return the symbols without a quote."""
        missing = []
        for symbol in symbols:
            if self.is_over:
                break
            if not self._poll(symbol):
                missing.append(symbol)
            self.beat()
        self.result.rounds += 1
        self._say_progress()
        return missing

    def _poll(self, symbol: str) -> bool:
        result = self.result
        try:
            quote = self.finnhub.quote(symbol)
        except (NoQuote, BadAnswer, PlanRefused) as error:
            log.log(logging.DEBUG if result.skipped[symbol] else logging.WARNING, "%s", error)
            result.skipped[symbol] += 1
            self.backoff.succeed()
            return False
        except (SourceUnavailable, RateLimited) as error:
            result.failed[symbol] += 1
            if not result.messages and not result.skipped and result.failed.total() >= _SILENT_CALLS:
                raise
            self._wait_for_source(error)
            return False
        self.backoff.succeed()
        self.publish(quote, at=quote.fetched_at)
        return True
