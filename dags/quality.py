"""Check the ledger, the freshness of gold and the schedules, one task each; a failed check is an alert.

Runs at 20:30 in New York, Monday to Friday (`SCHEDULE_QUALITY`). The ledger compares the full listing of the lake with
the warehouse and is published with gold. A ledger that does not balance stops the publish until it balances. It catches
nothing up, since it checks the present state.
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
