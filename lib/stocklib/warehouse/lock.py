"""The writer's lock of the local warehouse: one process at a time, and the others learn which.

A lock of the kernel on one file: it goes with the process that holds it, however that one ends.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from stocklib.errors import WarehouseBusy, WarehouseError

_POLL_SECONDS = 0.1


@contextmanager
def hold(path: Path, *, wait: float) -> Iterator[None]:
    """Hold the lock, waiting up to ``wait`` seconds; WarehouseBusy names the process that has it."""
    with _open(path) as file:
        _acquire(file, path, time.monotonic() + wait)
        file.seek(0)
        file.truncate()
        json.dump({"pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")}, file)
        file.flush()
        try:
            yield
        finally:
            file.seek(0)
            file.truncate()


def _open(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+", encoding="utf-8")
    except OSError as error:
        raise WarehouseError(
            f"cannot write to {path.parent} ({error.strerror}): make it writable, or point STOCKS_HOME elsewhere"
        ) from error


def _acquire(file: IO[str], path: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise WarehouseBusy(_holder(file, path)) from None
            time.sleep(_POLL_SECONDS)


def _holder(file: IO[str], path: Path) -> str:
    file.seek(0)
    try:
        told = json.loads(file.read())
        who = f"process {told['pid']} has been writing to it since {told['since']}"
    except (ValueError, KeyError, TypeError):
        who = "another process is writing to it"
    return f"the warehouse beside {path} is taken: {who}; wait for it to finish, or stop it, and try again"
