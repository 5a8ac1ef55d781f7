"""Ends the servers that a test session started, however the session itself ends: a kill -9 of pytest included.

Run as a process of its own. Each line on its standard input is a STOCKS_HOME; at the end of input, which comes when
pytest is gone, every embedded server of these homes is stopped.
"""

import contextlib
import sys
from pathlib import Path

from workbench.embedded import kafka, orphans, processes, replay_server, s3

ROOMS = {"kafka": kafka, "s3": s3, "replay": replay_server}


def stop_all(homes: list[str]) -> None:
    """Stop whatever still runs there; one that fails does not save the others."""
    for home in homes:
        for name, room in ROOMS.items():
            with contextlib.suppress(Exception):
                daemon = processes.recall(Path(home) / "embedded" / name)
                if daemon:
                    room.stop(daemon)
        with contextlib.suppress(Exception):
            orphans.end_orphans(Path(home) / "embedded")


if __name__ == "__main__":
    stop_all([line.rstrip("\n") for line in sys.stdin])
