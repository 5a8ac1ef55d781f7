"""Schedules from the settings, defaults of every task, and the names of pools and assets.

A schedule is a cron expression in New York time, so that 18:00 is 18:00 on both sides of a change of the clocks.
Cron knows weekdays; holidays are skipped by the trading calendar when the run begins.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from airflow.sdk import Asset, CronTriggerTimetable

from stocklib.sessions import FIRST_DATE, NEW_YORK
from stocklib.settings import Settings, read_settings
from workbench.airflow import alerts

# One slot each (config/airflow_pools.json): a rate limit is kept within one process, and a warehouse has one writer.
SOURCE_POOL, WAREHOUSE_POOL = "stocks_source", "stocks_warehouse"

# The asset that loads update, and the one that the transform updates.
RAW = Asset(name="stocks_raw", uri="stocks://warehouse/raw")
GOLD = Asset(name="stocks_gold", uri="stocks://warehouse/gold")

# Every step is safe to repeat: retries after 1, 2 and 4 minutes.
DEFAULTS: dict[str, Any] = {
    "retries": 3,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=30),
    "execution_timeout": timedelta(hours=1),
    "on_failure_callback": alerts.failed,
    "on_success_callback": alerts.succeeded,
}


def schedule(name: str) -> Any:
    """Return the timetable of ``SCHEDULE_<name>``; None where it is off."""
    cron = _settings().values[f"SCHEDULE_{name}"]
    return None if cron == "off" else CronTriggerTimetable(cron, timezone=NEW_YORK.key)


def first_date() -> datetime:
    """Return the first date of runs: ``SCHEDULE_SINCE``, else the calendar's first date, since no run is caught up."""
    since = _settings().schedule_since or FIRST_DATE
    return datetime(since.year, since.month, since.day, tzinfo=UTC)


def catch_up() -> bool:
    """Return whether missed dates run later, which ``SCHEDULE_SINCE`` turns on."""
    return _settings().schedule_since is not None


@cache
def _settings() -> Settings:
    return read_settings()
