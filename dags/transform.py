"""dbt builds and tests bronze, silver and gold, and publishes them when every test passed; then Power BI reads them.

Whenever a load announces the asset `stocks_raw`; loads that end while it runs are one run more, not one each. By
hand with `full_refresh` to build every incremental model anew. Running it again with nothing new changes nothing.
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
    params={"full_refresh": Param(False, type="boolean", description="Build every incremental model anew")},
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
