"""The trade date of a run, and whether there is anything to do: from the run's interval, never the wall clock.

The date is the Param ``day`` where it is given; the source's last final session where the source is a replay, or
where the run has no date of its own; else that of the run's instant (``day_of``). The decision is kept in the run
folder, so that running it again is about the same date.
"""

from datetime import date, datetime, time, timedelta

import orjson

from stocklib.lake import Artifacts
from stocklib.pipeline.history import open_history
from stocklib.sessions import NEW_YORK, holiday, last_finished_session, new_york_date, session
from stocklib.settings import Settings
from workbench.airflow.environment import NothingToDo
from workbench.airflow.run_folder import RunFolder

# Loads run from this long before the opening bell until this long after the close, when late messages have landed.
BEFORE, AFTER = timedelta(minutes=30), timedelta(hours=1)
# When a date without a session counts as over.
_CLOSING_BELL = time(16)


def decide_day(settings: Settings, folder: RunFolder) -> date:
    """Return the run's trade date, the same at each call; ``NothingToDo`` when it has no session."""
    kept = Artifacts(settings)
    key = f"runs/{folder.run}/decided.json"
    if found := kept.find(key):
        return date.fromisoformat(orjson.loads(found)["day"])
    day = choose_day(settings, folder)
    if session(day) is None:
        raise NothingToDo(f"{closed(day)}; set the Param day to run another one")
    kept.keep(key, orjson.dumps({"day": f"{day}"}))
    return day


def choose_day(settings: Settings, folder: RunFolder) -> date:
    """Return the run's trade date as of now."""
    if asked := folder.params.get("day"):
        return date.fromisoformat(asked)
    now, is_replay = source_now(settings)
    if is_replay or folder.instant is None:
        return last_finished_session(now, settle=settle_time(settings)).session_date
    return day_of(folder.instant, settle=settle_time(settings))


def settle_time(settings: Settings) -> timedelta:
    """Return how long after its close a session is final."""
    return timedelta(seconds=settings.close_settle_seconds)


def day_of(instant: datetime, *, settle: timedelta = timedelta(0)) -> date:
    """Return the date that a run of this instant is about: the last final session's, or a day without one.

    A session is final ``settle`` after its close. Until a day's would be, a run belongs to the evening before, also on
    a day without a session: a run at 01:00 on a Saturday is about Friday. From then on it is about its own day.

    >>> from datetime import UTC
    >>> f"{day_of(datetime(2026, 11, 21, 6, tzinfo=UTC))}"   # 01:00, a Saturday
    '2026-11-20'
    >>> f"{day_of(datetime(2026, 3, 9, 22, tzinfo=UTC))}"   # 18:00, the Monday after the clocks changed
    '2026-03-09'
    >>> f"{day_of(datetime(2026, 11, 26, 23, tzinfo=UTC))}"   # Thanksgiving: no session, and nothing to do
    '2026-11-26'
    """
    day = new_york_date(instant)
    if session(day) is None and datetime.combine(day, _CLOSING_BELL, NEW_YORK) + settle <= instant:
        return day
    return last_finished_session(instant, settle=settle).session_date


def look_around(settings: Settings, folder: RunFolder) -> None:
    """Raise ``NothingToDo`` when a live market is far from a session; a replay is loaded at any hour."""
    if folder.instant is None or source_now(settings)[1]:
        return
    day = new_york_date(folder.instant)
    found = session(day)
    if found is None:
        raise NothingToDo(closed(day))
    if not found.open - BEFORE <= folder.instant <= found.close + AFTER:
        local = folder.instant.astimezone(NEW_YORK)
        raise NothingToDo(
            f"{local:%H:%M} in New York is outside the session of {day} "
            f"({found.open.astimezone(NEW_YORK):%H:%M} to {found.close.astimezone(NEW_YORK):%H:%M})"
        )


def source_now(settings: Settings) -> tuple[datetime, bool]:
    """Return the history source's time, and whether it is a replay."""
    with open_history(settings) as source:
        now = source.now()
        return now, source.source == "replay"


def closed(day: date) -> str:
    """Return why there is no session on this date."""
    why = "a weekend" if day.weekday() >= 5 else holiday(day) or "no trading day"
    return f"the exchange was closed on {day} ({why}): nothing to do"
