"""When quotes are asked for: the source's word on the market, the calendar's on when that may change."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from exchange import Exchange
from misbehaving import serving

from stocklib import clocks
from stocklib.finnhub import Finnhub
from stocklib.pipeline.ingest.market_hours import MarketHours
from stocklib.settings import read_settings

Start = Callable[..., tuple[Exchange, Finnhub, MarketHours]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    opened = []

    def begin(now: datetime, *, settle: float = 0, **more: Any) -> object:
        exchange = Exchange(now, **more)
        serves = serving(exchange)
        server = serves.__enter__()
        environ = {"STOCKS_HOME": str(tmp_path), "FINNHUB_API_KEY": "k", "FINNHUB_BASE_URL": f"{server.url}/api/v1"}
        limits = {"FINNHUB_CALLS_PER_MINUTE": "0", "FINNHUB_CALLS_PER_SECOND": "0"}
        finnhub = Finnhub(read_settings(environ=environ | limits))
        opened.append((serves, finnhub))
        return exchange, finnhub, MarketHours(finnhub, settle=settle)

    yield begin  # type: ignore[misc]
    for serves, finnhub in opened:
        finnhub.close()
        serves.__exit__(None, None, None)


def new_york(day: int, hour: int, minute: int = 0, second: int = 0) -> datetime:
    """An instant of December 2012 by the clock of New York."""
    return datetime(2012, 12, day, hour + 5, minute, second, tzinfo=UTC)


def test_the_status_is_asked_for_once_a_minute_and_at_the_bells(start: Start) -> None:
    exchange, finnhub, hours = start(new_york(14, 9, 29, 30))
    assert not hours.refresh_is_open()
    begun = exchange.asked
    for _ in range(29):
        finnhub.wait(1)
        assert not hours.refresh_is_open()
    assert exchange.asked == begun
    finnhub.wait(1)
    assert hours.refresh_is_open()
    assert exchange.asked == begun + 1
    for _ in range(120):
        finnhub.wait(1)
        assert hours.refresh_is_open()
    assert exchange.asked == begun + 3


def test_before_the_bell_no_round_is_due_and_the_wait_ends_at_it(start: Start) -> None:
    _, finnhub, hours = start(new_york(14, 9, 29, 10))
    assert hours.take_due_session() is None
    seconds, bell = hours.until_next()
    assert (seconds, bell) == (50, new_york(14, 9, 30))
    finnhub.wait(seconds)
    assert hours.refresh_is_open()


def test_after_the_close_one_round_is_due_and_no_other(start: Start) -> None:
    _, _, hours = start(new_york(14, 16, 0, 1))
    assert hours.take_due_session() == date(2012, 12, 14)
    assert hours.settled == date(2012, 12, 14)
    assert hours.take_due_session() is None


def test_a_close_that_has_yet_to_settle_is_heard_twice(start: Start) -> None:
    _, finnhub, hours = start(new_york(14, 16, 0, 1), settle=1200)
    assert hours.take_due_session() == date(2012, 12, 14)
    assert hours.settled is None
    assert hours.take_due_session() is None
    while hours.take_due_session() is None:
        seconds, _ = hours.until_next()
        assert 0 < seconds <= 60
        finnhub.wait(seconds)
    assert finnhub.now() == new_york(14, 16, 20)
    assert hours.settled == date(2012, 12, 14)


def test_on_a_weekend_the_last_session_is_heard_once_and_the_next_bell_is_mondays(start: Start) -> None:
    _, _, hours = start(new_york(15, 11))
    assert hours.take_due_session() == date(2012, 12, 14)
    assert hours.take_due_session() is None
    assert hours.until_next() == (60, new_york(17, 9, 30))


def test_a_half_day_ends_at_one(start: Start) -> None:
    exchange, finnhub, hours = start(new_york(24, 12, 59, 59))
    assert hours.refresh_is_open()
    finnhub.wait(1)
    assert not hours.refresh_is_open()
    assert hours.take_due_session() == date(2012, 12, 24)
    assert exchange.now == new_york(24, 13)


def test_a_market_that_stays_shut_against_the_calendar_is_asked_again_after_a_minute(start: Start) -> None:
    exchange, finnhub, hours = start(new_york(14, 11), says=lambda _: False)
    assert not hours.refresh_is_open()
    assert hours.take_due_session() is None
    seconds, _ = hours.until_next()
    assert seconds == 60
    finnhub.wait(seconds)
    begun = exchange.asked
    assert not hours.refresh_is_open()
    assert exchange.asked == begun + 1


def test_a_source_that_is_late_with_the_opening_bell_is_asked_again_within_seconds(start: Start) -> None:
    exchange, finnhub, hours = start(new_york(14, 9, 29, 50), says=lambda now: now >= new_york(14, 9, 30, 3))
    assert not hours.refresh_is_open()
    while not hours.refresh_is_open():
        finnhub.wait(hours.until_next()[0])
    assert finnhub.now() <= new_york(14, 9, 30, 4)
    # and one that stays shut is not asked more and more
    exchange, finnhub, hours = start(new_york(14, 9, 29, 50), says=lambda _: False)
    begun = exchange.asked
    while finnhub.now() < new_york(14, 10, 30):
        assert not hours.refresh_is_open()
        finnhub.wait(hours.until_next()[0])
    assert exchange.asked - begun <= 68


def test_when_this_machine_has_slept_the_source_is_asked_what_time_it_is(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange, _, hours = start(new_york(16, 12), is_live=True)
    assert not hours.refresh_is_open()
    begun = exchange.asked
    assert not hours.refresh_is_open()
    assert exchange.asked == begun
    # asleep since Sunday noon: the monotonic clock stood still, the one on the wall did not
    exchange.now = new_york(17, 10)
    real = time.time
    monkeypatch.setattr(clocks, "time", SimpleNamespace(time=lambda: real() + 79_200, monotonic=time.monotonic))
    assert hours.refresh_is_open()
    assert exchange.asked == begun + 1


def test_a_status_that_makes_no_sense_gives_way_to_the_calendar(start: Start) -> None:
    exchange, finnhub, hours = start(new_york(14, 11))
    finnhub.now()
    exchange.says = lambda _: "perhaps"
    assert hours.refresh_is_open()
    finnhub.wait(6 * 3600)
    assert not hours.refresh_is_open()
