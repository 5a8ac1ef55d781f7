"""Make what the warehouse needs once: RAW and ops, on Snowflake or in the local file, whichever the settings name.

By hand, before anything else, and again after an upgrade: what is there already is left as it is.
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
