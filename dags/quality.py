"""Is every message accounted for, is gold up to date, did every schedule run? Each question is a task; a no is an
alert.

20:30 in New York, Monday to Friday (`SCHEDULE_QUALITY`). The ledger compares the lake's full listing with the
warehouse and is published with gold; one that does not balance stops the publish until it does. Nothing is caught
up: it asks about now.
"""

from datetime import timedelta

from airflow.sdk import dag

from workbench.airflow import DEFAULTS, first_date, schedule
from workbench.airflow.steps import check_freshness, check_ledger, check_schedules


@dag(
    schedule=schedule("QUALITY"),
    start_date=first_date(),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=3),
    default_args={**DEFAULTS, "retries": 1},
    doc_md=__doc__,
    tags=["stocks"],
)
def quality() -> None:
    [check_ledger(), check_freshness(), check_schedules()]


quality()
