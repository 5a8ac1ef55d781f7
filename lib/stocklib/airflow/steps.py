"""Moved to ``workbench.airflow.steps``. This name forwards for one release."""

from workbench.airflow.steps import *  # noqa: F403
