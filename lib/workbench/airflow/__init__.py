"""What the DAGs share: schedules, pools, assets, notebooks as tasks, the trade date of a run, alerts.

A DAG under ``dags/`` says what runs, when, and in which order; how it is done is here and in the pipeline.
Importing this room reads the settings and nothing else: no server is asked, no heavy library is loaded.
"""

from workbench.airflow.common import DEFAULTS, GOLD, RAW, SOURCE_POOL, WAREHOUSE_POOL, catch_up, first_date, schedule
from workbench.airflow.notebook import NotebookOperator, load_new

__all__ = [
    "DEFAULTS",
    "GOLD",
    "RAW",
    "SOURCE_POOL",
    "WAREHOUSE_POOL",
    "NotebookOperator",
    "catch_up",
    "first_date",
    "load_new",
    "schedule",
]
