"""One run of a feed into Kafka, of quotes or of trades: its start, its heartbeat and its end.

``run_feed`` connects the source and Kafka, follows the feed to its end, and flushes what was published however it ends.
A ``FeedRun`` adds what the feed does in between and what it counts.
"""

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from stocklib.clocks import Deadline, KeepAliveStop, Stop
from stocklib.errors import StreamError
from stocklib.finnhub import Finnhub
from stocklib.monitoring.heartbeat import Heartbeat
from stocklib.pipeline.ingest.startup import beginning, how_it_ended
from stocklib.quotes import to_epoch
from stocklib.sessions import NEW_YORK
from stocklib.settings import Settings
from stocklib.stream import SpoolingProducer

log = logging.getLogger(__name__)

_LOG_SECONDS = 60.0

Progress = Callable[[int, int | None, str], None]


@dataclass(frozen=True)
class Connections:
    """What a run works with; ``stop`` calls the run's heartbeat while it waits."""

    settings: Settings
    finnhub: Finnhub
    producer: SpoolingProducer
    heartbeat: Heartbeat
    stop: Stop
    topic: str


class FeedRun(ABC):
    """One run. ``limit`` is how many messages it publishes at most."""

    def __init__(self, to: Connections, *, limit: int | None, on_progress: Progress | None) -> None:
        self._settings, self._finnhub, self._producer = to.settings, to.finnhub, to.producer
        self._heartbeat, self._stop, self._topic = to.heartbeat, to.stop, to.topic
        self._limit = limit
        self._on_progress = on_progress
        self.state = "starting"
        # when the log last said how far the run is, and how many messages that were
        self._logged = (time.monotonic(), 0)

    @property
    @abstractmethod
    def published(self) -> int:
        """How many messages were published."""

    @abstractmethod
    def follow(self, *, until_close: bool) -> str:
        """Publish until the end; return why it ended."""

    @abstractmethod
    def result(self) -> Any:
        """Return what came of the run."""

    @abstractmethod
    def _own_facts(self) -> dict[str, Any]:
        """Return the facts of the heartbeat that only this feed has, and those that it overrides."""

    @abstractmethod
    def _source_trouble(self) -> str | None:
        """Return a sentence about a source that does not answer."""

    @abstractmethod
    def _progress(self, per_minute: float, now: str) -> str:
        """Return the line of the log that says how far the run is."""

    def close(self) -> None:  # noqa: B027 - quotes have no connection of their own
        """Let go of what the run alone opened."""

    @property
    def _is_full(self) -> bool:
        return self._limit is not None and self.published >= self._limit

    @property
    def _is_over(self) -> bool:
        return self._is_full or self._stop.is_set()

    def beat(self, *, now: bool = False) -> None:
        """Write the heartbeat, and maintain what waits for Kafka."""
        self._producer.maintain()
        self._heartbeat.beat(self._facts, now=now)

    def end(self, ended: str) -> None:
        """Write the last heartbeat, which says how the run ended."""
        self.state = {"error": "ended by an error", "stopped": "stopped as asked"}.get(ended, self.state)
        self._heartbeat.end(self._facts, ended=ended)

    def _say(self, text: str) -> None:
        self.beat()
        if self._on_progress:
            self._on_progress(self.published, self._limit, text)

    def _say_waiting(self, bell: datetime) -> None:
        self.state = f"waiting for the bell of {bell.astimezone(NEW_YORK):%a %Y-%m-%d %H:%M} New York"
        self._say(f"the market opens {new_york_clock(bell)} New York")

    def _say_progress(self) -> None:
        now = new_york_clock(self._finnhub.now())
        self._say(f"{now} New York")
        since, published = self._logged
        if (passed := time.monotonic() - since) >= _LOG_SECONDS:
            log.info("%s", self._progress((self.published - published) / passed * 60, now))
            self._logged = (time.monotonic(), self.published)

    def _facts(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "source": self._finnhub.source,
            "topic": self._topic,
            "confirmed": self._producer.confirmed,
            "messages": self.published,
            "lag": self._producer.unconfirmed,
            "spooled": self._producer.spooled,
            "trouble": self._producer.trouble or self._source_trouble(),
            "clock": {"now": to_epoch(self._finnhub.now()), **asdict(self._finnhub.pace)},
            **self._own_facts(),
        }


def run_feed(
    settings: Settings,
    start: Callable[[Connections], FeedRun],
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
        run = start(Connections(settings, finnhub, producer, heartbeat, keep_alive_stop, topic))
        keep_alive_stop.keep_alive = run.beat
        try:
            run.beat(now=True)
            run.state = run.follow(until_close=until_close)
            producer.flush()
            run.end("stopped" if stop and stop.is_set() else "done")
        except BaseException as error:
            with suppress(StreamError):
                producer.flush()
            run.end(how_it_ended(error))
            raise
        finally:
            run.close()
        result = run.result()
    log.info("%s", result)
    return result


def new_york_clock(instant: datetime) -> str:
    """Return an instant as a line of output shows it."""
    return f"{instant.astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S}"


def name_span(first: datetime | None, last: datetime | None) -> str:
    """Return from when to when a run's messages are, as part of a sentence; empty where there are none."""
    return f", {new_york_clock(first)} to {new_york_clock(last)} New York" if first and last else ""


def name_counts(counts: dict[str, int]) -> str:
    """Return counts by symbol as a list.

    >>> name_counts({"AAPL": 2, "MSFT": 1})
    'AAPL 2×, MSFT 1×'
    """
    return ", ".join(f"{symbol} {count}×" for symbol, count in counts.items())
