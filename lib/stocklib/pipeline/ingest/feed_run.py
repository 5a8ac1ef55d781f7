"""One run of a feed into Kafka, of quotes or of trades: its start, its heartbeat and its end.

``run_feed`` connects the source and Kafka, follows the feed to its end, and flushes what was published however it ends.
A ``FeedRun`` adds what the feed does in between and what it counts.
"""

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from stocklib.clocks import Deadline, KeepAliveStop, Stop
from stocklib.errors import BadAnswer, Interrupted, SourceUnavailable, StreamError
from stocklib.finnhub import Finnhub
from stocklib.monitoring.heartbeat import Heartbeat
from stocklib.pipeline.ingest.startup import beginning, how_it_ended
from stocklib.quotes import Quote, Trade, to_epoch
from stocklib.sessions import NEW_YORK
from stocklib.settings import Settings
from stocklib.stream import SpoolingProducer

log = logging.getLogger(__name__)

_LOG_SECONDS = 60.0

Progress = Callable[[int, int | None, str], None]


@dataclass
class FeedResult:
    """What one run did.

    ``skipped`` counts answers without a usable price, ``failed`` calls that the source did not answer at all, both by
    symbol.
    """

    run_id: str
    source: str
    messages: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    first: datetime | None = None
    last: datetime | None = None
    ended: str = ""

    def describe(self, what: str, remarks: dict[str, str]) -> str:
        """Return a sentence about ``what`` was published, and a line for each remark that is not empty."""
        span = f", {_new_york(self.first)} to {_new_york(self.last)} New York" if self.first and self.last else ""
        published = f"published {self.messages:,} {what} from {self.source}{span}; {self.ended}"
        return "\n".join([published, *(f"{name}: {text}" for name, text in remarks.items() if text)])


@dataclass
class FeedRun(ABC):
    """One run. It publishes to ``topic``, ``limit`` messages at most; ``stop`` calls ``beat`` while it waits."""

    what: ClassVar[str]
    settings: Settings
    finnhub: Finnhub
    producer: SpoolingProducer
    heartbeat: Heartbeat
    stop: Stop
    topic: str
    symbols: list[str]
    limit: int | None
    on_progress: Progress | None
    result: FeedResult = field(init=False)
    state: str = field(init=False, default="starting")

    def __post_init__(self) -> None:
        # when the last message was fetched, and the newest instant at which one of the prices was true
        self._last_fetched: datetime | None = None
        self._last_market: datetime | None = None
        # when the log last said how far the run is, and how many messages that were
        self._logged = (time.monotonic(), 0)

    @abstractmethod
    def follow(self, *, until_close: bool) -> str:
        """Publish until the run is over; return what else ended it, or nothing."""

    @abstractmethod
    def _own_facts(self) -> dict[str, Any]:
        """Return the facts of the heartbeat that only this feed has, and those that it overrides."""

    @abstractmethod
    def _source_trouble(self) -> str | None:
        """Return a sentence about a source that does not answer."""

    def close(self) -> None:  # noqa: B027 - quotes have no connection of their own
        """Let go of what the run alone opened."""

    @property
    def is_full(self) -> bool:
        """Return whether the requested number of messages is published."""
        return self.limit is not None and self.result.messages >= self.limit

    @property
    def is_over(self) -> bool:
        """Return whether the run must end."""
        return self.is_full or self.stop.is_set()

    def publish(self, record: Quote | Trade, *, at: datetime) -> None:
        """Publish a record and count it; ``at`` is the instant by which it is the first or the last of the run."""
        self.producer.publish(self.topic, record.symbol, record.to_json(), timestamp=record.fetched_at)
        result, market = self.result, record.market_timestamp
        result.messages += 1
        result.first, result.last = min(result.first or at, at), max(result.last or at, at)
        self._last_fetched, self._last_market = record.fetched_at, max(self._last_market or market, market)

    def beat(self, *, now: bool = False) -> None:
        """Write the heartbeat, and maintain what waits for Kafka."""
        self.producer.maintain()
        self.heartbeat.beat(self._facts, now=now)

    def end(self, ended: str) -> None:
        """Write the last heartbeat, which says how the run ended."""
        self.state = {"error": "ended by an error", "stopped": "stopped as asked"}.get(ended, self.state)
        self.heartbeat.end(self._facts, ended=ended)

    def _say(self, text: str) -> None:
        self.beat()
        if self.on_progress:
            self.on_progress(self.result.messages, self.limit, text)

    def _say_waiting(self, bell: datetime) -> None:
        with suppress(BadAnswer, SourceUnavailable):
            self.finnhub.start_clock()
        self.state = f"waiting for the bell of {bell.astimezone(NEW_YORK):%a %Y-%m-%d %H:%M} New York"
        self._say(f"the market opens {_new_york(bell)} New York")

    def _say_progress(self) -> None:
        now, published = _new_york(self.finnhub.now()), self.result.messages
        self._say(f"{now} New York")
        since, before = self._logged
        if (passed := time.monotonic() - since) >= _LOG_SECONDS:
            per_minute, errors = (published - before) / passed * 60, self._facts()["errors"]
            log.info("%d %s (%.0f a minute), %d errors, it is %s", published, self.what, per_minute, errors, now)
            self._logged = (time.monotonic(), published)

    def _facts(self) -> dict[str, Any]:
        result = self.result
        return {
            "state": self.state,
            "source": result.source,
            "topic": self.topic,
            "confirmed": self.producer.confirmed,
            "messages": result.messages,
            "errors": result.failed.total() + result.skipped.total(),
            "skipped": dict(result.skipped),
            "failed": dict(result.failed),
            "last_event_at": to_epoch(self._last_fetched) if self._last_fetched else None,
            "last_market_at": to_epoch(self._last_market) if self._last_market else None,
            "lag": self.producer.unconfirmed,
            "spooled": self.producer.spooled,
            "trouble": self.producer.trouble or self._source_trouble(),
            "clock": {"now": to_epoch(self.finnhub.now()), **asdict(self.finnhub.pace)},
            **self._own_facts(),
        }


def run_feed(
    settings: Settings,
    start: Callable[..., FeedRun],
    *,
    role: str,
    topic: str,
    duration: float | None,
    until_close: bool,
    stop: threading.Event | None,
) -> Any:
    """Connect, follow the run that ``start`` makes, and return its result; what was published is flushed first."""
    ends = Deadline(stop or threading.Event(), seconds=duration)
    keep_alive_stop = KeepAliveStop(ends)
    with ExitStack() as stack:
        with beginning(settings, keep_alive_stop, role=role, topic=topic) as heartbeat:
            finnhub = stack.enter_context(Finnhub(settings, stop=keep_alive_stop))
            producer = stack.enter_context(SpoolingProducer(settings, source=finnhub.source, stop=ends))
        heartbeat.name(producer.run_id)
        run = start(settings, finnhub, producer, heartbeat, keep_alive_stop, topic)
        keep_alive_stop.keep_alive = run.beat
        ended = ""
        try:
            run.beat(now=True)
            with suppress(Interrupted):
                ended = run.follow(until_close=until_close)
            asked = f"{run.result.messages:,} {run.what} were asked for" if run.is_full else "stopped as asked"
            run.state = ended or asked
            producer.flush()
            run.end("stopped" if stop and stop.is_set() else "done")
        except BaseException as error:
            with suppress(StreamError):
                producer.flush()
            run.end(how_it_ended(error))
            raise
        finally:
            run.close()
        run.result.ended = run.state
    log.info("%s", run.result)
    return run.result


def name_counts(counts: dict[str, int]) -> str:
    """Return counts by symbol as a list.

    >>> name_counts({"AAPL": 2, "MSFT": 1})
    'AAPL 2×, MSFT 1×'
    """
    return ", ".join(f"{symbol} {count}×" for symbol, count in counts.items())


def _new_york(instant: datetime) -> str:
    return f"{instant.astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S}"
