"""The whole pipeline without a scheduler: a producer, a consumer and a loader at once, supervised.

Each role runs in a process of its own. The supervisor restarts one that dies, and a dead embedded server too. The
producer ends first, then the consumer, then the loader, so that what was fetched is published. None outlives the
supervisor.
"""

from workbench.supervisor.plan import Plan
from workbench.supervisor.supervise import run_stream

__all__ = ["Plan", "run_stream"]
