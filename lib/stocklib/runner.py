"""Moved to ``workbench.runner``. This name forwards for one release."""

import warnings

from workbench.runner import *  # noqa: F403

warnings.warn("stocklib.runner is workbench.runner now", DeprecationWarning, stacklevel=2)
