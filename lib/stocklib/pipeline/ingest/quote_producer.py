"""finnhub → stream: polls every symbol in rounds, and publishes each quote keyed by its symbol.

A round starts every ``POLL_SECONDS`` of the source's time while the market is open, as fast as the rate limit allows.
The round that finds the market closed makes the day's last prices known; ``CLOSE_SETTLE_SECONDS`` after the close one
more sees the closing auction. Outside sessions the producer waits for the next one. However a run ends, what was
published is flushed first.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from stocklib.clocks import Deadline, KeepAliveStop, Stop
from stocklib.errors import Interrupted, SourceUnavailable, StreamError
from stocklib.finnhub import Finnhub
from stocklib.monitoring.heartbeat import Heartbeat
from stocklib.pipeline.ingest.market_hours import MarketHours
from stocklib.pipeline.ingest.poller import Poller
from stocklib.pipeline.ingest.startup import beginning, how_it_ended
from stocklib.quotes import check_symbol, to_epoch
from stocklib.sessions import NEW_YORK, last_finished_session, new_york_date, session
from stocklib.settings import Settings
from stocklib.stream import SpoolingProducer

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
    keep_alive_stop = KeepAliveStop(ends)
    with ExitStack() as stack:
        with beginning(settings, keep_alive_stop, role="producer", topic=settings.kafka_topic) as heartbeat:
            finnhub = stack.enter_context(Finnhub(settings, stop=keep_alive_stop))
            producer = stack.enter_context(SpoolingProducer(settings, source=finnhub.source, stop=ends))
        heartbeat.name(producer.run_id)
        run = _Run(settings, finnhub, producer, heartbeat, listed, keep_alive_stop, max_quotes, on_progress or _quiet)
        keep_alive_stop.keep_alive = run.beat
        try:
            run.state = run.follow(until_close=until_close)
            producer.flush()
            run.end("stopped" if stop and stop.is_set() else "done")
        except BaseException as error:
            with suppress(StreamError):
                producer.flush()
            run.end(how_it_ended(error))
            raise
        result = run.result()
    log.info("%s", result)
    return result


@dataclass
class _Run:
    settings: Settings
    finnhub: Finnhub
    producer: SpoolingProducer
    heartbeat: Heartbeat
    symbols: list[str]
    stop: Stop
    max_quotes: int | None
    on_progress: Progress
    rounds: int = 0
    state: str = "starting"
    _logged: tuple[float, int] = field(default_factory=lambda: (time.monotonic(), 0))

    def __post_init__(self) -> None:
        topic = self.settings.kafka_topic
        self.poller = Poller(
            self.finnhub, self.producer, topic=topic, stop=self.stop, limit=self.max_quotes, after_each=self.beat
        )
        self.hours = MarketHours(self.finnhub, settle=self.settings.close_settle_seconds)
        self.budget = self.settings.finnhub_calls_per_minute
        # how long a round takes, of the source's time
        self.round_seconds = max(self.settings.poll_seconds, len(self.symbols) * 60 / self.budget if self.budget else 0)

    def follow(self, *, until_close: bool) -> str:
        """Round after round; why it ended."""
        self.beat(now=True)
        try:
            # asked before the date is taken, so that not one answer alone says which day it is
            self.hours.is_open()
            now = self.finnhub.now()
            today = session(new_york_date(now)) or last_finished_session(now)
            self._announce(over=today.close <= now, today=f"{today.session_date}")
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

    def beat(self, *, now: bool = False) -> None:
        """Say in the heartbeat file how far the run is, and see to what waits for Kafka."""
        self.producer.maintain()
        self.heartbeat.beat(self._facts, now=now)

    def end(self, ended: str) -> None:
        """Say in the heartbeat file how it ended."""
        self.state = {"error": "ended by an error", "stopped": "stopped as asked"}.get(ended, self.state)
        self.heartbeat.end(self._facts, ended=ended)

    def _facts(self) -> dict[str, Any]:
        return {
            "state": self._state(),
            "source": self.finnhub.source,
            "topic": self.settings.kafka_topic,
            "confirmed": self.producer.confirmed,
            "messages": self.poller.quotes,
            "errors": self.poller.failed.total() + self.poller.skipped.total(),
            "lag": self.producer.unconfirmed,
            "spooled": self.producer.spooled,
            "trouble": self.producer.trouble or self._source_trouble(),
            "last_event_at": to_epoch(self.poller.last) if self.poller.last else None,
            "last_market_at": to_epoch(self.poller.last_market) if self.poller.last_market else None,
            "clock": {"now": to_epoch(self.finnhub.now()), **asdict(self.finnhub.pace)},
            "market_open": self.hours.was_open,
            "round_seconds": self.round_seconds,
            "rounds": self.rounds,
            "skipped": dict(self.poller.skipped),
            "failed": dict(self.poller.failed),
        }

    def _source_trouble(self) -> str | None:
        if not self.poller.is_unanswered:
            return None
        return "the source does not answer: `stocks doctor` says why, and quotes go on when it does"

    def _state(self) -> str:
        if self.producer.is_away and self.producer.spooled:
            return f"{self.state}; Kafka is away, quotes are kept on disk"
        return "waiting for the source to answer" if self.poller.is_unanswered else self.state

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
            ended=self.state,
        )

    @property
    def _is_over(self) -> bool:
        return self.poller.is_done or self.stop.is_set()

    def _announce(self, *, over: bool, today: str) -> None:
        count, every = len(self.symbols), self.settings.poll_seconds
        log.info("polling %d symbols every %g s; run %s", count, every, self.producer.run_id)
        if over:
            log.info("the session of %s is over: asking once for its last prices", today)
        if self.round_seconds > every:
            log.warning(
                "a round of %d symbols takes %.0f s at %d calls a minute", count, self.round_seconds, self.budget
            )

    def _round(self) -> None:
        began = self.finnhub.now()
        self.state = "polling"
        self.poller.poll(self.symbols)
        self._count()
        every = self.settings.poll_seconds
        # a clock that was set back makes no wait longer
        rest = min(every, every - (self.finnhub.now() - began).total_seconds())
        if rest > 0 and not self._is_over:
            self._wait(rest)

    def _last_round(self) -> None:
        """After the close nothing moves any more: whoever gave no price is asked again before the day is left."""
        missing, tries, silences = self.symbols, 0, 0
        self.state = "asking for the last prices: the market is closed"
        while missing and not self._is_over and tries < _LAST_ROUND_TRIES and silences < _LAST_ROUND_SILENCES:
            missing = self.poller.poll(missing)
            self._count()
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
        self.state = f"waiting for the bell of {bell.astimezone(NEW_YORK):%a %Y-%m-%d %H:%M} New York"
        self.beat()
        self.on_progress(self.poller.quotes, self.poller.limit, f"the market opens {_clock(bell)} New York")
        self._wait(seconds)

    def _count(self) -> None:
        self.rounds += 1
        now = self.finnhub.now()
        self.beat()
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
