"""What a machine differs in: file locks, which processes live, which extras are installed; and an environment."""

import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

from stocklib.errors import MissingExtra

_POLL_SECONDS = 0.1


def lock(file: IO[Any] | int, *, wait: float) -> bool:
    """Lock an open file or folder, waiting up to ``wait`` seconds for another holder; return whether it is locked.

    The kernel keeps the lock (``flock``, on Windows ``LockFileEx``): it is free again when the file is closed, or its
    process ends, however that happens.
    """
    # not at import: it brings asyncio
    from filelock import lock_descriptor

    descriptor = file if isinstance(file, int) else file.fileno()
    deadline = time.monotonic() + wait
    while not lock_descriptor(descriptor, blocking=False):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def is_alive(pid: int, *, started: float | None = None) -> bool:
    """Return whether a process runs; a zombie does not. One that is hidden from this user does.

    With ``started``, its start as an epoch, a later process of the same pid is another one.
    """
    import psutil  # type: ignore[import-untyped]

    if not psutil.pid_exists(pid):
        return False
    try:
        process = psutil.Process(pid)
        is_same = started is None or abs(process.create_time() - started) < 2
        return bool(is_same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return started is None


def explained(error: BaseException) -> str:
    """Return an error's text, with a question at its end where the cause is a name that cannot be looked up (DNS)."""
    cause: BaseException | None = error
    while cause is not None:
        # the second is curl's, which yfinance uses
        if isinstance(cause, socket.gaierror) or type(cause).__name__ == "DNSError":
            return f"{error}. The name of the server was not found: are you online?"
        cause = cause.__cause__ or cause.__context__
    return str(error)


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Raise ``MissingExtra`` where an import in this block finds no package: it comes with this extra of the wheel."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"{error.name} is not installed: run pip install 'stocks-workbench[{name}]', or uv sync in a checkout"
        ) from error


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
