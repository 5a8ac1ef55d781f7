"""Airflow's room, and the name that forwards to it, are read where Airflow is: ``make test-airflow``."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("airflow") else [f"{package}/airflow" for package in ("workbench", "stocklib")]
