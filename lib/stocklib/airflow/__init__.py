"""Moved to ``workbench.airflow``. This name, and those of the modules in it, forward for one release."""

import warnings
from typing import Any

import workbench.airflow

warnings.warn("stocklib.airflow is workbench.airflow now", DeprecationWarning, stacklevel=2)

# its modules are found where they are
__path__ = workbench.airflow.__path__


def __getattr__(name: str) -> Any:
    return getattr(workbench.airflow, name)
