"""What is an alarm: a feed that stopped in a session, by the source's clock; not one that is rightly quiet."""

import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psutil
import pytest

from stocklib.monitoring.heartbeat import Beat
from stocklib.monitoring.heartbeat_checks import Finding, Moment, check_heartbeat

WALL = 1_790_000_000.0
OURS = psutil.Process().create_time()

NEW_YORK = ZoneInfo("America/New_York")


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


def beat(
    role: str = "producer", *, alive: bool = True, ended: str | None = None, at: float = WALL, **facts: Any
) -> Beat:
    """The beat of this very process, or of one that is gone."""
    started = OURS if alive else OURS - 1000
    return Beat(
        Path("heartbeats") / f"{role}.json", "run", role, os.getpid(), started, socket.gethostname(), at, "polling",
        ended, {"began_at": WALL - 7200, **facts},
    )  # fmt: skip


def feed(now: datetime, *, last: datetime | None = None, speed: float = 1.0, step: bool = False, **more: Any) -> Beat:
    """A producer's beat at an instant of the source's clock, whose newest quote came at ``last``."""
    facts = {
        "clock": {"now": now.timestamp(), "speed": speed, "step": step},
        "source": "replay",
        "market_open": None,
        "round_seconds": 15.0,
        "last_event_at": last.timestamp() if last else None,
        "last_market_at": last.timestamp() if last else None,
    }
    return beat(**{**facts, **more})


def judged(one: Beat, now: datetime | None, *, wall: float = WALL, others: tuple[Beat, ...] = ()) -> Finding:
    return check_heartbeat(one, [one, *others], Moment(now=now, wall=wall))


@pytest.mark.parametrize(
    ("now", "last", "is_alarm"),
    [
        # a living feed: overdue in a session, quiet outside of it
        ("2012-12-14T11:00:00", "2012-12-14T10:59:50", False),
        ("2012-12-14T11:00:00", "2012-12-14T10:57:00", True),
        ("2012-12-14T09:30:30", "2012-12-13T16:00:00", False),
        ("2012-12-14T09:33:00", "2012-12-13T16:00:00", True),
        ("2012-12-14T09:29:59", "2012-12-13T16:00:00", False),
        ("2012-12-14T17:00:00", "2012-12-14T16:00:05", False),
        ("2012-12-16T12:00:00", "2012-12-14T16:00:05", False),
        # Hurricane Sandy shut the exchange on two weekdays
        ("2012-10-29T12:00:00", "2012-10-26T16:00:05", False),
        ("2012-10-30T12:00:00", "2012-10-26T16:00:05", False),
        ("2012-10-31T12:00:00", "2012-10-26T16:00:05", True),
        # a half day closes at one
        ("2012-11-23T12:59:00", "2012-11-23T12:00:00", True),
        ("2012-11-23T13:00:00", "2012-11-23T12:59:50", False),
        ("2012-11-23T15:00:00", "2012-11-23T13:00:05", False),
        # the days around the changes of the clock
        ("2012-03-12T09:29:00", "2012-03-09T16:00:00", False),
        ("2012-03-12T09:33:00", "2012-03-09T16:00:00", True),
        ("2012-11-05T09:29:00", "2012-11-02T16:00:00", False),
        ("2012-11-05T09:33:00", "2012-11-02T16:00:00", True),
    ],
)
def test_a_living_feed_is_overdue_in_a_session_only(now: str, last: str, is_alarm: bool) -> None:
    alarm, _ = judged(feed(new_york(now), last=new_york(last)), new_york(now))
    assert bool(alarm) == is_alarm, alarm


def test_the_alarm_says_since_when_and_what_to_do() -> None:
    now = new_york("2012-12-14T11:00:00")
    alarm, _ = judged(feed(now, last=now - timedelta(minutes=9)), now)
    assert alarm is not None
    assert "nothing has come since Fri 2012-12-14 10:51:00 New York, and the market is open" in alarm
    assert "stocks doctor" in alarm


def test_rounds_that_take_long_and_a_clock_that_runs_fast_get_more_patience() -> None:
    now = new_york("2012-12-14T11:00:00")
    late = now - timedelta(minutes=5)
    assert judged(feed(now, last=late), now)[0]
    assert not judged(feed(now, last=late, round_seconds=120.0), now)[0]
    assert not judged(feed(now, last=late, speed=60.0), now)[0]
    assert judged(feed(now, last=late, speed=60.0, step=True), now)[0]


def test_what_the_source_says_of_the_market_outweighs_the_calendar() -> None:
    now = new_york("2012-12-14T11:00:00")
    assert not judged(feed(now, last=now - timedelta(hours=1), market_open=False), now)[0]


def test_a_feed_that_has_just_begun_in_a_session_is_given_time() -> None:
    now = new_york("2012-12-14T11:00:00")
    assert not judged(feed(now, began_at=WALL - 30), now)[0]
    assert judged(feed(now, began_at=WALL - 300), now)[0]


def test_prices_that_stand_still_while_the_source_answers_are_an_alarm() -> None:
    now = new_york("2012-12-14T11:00:00")
    still = (now - timedelta(minutes=31)).timestamp()
    alarm, _ = judged(feed(now, last=now, last_market_at=still), now)
    assert alarm
    assert "no price has moved since Fri 2012-12-14 10:29:00" in alarm
    assert not judged(feed(now, last=now, last_market_at=still + 120), now)[0]
    # right after the bell the newest price is yesterday's close
    bell = new_york("2012-12-14T09:31:00")
    assert not judged(feed(bell, last=bell, last_market_at=new_york("2012-12-13T16:00").timestamp()), bell)[0]


@pytest.mark.parametrize(
    ("died", "now", "is_alarm"),
    [
        ("2012-12-14T11:00:00", "2012-12-14T11:00:01", True),
        # the day's last prices are missing, also on Sunday
        ("2012-12-14T11:00:00", "2012-12-16T12:00:00", True),
        ("2012-12-16T12:00:00", "2012-12-16T12:00:01", False),
        ("2012-12-16T12:00:00", "2012-12-17T09:29:59", False),
        ("2012-12-16T12:00:00", "2012-12-17T09:30:00", True),
        ("2012-12-14T16:00:00", "2012-12-14T16:00:01", False),
        ("2012-11-23T13:00:00", "2012-11-23T14:00:00", False),
        ("2012-10-29T12:00:00", "2012-10-29T12:00:01", False),
    ],
)
@pytest.mark.parametrize("ended", [None, "error"])
def test_a_feed_that_died_is_an_alarm_in_a_session(died: str, now: str, is_alarm: bool, ended: str | None) -> None:
    dead = feed(new_york(died), last=new_york(died), alive=False, ended=ended)
    alarm, remark = judged(dead, new_york(now))
    assert bool(alarm) == is_alarm
    assert bool(remark) != is_alarm
    assert "start it" in (alarm or "") + (remark or "")


def test_a_dead_feed_of_a_quiet_day_says_when_the_next_bell_is() -> None:
    sunday = new_york("2012-12-16T12:00:00")
    _, remark = judged(feed(sunday, alive=False), sunday)
    assert remark is not None
    assert remark.endswith("start it before Mon 2012-12-17 09:30:00 New York")
    early = new_york("2012-12-14T08:00:00")
    assert "Fri 2012-12-14 09:30:00" in str(judged(feed(early, alive=False), early)[1])


def test_a_feed_that_was_stopped_is_an_alarm_after_two_minutes_of_a_session() -> None:
    now = new_york("2012-12-14T11:00:00")
    stopped = feed(now, alive=False, ended="stopped")
    assert judged(stopped, now, wall=WALL + 60) == (None, None)
    assert judged(stopped, now, wall=WALL + 121)[0]
    assert judged(stopped, new_york("2012-12-16T12:00"), wall=WALL + 121) == (None, None)
    # a replay that is gone has no time
    assert judged(stopped, None, wall=WALL + 121) == (None, None)


def test_a_feed_that_did_what_it_was_asked_for_is_no_alarm() -> None:
    now = new_york("2012-12-14T11:00:00")
    assert judged(feed(now, alive=False, ended="done"), now, wall=WALL + 9000) == (None, None)


def test_a_process_that_hangs_is_an_alarm_in_a_session_and_a_remark_on_sunday() -> None:
    for role in (feed(new_york("2012-12-14T11:00"), last=new_york("2012-12-14T11:00")), beat("consumer-7")):
        alarm, _ = judged(role, new_york("2012-12-14T11:00"), wall=WALL + 61)
        assert alarm
        assert "has written no heartbeat for 61 s" in alarm
        alarm, remark = judged(role, new_york("2012-12-16T11:00"), wall=WALL + 61)
        assert not alarm
        assert remark
    busy = beat("loader", patience=1800.0)
    assert judged(busy, new_york("2012-12-14T11:00"), wall=WALL + 1000) == (None, None)


def test_a_consumer_that_died_is_an_alarm_in_a_session_unless_another_goes_on() -> None:
    dead, other = beat("consumer-7", alive=False), beat("consumer-8")
    assert judged(dead, new_york("2012-12-14T11:00"))[0]
    alarm, remark = judged(dead, new_york("2012-12-14T11:00"), others=(other,))
    assert (alarm, remark) == (None, "ended without a last heartbeat (killed?); another consumer goes on")
    assert not judged(dead, new_york("2012-12-16T11:00"))[0]
    assert judged(beat("consumer-7", alive=False, ended="stopped"), new_york("2012-12-14T11:00")) == (None, None)


def test_an_outage_is_an_alarm_after_half_a_minute_whatever_the_day() -> None:
    waiting = beat("consumer-7", trouble="S3 did not answer", trouble_since=WALL - 10)
    sunday = new_york("2012-12-16T11:00")
    assert judged(waiting, sunday) == (None, "S3 did not answer")
    spooling = feed(sunday, trouble="Kafka confirms nothing", trouble_since=WALL - 31)
    assert judged(spooling, sunday)[0] == "it has tried for 31 s, and goes on trying: Kafka confirms nothing"
    assert judged(waiting, sunday, wall=WALL + 25)[0] == "it has tried for 35 s, and goes on trying: S3 did not answer"


@pytest.mark.parametrize("ended", [None, "done", "stopped"])
def test_what_kafka_deleted_before_it_was_read_is_an_alarm_until_the_next_run(ended: str | None) -> None:
    alarm, _ = judged(beat("consumer-1", ended=ended, deleted=["stock-quotes/0 4-6"]), None)
    assert "stock-quotes/0 4-6" in (alarm or "")
    assert judged(beat("consumer-1", ended=ended, deleted=[]), None) == (None, None)
