"""What the operating system lends: a lock on an open file, and an environment for the length of a block."""

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

_POLL_SECONDS = 0.1


def lock(file: IO[Any] | int, *, wait: float) -> bool:
    """Lock an open file or folder, waiting up to ``wait`` seconds for whoever holds it; whether it was to be had.

    The kernel keeps the lock: it is free again when the file is closed, or its process ends, however that happens.
    """
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Inside this block the process's environment holds these values; after it, what was there before."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
