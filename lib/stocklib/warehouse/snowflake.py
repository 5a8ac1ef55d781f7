"""The Snowflake warehouse: a private database that is built, and a clone of it that readers see.

With ``SNOWFLAKE_DATABASE=STOCKS``, load and dbt write ``STOCKS_BUILD`` while they hold the writer's lock, and a publish
swaps clones of its schemas into ``STOCKS``. A rebuild fills ``STOCKS_REBUILD``, whose clones become the private
version.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stocklib.errors import VersionChanged, WarehouseError
from stocklib.settings import Settings
from stocklib.warehouse import (
    BESIDE_GOLD,
    LAST,
    Build,
    DbtResult,
    LandedObject,
    LoadResult,
    Reader,
    Touched,
    UnreadableObject,
    snowflake_cost,
    snowflake_doctor,
    snowflake_publish,
    snowflake_tables,
)
from stocklib.warehouse.cost import Cost
from stocklib.warehouse.dbt import DbtPlace, bounded_statement, compile_tests, reads_warehouse, run_dbt
from stocklib.warehouse.raw_lines import UnreadObject, read_ahead
from stocklib.warehouse.releases import explained
from stocklib.warehouse.snowflake_frames import to_exact, to_frame, to_table
from stocklib.warehouse.snowflake_load import SnowflakeLoad, log
from stocklib.warehouse.snowflake_lock import WriterLock
from stocklib.warehouse.snowflake_session import RUN, SnowflakeSession, connect
from stocklib.warehouse.snowflake_signin import sign_in
from stocklib.warehouse.spreadsheets import harmless_table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# Signing in takes a second: a thread keeps its sessions, by who signs in where.
_kept = threading.local()


class SnowflakeWarehouse:
    """Snowflake behind the warehouse's interface."""

    def __init__(self, settings: Settings, *, build: str = "") -> None:
        self._settings = settings
        self._who = sign_in(settings)
        self._published = self._who.database
        self._build = build or f"{self._published}_BUILD"
        self._rebuild = f"{self._published}_REBUILD"
        self._folder = settings.home / "warehouse" / "snowflake"
        self._lock = WriterLock(f"{self._build}.{settings.snowflake_schema}.writer_lock")
        self._held = threading.local()

    def check(self) -> str:
        """What ``stocks doctor`` says of it; ``WarehouseError`` names what is missing, and what mends it."""
        lacking = snowflake_doctor.missing(
            self._session(self._published),
            self._who,
            build=self._build,
            published=self._published,
            schema=self._settings.snowflake_schema,
        )
        if lacking:
            raise WarehouseError("; ".join(dict.fromkeys(lacking)))
        where = f"snowflake, account {self._who.account}, database {self._published}, signed in by {self._who.kind}"
        if self.published_build() is None:
            return f"{where}; nothing is published yet"
        bars = self.query("select count(*) as bars from gold.fact_daily_stock_quotes")
        return f"{where}; {int(bars['bars'].iloc[0]):,} daily bars"

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def writing(self, *, wait: float = 60.0) -> Iterator[None]:
        """Be the one writer; a block inside such a block is the same writer."""
        if getattr(self._held, "now", False):
            yield
            return
        with self._lock.hold(lambda: self._connect(self._build, "lock"), self._session(), wait=wait):
            self._held.now = True
            try:
                yield
            finally:
                self._held.now = False

    def initialise(self) -> None:
        """Create RAW and ops where they are not there yet; the databases are made by ``stocks init``."""
        with self.writing():
            snowflake_tables.create(self._session(), self._settings)

    def last_key(self, dataset: str, *, before: str = LAST) -> str | None:
        """The newest object of a dataset that is loaded, among those before a key."""
        sql = "select max(object_key) from raw.load_history where dataset = ? and object_key < ?"
        row = self._session().row(sql, [dataset, before])
        return str(row[0]) if row and row[0] else None

    def known_keys(self, dataset: str, *, since: str = "") -> set[str]:
        """The loaded objects of a dataset from the key ``since`` on."""
        rows = self._session().rows(
            "select object_key from raw.load_history where dataset = ? and object_key >= ?", [dataset, since]
        )
        return {str(row[0]) for row in rows}

    def unreadable(self) -> list[UnreadableObject]:
        """The objects that could not be read, until a load reads them or finds them gone from the lake."""
        columns = "dataset, object_key, reason, first_seen_at, last_tried_at"
        rows = self._session().rows(f"select {columns} from ops.unreadable_objects order by object_key")  # noqa: S608
        return [UnreadableObject(*row[:3], *(instant.replace(tzinfo=UTC) for instant in row[3:])) for row in rows]

    def load(self, objects: Iterable[LandedObject]) -> LoadResult:
        """Append the objects' lines to RAW in one transaction: all of them, or none; one that is loaded is left out."""
        with self.writing():
            load = SnowflakeLoad(self._session(), self._lock, self._folder / "staging")
            try:
                for found in read_ahead(load.not_loaded(objects)):
                    if isinstance(found, UnreadObject):
                        log.warning("not loaded: %s", found.error)
                        load.leave_out(found)
                    else:
                        load.add(found)
                return load.finish()
            finally:
                load.forget()

    def records(self, dataset: str, fields: Sequence[str]) -> list[tuple[Any, ...]]:
        """These fields of every loaded record of a dataset, as text; published or not."""
        columns = ", ".join(f"record:{name}::varchar" for name in fields)
        return self._session().rows(f"select {columns} from raw.{dataset}")  # noqa: S608

    def read(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Read the private version, published or not."""
        return self._session().rows(sql, params)

    def replace_ops(self, tables: Mapping[str, Sequence[Sequence[Any]]]) -> None:
        """Give these tables of ops other rows, all in one transaction."""
        with self._writing_rows() as session:
            for name, rows in tables.items():
                snowflake_tables.refill(session, f"ops.{name}", [[_plain(value) for value in row] for row in rows])

    def newest_load(self) -> int:
        """The last load's id; 0 before the first."""
        row = self._session().row("select coalesce(max(load_id), 0) from raw.load_history")
        return int(row[0]) if row else 0

    def loaded_since(self, load_id: int) -> set[str]:
        """The datasets that later loads brought."""
        rows = self._session().rows("select distinct dataset from raw.load_history where load_id > ?", [load_id])
        return {str(row[0]) for row in rows}

    def touched_since(self, load_id: int) -> Touched:
        """What the quotes and trades of later loads changed in the private version."""
        days = self._session().rows(
            "select quote_date from silver.int_quote_events where load_id > ? union "
            "select quote_date from silver.int_trade_events where load_id > ? order by 1",
            [load_id, load_id],
        )
        since = self._session().row("select min(quote_date) from silver.int_daily_bars where load_id > ?", [load_id])
        return Touched(load_id, tuple(row[0] for row in days), since[0] if since else None)

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
            return run_dbt(args, self._dbt_place(), on_node=on_node, quiet=quiet, keep=keep)

    def test(self, select: Sequence[str], touched: Touched) -> DbtResult:
        """Run the data tests of the models of dbt's selection on what is ``touched``, in one statement."""
        with self.writing():
            tests = compile_tests(select, self._dbt_place())
            answers = self.read(bounded_statement(tests, touched))
        wrong = {name: count for name, count in answers if count}
        failures = tuple(f"test {name}: {count} rows that should not be" for name, count in sorted(wrong.items()))
        counts = {"pass": len(tests) - len(wrong), "fail": len(wrong)}
        return DbtResult(not wrong, failures, counts, self._settings.home / "logs" / "dbt.log")

    def last_build(self) -> Build | None:
        """The last complete build of the private version."""
        return _read_build(self._session(), self._build)

    def published_build(self) -> Build | None:
        """The build that readers see."""
        session = self._session(self._published)
        there = session.row(
            "select count(*) from information_schema.tables "
            "where lower(table_schema) = 'ops' and lower(table_name) = 'builds'"
        )
        return _read_build(session, self._published) if there and there[0] else None

    def record_build(self, build: Build) -> None:
        """Remember a complete build: one row, the last."""
        row = [build.load_id, build.logic, build.inputs, _plain(build.finished_at), _plain(build.whole_at)]
        with self._writing_rows() as session:
            session.run("delete from ops.builds")
            session.run("insert into ops.builds values (?, ?, ?, ?, ?)", row)
            # also the models that had nothing to take in, so that the next build looks no further back
            session.run("update ops.model_loads set load_id = ? where load_id < ?", [build.load_id, build.load_id])

    def record_run(self, verb: str, status: str, *, started_at: datetime, detail: str) -> None:
        """Remember that a step ran, and how it ended."""
        with self.writing():
            self._session().run(
                "insert into ops.pipeline_runs values (?, ?, ?, ?, ?, ?)",
                [verb, status, self.newest_load(), detail, _plain(started_at), _plain(datetime.now(UTC))],
            )

    def publish(self, *, touched: Touched | None = None) -> None:
        """Swap clones of the private schemas in; a clone costs the same whatever was ``touched``."""
        with self.writing():
            self._define(snowflake_publish.statements(self._build, self._published, self._reader()))

    @contextmanager
    def fresh(self) -> Iterator["SnowflakeWarehouse"]:
        """An empty database to fill; clones of its schemas take the private ones' places when the block ends well."""
        empty = [f"create or replace schema {self._rebuild}.{schema}" for schema in snowflake_tables.SCHEMAS]
        with self.writing():
            self._define(empty)
            other = SnowflakeWarehouse(self._settings, build=self._rebuild)
            with other.writing():
                other.initialise()
                yield other
            # killed between two of the schemas: the next transform knows of no build, and builds everything anew
            self._session().run("delete from ops.builds")
            self._define(
                f"create or replace schema {self._build}.{schema} clone {self._rebuild}.{schema}"
                for schema in ("raw", "bronze", "silver", "gold", "ops")
            )
            self._define(empty)

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────

    def query(self, sql: str, params: Sequence[Any] = ()) -> "pd.DataFrame":
        """Read the published tables; values go in as ``?`` parameters, and the answer comes as Arrow."""
        with explained(self._settings, self._read_published), self._read_published() as published:
            return published.query(sql, params)

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """Ask several questions of one version; ``WarehouseError`` at the end when a publish came in between."""
        with explained(self._settings, self._read_published), self._read_one_version() as published:
            yield published

    @contextmanager
    def _read_published(self) -> Iterator[Reader]:
        yield _Published(self._session(self._published), self._published)

    @contextmanager
    def _read_one_version(self) -> Iterator[Reader]:
        session = self._session(self._published)
        before = self.published_build()
        if before is None:
            raise WarehouseError(
                f"nothing is published yet in {self._published}: run `stocks load` and `stocks transform`"
            )
        yield _Published(session, self._published, before)
        if _read_build(session, self._published) != before:
            raise VersionChanged("a new version was published while this one was read: ask again")

    def costs(self, *, since: datetime) -> list[Cost]:
        """What our statements cost since then, at most seven days back; estimated without the account's meter."""
        return snowflake_cost.costs(
            self._session(self._published), self._published, self._who.warehouse.upper(), since=since
        )

    def export(self, folder: Path, *, fmt: str) -> list[Path]:
        """Write every published gold table, and those beside it; refused when a publish came in between."""
        from pyarrow import csv, parquet

        written: list[Path] = []
        session = self._session(self._published)
        with self.reading() as look:
            tables = look.query(
                "select lower(table_schema) as place, lower(table_name) as name from information_schema.tables "
                "where lower(table_schema) in ('gold', 'silver', 'ops') order by 1, 2"
            )
            for place, name in zip(tables["place"], tables["name"], strict=True):
                if place != "gold" and f"{place}.{name}" not in BESIDE_GOLD:
                    continue
                table = to_exact(session.arrow(f"select * from {place}.{name}"))  # noqa: S608
                table = table.sort_by([(column, "ascending") for column in table.column_names])
                path = folder / f"{name}.{fmt}"
                if fmt == "parquet":
                    parquet.write_table(table, path)
                else:
                    csv.write_csv(harmless_table(table), path)
                written.append(path)
        return written

    # ── sessions ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _session(self, database: str = "") -> SnowflakeSession:
        """This thread's session on a database, signed in once."""
        database = database or self._build
        sessions: dict[Any, SnowflakeSession] = _kept.__dict__.setdefault("sessions", {})
        who = self._who
        key = (os.getpid(), who.account, who.user, who.role, who.warehouse, database, *who.address.values())
        if key not in sessions or not sessions[key].is_open:
            sessions[key] = self._connect(database, "read" if database == self._published else "write")
        return sessions[key]

    def _define(self, statements: Iterable[str]) -> None:
        """Run statements in a session of their own: CREATE SCHEMA changes where a session is."""
        with contextlib.closing(self._connect(self._build, "publish")) as session:
            for statement in statements:
                session.run(statement)

    def _connect(self, database: str, purpose: str) -> SnowflakeSession:
        return connect(self._settings, database=database, purpose=purpose)

    @contextmanager
    def _writing_rows(self) -> Iterator[SnowflakeSession]:
        """A transaction of the one writer."""
        with self.writing():
            session = self._session()
            with session.transaction():
                self._lock.confirm(session)
                yield session

    def _reader(self) -> str:
        """The role that reads, where ``stocks init`` made it; a loader without it publishes for itself."""
        name = f"{self._published}_REPORTER"
        return name if self._session().rows(f"show roles like '{name}'") else ""

    def _dbt_place(self) -> DbtPlace:
        return DbtPlace(
            project=self._settings.root / "dbt_stocks",
            target=self._folder / "dbt" / self._build.lower() / "target",
            logs=self._settings.home / "logs",
            environ={
                "STOCKS_DBT_TARGET": "snowflake",
                "STOCKS_SNOWFLAKE_DATABASE": self._build,
                "STOCKS_SNOWFLAKE_SCHEMA": self._settings.snowflake_schema,
                "STOCKS_RUN": RUN,
                **self._who.environ(),
            },
            variables={"close_settle_seconds": self._settings.close_settle_seconds},
        )


class _Published:
    """The published database as one of this thread's sessions sees it."""

    def __init__(self, session: SnowflakeSession, database: str, build: Build | None = None) -> None:
        self._session = session
        self._database = database
        self._build = build

    def query(self, sql: str, params: Sequence[Any] = ()) -> "pd.DataFrame":
        return to_frame(self.arrow(sql, params))

    def arrow(self, sql: str, params: Sequence[Any] = ()) -> "pa.Table":
        return to_table(self._session.arrow(sql, [_plain(value) for value in params]))

    def published_build(self) -> Build | None:
        return self._build or _read_build(self._session, self._database)


def _read_build(session: SnowflakeSession, database: str) -> Build | None:
    row = session.row(f"select load_id, logic, inputs, finished_at, whole_at from {database}.ops.builds")  # noqa: S608
    if row is None:
        return None
    finished_at, whole_at = (instant and instant.replace(tzinfo=UTC) for instant in row[3:])
    return Build(int(row[0]), row[1], row[2], finished_at, whole_at)


def _plain(value: Any) -> Any:
    """Timestamps of the warehouse hold UTC without saying so."""
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and value.tzinfo else value
