"""The local warehouse: one DuckDB file that is built in private, and a copy of it that readers see.

Under ``STOCKS_HOME/warehouse``: ``build.duckdb`` (load and dbt write it, under ``lock``), ``published.duckdb`` (swapped
in by rename after the tests passed; opened read-only, for as long as one query takes).
"""

import contextlib
import logging
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stocklib.errors import OtherRelease, WarehouseError
from stocklib.settings import Settings
from stocklib.warehouse import (
    BESIDE_GOLD,
    LAST,
    SCHEMA_VERSION,
    Build,
    DbtResult,
    LandedObject,
    LoadResult,
    Reader,
    Touched,
    UnreadableObject,
    local_publish,
    local_tables,
)
from stocklib.warehouse.cost import Cost
from stocklib.warehouse.dbt import DbtPlace, bounded_statement, compile_tests, reads_warehouse, run_dbt
from stocklib.warehouse.local_files import make_folder, open_private, open_published, remove_strays, told_plainly
from stocklib.warehouse.local_load import LocalLoad, first_row
from stocklib.warehouse.lock import hold
from stocklib.warehouse.raw_lines import UnreadObject, read_ahead
from stocklib.warehouse.releases import explained, schema_complaint
from stocklib.warehouse.spreadsheets import harmless_select

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

log = logging.getLogger(__name__)

# Each publication writes the whole of ops: of a stream's runs, those of the last hours are kept.
_RUNS_KEPT = 10_000


class LocalWarehouse:
    """DuckDB behind the warehouse's interface. Its file is open inside ``writing`` blocks and calls, not in between."""

    def __init__(self, settings: Settings, *, build: Path | None = None) -> None:
        self._settings = settings
        self._folder = settings.home / "warehouse"
        self._build = build or self._folder / "build.duckdb"
        self._published = self._folder / "published.duckdb"
        # whether this thread is the writer already, and the connection that it has open
        self._held = threading.local()

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
        if getattr(self._held, "now", False):
            yield
            return
        make_folder(self._folder)
        with hold(self._folder / "lock", wait=wait), self._holding():
            yield

    @contextmanager
    def _holding(self) -> Iterator[None]:
        self._held.now = True
        try:
            yield
        finally:
            self._let_go()
            self._held.now = False

    def initialise(self) -> None:
        """Create RAW and ops where they are not there yet."""
        with self.writing(), self._open() as con:
            found = local_tables.schema_version(con)
            if found is not None and found != SCHEMA_VERSION:
                raise OtherRelease(schema_complaint(self._settings, found))
            local_tables.create(con)

    def last_key(self, dataset: str, *, before: str = LAST) -> str | None:
        """The newest object of a dataset that is loaded, among those before a key."""
        sql = "select max(object_key) from raw.load_history where dataset = ? and object_key < ?"
        with self.writing(), self._open() as con:
            row = first_row(con, sql, [dataset, before])
        return str(row[0]) if row and row[0] else None

    def known_keys(self, dataset: str, *, since: str = "") -> set[str]:
        """The loaded objects of a dataset from the key ``since`` on."""
        with self.writing(), self._open() as con:
            rows = con.execute(
                "select object_key from raw.load_history where dataset = ? and object_key >= ?", [dataset, since]
            ).fetchall()
        return {str(row[0]) for row in rows}

    def unreadable(self) -> list[UnreadableObject]:
        """The objects that could not be read, until a load reads them or finds them gone from the lake."""
        columns = "dataset, object_key, reason, first_seen_at, last_tried_at"
        with self.writing(), self._open() as con:
            rows = con.execute(f"select {columns} from ops.unreadable_objects order by object_key").fetchall()  # noqa: S608
        return [UnreadableObject(*row[:3], *(instant.replace(tzinfo=UTC) for instant in row[3:])) for row in rows]

    def load(self, objects: Iterable[LandedObject]) -> LoadResult:
        """Append the objects' lines to RAW in one transaction: all of them, or none; one that is loaded is left out."""
        with self.writing(), self._open() as con:
            con.begin()
            load = LocalLoad(con)
            for found in read_ahead(load.not_loaded(objects)):
                if isinstance(found, UnreadObject):
                    log.warning("not loaded: %s", found.error)
                    load.leave_out(found)
                else:
                    load.add(found)
            return load.finish()

    def records(self, dataset: str, fields: Sequence[str]) -> list[tuple[Any, ...]]:
        """These fields of every loaded record of a dataset, as text; published or not."""
        columns = ", ".join(f"record->>'$.{name}'" for name in fields)
        with self.writing(), self._open() as con:
            return list(con.execute(f"select {columns} from raw.{dataset}").fetchall())  # noqa: S608

    def read(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Read the private file; ``WarehouseError`` where there is none."""
        if not self._build.exists():
            raise WarehouseError(f"nothing is loaded yet at {self._build}: `stocks load` loads what the lake holds")
        with self.writing(), self._open() as con:
            return list(con.execute(sql, list(params)).fetchall())

    def replace_ops(self, tables: Mapping[str, Sequence[Sequence[Any]]]) -> None:
        """Give these tables of ops other rows, all in one transaction."""
        with self.writing(), self._open() as con:
            con.begin()
            for name, rows in tables.items():
                local_tables.refill(con, f"ops.{name}", rows)
            con.commit()

    def newest_load(self) -> int:
        """The last load's id; 0 before the first."""
        with self.writing(), self._open() as con:
            return int(first_row(con, "select coalesce(max(load_id), 0) from raw.load_history")[0])

    def loaded_since(self, load_id: int) -> set[str]:
        """The datasets that later loads brought."""
        with self.writing(), self._open() as con:
            rows = con.execute("select distinct dataset from raw.load_history where load_id > ?", [load_id]).fetchall()
        return {str(row[0]) for row in rows}

    def touched_since(self, load_id: int) -> Touched:
        """What the quotes and trades of later loads changed in the private file."""
        with self.writing(), self._open() as con:
            days = con.execute(
                "select quote_date from silver.int_quote_events where load_id > $1 union "
                "select quote_date from silver.int_trade_events where load_id > $1 order by 1",
                [load_id],
            ).fetchall()
            since = first_row(con, "select min(quote_date) from silver.int_daily_bars where load_id > ?", [load_id])
        return Touched(load_id, tuple(row[0] for row in days), since[0])

    def dbt(
        self,
        args: Sequence[str],
        *,
        on_node: Callable[[str], None] | None = None,
        quiet: bool = True,
        keep: bool = False,
    ) -> DbtResult:
        """Run dbt on the private file, then free the file."""
        with self.writing() if reads_warehouse(args) else contextlib.nullcontext():
            # dbt opens it with options of its own
            self._let_go()
            return run_dbt(args, self._dbt_place(), on_node=on_node, quiet=quiet, keep=keep)

    def test(self, select: Sequence[str], touched: Touched) -> DbtResult:
        """Run the data tests of the models of dbt's selection on what is ``touched``, in one statement."""
        with self.writing():
            self._let_go()
            tests = compile_tests(select, self._dbt_place())
            answers = self.read(bounded_statement(tests, touched))
        wrong = {name: count for name, count in answers if count}
        failures = tuple(f"test {name}: {count} rows that should not be" for name, count in sorted(wrong.items()))
        counts = {"pass": len(tests) - len(wrong), "fail": len(wrong)}
        return DbtResult(not wrong, failures, counts, self._settings.home / "logs" / "dbt.log")

    def last_build(self) -> Build | None:
        """The last complete build of the private file."""
        with self.writing(), self._open() as con:
            return _read_build(con)

    def published_build(self) -> Build | None:
        """The build that readers see."""
        if not self._published.exists():
            return None
        with self.reading() as published:
            return published.published_build()

    def record_build(self, build: Build) -> None:
        """Remember a complete build: one row, the last."""
        with self.writing(), self._open() as con:
            con.begin()
            con.execute("delete from ops.builds")
            whole_at = _naive(build.whole_at) if build.whole_at else None
            row = [build.load_id, build.logic, build.inputs, _naive(build.finished_at), whole_at]
            con.execute("insert into ops.builds values (?, ?, ?, ?, ?)", row)
            # also the models that had nothing to take in, so that the next build looks no further back
            con.execute("update ops.model_loads set load_id = ? where load_id < ?", [build.load_id, build.load_id])
            con.commit()

    def record_run(self, verb: str, status: str, *, started_at: datetime, detail: str) -> None:
        """Remember that a step ran, and how it ended."""
        with self.writing(), self._open() as con:
            con.execute(
                "insert into ops.pipeline_runs select ?, ?, coalesce(max(load_id), 0), ?, ?, ? from raw.load_history",
                [verb, status, detail, _naive(started_at), _naive(datetime.now(UTC))],
            )
            con.execute(
                "delete from ops.pipeline_runs where finished_at < "
                "(select finished_at from ops.pipeline_runs order by finished_at desc offset ? limit 1)",
                [_RUNS_KEPT],
            )

    def publish(self, *, touched: Touched | None = None) -> None:
        """Bring a file beside the published one up to date and swap it in: readers see the old or the new, never half.

        With ``touched``, no reader of this very process may have the version before the published one open.
        """
        with self.writing():
            remove_strays(self._folder)
            with self._open() as con:
                local_publish.note(con, touched)
                con.execute("force checkpoint")
                if touched and local_publish.bring_forward(con, self._folder):
                    return
            self._let_go()
            local_publish.copy(self._build, self._folder, keep=touched is not None)

    @contextmanager
    def fresh(self) -> Iterator["LocalWarehouse"]:
        """An empty file to fill; it takes the place of ``build.duckdb`` when the block ends well."""
        with self.writing():
            # the same file name, so that dbt calls the database by the same name
            beside = self._folder / "rebuild" / "build.duckdb"
            shutil.rmtree(beside.parent, ignore_errors=True)
            try:
                other = LocalWarehouse(self._settings, build=beside)
                with other._holding():
                    other.initialise()
                    yield other
                self._let_go()
                _wal(self._build).unlink(missing_ok=True)
                beside.replace(self._build)
            finally:
                shutil.rmtree(beside.parent, ignore_errors=True)

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────

    def query(self, sql: str, params: Sequence[Any] = ()) -> "pd.DataFrame":
        """Read the published tables; values go in as ``?`` parameters."""
        with self.reading() as published:
            return published.query(sql, params)

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """Ask several questions of one version: the file that was published when the block began."""
        with explained(self._settings, self._read_published), self._read_published() as published:
            yield published

    @contextmanager
    def _read_published(self) -> Iterator[Reader]:
        with open_published(self._published) as con:
            yield _Published(con, self._published)

    def costs(self, *, since: datetime) -> list[Cost]:
        """Nothing: it runs on this machine."""
        return []

    def export(self, folder: Path, *, fmt: str) -> list[Path]:
        """Write every published gold table, and those beside it, to ``folder``, all from the same version."""
        options = {"parquet": "format parquet", "csv": "format csv, header true"}[fmt]
        written: list[Path] = []
        with open_published(self._published, writes_files=True) as con:
            tables = con.execute(
                "select table_schema, table_name from information_schema.tables "
                "where table_catalog = current_database() and table_schema in ('gold', 'silver', 'ops') "
                "order by table_schema = 'gold' desc, table_name"
            ).fetchall()
            for schema, name in tables:
                if schema != "gold" and f"{schema}.{name}" not in BESIDE_GOLD:
                    continue
                path = folder / f"{name}.{fmt}"
                target = str(path).replace("'", "''")
                table = f"{schema}.{name}"
                asked = harmless_select(con, table) if fmt == "csv" else f"select * from {table}"  # noqa: S608
                with told_plainly(folder):
                    con.execute(f"copy ({asked} order by all) to '{target}' ({options})")
                written.append(path)
        return written

    # ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _open(self) -> Iterator[Any]:
        """The private file; what is not committed when the block ends is gone."""
        if getattr(self._held, "con", None) is None:
            self._held.files = contextlib.ExitStack()
            self._held.con = self._held.files.enter_context(open_private(self._build))
        with told_plainly(self._build):
            try:
                yield self._held.con
            except BaseException:
                # with it goes what was begun
                self._let_go()
                raise

    def _let_go(self) -> None:
        """Close the private file, so that others, dbt among them, can open it."""
        if getattr(self._held, "con", None) is not None:
            self._held.con = None
            self._held.files.close()

    def _dbt_place(self) -> DbtPlace:
        return DbtPlace(
            project=self._settings.root / "dbt_stocks",
            target=self._folder / "dbt" / self._build.parent.name / "target",
            logs=self._settings.home / "logs",
            environ={"STOCKS_DBT_TARGET": "local", "STOCKS_WAREHOUSE_FILE": str(self._build)},
            variables={"close_settle_seconds": self._settings.close_settle_seconds},
        )


class _Published:
    """The published file, open: as it was when it was opened, also when another one takes its name."""

    def __init__(self, con: Any, path: Path) -> None:
        self._con = con
        self._path = path

    def query(self, sql: str, params: Sequence[Any] = ()) -> "pd.DataFrame":
        with told_plainly(self._path):
            frame: pd.DataFrame = self._con.execute(sql, list(params)).df()
            return frame

    def arrow(self, sql: str, params: Sequence[Any] = ()) -> "pa.Table":
        with told_plainly(self._path):
            return self._con.sql(sql, params=list(params)).to_arrow_table()

    def published_build(self) -> Build | None:
        with told_plainly(self._path):
            return _read_build(self._con)


def _read_build(con: Any) -> Build | None:
    row = first_row(con, "select * from ops.builds")
    if row is None:
        return None
    # a version that was published by an older release lacks the last column
    finished_at, whole_at = (instant and instant.replace(tzinfo=UTC) for instant in (*row[3:], None)[:2])
    return Build(int(row[0]), row[1], row[2], finished_at, whole_at)


def _wal(path: Path) -> Path:
    return path.with_name(path.name + ".wal")


def _naive(instant: datetime) -> datetime:
    """Timestamps of the warehouse hold UTC without saying so."""
    return instant.astimezone(UTC).replace(tzinfo=None)
