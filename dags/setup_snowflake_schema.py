"""Create RAW and ops in the warehouse that the settings name: Snowflake or the local file.

Triggered by hand, before every other DAG, and again after an upgrade. It leaves existing objects as they are.
"""

from datetime import timedelta

from airflow.sdk import dag

from workbench.airflow import DEFAULTS
from workbench.airflow.steps import initialise


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    dagrun_timeout=timedelta(hours=2),
    default_args=DEFAULTS,
    doc_md=__doc__,
    tags=["stocks", "by hand"],
)
def setup_snowflake_schema() -> None:
    initialise()


setup_snowflake_schema()
