"""finnhub → stream: every trade that the websocket brings, published keyed by its symbol.

The feed is on from a little before the opening bell until the close has settled (``CLOSE_SETTLE_SECONDS``); outside of
that it is hung up and the run waits for the next bell. A lost connection is replaced, for as long as it takes. However
a run ends, what was published is flushed first.
"""

import logging
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from stocklib.errors import BadAnswer, PlanRefused, RateLimited, SourceUnavailable
from stocklib.finnhub.trade_feed import TradeFeed
from stocklib.pipeline.ingest.feed_run import FeedResult, FeedRun, Progress, name_counts, run_feed
from stocklib.pipeline.ingest.step_clock import Stepper
from stocklib.sessions import Session, is_open, last_finished_session, new_york_date, next_session, session
from stocklib.settings import Settings

log = logging.getLogger(__name__)

_RECEIVE_SECONDS = 0.2
# The feed is on this long before the bell: so much of the source's time, or of this machine's where that runs faster.
_LEAD_SECONDS, _LEAD_MACHINE_SECONDS = 60.0, 3.0
# A live feed does not say that everything up to a moment has come: after so long it has.
_GRACE = timedelta(seconds=60)
# A live source's clock is asked for this often; in between it goes on with this machine's.
_CLOCK_SECONDS = 300.0
_PAUSE = 2.0


@dataclass
class TradesResult(FeedResult):
    """What one run did. ``left_out`` are symbols beyond the plan's limit, ``garbled`` messages that could not be read.

    ``first`` and ``last`` are the earliest and the latest trade's own times.
    """

    reconnects: int = 0
    garbled: int = 0
    left_out: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        remarks = {
            "reconnected": f"{self.reconnects}×" if self.reconnects else "",
            "messages that could not be read": f"{self.garbled}" if self.garbled else "",
            "no usable trade": name_counts(self.skipped),
            "beyond the plan's symbols (FINNHUB_WS_SYMBOLS)": ", ".join(self.left_out),
        }
        return self.describe("trades", remarks)


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

    ``until_close`` ends when today's close has settled, or at once where it has already: a feed brings no trades of the
    past. ``moves_clock``: this run moves a stepping replay where no other process does (see ``step_clock``).
    """
    listed = symbols or settings.symbols
    result: TradesResult = run_feed(
        settings,
        partial(_TradeRun, symbols=listed, limit=max_trades, on_progress=on_progress, moves_clock=moves_clock),
        role="trades",
        topic=settings.kafka_trades_topic,
        duration=duration,
        until_close=until_close,
        stop=stop,
    )
    return result


@dataclass
class _TradeRun(FeedRun):
    what = "trades"
    moves_clock: bool
    result: TradesResult = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.feed = feed = TradeFeed(self.settings, self.finnhub, self.symbols, stop=self.stop)
        self.stepper = Stepper(self.finnhub, feed) if self.moves_clock else None
        run_id, source = self.producer.run_id, self.finnhub.source
        self.result = TradesResult(run_id, source, skipped=feed.rejected, left_out=feed.left_out)
        self._settle = timedelta(seconds=self.settings.close_settle_seconds)
        self._asked = time.monotonic()

    def close(self) -> None:
        """Hang up."""
        self.feed.close()
        self.result.reconnects, self.result.garbled = self.feed.reconnects, self.feed.garbled

    def follow(self, *, until_close: bool) -> str:
        """Listen session after session; return which one is over, where that ends the run."""
        log.info("trades of %d symbols; run %s", len(self.feed.symbols), self.producer.run_id)
        while not self.is_over:
            now = self.finnhub.now()
            today = session(new_york_date(now))
            if today is None or self._has_passed(today):
                self.feed.close()
                if until_close:
                    last = today or last_finished_session(now)
                    return f"the session of {last.session_date} is over"
                self._wait_for_the_bell(next_session(new_york_date(now)))
            elif now < today.open - self._lead:
                self._wait_for_the_bell(today)
            else:
                self._listen()
        return ""

    @property
    def _lead(self) -> timedelta:
        pace = self.finnhub.pace
        machine = 0.0 if pace.step else _LEAD_MACHINE_SECONDS * pace.speed
        return timedelta(seconds=max(_LEAD_SECONDS, machine))

    def _has_passed(self, today: Session) -> bool:
        """Return whether every trade of a session has come."""
        complete: datetime | None = self.finnhub.now()
        if self.feed.is_open:
            complete = self.feed.complete_until if self.finnhub.source == "replay" else self.finnhub.now() - _GRACE
        return complete is not None and complete >= today.close + self._settle

    def _listen(self) -> None:
        """Publish the trades of the next message, if one comes within a moment."""
        try:
            if self.stepper and self.feed.is_open:
                self.stepper.step()
            found = self.feed.receive(_RECEIVE_SECONDS)
            for trade in found[: None if self.limit is None else self.limit - self.result.messages]:
                self.publish(trade, at=trade.market_timestamp)
            self._refresh_clock()
        except SourceUnavailable as error:
            if not self.feed.connections:
                raise
            log.warning("%s", error)
            self.stop.wait(_PAUSE)
        self.state = "listening" if self.feed.is_open else f"connecting again: {self.feed.trouble or 'not yet'}"
        self._say_progress()

    def _wait_for_the_bell(self, today: Session) -> None:
        self._say_waiting(today.open)
        self._refresh_clock()
        now, begin = self.finnhub.now(), today.open - self._lead
        # not the whole night at once: the source's clock is looked at in between
        self.finnhub.wait_until(begin if self.finnhub.pace.step else min(begin, now + timedelta(seconds=60)))

    def _refresh_clock(self) -> None:
        """Ask for the source's clock now and then: a machine that slept has lost count of the time."""
        if time.monotonic() - self._asked < _CLOCK_SECONDS:
            return
        self._asked = time.monotonic()
        try:
            self.finnhub.market_status()
        except (BadAnswer, PlanRefused, RateLimited, SourceUnavailable) as error:
            log.warning("%s; going by this machine's clock", error)

    def _own_facts(self) -> dict[str, Any]:
        feed = self.feed
        return {
            "errors": feed.losses + feed.garbled + feed.rejected.total(),
            "market_open": is_open(self.finnhub.now()),
            "connected": feed.is_open,
            "reconnects": feed.reconnects,
            "garbled": feed.garbled,
            "left_out": feed.left_out,
            "failed": {"connection": feed.losses},
        }

    def _source_trouble(self) -> str | None:
        return f"{self.feed.trouble}; trades go on when it is back" if self.feed.trouble else None
