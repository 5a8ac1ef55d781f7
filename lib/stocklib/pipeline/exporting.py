"""From published gold to files that other programs read: every table, all of one version, whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stocklib.errors import InputError, WarehouseBusy, WarehouseError
from stocklib.host import lock
from stocklib.settings import Settings
from stocklib.warehouse import open_warehouse

FORMATS = ("parquet", "csv")
_UNFINISHED = ".export-"
# How long an export waits for another one into the same folder, in seconds.
_LOCK_SECONDS = 60.0


def export(settings: Settings, folder: Path, *, format: str = "parquet") -> list[Path]:
    """Write every gold table to ``folder``, all of one version; a file there is replaced whole or not at all."""
    if format not in FORMATS:
        raise InputError(f"there is no export format {format!r}: one of {', '.join(FORMATS)}")
    folder = folder.expanduser().resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _unfinished(folder) as unfinished:
            written = open_warehouse(settings).export(unfinished, fmt=format)
            for path in written:
                path.replace(folder / path.name)
    except OSError as error:
        raise WarehouseError(f"{folder} cannot be written: {error}") from error
    return [folder / path.name for path in written]


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """A folder within this one for what is not whole yet; it is gone afterwards, and so are those of killed exports."""
    with _alone_in(folder) as alone:
        if alone:
            for left in folder.glob(f"{_UNFINISHED}*"):
                shutil.rmtree(left, ignore_errors=True)
        unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder))
        try:
            yield unfinished
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def _alone_in(folder: Path) -> Iterator[bool]:
    """One export into a folder at a time. The folder itself is locked, so that no lock file lies among the tables.

    Yield False where a folder cannot be locked (some network shares, Windows): another export may run there.
    """
    if os.name == "nt":
        yield False
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            locked, lockable = lock(handle, wait=_LOCK_SECONDS), True
        except OSError:
            locked, lockable = False, False
        if lockable and not locked:
            raise WarehouseBusy(f"another export is writing to {folder}: wait for it to finish, and try again")
        yield locked
    finally:
        os.close(handle)
