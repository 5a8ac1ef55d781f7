"""Fetch and load the bars of one trade date; the transform follows.

Runs at 18:00 in New York, Monday to Friday (`SCHEDULE_DAILY`), two hours after the close. On a holiday the run is
skipped and names the holiday. A schedule after midnight works too: a run is about the last session that is final by
then, so Saturday 01:00 fetches Friday. To run a day again, clear its run or trigger with the Param `day`.

With `SCHEDULE_SINCE`, missed days since then are caught up, each in its own run. Without it only the newest day runs,
and fetches the session before it too if that one is missing; a backfill fetches the rest. Runs are one at a time,
oldest first.
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
