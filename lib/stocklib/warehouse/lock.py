"""The writer's lock of the local warehouse: one process at a time, and the others learn which.

A lock of the kernel on one file: it goes with the process that holds it, however that one ends.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from stocklib.errors import WarehouseBusy, WarehouseError
from stocklib.host import lock


@contextmanager
def hold(path: Path, *, wait: float) -> Iterator[None]:
    """Hold the lock, waiting up to ``wait`` seconds; WarehouseBusy names the process that has it."""
    with _open(path) as file:
        if not lock(file, wait=wait):
            raise WarehouseBusy(_holder(file, path))
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


def _holder(file: IO[str], path: Path) -> str:
    file.seek(0)
    try:
        told = json.loads(file.read())
        who = f"process {told['pid']} has been writing to it since {told['since']}"
    except (ValueError, KeyError, TypeError):
        who = "another process is writing to it"
    return f"the warehouse beside {path} is taken: {who}; wait for it to finish, or stop it, and try again"
