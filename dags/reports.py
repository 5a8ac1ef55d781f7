"""Execute the analysis notebooks up to one session, and write its market report, one HTML file named by its date.

Runs at 18:45 in New York, Monday to Friday (`SCHEDULE_REPORTS`), when the day's bars are in gold. On a holiday the run
is skipped. Before the closing bell it is about the last finished session. To write a report again, clear its run or
trigger with the Param `day`. It catches nothing up: request a missed report by its `day`.
"""

from datetime import timedelta

from airflow.sdk import Param, dag

from workbench.airflow import DEFAULTS, NotebookOperator, first_date, schedule
from workbench.airflow.steps import export_report, in_gold, trade_day

NOTEBOOKS = ["candlesticks", "comparison", "moving_averages", "volatility"]


@dag(
    schedule=schedule("REPORTS"),
    start_date=first_date(),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=3),
    default_args=DEFAULTS,
    params={
        "day": Param(None, type=["null", "string"], format="date", description="Trade date; empty: the run's own"),
    },
    doc_md=__doc__,
    tags=["stocks"],
)
def reports() -> None:
    day = in_gold(trade_day())
    analyse = NotebookOperator.partial(task_id="analyse", parameters={"end": day}, max_active_tis_per_dagrun=2)
    analyse.expand(notebook=NOTEBOOKS) >> export_report(day)


reports()
