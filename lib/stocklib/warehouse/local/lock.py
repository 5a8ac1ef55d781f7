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
from stocklib.state_files import named


@contextmanager
def hold(path: Path, *, wait: float) -> Iterator[None]:
    """Hold the lock, waiting up to ``wait`` seconds; WarehouseBusy names the process that has it."""
    with _open(path) as file:
        if not lock(file, wait=wait):
            raise WarehouseBusy(_holder(file, path))
        holder = json.dumps({"pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")})
        with named(path):
            file.seek(0)
            file.truncate()
            file.write(holder.encode())
        try:
            yield
        finally:
            file.seek(0)
            file.truncate()


def _open(path: Path) -> IO[bytes]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # without a buffer, which a full disk would have written again when it is closed
        return path.open("ab+", buffering=0)
    except OSError as error:
        raise WarehouseError(
            f"cannot write to {path.parent} ({error.strerror}): make it writable, or choose another STOCKS_HOME"
        ) from error


def _holder(file: IO[bytes], path: Path) -> str:
    try:
        file.seek(0)
        holder = json.loads(file.read())
        who = f"process {holder['pid']} has been writing to it since {holder['since']}"
    # on Windows no other process can read a locked file
    except (ValueError, KeyError, TypeError, OSError):
        who = "another process is writing to it"
    return f"the warehouse next to {path} is locked: {who}; wait for it to finish, or stop it, and try again"
