"""What both warehouse engines do alike: every statement that DuckDB and Snowflake understand, written once.

An engine adds how it is opened and locked, and what differs by dialect: loading, publishing, rebuilding, exporting.
"""

import contextlib
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from stocklib.errors import OtherRelease
from stocklib.settings import Settings
from stocklib.warehouse import (
    LAST,
    SCHEMA_VERSION,
    Build,
    DbtResult,
    LandedObject,
    LoadResult,
    Reader,
    Touched,
    UnreadableObject,
    calendar_version,
)
from stocklib.warehouse.dbt import DbtPlace, bounded_statement, compile_tests, reads_warehouse, run_dbt
from stocklib.warehouse.load_base import Load
from stocklib.warehouse.published import select_tables
from stocklib.warehouse.raw_lines import UnreadObject, read_ahead
from stocklib.warehouse.releases import explain_missing_names, schema_complaint
from stocklib.warehouse.table_columns import CALENDAR, calendar_rows, table_statements

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

_COLUMNS = (
    "select lower(table_schema || '.' || table_name), lower(column_name) from information_schema.columns "
    "where lower(table_schema) in ('raw', 'ops')"
)


class WarehouseSession(Protocol):
    """An open connection to one version of the warehouse."""

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return every row of an answer."""

    def row(self, sql: str, params: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Return the first row of an answer, or None."""

    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Run a statement; return how many rows it changed, where the engine counts them."""


class WarehouseEngine(ABC):
    """The common half of an engine. ``stocklib.warehouse.Warehouse`` documents what a caller may rely on."""

    # one field of a record as text, in the engine's dialect
    _field: ClassVar[str]
    _is_snowflake: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # per thread: whether it is the writer, and what it has open
        self._thread = threading.local()

    @abstractmethod
    def _lock_held(self, wait: float) -> AbstractContextManager[None]:
        """Hold the writer's lock, waiting up to ``wait`` seconds for it."""

    @abstractmethod
    def _private(self) -> AbstractContextManager[WarehouseSession]:
        """Yield a session on the private version."""

    @abstractmethod
    def _changing(self) -> AbstractContextManager[WarehouseSession]:
        """Yield a session on the private version, in a transaction of the one writer."""

    @abstractmethod
    def _loading(self) -> AbstractContextManager[Load]:
        """Yield a new load, as the one writer."""

    @abstractmethod
    def _define(self, statements: Iterable[str]) -> None:
        """Create or change schemas and tables."""

    @abstractmethod
    def _refill(self, session: Any, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Give a table other rows, in the order of its columns."""

    @abstractmethod
    def _read_published(self) -> AbstractContextManager[Reader]:
        """Yield the published version."""

    @abstractmethod
    def _dbt_place(self) -> DbtPlace:
        """Return where dbt runs, and with which environment."""

    def _read_one_version(self) -> AbstractContextManager[Reader]:
        """Yield the published version, which stays the same inside the block."""
        return self._read_published()

    def _close_private(self) -> None:  # noqa: B027 - only a file is in dbt's way
        """Close what would keep dbt out of the private version."""

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def writing(self, *, wait: float = 60.0) -> Iterator[None]:
        """Hold the writer's lock; a block inside such a block is the same writer."""
        if getattr(self._thread, "is_writer", False):
            yield
            return
        with self._lock_held(wait), self._holding():
            yield

    @contextmanager
    def _holding(self) -> Iterator[None]:
        self._thread.is_writer = True
        try:
            yield
        finally:
            self._close_private()
            self._thread.is_writer = False

    def initialise(self) -> None:
        """Create what is missing of RAW and ops; fill the calendar again when the library that knows it has changed."""
        with self.writing(), self._private() as session:
            existing = {name for table, column in session.rows(_COLUMNS) for name in (table, f"{table}.{column}")}
            version = "select version, calendar from ops.schema_version"
            found = session.row(version) if "ops.schema_version" in existing else None
            if found is not None and int(found[0]) != SCHEMA_VERSION:
                raise OtherRelease(schema_complaint(self._settings, int(found[0])))
            made = table_statements(snowflake=self._is_snowflake)
            # a role that only loads may not create or alter anything, so what is there is not touched
            if any("table" in made[name] for name in made.keys() - existing):
                self._define(made[name] for name in made if name not in existing)
        if found is None or found[1] != calendar_version():
            self._fill_calendar()

    def _fill_calendar(self) -> None:
        with self._changing() as session:
            self._refill(session, CALENDAR, calendar_rows())
            # another calendar can change what was built: the next transform builds everything again
            session.run("delete from ops.builds")
            self._refill(session, "ops.schema_version", [(SCHEMA_VERSION, calendar_version())])

    def last_key(self, dataset: str, *, before: str = LAST) -> str | None:
        """Return the newest loaded object of a dataset, among those before a key."""
        sql = "select max(object_key) from raw.load_history where dataset = ? and object_key < ?"
        with self._private() as session:
            row = session.row(sql, [dataset, before])
        return str(row[0]) if row and row[0] else None

    def known_keys(self, dataset: str, *, since: str = "") -> set[str]:
        """Return the loaded objects of a dataset from the key ``since`` on."""
        sql = "select object_key from raw.load_history where dataset = ? and object_key >= ?"
        with self._private() as session:
            return {str(row[0]) for row in session.rows(sql, [dataset, since])}

    def unreadable(self) -> list[UnreadableObject]:
        """Return the objects that no load could read, until a load reads them or finds them gone from the lake."""
        columns = "dataset, object_key, reason, first_seen_at, last_tried_at"
        with self._private() as session:
            rows = session.rows(f"select {columns} from ops.unreadable_objects order by object_key")  # noqa: S608
        return [UnreadableObject(*row[:3], *(instant.replace(tzinfo=UTC) for instant in row[3:])) for row in rows]

    def load(self, objects: Iterable[LandedObject]) -> LoadResult:
        """Append the objects' lines to RAW in one transaction, all or none; skip an object that is loaded already."""
        with self._loading() as load:
            for found in read_ahead(load.not_loaded(objects)):
                if isinstance(found, UnreadObject):
                    log.warning("not loaded: %s", found.error)
                    load.leave_out(found)
                else:
                    load.add(found)
            return load.finish()

    def records(self, dataset: str, fields: Sequence[str]) -> list[tuple[Any, ...]]:
        """Return these fields of every record in the private version's RAW, as text."""
        columns = ", ".join(self._field.format(name) for name in fields)
        with self._private() as session:
            return session.rows(f"select {columns} from raw.{dataset}")  # noqa: S608

    def read(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query of the private version, published or not."""
        with self._private() as session:
            return session.rows(sql, params)

    def replace_ops(self, tables: Mapping[str, Sequence[Sequence[Any]]]) -> None:
        """Give these tables of ops other rows, all in one transaction."""
        with self._changing() as session:
            for name, rows in tables.items():
                self._refill(session, f"ops.{name}", rows)

    def newest_load(self) -> int:
        """Return the last load's id; 0 before the first."""
        with self._private() as session:
            row = session.row("select coalesce(max(load_id), 0) from raw.load_history")
        return int(row[0]) if row else 0

    def loaded_since(self, load_id: int) -> set[str]:
        """Return the datasets that later loads brought."""
        with self._private() as session:
            rows = session.rows("select distinct dataset from raw.load_history where load_id > ?", [load_id])
        return {str(row[0]) for row in rows}

    def touched_since(self, load_id: int) -> Touched:
        """Return what the quotes and trades of later loads changed in the private version."""
        days = (
            "select quote_date from silver.int_quote_events where load_id > ? union "
            "select quote_date from silver.int_trade_events where load_id > ? order by 1"
        )
        with self._private() as session:
            found = session.rows(days, [load_id, load_id])
            since = session.row("select min(quote_date) from silver.int_daily_bars where load_id > ?", [load_id])
        return Touched(load_id, tuple(row[0] for row in found), since[0] if since else None)

    def dbt(
        self,
        args: Sequence[str],
        *,
        on_node: Callable[[str], None] | None = None,
        quiet: bool = True,
        keep: bool = False,
    ) -> DbtResult:
        """Run dbt on the private version."""
        with self.writing() if reads_warehouse(args) else contextlib.nullcontext():
            # dbt opens it with options of its own
            self._close_private()
            return run_dbt(args, self._dbt_place(), on_node=on_node, quiet=quiet, keep=keep)

    def test(self, select: Sequence[str], touched: Touched) -> DbtResult:
        """Run the data tests of the models of dbt's selection on what is ``touched``, in one statement."""
        with self.writing():
            self._close_private()
            tests = compile_tests(select, self._dbt_place())
            answers = self.read(bounded_statement(tests, touched))
        wrong = {name: count for name, count in answers if count}
        failures = tuple(f"test {name}: {count} rows that should not be" for name, count in sorted(wrong.items()))
        counts = {"pass": len(tests) - len(wrong), "fail": len(wrong)}
        return DbtResult(not wrong, failures, counts, self._settings.home / "logs" / "dbt.log")

    def last_build(self) -> Build | None:
        """Return the last complete build of the private version."""
        with self._private() as session:
            return read_build(session)

    def record_build(self, build: Build) -> None:
        """Record a complete build: one row, the last."""
        whole_at = naive(build.whole_at) if build.whole_at else None
        row = [build.load_id, build.logic, build.inputs, naive(build.finished_at), whole_at]
        with self._changing() as session:
            session.run("delete from ops.builds")
            session.run("insert into ops.builds values (?, ?, ?, ?, ?)", row)
            # also the models without new rows, so that the next build looks no further back
            session.run("update ops.model_loads set load_id = ? where load_id < ?", [build.load_id, build.load_id])

    def record_run(self, verb: str, status: str, *, started_at: datetime, detail: str) -> None:
        """Record that a step ran, and how it ended."""
        with self.writing(), self._private() as session:
            row = [verb, status, self.newest_load(), detail, naive(started_at), naive(datetime.now(UTC))]
            session.run("insert into ops.pipeline_runs values (?, ?, ?, ?, ?, ?)", row)

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────

    def query(self, sql: str, params: Sequence[Any] = ()) -> "pd.DataFrame":
        """Return the answer of the published version; values go in as ``?`` parameters."""
        with explain_missing_names(self._settings, self._read_published), self._read_published() as published:
            return published.query(sql, params)

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """Yield the version that was published when the block began, for several questions."""
        with explain_missing_names(self._settings, self._read_published), self._read_one_version() as published:
            yield published


def read_build(session: WarehouseSession, place: str = "") -> Build | None:
    """Return the build that a version holds; None before the first. ``place`` is its database and a point."""
    row = session.row(f"select * from {place}ops.builds")  # noqa: S608
    if row is None:
        return None
    # a version that an older release published lacks the last column
    finished_at, whole_at = (instant and instant.replace(tzinfo=UTC) for instant in (*row[3:], None)[:2])
    return Build(int(row[0]), row[1], row[2], finished_at, whole_at)


def exported_tables(session: WarehouseSession, asked: Collection[str] | None) -> list[str]:
    """Return the published tables that an export holds, by schema and name."""
    rows = session.rows(
        "select lower(table_schema || '.' || table_name) from information_schema.tables "
        "where lower(table_schema) in ('gold', 'silver', 'ops') order by 1"
    )
    return select_tables([name for (name,) in rows], asked)


def naive(instant: datetime) -> datetime:
    """Return an instant as the warehouse's timestamps hold it: UTC, without saying so."""
    return instant.astimezone(UTC).replace(tzinfo=None)
