"""Moved to ``workbench.airflow``. This name forwards for one release."""

import warnings

from workbench.airflow import *  # noqa: F403
from workbench.airflow import __all__ as __all__

warnings.warn("stocklib.airflow is workbench.airflow now", DeprecationWarning, stacklevel=2)
