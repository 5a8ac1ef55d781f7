"""The checks of ``quality`` each evening: gold is fresh, and every schedule has run."""

from datetime import datetime, timedelta

from stocklib.errors import StaleData
from stocklib.monitoring.doubtful_answers import doubts
from stocklib.monitoring.health import examine
from stocklib.monitoring.suspect_count import count_suspects
from stocklib.sessions import NEW_YORK, last_finished_session
from stocklib.settings import Settings
from stocklib.warehouse import UnreadableObject, open_warehouse
from workbench.airflow.days import settle_time, source_now
from workbench.airflow.run_folder import RunFolder

# The DAG of each schedule, except the watcher's own.
WATCHED = {
    "SCHEDULE_DAILY": "daily_historical_load",
    "SCHEDULE_REPORTS": "reports",
    "SCHEDULE_LOAD": "minio_to_snowflake",
}
# A run that was due this long ago must exist.
_GRACE = timedelta(minutes=15)


def check_fresh(settings: Settings, folder: RunFolder) -> str:
    """Return one sentence where gold is fresh; ``StaleData`` says what is behind, since when, and what to do."""
    now, is_replay = source_now(settings)
    instant = now if is_replay or folder.instant is None else folder.instant
    due = instant if is_replay else last_daily(settings, instant)
    wanted = last_finished_session(due, settle=settle_time(settings)).session_date
    newest = newest_day(settings)
    wrong = list(examine(settings).alarms)
    wrong += [
        f"{one.key} cannot be read since {one.first_seen_at:%Y-%m-%d %H:%M} UTC: {one.reason}"
        for one in _unread(settings)
    ]
    wrong += doubts(settings)
    if newest is None or newest < f"{wanted}":
        behind = f"gold ends with {newest}" if newest else "gold is empty"
        wrong.insert(0, f"{behind}, and the session of {wanted} is over: run daily_historical_load with day={wanted}")
    if wrong:
        raise StaleData("\n".join(wrong))
    return f"gold holds the session of {wanted}; no process raises an alarm; {count_suspects(settings)}"


def newest_day(settings: Settings) -> str | None:
    """Return the last trade date in gold, None where gold is empty."""
    found = open_warehouse(settings).query("select max(quote_date) as newest from gold.fact_daily_stock_quotes")
    newest = f"{found['newest'].iloc[0]}"[:10]
    return newest if newest[:1].isdigit() else None


def last_slots(settings: Settings, now: datetime) -> dict[str, datetime]:
    """Return when each watched DAG was last due, in UTC; those whose schedule is off are left out."""
    from croniter import croniter

    slots = {}
    for name, dag_id in WATCHED.items():
        cron = settings.values[name]
        if cron != "off":
            local = now.astimezone(NEW_YORK).replace(tzinfo=None)
            due = croniter(cron, local).get_prev(datetime)
            slots[dag_id] = due.replace(tzinfo=NEW_YORK).astimezone(now.tzinfo)
    return slots


def last_daily(settings: Settings, now: datetime) -> datetime:
    """Return when a date's bars were last due: a daily load after midnight is not due in the evening.

    Where its schedule is off, return now.
    """
    return last_slots(settings, now - _GRACE).get(WATCHED["SCHEDULE_DAILY"], now)


def _unread(settings: Settings) -> list[UnreadableObject]:
    warehouse = open_warehouse(settings)
    with warehouse.writing():
        warehouse.initialise()
        return list(warehouse.unreadable())
