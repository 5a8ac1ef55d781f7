"""Is gold as new as it should be, and did every schedule run? What ``quality`` asks each evening."""

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

# The DAG of each schedule; the watcher itself cannot miss its own.
WATCHED = {
    "SCHEDULE_DAILY": "daily_historical_load",
    "SCHEDULE_REPORTS": "reports",
    "SCHEDULE_LOAD": "minio_to_snowflake",
}
# A run that was due this long ago should be there.
_GRACE = timedelta(minutes=15)


def check_fresh(settings: Settings, place: RunFolder) -> str:
    """One sentence where all is well; ``StaleData`` says what is behind, since when, and what to do."""
    now, is_replay = source_now(settings)
    instant = now if is_replay or place.instant is None else place.instant
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
    """The last trade date that gold holds, None where it holds none."""
    found = open_warehouse(settings).query("select max(quote_date) as newest from gold.fact_daily_stock_quotes")
    told = f"{found['newest'].iloc[0]}"[:10]
    return told if told[:1].isdigit() else None


def last_slots(settings: Settings, now: datetime) -> dict[str, datetime]:
    """When each watched DAG was due last, in UTC; those whose schedule is off are left out."""
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
    """When the bars of a day were due last: a daily load after midnight owes the evening nothing yet.

    Where its schedule is off, that is now.
    """
    return last_slots(settings, now - _GRACE).get(WATCHED["SCHEDULE_DAILY"], now)


def _unread(settings: Settings) -> list[UnreadableObject]:
    warehouse = open_warehouse(settings)
    with warehouse.writing():
        warehouse.initialise()
        return list(warehouse.unreadable())
