"""finnhub → stream: every trade that the websocket brings, published keyed by its symbol.

The feed is on from a little before the opening bell until the close has settled (``CLOSE_SETTLE_SECONDS``); outside of
that it is hung up and the run waits for the next bell. A lost connection is replaced, for as long as it takes. However
a run ends, what was published is flushed first.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from stocklib.clocks import Deadline, KeepAliveStop, Stop
from stocklib.errors import BadAnswer, Interrupted, PlanRefused, RateLimited, SourceUnavailable, StreamError
from stocklib.finnhub import Finnhub
from stocklib.finnhub.trade_feed import TradeFeed
from stocklib.monitoring.heartbeat import Heartbeat
from stocklib.pipeline.ingest.startup import beginning, how_it_ended
from stocklib.pipeline.ingest.step_clock import Stepper
from stocklib.quotes import to_epoch
from stocklib.sessions import NEW_YORK, Session, is_open, last_finished_session, new_york_date, next_session, session
from stocklib.settings import Settings
from stocklib.stream import SpoolingProducer

log = logging.getLogger(__name__)

_RECEIVE_SECONDS, _LOG_SECONDS = 0.2, 60.0
# The feed is on this long before the bell: so much of the source's time, or of this machine's where that runs faster.
_LEAD_SECONDS, _LEAD_MACHINE_SECONDS = 60.0, 3.0
# A live feed does not say that everything up to a moment has come: after so long it has.
_GRACE = timedelta(seconds=60)
# A live source's clock is asked for this often; in between it goes on with this machine's.
_CLOCK_SECONDS = 300.0
_PAUSE = 2.0

Progress = Callable[[int, int | None, str], None]


@dataclass(frozen=True, slots=True)
class TradesResult:
    """What one run did. ``rejected`` counts what was no usable trade, by symbol; ``left_out`` are symbols beyond the
    plan's limit. ``first`` and ``last`` are the earliest and the latest trade's own times."""

    run_id: str
    source: str
    trades: int
    reconnects: int
    garbled: int
    rejected: dict[str, int]
    left_out: list[str]
    first: datetime | None
    last: datetime | None
    ended: str

    def __str__(self) -> str:
        span = f", {_clock(self.first)} to {_clock(self.last)} New York" if self.first and self.last else ""
        lines = [f"published {self.trades:,} trades from {self.source}{span}; {self.ended}"]
        if self.reconnects or self.garbled:
            lines.append(f"reconnected {self.reconnects}×, {self.garbled} messages could not be read")
        if self.rejected:
            counts = ", ".join(f"{symbol} {count}×" for symbol, count in self.rejected.items())
            lines.append(f"no usable trade: {counts}")
        if self.left_out:
            lines.append(f"beyond the plan's symbols (FINNHUB_WS_SYMBOLS): {', '.join(self.left_out)}")
        return "\n".join(lines)


def produce_trades(
    settings: Settings,
    *,
    duration: float | None = None,
    max_trades: int | None = None,
    until_close: bool = False,
    symbols: list[str] | None = None,
    stop: threading.Event | None = None,
    on_progress: Progress | None = None,
    moves_clock: bool = True,
) -> TradesResult:
    """Publish trades until ``stop`` is set, ``duration`` seconds or ``max_trades`` are over, or the session is.

    ``until_close`` ends when today's close has settled, or at once where it has already: trades of the past are not to
    be had. ``moves_clock``: a stepping replay is moved by this run where nobody else does (see ``stepping``).
    """
    ends = Deadline(stop or threading.Event(), seconds=duration)
    keep_alive_stop = KeepAliveStop(ends)
    with ExitStack() as stack:
        with beginning(settings, keep_alive_stop, role="trades", topic=settings.kafka_trades_topic) as heartbeat:
            finnhub = stack.enter_context(Finnhub(settings, stop=keep_alive_stop))
            producer = stack.enter_context(SpoolingProducer(settings, source=finnhub.source, stop=ends))
        heartbeat.name(producer.run_id)
        run = _Run(settings, finnhub, producer, heartbeat, symbols or settings.symbols, keep_alive_stop, max_trades)
        run.on_progress = on_progress or run.on_progress
        run.stepper = run.stepper if moves_clock else None
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
        finally:
            run.feed.close()
        result = run.result()
    log.info("%s", result)
    return result


class _Run:
    def __init__(
        self,
        settings: Settings,
        finnhub: Finnhub,
        producer: SpoolingProducer,
        heartbeat: Heartbeat,
        symbols: list[str],
        stop: Stop,
        limit: int | None,
    ) -> None:
        self.feed = TradeFeed(settings, finnhub, symbols, stop=stop)
        self.stepper: Stepper | None = Stepper(finnhub, self.feed)
        self.on_progress: Progress = lambda done, total, text: None
        self.state = "starting"
        self._finnhub, self._producer, self._stop, self._limit = finnhub, producer, stop, limit
        self._topic = str(settings.kafka_trades_topic)
        self._settle = timedelta(seconds=settings.close_settle_seconds)
        self._published: Counter[str] = Counter()
        self._first: datetime | None = None
        self._last: datetime | None = None
        self._last_fetched: datetime | None = None
        self._logged = self._asked = time.monotonic()
        self._heartbeat = heartbeat

    def follow(self, *, until_close: bool) -> str:
        """Session after session; why it ended."""
        self.beat(now=True)
        log.info("trades of %d symbols; run %s", len(self.feed.symbols), self._producer.run_id)
        last = None
        try:
            while not self._is_over:
                now = self._finnhub.now()
                today = session(new_york_date(now))
                if today is None or self._has_passed(today):
                    self.feed.close()
                    if until_close and (last := today or last_finished_session(now)):
                        break
                    self._wait_for_the_bell(next_session(new_york_date(now)))
                elif now < today.open - self._lead:
                    self._wait_for_the_bell(today)
                else:
                    self._listen()
        except Interrupted:
            pass
        if last:
            return f"the session of {last.session_date} is over"
        return f"{self.trades:,} trades were asked for" if self._is_full else "stopped as asked"

    def beat(self, *, now: bool = False) -> None:
        """Say in the heartbeat file how far the run is, and see to what waits for Kafka."""
        self._producer.maintain()
        self._heartbeat.beat(self._facts, now=now)

    def end(self, ended: str) -> None:
        """Say in the heartbeat file how it ended."""
        self.state = {"error": "ended by an error", "stopped": "stopped as asked"}.get(ended, self.state)
        self._heartbeat.end(self._facts, ended=ended)

    @property
    def trades(self) -> int:
        """How many were published."""
        return self._published.total()

    def result(self) -> TradesResult:
        """What came of the run."""
        return TradesResult(
            run_id=self._producer.run_id,
            source=self._finnhub.source,
            trades=self.trades,
            reconnects=self.feed.reconnects,
            garbled=self.feed.garbled,
            rejected=dict(self.feed.rejected),
            left_out=self.feed.left_out,
            first=self._first,
            last=self._last,
            ended=self.state,
        )

    @property
    def _is_full(self) -> bool:
        return self._limit is not None and self.trades >= self._limit

    @property
    def _is_over(self) -> bool:
        return self._is_full or self._stop.is_set()

    @property
    def _lead(self) -> timedelta:
        pace = self._finnhub.pace
        machine = 0.0 if pace.step else _LEAD_MACHINE_SECONDS * pace.speed
        return timedelta(seconds=max(_LEAD_SECONDS, machine))

    def _has_passed(self, today: Session) -> bool:
        """Whether everything of a session that will come has come."""
        heard: datetime | None = self._finnhub.now()
        if self.feed.is_open:
            heard = self.feed.complete_until if self._finnhub.source == "replay" else self._finnhub.now() - _GRACE
        return heard is not None and heard >= today.close + self._settle

    def _listen(self) -> None:
        """One message, or none within a moment."""
        try:
            if self.stepper and self.feed.is_open:
                self.stepper.step()
            found = self.feed.receive(_RECEIVE_SECONDS)
            for trade in found[: None if self._limit is None else self._limit - self.trades]:
                self._producer.publish(self._topic, trade.symbol, trade.to_json(), timestamp=trade.fetched_at)
                self._published[trade.symbol] += 1
                self._first = min(self._first or trade.market_timestamp, trade.market_timestamp)
                self._last = max(self._last or trade.market_timestamp, trade.market_timestamp)
                self._last_fetched = trade.fetched_at
            self._refresh_clock()
        except SourceUnavailable as error:
            if not self.feed.connections:
                raise
            log.warning("%s", error)
            self._stop.wait(_PAUSE)
        self.state = "listening" if self.feed.is_open else f"connecting again: {self.feed.trouble or 'not yet'}"
        self._tell()

    def _wait_for_the_bell(self, today: Session) -> None:
        self.state = f"waiting for the bell of {today.open.astimezone(NEW_YORK):%a %Y-%m-%d %H:%M} New York"
        self.beat()
        self.on_progress(self.trades, self._limit, f"the market opens {_clock(today.open)} New York")
        self._refresh_clock()
        now, begin = self._finnhub.now(), today.open - self._lead
        # not the whole night at once: the source's clock is looked at in between
        self._finnhub.wait_until(begin if self._finnhub.pace.step else min(begin, now + timedelta(seconds=60)))

    def _refresh_clock(self) -> None:
        """A machine that slept has lost count of the time; a replay says it with each message."""
        if time.monotonic() - self._asked < _CLOCK_SECONDS:
            return
        self._asked = time.monotonic()
        try:
            self._finnhub.market_status()
        except (BadAnswer, PlanRefused, RateLimited, SourceUnavailable) as error:
            log.warning("%s; going by this machine's clock", error)

    def _tell(self) -> None:
        self.beat()
        now = self._finnhub.now()
        self.on_progress(self.trades, self._limit, f"{_clock(now)} New York")
        if time.monotonic() - self._logged >= _LOG_SECONDS:
            self._logged = time.monotonic()
            log.info("%d trades, %d reconnects, it is %s", self.trades, self.feed.reconnects, _clock(now))

    def _facts(self) -> dict[str, Any]:
        now = self._finnhub.now()
        return {
            "state": self.state,
            "source": self._finnhub.source,
            "topic": self._topic,
            "confirmed": self._producer.confirmed,
            "messages": self.trades,
            "errors": self.feed.losses + self.feed.garbled + self.feed.rejected.total(),
            "lag": self._producer.unconfirmed,
            "spooled": self._producer.spooled,
            "trouble": self._producer.trouble or self._source_trouble(),
            "last_event_at": to_epoch(self._last_fetched) if self._last_fetched else None,
            "last_market_at": to_epoch(self._last) if self._last else None,
            "clock": {"now": to_epoch(now), **asdict(self._finnhub.pace)},
            "market_open": is_open(now),
            "connected": self.feed.is_open,
            "reconnects": self.feed.reconnects,
            "garbled": self.feed.garbled,
            "left_out": self.feed.left_out,
            "skipped": dict(self.feed.rejected),
            "failed": {"connection": self.feed.losses},
        }

    def _source_trouble(self) -> str | None:
        return f"{self.feed.trouble}; trades go on when it is back" if self.feed.trouble else None


def _clock(instant: datetime) -> str:
    return f"{instant.astimezone(NEW_YORK):%Y-%m-%d %H:%M:%S}"
