"""The local warehouse: one DuckDB file that is built in private, and a copy of it that readers see.

Under ``STOCKS_HOME/warehouse``: ``build.duckdb`` (load and dbt write it, under ``lock``), ``published.duckdb`` (swapped
in by rename after the tests passed; opened read-only, for as long as one query takes).
"""

import itertools
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stocklib.errors import CorruptObject, WarehouseBusy, WarehouseError
from stocklib.settings import Settings
from stocklib.warehouse import Build, DbtResult, LandedObject, LoadResult, local_tables
from stocklib.warehouse.dbt import DbtPlace, run_dbt
from stocklib.warehouse.lines import read_ahead
from stocklib.warehouse.local_load import Load, first_row
from stocklib.warehouse.lock import hold

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

_reader_numbers = itertools.count()


class LocalWarehouse:
    """DuckDB behind the warehouse's interface. Opens its file for each call and leaves nothing open in between."""

    def __init__(self, settings: Settings, *, build: Path | None = None) -> None:
        self._settings = settings
        self._folder = settings.home / "warehouse"
        self._build = build or self._folder / "build.duckdb"
        self._published = self._folder / "published.duckdb"
        self._depth = 0

    def check(self) -> str:
        """What ``stocks doctor`` says of it."""
        if not self._published.exists():
            return f"local, at {self._folder}; nothing is published yet"
        bars = self.query("select count(*) as bars, max(quote_date) as last from gold.fact_daily_stock_quotes")
        return f"local, at {self._published}; {int(bars['bars'].iloc[0]):,} daily bars"

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def writing(self, *, wait: float = 60.0) -> Iterator[None]:
        """Be the one writer; a block inside such a block is the same writer."""
        if self._depth:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
            return
        self._make_folder()
        with hold(self._folder / "lock", wait=wait):
            self._depth = 1
            try:
                yield
            finally:
                self._depth = 0

    def initialise(self) -> None:
        """Create RAW and ops where they are not there yet."""
        with self.writing(), self._open() as con:
            local_tables.create(con)

    def last_key(self, dataset: str) -> str | None:
        """The newest object of a dataset that is loaded."""
        with self.writing(), self._open() as con:
            row = first_row(con, "select last_object from ops.freshness where dataset = ?", [dataset])
        return str(row[0]) if row else None

    def known_keys(self, dataset: str, *, since: str = "") -> set[str]:
        """The loaded objects of a dataset from the key ``since`` on."""
        with self.writing(), self._open() as con:
            rows = con.execute(
                "select object_key from raw.load_history where dataset = ? and object_key >= ?", [dataset, since]
            ).fetchall()
        return {str(row[0]) for row in rows}

    def load(self, objects: Iterable[LandedObject]) -> LoadResult:
        """Append the objects' lines to RAW in one transaction: all of them, or none."""
        corrupt: list[str] = []
        with self.writing(), self._open() as con:
            con.begin()
            load = Load(con)
            for checked in read_ahead(objects):
                if isinstance(checked, CorruptObject):
                    log.warning("not loaded: %s", checked)
                    corrupt.append(str(checked))
                else:
                    load.add(checked)
            return load.finish(corrupt)

    def records(self, dataset: str, fields: Sequence[str]) -> list[tuple[Any, ...]]:
        """These fields of every loaded record of a dataset, as text; published or not."""
        columns = ", ".join(f"record->>'$.{name}'" for name in fields)
        with self.writing(), self._open() as con:
            return list(con.execute(f"select {columns} from raw.{dataset}").fetchall())  # noqa: S608

    def newest_load(self) -> int:
        """The last load's id; 0 before the first."""
        with self.writing(), self._open() as con:
            return int(first_row(con, "select coalesce(max(load_id), 0) from raw.load_history")[0])

    def dbt(
        self, args: Sequence[str], *, on_node: Callable[[str], None] | None = None, quiet: bool = True
    ) -> DbtResult:
        """Run dbt on the private file, then free the file."""
        with self.writing():
            try:
                return run_dbt(args, self._dbt_place(), on_node=on_node, quiet=quiet)
            finally:
                _free_dbt_file()

    def last_build(self) -> Build | None:
        """The last complete build of the private file."""
        with self.writing(), self._open() as con:
            return _read_build(con)

    def published_build(self) -> Build | None:
        """The build that readers see."""
        if not self._published.exists():
            return None
        with self._read() as con:
            return _read_build(con)

    def record_build(self, build: Build) -> None:
        """Remember a complete build: one row, the last."""
        with self.writing(), self._open() as con:
            con.begin()
            con.execute("delete from ops.builds")
            finished = build.finished_at.astimezone(UTC).replace(tzinfo=None)
            con.execute(
                "insert into ops.builds values (?, ?, ?, ?)", [build.load_id, build.logic, build.inputs, finished]
            )
            con.commit()

    def publish(self) -> None:
        """Copy the private file beside the published one and swap it in: readers see the old or the new, never half."""
        with self.writing():
            for stray in self._folder.glob("published.*.tmp"):
                stray.unlink(missing_ok=True)
            with self._open() as con:
                con.execute("force checkpoint")
            copy = self._folder / f"published.{os.getpid()}.tmp"
            try:
                shutil.copyfile(self._build, copy)
                with copy.open("rb+") as file:
                    os.fsync(file.fileno())
                copy.replace(self._published)
            except OSError as error:
                copy.unlink(missing_ok=True)
                raise WarehouseError(
                    f"the new version could not be copied to {self._published}: {error}; readers still see the old "
                    "one. It needs as much free space as the file has"
                ) from error

    @contextmanager
    def fresh(self) -> Iterator["LocalWarehouse"]:
        """An empty file to fill; it takes the place of ``build.duckdb`` when the block ends well."""
        with self.writing():
            # the same file name, so that dbt calls the database by the same name
            beside = self._folder / "rebuild" / "build.duckdb"
            shutil.rmtree(beside.parent, ignore_errors=True)
            try:
                other = LocalWarehouse(self._settings, build=beside)
                other._depth = 1
                other.initialise()
                yield other
                _wal(self._build).unlink(missing_ok=True)
                beside.replace(self._build)
            finally:
                shutil.rmtree(beside.parent, ignore_errors=True)

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────

    def query(self, sql: str, params: Sequence[Any] = ()) -> "pd.DataFrame":
        """Read the published tables; values go in as ``?`` parameters."""
        with self._read() as con:
            frame: pd.DataFrame = con.execute(sql, list(params)).df()
            return frame

    def export(self, folder: Path, *, fmt: str) -> list[Path]:
        """Write every published gold table to ``folder``, all from the same version."""
        options = {"parquet": "format parquet", "csv": "format csv, header true"}[fmt]
        written = []
        with self._read(outside=True) as con:
            tables = con.execute(
                "select table_name from duckdb_tables() where schema_name = 'gold' order by 1"
            ).fetchall()
            for (name,) in tables:
                path = folder / f"{name}.{fmt}"
                con.execute(f"copy (select * from gold.{name} order by all) to '{_quoted(path)}' ({options})")  # noqa: S608
                written.append(path)
        return written

    # ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _open(self) -> Iterator[Any]:
        """The private file, open for writing; whatever is not committed when the block ends is gone."""
        import duckdb

        self._make_folder()
        with _told_plainly(self._build):
            con = duckdb.connect(str(self._build), config=_config())
            try:
                yield con
            finally:
                con.close()

    @contextmanager
    def _read(self, *, outside: bool = False) -> Iterator[Any]:
        """The published file as it is now. Through a name of its own: under one that this process has open already,
        DuckDB would hand out the version of that time."""
        import duckdb

        link = self._folder / f"published.{os.getpid()}-{next(_reader_numbers)}.tmp"
        try:
            os.link(self._published, link)
        except FileNotFoundError:
            raise WarehouseError(
                f"nothing is published yet at {self._published}: run `stocks load` and `stocks transform`, "
                "or `make demo`"
            ) from None
        with _told_plainly(self._published):
            try:
                con = duckdb.connect(str(link), read_only=True, config={**_config(), "enable_external_access": outside})
            finally:
                link.unlink(missing_ok=True)
            try:
                yield con
            finally:
                con.close()

    def _make_folder(self) -> None:
        try:
            self._build.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WarehouseError(f"{self._build.parent} cannot be made: {error}; choose another STOCKS_HOME") from error

    def _dbt_place(self) -> DbtPlace:
        return DbtPlace(
            project=self._settings.root / "dbt_stocks",
            target=self._build.parent / "dbt" / "target",
            logs=self._settings.home / "logs",
            environ={"STOCKS_DBT_TARGET": "local", "STOCKS_WAREHOUSE_FILE": str(self._build)},
            variables={"close_settle_seconds": self._settings.close_settle_seconds},
        )


def _read_build(con: Any) -> Build | None:
    row = first_row(con, "select load_id, logic, inputs, finished_at from ops.builds")
    return Build(int(row[0]), row[1], row[2], row[3].replace(tzinfo=UTC)) if row else None


def _free_dbt_file() -> None:
    """dbt keeps the file open, and locked, until it is told to let go."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    environment = DuckDBConnectionManager._ENV
    if environment is not None:
        environment.close()
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]


@contextmanager
def _told_plainly(path: Path) -> Iterator[None]:
    """The engine's errors as ours."""
    import duckdb

    try:
        yield
    except duckdb.IOException as error:
        if "lock" in str(error).lower():
            raise WarehouseBusy(f"{path} is open in another program: {_first_line(error)}") from error
        raise WarehouseError(f"{path} cannot be read or written: {_first_line(error)}; is the disk full?") from error
    except duckdb.Error as error:
        raise WarehouseError(_first_line(error)) from error


def _config() -> dict[str, Any]:
    # extensions are downloads: what is not built in is not used
    return {"autoinstall_known_extensions": False, "autoload_known_extensions": False, "threads": os.cpu_count() or 1}


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _wal(path: Path) -> Path:
    return path.with_name(path.name + ".wal")
