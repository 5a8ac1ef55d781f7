"""The bars of one trade date, fetched and loaded; the transform follows.

18:00 in New York, Monday to Friday (`SCHEDULE_DAILY`), two hours after the close; on a holiday the run is skipped
and says which. A schedule after midnight works too: a run is about the last session that was final by then, so Saturday
01:00 is Friday. To run a day again clear its run, or trigger with the Param `day`. Missed days are caught up where
`SCHEDULE_SINCE` says from when on, since each run is about its own day; without it only the newest is run, with the
session before it where that one is missing, and a backfill fetches the rest. One run at a time, oldest first.
"""

from datetime import timedelta

from airflow.sdk import Param, dag

from workbench.airflow import DEFAULTS, SOURCE_POOL, NotebookOperator, catch_up, first_date, load_new, schedule
from workbench.airflow.steps import trade_day


@dag(
    schedule=schedule("DAILY"),
    start_date=first_date(),
    catchup=catch_up(),
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=3),
    default_args=DEFAULTS,
    params={
        "day": Param(None, type=["null", "string"], format="date", description="Trade date; empty: the run's own"),
    },
    doc_md=__doc__,
    tags=["stocks"],
)
def daily_historical_load() -> None:
    day = trade_day()
    fetch = NotebookOperator(
        task_id="fetch", notebook="daily_load", parameters={"day": day, "publish": False}, pool=SOURCE_POOL
    )
    fetch >> load_new()


daily_historical_load()
