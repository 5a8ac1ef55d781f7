"""The trading calendar: New York sessions, half days and holidays, from 2000 on.

Trading dates are New York dates, instants are UTC. ``exchange_calendars`` knows the rules and the exceptions (the
closings of September 2001 and of Hurricane Sandy are in it); it is imported on first use, since it brings pandas.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from stocklib.errors import DateRangeError

if TYPE_CHECKING:
    from collections.abc import Iterator

NEW_YORK = ZoneInfo("America/New_York")
FIRST_DATE = date(2000, 1, 1)
# Holidays are rules, not announcements, up to here; the table made from them must not depend on today's date.
LAST_DATE = date(2049, 12, 31)


@dataclass(frozen=True, slots=True)
class Session:
    """One trading session: its New York date, and when it opens and closes (UTC)."""

    session_date: date
    open: datetime
    close: datetime
    is_early_close: bool

    def contains(self, instant: datetime) -> bool:
        """Whether the market is open at this instant: from the opening bell to just before the closing one."""
        return self.open <= instant < self.close


# asked for every quote; the calendar itself takes long
@lru_cache(maxsize=16_384)
def session(day: date) -> Session | None:
    """The session of a New York date, or None when the exchange is closed all day.

    >>> session(date(2012, 12, 14)).close
    datetime.datetime(2012, 12, 14, 21, 0, tzinfo=datetime.timezone.utc)
    >>> session(date(2012, 10, 29)) is None   # Hurricane Sandy
    True
    >>> session(date(2012, 11, 23)).is_early_close
    True
    """
    _check(day)
    calendar = _calendar()
    stamp = day.isoformat()
    if not calendar.is_session(stamp):
        return None
    return _session(calendar, day)


def sessions(first: date, last: date) -> list[Session]:
    """Every session from ``first`` to ``last``, both included.

    >>> [s.session_date.day for s in sessions(date(2012, 10, 26), date(2012, 11, 1))]
    [26, 31, 1]
    """
    _check(first)
    _check(last)
    if first > last:
        return []
    calendar = _calendar()
    days = calendar.sessions_in_range(first.isoformat(), last.isoformat())
    return [_session(calendar, day.date()) for day in days]


def session_dates(first: date, last: date) -> list[date]:
    """The New York dates of the sessions from ``first`` to ``last``, both included.

    >>> [day.day for day in session_dates(date(2012, 10, 26), date(2012, 11, 1))]
    [26, 31, 1]
    """
    _check(first)
    _check(last)
    if first > last:
        return []
    return [day.date() for day in _calendar().sessions_in_range(first.isoformat(), last.isoformat())]


def previous_session(day: date) -> Session:
    """The last session before ``day``.

    >>> previous_session(date(2012, 1, 1)).session_date
    datetime.date(2011, 12, 30)
    """
    for step in range(1, 15):
        if found := session(day - timedelta(days=step)):
            return found
    raise DateRangeError(f"no session in the two weeks before {day}")


def next_session(day: date) -> Session:
    """The first session after ``day``."""
    for step in range(1, 15):
        if found := session(day + timedelta(days=step)):
            return found
    raise DateRangeError(f"no session in the two weeks after {day}")


def new_york_date(instant: datetime) -> date:
    """The New York date of an instant: the trading date that a quote of that moment belongs to.

    >>> new_york_date(datetime(2012, 12, 15, 1, 0, tzinfo=UTC))
    datetime.date(2012, 12, 14)
    """
    return instant.astimezone(NEW_YORK).date()


def is_open(instant: datetime) -> bool:
    """Whether the regular session is on at this instant."""
    found = session(new_york_date(instant))
    return found is not None and found.contains(instant)


def last_finished_session(instant: datetime, *, settle: timedelta = timedelta(0)) -> Session:
    """The latest session whose close, and the time ``settle`` after it, have passed at ``instant``."""
    today = session(new_york_date(instant))
    if today is not None and today.close + settle <= instant:
        return today
    return previous_session(new_york_date(instant))


def holiday(day: date) -> str | None:
    """The name of the exchange's holiday on this weekday, or None.

    >>> holiday(date(2012, 12, 25)), holiday(date(2012, 10, 29)), holiday(date(2012, 12, 24))
    ('Christmas', 'Exchange closed', None)
    """
    if day.weekday() >= 5 or session(day) is not None:
        return None
    return _holiday_names().get(day, "Exchange closed")


def calendar_days(first: date, last: date) -> "Iterator[dict[str, Any]]":
    """One row a calendar date: what ``raw.trading_sessions`` and ``dim_date`` are made of.

    ``session_number`` counts the sessions from the calendar's first one, 1, on; None without a session.
    """
    open_days = {s.session_date: s for s in sessions(max(first, FIRST_DATE), last)}
    before = len(session_dates(FIRST_DATE, first - timedelta(days=1))) if first > FIRST_DATE else 0
    numbers = {day: number for number, day in enumerate(open_days, start=before + 1)}
    for step in range((last - first).days + 1):
        day = first + timedelta(days=step)
        found = open_days.get(day)
        yield {
            "calendar_date": day,
            "is_trading_day": found is not None,
            "is_early_close": found.is_early_close if found else False,
            "session_open": found.open if found else None,
            "session_close": found.close if found else None,
            "holiday": None if found or day.weekday() >= 5 else _holiday_names().get(day, "Exchange closed"),
            "session_number": numbers.get(day),
        }


@cache
def _calendar() -> Any:
    import exchange_calendars

    # a few days wider than what is asked of it, since it refuses a date outside its own first and last session
    return exchange_calendars.get_calendar("XNYS", start="1999-12-01", end="2050-01-14")


@cache
def _holiday_names() -> dict[date, str]:
    named = _calendar().regular_holidays.holidays(FIRST_DATE.isoformat(), LAST_DATE.isoformat(), return_name=True)
    return {day.date(): str(name) for day, name in named.items()}


@cache
def _early_closes() -> frozenset[date]:
    return frozenset(day.date() for day in _calendar().early_closes)


def _session(calendar: Any, day: date) -> Session:
    stamp = day.isoformat()
    return Session(
        session_date=day,
        open=calendar.session_open(stamp).to_pydatetime().astimezone(UTC),
        close=calendar.session_close(stamp).to_pydatetime().astimezone(UTC),
        is_early_close=day in _early_closes(),
    )


def _check(day: date) -> None:
    if not FIRST_DATE <= day <= LAST_DATE:
        raise DateRangeError(f"{day} is outside the trading calendar, which runs from {FIRST_DATE} to {LAST_DATE}")
