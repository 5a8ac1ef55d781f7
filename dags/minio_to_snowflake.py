"""Load new objects of the lake into RAW; the transform follows.

Runs every 5 minutes from 9:00 to 17:55 in New York, Monday to Friday (`SCHEDULE_LOAD`). It loads from half an hour
before the opening bell to an hour after the close, early closes included; at other times the run is skipped and says
why. It catches nothing up, since one load takes everything that is new. A second run loads nothing twice.
"""

from datetime import timedelta

from airflow.sdk import dag

from workbench.airflow import DEFAULTS, first_date, load_new, schedule
from workbench.airflow.steps import new_objects


@dag(
    schedule=schedule("LOAD"),
    start_date=first_date(),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=3),
    default_args=DEFAULTS,
    doc_md=__doc__,
    tags=["stocks"],
)
def minio_to_snowflake() -> None:
    new_objects() >> load_new()


minio_to_snowflake()
