"""The whole pipeline without a scheduler: producing, landing, loading and publishing at once, supervised.

Each part is a process of its own. One that dies is started again, and so is a server of the embedded stack; the end is
in the order of the data, so that what was fetched is published. No process outlives the supervisor, however it ends.
"""

from workbench.supervisor.plan import Plan
from workbench.supervisor.supervise import run_stream

__all__ = ["Plan", "run_stream"]
