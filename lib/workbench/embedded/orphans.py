"""Orphans: servers without a record, since their start was killed between starting and recording them."""

import contextlib
import os
import signal
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from workbench.embedded import processes


def end_orphans(folder: Path) -> None:
    """End every server of a stack's folder that is not the one in its record; the data it wrote stays.

    Each server has its own folder as HOME, and a session of its own. Two servers over the same data would damage it.
    """
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            home = process.environ().get("HOME", "")
            if home and Path(home).parent == folder:
                known = processes.recall(Path(home))
                if known is None or os.getsid(process.pid) != known.pid:
                    process.send_signal(signal.SIGKILL)
                    process.wait(10)
