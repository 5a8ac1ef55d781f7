"""Airflow's room is read where Airflow is: ``make test-airflow``."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("airflow") else ["workbench/airflow", "workbench/airflow"]
