"""The producer over days: right at the opening bell, and next to silent while nothing can change."""

import threading
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from conftest import StartReplay
from exchange import Exchange
from misbehaving import serving

from stocklib import clocks
from stocklib.finnhub import Finnhub
from stocklib.pipeline.ingest import produce
from stocklib.sessions import NEW_YORK
from stocklib.settings import read_settings

pytestmark = pytest.mark.stack


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


class Hurried(threading.Event):
    """A stop that waits in no time: the machine's clocks and the source's are set forward by as much instead."""

    def __init__(self, exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self._exchange = exchange
        self._ahead = 0.0
        monkeypatch.setattr(
            clocks,
            "time",
            SimpleNamespace(monotonic=lambda: time.monotonic() + self._ahead, time=lambda: time.time() + self._ahead),
        )

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self._ahead += timeout
        self._exchange.now += timedelta(seconds=timeout)
        return self.is_set()


@pytest.mark.parametrize(
    ("start", "closes", "opens"),
    [
        # a weekend; Thanksgiving and its half day; the two days of Hurricane Sandy; the changes of the clock
        ("2012-12-14T15:59:37", "2012-12-14T16:00", "2012-12-17T09:30"),
        ("2012-11-23T12:59:37", "2012-11-23T13:00", "2012-11-26T09:30"),
        ("2012-10-26T15:59:37", "2012-10-26T16:00", "2012-10-31T09:30"),
        ("2012-03-09T15:59:37", "2012-03-09T16:00", "2012-03-12T09:30"),
        ("2012-11-02T15:59:37", "2012-11-02T16:00", "2012-11-05T09:30"),
    ],
)
def test_between_sessions_few_calls_are_made_and_the_first_quote_comes_at_the_bell(
    start: str, closes: str, opens: str, service_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = Exchange(new_york(start), is_live=True)
    asked: list[tuple[str, datetime]] = []
    exchange.refuses = lambda request: asked.append((request.path.rpartition("/")[2], exchange.now))  # type: ignore[func-returns-value]
    with serving(exchange) as server:
        environ = {"FINNHUB_BASE_URL": f"{server.url}/api/v1", "FINNHUB_API_KEY": "k", "CLOSE_SETTLE_SECONDS": "1200"}
        # the budget goes by the machine's own time, which does not hurry
        limits = {"FINNHUB_CALLS_PER_MINUTE": "0", "FINNHUB_CALLS_PER_SECOND": "0", "POLL_SECONDS": "15"}
        settings = read_settings(environ={**service_environ, **environ, **limits})
        done = produce(settings, symbols=["AAPL"], max_quotes=5, stop=Hurried(exchange, monkeypatch))
    quotes = [at for what, at in asked if what == "quote"]
    statuses = [at for what, at in asked if what == "market-status"]
    close, bell = new_york(closes), new_york(opens)
    # every POLL_SECONDS, also over the close, once when that has settled, and then right at the next bell
    begun = new_york(start)
    expected = [
        begun,
        begun + timedelta(seconds=15),
        begun + timedelta(seconds=30),
        close + timedelta(minutes=20),
        bell,
    ]
    assert len(quotes) == len(expected)
    late = [(at - want).total_seconds() for at, want in zip(quotes, expected, strict=True)]
    # the machine's own time, in which the calls are made, is not in the source's
    assert -1 < min(late) <= max(late) < 3
    assert late[-1] >= 0
    hours = (bell - close).total_seconds() / 3600
    assert len(statuses) <= hours + 5
    assert done.failed == done.skipped == {}


def test_a_replay_at_speed_is_quoted_from_the_opening_bell_on_and_not_between_sessions(
    replay: StartReplay, service_environ: dict[str, str]
) -> None:
    settings = replay(start="2012-12-14T09:29:00", speed="10", environ=service_environ)
    with Finnhub(settings) as finnhub:
        for day in ("2012-11-23", "2012-03-12"):
            bell = new_york(f"{day}T09:30")
            finnhub.set_clock(bell - timedelta(seconds=30))
            done = produce(settings, symbols=["AAPL"], max_quotes=1)
            assert done.first is not None
            # a second and a half of this machine's time, at the most
            assert timedelta() <= done.first - bell < timedelta(seconds=15)
        # the last price of the session before is asked for, and nothing else
        for closed in ("2012-10-30", "2012-12-15"):
            finnhub.set_clock(new_york(f"{closed}T09:29:55"))
            done = produce(settings, symbols=["AAPL"], duration=3)
            assert done.last is not None
            assert done.last < new_york(f"{closed}T12:00")
            assert (done.messages, done.ended) == (1, "stopped as asked")
        finnhub.set_clock(new_york("2012-11-23T12:59:40"))
        done = produce(settings, symbols=["AAPL"], until_close=True)
        assert done.ended == "the session of 2012-11-23 is over"
        assert done.last is not None
        assert timedelta() <= done.last - new_york("2012-11-23T13:00") < timedelta(minutes=1)
