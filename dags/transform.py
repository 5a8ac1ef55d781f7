"""Build and test bronze, silver and gold with dbt, publish when every test passes, then refresh Power BI.

Runs when a load updates the asset `stocks_raw`. Loads that end while it runs start one more run, not one each. Trigger
it by hand with `full_refresh` to rebuild every incremental model. A run with nothing new changes nothing.
"""

from datetime import timedelta

from airflow.sdk import Param, dag

from workbench.airflow import DEFAULTS, GOLD, RAW, WAREHOUSE_POOL, NotebookOperator
from workbench.airflow.steps import powerbi_refresh


@dag(
    schedule=[RAW],
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    dagrun_timeout=timedelta(hours=6),
    default_args=DEFAULTS,
    params={"full_refresh": Param(False, type="boolean", description="Rebuild every incremental model")},
    doc_md=__doc__,
    tags=["stocks"],
)
def transform() -> None:
    build = NotebookOperator(
        task_id="build",
        notebook="realtime_load",
        parameters={"full_refresh": "{{ params.full_refresh }}"},
        pool=WAREHOUSE_POOL,
        execution_timeout=timedelta(hours=3),
        outlets=[GOLD],
    )
    build >> powerbi_refresh()


transform()
