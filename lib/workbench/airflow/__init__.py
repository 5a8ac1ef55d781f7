"""The parts that DAGs share: schedules, pools, assets, notebooks as tasks, the trade date of a run, alerts.

A DAG under ``dags/`` says what runs, when, and in which order; this room and the pipeline do the work. Names are
imported on first use, so that ``days`` works without Airflow.
"""

from importlib import import_module
from typing import Any

# name -> module that holds it
_EXPORTS = dict.fromkeys(
    ("DEFAULTS", "GOLD", "RAW", "SOURCE_POOL", "WAREHOUSE_POOL", "catch_up", "first_date", "schedule"),
    "workbench.airflow.common",
) | dict.fromkeys(("NotebookOperator", "load_new"), "workbench.airflow.notebook")

__all__ = [*_EXPORTS]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'workbench.airflow' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)
