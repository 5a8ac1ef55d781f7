"""The trading calendar: what New York did, in UTC."""

from datetime import UTC, date, datetime, timedelta

import pytest

from stocklib import sessions
from stocklib.errors import DateRangeError


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


def test_the_bell_moves_with_daylight_saving() -> None:
    winter, summer = sessions.session(date(2012, 3, 9)), sessions.session(date(2012, 3, 12))
    assert winter
    assert summer
    assert (winter.open, winter.close) == (utc(2012, 3, 9, 14, 30), utc(2012, 3, 9, 21, 0))
    assert (summer.open, summer.close) == (utc(2012, 3, 12, 13, 30), utc(2012, 3, 12, 20, 0))


@pytest.mark.parametrize(
    "day",
    [
        date(2001, 9, 11),
        date(2001, 9, 14),
        date(2007, 1, 2),
        date(2012, 10, 29),
        date(2012, 10, 30),
        date(2012, 12, 15),
    ],
)
def test_a_closed_day_has_no_session(day: date) -> None:
    assert sessions.session(day) is None


def test_a_half_day_closes_at_one() -> None:
    half = sessions.session(date(2012, 11, 23))
    assert half
    assert half.is_early_close
    assert half.close - half.open == timedelta(hours=3, minutes=30)


def test_the_closing_bell_is_outside_the_session() -> None:
    assert sessions.is_open(utc(2012, 12, 14, 14, 30))
    assert sessions.is_open(utc(2012, 12, 14, 20, 59, 59))
    assert not sessions.is_open(utc(2012, 12, 14, 21, 0))


def test_an_evening_in_new_york_is_still_that_trading_date() -> None:
    assert sessions.new_york_date(utc(2012, 12, 15, 3, 0)) == date(2012, 12, 14)


def test_the_last_finished_session_is_yesterdays_until_the_close() -> None:
    assert sessions.last_finished_session(utc(2012, 12, 14, 20, 59)).session_date == date(2012, 12, 13)
    assert sessions.last_finished_session(utc(2012, 12, 14, 21, 0)).session_date == date(2012, 12, 14)
    assert sessions.last_finished_session(utc(2012, 12, 16, 12, 0)).session_date == date(2012, 12, 14)


def test_neighbours_skip_weekends_and_holidays() -> None:
    assert sessions.next_session(date(2012, 12, 31)).session_date == date(2013, 1, 2)
    assert sessions.previous_session(date(2012, 1, 3)).session_date == date(2011, 12, 30)


def test_the_calendar_has_every_day_once_and_names_its_holidays() -> None:
    days = list(sessions.calendar_days(date(2000, 1, 1), date(2013, 12, 31)))
    assert len(days) == 5114
    assert sum(day["is_trading_day"] for day in days) == 3521
    holidays = {day["calendar_date"]: day["holiday"] for day in days if day["holiday"]}
    assert holidays[date(2012, 7, 4)] == "July 4th"
    assert holidays[date(2012, 10, 29)] == "Exchange closed"
    assert all(day.weekday() < 5 for day in holidays)


def test_a_date_beyond_the_calendar_is_one_clear_error() -> None:
    with pytest.raises(DateRangeError, match="2000-01-01"):
        sessions.session(date(1999, 12, 31))
