"""finnhub → stream: polls every symbol in rounds, and publishes each quote keyed by its symbol.

A round starts every ``POLL_SECONDS`` of the source's time while the market is open, as fast as the rate budget allows.
The round that finds the market closed makes the day's last prices known; ``CLOSE_SETTLE_SECONDS`` after the close one
more sees the closing auction. Outside sessions the producer waits for the next one. However a run ends, what was
published is flushed first.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from stocklib.clocks import Deadline, Stop
from stocklib.errors import Interrupted, SourceUnavailable
from stocklib.finnhub import Finnhub
from stocklib.pipeline.heartbeat import Heartbeat
from stocklib.pipeline.hours import MarketHours
from stocklib.pipeline.polling import Poller
from stocklib.quotes import check_symbol
from stocklib.sessions import NEW_YORK, last_finished_session, new_york_date, session
from stocklib.settings import Settings
from stocklib.stream import Producer

log = logging.getLogger(__name__)

_LOG_SECONDS = 60.0
# How often a symbol without a last price is asked again, and how often a source that does not answer (half an hour).
_LAST_ROUND_TRIES, _LAST_ROUND_SILENCES = 3, 30

Progress = Callable[[int, int | None, str], None]


@dataclass(frozen=True, slots=True)
class ProduceResult:
    """What one run of the producer did.

    ``skipped`` counts answers without a usable price, ``failed`` calls that the source did not answer at all, both by
    symbol. ``first`` and ``last`` are when the first and the last quote were fetched, on the source's clock.
    """

    run_id: str
    source: str
    quotes: int
    rounds: int
    skipped: dict[str, int]
    failed: dict[str, int]
    first: datetime | None
    last: datetime | None
    ended: str

    def __str__(self) -> str:
        span = f", {_clock(self.first)} to {_clock(self.last)} New York" if self.first and self.last else ""
        lines = [f"published {self.quotes:,} quotes in {self.rounds:,} rounds from {self.source}{span}; {self.ended}"]
        for what, counts in (("no usable price", self.skipped), ("no answer", self.failed)):
            if counts:
                lines.append(f"{what}: " + ", ".join(f"{symbol} {count}×" for symbol, count in counts.items()))
        return "\n".join(lines)


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
    ends = Deadline(stop or threading.Event(), seconds=duration)
    with Finnhub(settings, stop=ends) as finnhub, Producer(settings, source=finnhub.source, stop=ends) as producer:
        poller = Poller(finnhub, producer, topic=settings.kafka_topic, stop=ends, limit=max_quotes)
        run = _Run(settings, finnhub, producer, poller, listed, ends, on_progress or _quiet)
        try:
            run.ended = run.follow(until_close=until_close)
        finally:
            try:
                producer.flush()
            finally:
                run.beat(run.ended, now=True)
        result = run.result()
    log.info("%s", result)
    return result


@dataclass
class _Run:
    settings: Settings
    finnhub: Finnhub
    producer: Producer
    poller: Poller
    symbols: list[str]
    stop: Stop
    on_progress: Progress
    rounds: int = 0
    ended: str = "ended by an error"
    _logged: tuple[float, int] = field(default_factory=lambda: (time.monotonic(), 0))

    def __post_init__(self) -> None:
        self.hours = MarketHours(self.finnhub, settle=self.settings.close_settle_seconds)
        self.heartbeat = Heartbeat(self.settings.home, run_id=self.producer.run_id)

    def follow(self, *, until_close: bool) -> str:
        """Round after round; why it ended."""
        now = self.finnhub.now()
        today = session(new_york_date(now)) or last_finished_session(now)
        self._announce(over=today.close <= now, today=f"{today.session_date}")
        try:
            while not self._is_over:
                if self.hours.is_open():
                    self._round()
                elif closing := self.hours.closing():
                    self._last_round()
                    if until_close and self.hours.settled == closing >= today.session_date and not self._is_over:
                        return f"the session of {closing} is over"
                else:
                    self._wait_for_the_bell()
        except Interrupted:
            pass
        return f"{self.poller.quotes:,} quotes were asked for" if self.poller.is_done else "stopped as asked"

    def beat(self, state: str, *, now: bool = False) -> None:
        """Say in the heartbeat file how far the run is."""
        last = self.poller.last
        facts = {
            "state": state,
            "source": self.finnhub.source,
            "topic": self.settings.kafka_topic,
            "confirmed": dict(self.producer.confirmed),
            "quotes": self.poller.quotes,
            "rounds": self.rounds,
            "skipped": dict(self.poller.skipped),
            "failed": dict(self.poller.failed),
            "last_quote_at": last.timestamp() if last else None,
        }
        self.heartbeat.beat(facts, now=now)

    def result(self) -> ProduceResult:
        """What came of the run."""
        return ProduceResult(
            run_id=self.producer.run_id,
            source=self.finnhub.source,
            quotes=self.poller.quotes,
            rounds=self.rounds,
            skipped=dict(self.poller.skipped),
            failed=dict(self.poller.failed),
            first=self.poller.first,
            last=self.poller.last,
            ended=self.ended,
        )

    @property
    def _is_over(self) -> bool:
        return self.poller.is_done or self.stop.is_set()

    def _announce(self, *, over: bool, today: str) -> None:
        count, budget = len(self.symbols), self.settings.finnhub_calls_per_minute
        log.info("polling %d symbols every %g s; run %s", count, self.settings.poll_seconds, self.producer.run_id)
        if over:
            log.info("the session of %s is over: asking once for its last prices", today)
        if budget and self.settings.poll_seconds * budget < count * 60:
            log.warning("a round of %d symbols takes %.0f s at %d calls a minute", count, count * 60 / budget, budget)

    def _round(self) -> None:
        began = self.finnhub.now()
        self.poller.poll(self.symbols)
        self._count("polling")
        rest = self.settings.poll_seconds - (self.finnhub.now() - began).total_seconds()
        if rest > 0 and not self._is_over:
            self._wait(rest)

    def _last_round(self) -> None:
        """After the close nothing moves any more: whoever gave no price is asked again before the day is left."""
        missing, tries, silences = self.symbols, 0, 0
        while missing and not self._is_over and tries < _LAST_ROUND_TRIES and silences < _LAST_ROUND_SILENCES:
            missing = self.poller.poll(missing)
            self._count("the market is closed")
            silences += self.poller.is_unanswered
            tries += not self.poller.is_unanswered
        if missing and not self._is_over:
            log.warning("no last price of %s", ", ".join(missing))

    def _wait(self, seconds: float) -> None:
        try:
            self.finnhub.wait(seconds)
        except SourceUnavailable as error:
            self.poller.wait_for_source(error)

    def _wait_for_the_bell(self) -> None:
        seconds, bell = self.hours.until_next()
        self.beat(f"waiting for the bell of {bell.isoformat()}")
        self.on_progress(self.poller.quotes, self.poller.limit, f"the market opens {_clock(bell)} New York")
        self._wait(seconds)

    def _count(self, state: str) -> None:
        self.rounds += 1
        now = self.finnhub.now()
        self.beat(state)
        self.on_progress(self.poller.quotes, self.poller.limit, f"{_clock(now)} New York")
        since, quotes = self._logged
        if (passed := time.monotonic() - since) >= _LOG_SECONDS:
            rate = (self.poller.quotes - quotes) / passed * 60
            lost = self.poller.skipped.total() + self.poller.failed.total()
            log.info("%d quotes (%.0f a minute), %d without one, it is %s", self.poller.quotes, rate, lost, _clock(now))
            self._logged = (time.monotonic(), self.poller.quotes)


def _clock(instant: datetime) -> str:
    return f"{instant.astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S}"


def _quiet(done: int, total: int | None, text: str) -> None:
    """Nobody watches."""
