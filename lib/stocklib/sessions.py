"""Trading calendars: sessions, half days and holidays of an exchange, from 2000 on. The one in use is New York's, XNYS.

Trade dates are dates of the exchange's city, instants are UTC. ``exchange_calendars`` knows the rules and the
exceptions (it has the closings of September 2001 and of Hurricane Sandy); it is imported on first use, since it brings
pandas. No other module names a time zone or counts the sessions of a year.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from stocklib.errors import DateRangeError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_DATE = date(2000, 1, 1)
# Holidays are rules, not announcements, up to here; the table made from them must not depend on today's date.
LAST_DATE = date(2049, 12, 31)


class _Exchange(NamedTuple):
    zone: ZoneInfo
    periods_a_year: int


# By the name that exchange_calendars has for it (a market identifier code). 252 is the usual count of US sessions.
_EXCHANGES = {"XNYS": _Exchange(ZoneInfo("America/New_York"), 252)}


@dataclass(frozen=True, slots=True)
class Session:
    """One trading session: its date in the exchange's city, and when it opens and closes (UTC)."""

    session_date: date
    open: datetime
    close: datetime
    is_early_close: bool

    def contains(self, instant: datetime) -> bool:
        """Return whether the market is open at this instant: from the opening bell to just before the closing one."""
        return self.open <= instant < self.close


@dataclass(frozen=True)
class Calendar:
    """The sessions of the exchange with this name; ``InputError`` for a name that is not supported.

    Every method raises ``DateRangeError`` for a date outside ``FIRST_DATE`` to ``LAST_DATE``.

    >>> Calendar("XNYS").periods_a_year
    252
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in _EXCHANGES:
            raise InputError(f"calendar {self.name!r} is not supported; choose one of {', '.join(_EXCHANGES)}")

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the exchange's city."""
        return _EXCHANGES[self.name].zone

    @property
    def periods_a_year(self) -> int:
        """How many sessions a year counts when a figure is annualised."""
        return _EXCHANGES[self.name].periods_a_year

    def session(self, day: date) -> Session | None:
        """Return the session of a date, or None when the exchange is closed all day.

        >>> XNYS.session(date(2012, 12, 14)).close
        datetime.datetime(2012, 12, 14, 21, 0, tzinfo=datetime.timezone.utc)
        >>> XNYS.session(date(2012, 10, 29)) is None   # Hurricane Sandy
        True
        >>> XNYS.session(date(2012, 11, 23)).is_early_close
        True
        """
        return _find_session(self.name, day)

    def sessions(self, first: date, last: date) -> list[Session]:
        """Return every session from ``first`` to ``last``, both included.

        >>> [s.session_date.day for s in XNYS.sessions(date(2012, 10, 26), date(2012, 11, 1))]
        [26, 31, 1]
        """
        _check(first)
        _check(last)
        # all at once: the library takes 50 µs for one instant of one date
        times = _load(self.name).schedule.loc[slice(first.isoformat(), last.isoformat()), ["open", "close"]]
        return [_as_session(self.name, *row) for row in times.itertuples()]

    def dates(self, first: date, last: date) -> list[date]:
        """Return the trade dates from ``first`` to ``last``, both included.

        >>> [day.day for day in XNYS.dates(date(2012, 10, 26), date(2012, 11, 1))]
        [26, 31, 1]
        """
        _check(first)
        _check(last)
        if first > last:
            return []
        return [day.date() for day in _load(self.name).sessions_in_range(first.isoformat(), last.isoformat())]

    def number(self, day: date) -> int | None:
        """Return the number of a date's session, counted from 1 at the calendar's first one; None without a session.

        >>> XNYS.number(date(2012, 12, 14)), XNYS.number(date(2012, 12, 15))
        (3259, None)
        """
        return len(self.dates(FIRST_DATE, day)) if self.session(day) else None

    def previous(self, day: date) -> Session:
        """Return the last session before ``day``.

        >>> XNYS.previous(date(2012, 1, 1)).session_date
        datetime.date(2011, 12, 30)
        """
        for step in range(1, 15):
            if found := self.session(day - timedelta(days=step)):
                return found
        raise DateRangeError(f"no session in the two weeks before {day}")

    def next(self, day: date) -> Session:
        """Return the first session after ``day``."""
        for step in range(1, 15):
            if found := self.session(day + timedelta(days=step)):
                return found
        raise DateRangeError(f"no session in the two weeks after {day}")

    def trade_date(self, instant: datetime) -> date:
        """Return the date of an instant in the exchange's city: the trade date of a quote of that moment.

        >>> XNYS.trade_date(datetime(2012, 12, 15, 1, 0, tzinfo=UTC))
        datetime.date(2012, 12, 14)
        """
        return instant.astimezone(self.zone).date()

    def is_open(self, instant: datetime) -> bool:
        """Return whether the regular session is on at this instant."""
        found = self.session(self.trade_date(instant))
        return found is not None and found.contains(instant)

    def last_finished(self, instant: datetime, *, settle: timedelta = timedelta(0)) -> Session:
        """Return the latest session whose close, and the time ``settle`` after it, have passed at ``instant``."""
        today = self.session(self.trade_date(instant))
        if today is not None and today.close + settle <= instant:
            return today
        return self.previous(self.trade_date(instant))

    def holiday(self, day: date) -> str | None:
        """Return the name of the exchange's holiday on this weekday, or None.

        >>> XNYS.holiday(date(2012, 12, 25)), XNYS.holiday(date(2012, 10, 29)), XNYS.holiday(date(2012, 12, 24))
        ('Christmas', 'Exchange closed', None)
        """
        if day.weekday() >= 5 or self.session(day) is not None:
            return None
        return _holiday_names(self.name).get(day, "Exchange closed")

    def days(self, first: date, last: date) -> "Iterator[dict[str, Any]]":
        """Yield one row a date: what ``raw.trading_sessions`` and ``dim_date`` are made of.

        ``session_number`` is that of ``number``; None without a session.
        """
        open_days = {s.session_date: s for s in self.sessions(max(first, FIRST_DATE), last)}
        before = len(self.dates(FIRST_DATE, first - timedelta(days=1))) if first > FIRST_DATE else 0
        numbers = {day: number for number, day in enumerate(open_days, start=before + 1)}
        names = _holiday_names(self.name)
        for step in range((last - first).days + 1):
            day = first + timedelta(days=step)
            found = open_days.get(day)
            yield {
                "calendar_date": day,
                "is_trading_day": found is not None,
                "is_early_close": found.is_early_close if found else False,
                "session_open": found.open if found else None,
                "session_close": found.close if found else None,
                "holiday": None if found or day.weekday() >= 5 else names.get(day, "Exchange closed"),
                "session_number": numbers.get(day),
                "calendar": self.name,
            }


# asked for every quote; the calendar itself takes long
@lru_cache(maxsize=16_384)
def _find_session(name: str, day: date) -> Session | None:
    _check(day)
    calendar, stamp = _load(name), day.isoformat()
    if not calendar.is_session(stamp):
        return None
    return _as_session(name, datetime.combine(day, time()), calendar.session_open(stamp), calendar.session_close(stamp))


def _as_session(name: str, midnight: datetime, opening: Any, closing: Any) -> Session:
    """Return a session of the library's own times, which are pandas'."""
    day = midnight.date()
    return Session(
        session_date=day,
        open=opening.to_pydatetime().astimezone(UTC),
        close=closing.to_pydatetime().astimezone(UTC),
        is_early_close=day in _early_closes(name),
    )


@cache
def _load(name: str) -> Any:
    import exchange_calendars

    # a few days wider than what is asked of it, since it refuses a date outside its own first and last session
    return exchange_calendars.get_calendar(name, start="1999-12-01", end="2050-01-14")


@cache
def _holiday_names(name: str) -> dict[date, str]:
    named = _load(name).regular_holidays.holidays(FIRST_DATE.isoformat(), LAST_DATE.isoformat(), return_name=True)
    return {day.date(): str(name) for day, name in named.items()}


@cache
def _early_closes(name: str) -> frozenset[date]:
    return frozenset(day.date() for day in _load(name).early_closes)


def _check(day: date) -> None:
    if not FIRST_DATE <= day <= LAST_DATE:
        raise DateRangeError(f"{day} is outside the trading calendar, which runs from {FIRST_DATE} to {LAST_DATE}")


# The calendar of every record that names none.
XNYS = Calendar("XNYS")
NEW_YORK = XNYS.zone
session, sessions, session_dates = XNYS.session, XNYS.sessions, XNYS.dates
previous_session, next_session, last_finished_session = XNYS.previous, XNYS.next, XNYS.last_finished
new_york_date, is_open = XNYS.trade_date, XNYS.is_open
holiday, calendar_days = XNYS.holiday, XNYS.days
