"""Opening the files of the local warehouse: the private one to write, the published one to read as it is now."""

import contextlib
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stocklib.errors import UnknownName, WarehouseBusy, WarehouseError
from stocklib.host import is_alive
from stocklib.warehouse import Build
from stocklib.warehouse.engine_base import read_build

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# extensions are downloads: what is not built in is not used
_CONFIG: dict[str, Any] = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
_DISK_SIGNS = ("Could not write", "No space left", "File too large")
_DAMAGE_SIGNS = ("not a valid DuckDB database file", "Could not read enough bytes")
_numbers = itertools.count()


class LocalSession:
    """An open file of DuckDB, asked as a session of Snowflake is; its errors are ours.

    It stays the file that was opened, also when another one takes its name.
    """

    def __init__(self, con: Any, path: Path) -> None:
        self.con = con
        self._path = path

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return every row of an answer: one that is not read to its end keeps the connection busy."""
        with duckdb_errors(self._path):
            return list(self.con.execute(sql, list(params)).fetchall())

    def row(self, sql: str, params: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Return the first row of an answer, or None."""
        return next(iter(self.rows(sql, params)), None)

    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Run a statement, or several without parameters. DuckDB counts no rows: the answer is 0."""
        with duckdb_errors(self._path):
            self.con.execute(sql, list(params))
        return 0

    def insert_arrow(self, sql: str, rows: Any, params: Sequence[Any] = ()) -> None:
        """Run an insert from an Arrow table, which the statement names ``incoming``."""
        self.con.register("incoming", rows)
        self.run(sql, params)
        self.con.unregister("incoming")

    def query(self, sql: str, params: Sequence[Any] = ()) -> "pd.DataFrame":
        """Return an answer as a frame."""
        with duckdb_errors(self._path):
            frame: pd.DataFrame = self.con.execute(sql, list(params)).df()
            return frame

    def arrow(self, sql: str, params: Sequence[Any] = (), *, exact: bool = False) -> "pa.Table":
        """Return an answer in columns, which are exact in any case."""
        with duckdb_errors(self._path):
            return self.con.sql(sql, params=list(params)).to_arrow_table()

    def published_build(self) -> Build | None:
        """Return the build that the file holds."""
        return read_build(self)


@contextmanager
def open_private(path: Path) -> Iterator[LocalSession]:
    """Yield a session that writes; what is not committed when the block ends is gone."""
    import duckdb

    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb_errors(path), contextlib.closing(duckdb.connect(str(path), config=dict(_CONFIG))) as con:
        yield LocalSession(con, path)


@contextmanager
def open_published(path: Path, *, writes_files: bool = False) -> Iterator[LocalSession]:
    """Yield a session that reads the version that is published now. ``writes_files`` allows COPY to a file."""
    import duckdb

    config: dict[str, Any] = {**_CONFIG, "enable_external_access": writes_files}
    with duckdb_errors(path):
        with _own_name(path) as name:
            con = duckdb.connect(str(name), read_only=True, config=config)
        with contextlib.closing(con):
            yield LocalSession(con, path)


def remove_orphans(folder: Path) -> None:
    """Remove what processes that died left behind. The caller is the one writer."""
    for leftover in folder.glob(".publishing-*.tmp"):
        leftover.unlink(missing_ok=True)
    for leftover in folder.glob(".reading-*.tmp"):
        pid = leftover.name.split("-")[1]
        if not (pid.isdecimal() and is_alive(int(pid))):
            leftover.unlink(missing_ok=True)


def temporary_name(folder: Path, purpose: str) -> Path:
    """Return the name of a temporary file in the warehouse's folder, which holds the pid of its process."""
    return folder / f".{purpose}-{os.getpid()}-{next(_numbers)}.tmp"


@contextmanager
def _own_name(path: Path) -> Iterator[Path]:
    """Yield another name of the file: under one that this process has open, DuckDB gives the version of that time."""
    link = temporary_name(path.parent, "reading")
    try:
        os.link(path, link)
    except FileNotFoundError:
        raise WarehouseError(
            f"nothing is published yet at {path}: run `stocks load` and `stocks transform`, or `make demo`"
        ) from None
    except OSError:
        # a file system without hard links, or another user's folder: the plain name will do
        yield path
        return
    try:
        yield link
    finally:
        link.unlink(missing_ok=True)


@contextmanager
def duckdb_errors(path: Path) -> Iterator[None]:
    """Raise DuckDB's errors as ours."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        message = _reason(_first_line(error))
        if isinstance(error, duckdb.IOException) and "lock" in message.lower():
            raise WarehouseBusy(f"{path} is open in another program: {message}") from error
        if any(sign in message for sign in _DAMAGE_SIGNS):
            again = "`stocks transform`" if path.name == "published.duckdb" else "`stocks load` and `stocks transform`"
            raise WarehouseError(
                f"{path} is empty, torn or no DuckDB file (a power cut?): delete it, and {again} makes it again; the "
                f"lake keeps the data ({message})"
            ) from error
        if isinstance(error, (duckdb.BinderException, duckdb.CatalogException)):
            raise UnknownName(message) from error
        if isinstance(error, duckdb.IOException) or any(sign in message for sign in _DISK_SIGNS):
            raise WarehouseError(f"{path} cannot be read or written: {message}; is the disk full?") from error
        raise WarehouseError(message) from error


def _reason(message: str) -> str:
    """Return the system's own message where the engine wraps it in JSON, else the message.

    >>> _reason('IO Error: Async write failed: {"exception_message":"Could not write","errno":"28"}')
    'No space left on device'
    """
    found = re.search(r'"errno":"(\d+)"', message)
    return os.strerror(int(found[1])) if found else message


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
