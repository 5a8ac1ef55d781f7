"""The Snowflake warehouse: a private database that is built, and a clone of it that readers see.

With ``SNOWFLAKE_DATABASE=STOCKS``, load and dbt write ``STOCKS_BUILD`` while they hold the writer's lock, and a publish
swaps clones of its schemas into ``STOCKS``. A rebuild fills ``STOCKS_REBUILD``, whose clones become the private
version.
"""

import contextlib
import os
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from stocklib.errors import VersionChanged, WarehouseError
from stocklib.settings import Settings
from stocklib.warehouse import (
    Build,
    Reader,
    Touched,
    table_columns,
)
from stocklib.warehouse.cost import Cost
from stocklib.warehouse.dbt import DbtPlace
from stocklib.warehouse.engine_base import WarehouseEngine, exported_tables, naive, read_build
from stocklib.warehouse.snowflake import grants, query_history
from stocklib.warehouse.snowflake.arrow_types import to_exact, to_frame, to_table
from stocklib.warehouse.snowflake.lease import WriterLock
from stocklib.warehouse.snowflake.session import RUN, SnowflakeSession, connect
from stocklib.warehouse.snowflake.signin import sign_in
from stocklib.warehouse.snowflake.staged_load import SnowflakeLoad
from stocklib.warehouse.spreadsheets import harmless_table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# Signing in takes a second: a thread keeps its sessions, by who signs in where.
_kept = threading.local()


class SnowflakeWarehouse(WarehouseEngine):
    """Snowflake behind the warehouse's interface."""

    _field = "record:{}::varchar"
    _is_snowflake = True

    def __init__(self, settings: Settings, *, private_database: str = "") -> None:
        super().__init__(settings)
        self._who = sign_in(settings)
        self._published = self._who.database
        self._private_database = private_database or f"{self._published}_BUILD"
        self._rebuild = f"{self._published}_REBUILD"
        self._folder = settings.home / "warehouse" / "snowflake"
        self._lock = WriterLock(f"{self._private_database}.{settings.snowflake_schema}.writer_lock")

    def check(self) -> str:
        """Return what ``stocks doctor`` says of it; ``WarehouseError`` names what is missing, and what mends it."""
        lacking = grants.missing(
            self._session(self._published),
            self._who,
            build=self._private_database,
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

    def published_build(self) -> Build | None:
        """Return the build that readers see."""
        session = self._session(self._published)
        tables = session.row(
            "select count(*) from information_schema.tables "
            "where lower(table_schema) = 'ops' and lower(table_name) = 'builds'"
        )
        return read_build(session, f"{self._published}.") if tables and tables[0] else None

    def publish(self, *, touched: Touched | None = None) -> None:
        """Swap clones of the private schemas in; a clone costs the same whatever was ``touched``."""
        with self.writing():
            names = {"build": self._private_database, "published": self._published, "reader": self._reader()}
            self._replace(table_columns.statements("snowflake/publish.sql", **names))

    @contextmanager
    def fresh(self) -> Iterator["SnowflakeWarehouse"]:
        """Yield an empty database to fill; clones of its schemas replace the private ones when the block ends well."""
        empty = [f"create or replace schema {self._rebuild}.{schema}" for schema in table_columns.SCHEMAS]
        with self.writing():
            self._replace(empty)
            other = SnowflakeWarehouse(self._settings, private_database=self._rebuild)
            with other.writing():
                other.initialise()
                yield other
            # killed between two of the schemas: the next transform knows of no build, and builds everything again
            self._session().run("delete from ops.builds")
            self._replace(
                f"create or replace schema {self._private_database}.{schema} clone {self._rebuild}.{schema}"
                for schema in ("raw", "bronze", "silver", "gold", "ops")
            )
            self._replace(empty)

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────

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
        if read_build(session, f"{self._published}.") != before:
            raise VersionChanged("a new version was published while this one was read: ask again")

    def costs(self, *, since: datetime) -> list[Cost]:
        """Return the cost of our statements since then, at most seven days back; estimated without a meter."""
        return query_history.costs(
            self._session(self._published), self._published, self._who.warehouse.upper(), since=since
        )

    def export(self, folder: Path, *, fmt: str, tables: Collection[str] | None = None) -> list[Path]:
        """Write published tables, by default gold and ``BESIDE_GOLD``; refused when a publish came in between."""
        from pyarrow import csv, parquet

        written: list[Path] = []
        session = self._session(self._published)
        with self.reading():
            for name in exported_tables(session, tables):
                table = to_exact(session.arrow(f"select * from {name}"))  # noqa: S608
                table = table.sort_by([(column, "ascending") for column in table.column_names])
                path = folder / f"{name.partition('.')[2]}.{fmt}"
                if fmt == "parquet":
                    parquet.write_table(table, path)
                else:
                    csv.write_csv(harmless_table(table), path)
                written.append(path)
        return written

    # ── sessions ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _session(self, database: str = "") -> SnowflakeSession:
        """Return this thread's session on a database, signed in once."""
        database = database or self._private_database
        sessions: dict[Any, SnowflakeSession] = _kept.__dict__.setdefault("sessions", {})
        who = self._who
        key = (os.getpid(), who.account, who.user, who.role, who.warehouse, database, *who.address.values())
        if key not in sessions or not sessions[key].is_open:
            sessions[key] = self._connect(database, "read" if database == self._published else "write")
        return sessions[key]

    def _define(self, statements: Iterable[str]) -> None:
        for statement in statements:
            self._session().run(statement)

    def _replace(self, statements: Iterable[str]) -> None:
        """Run statements in a session of their own: CREATE SCHEMA changes where a session is."""
        with contextlib.closing(self._connect(self._private_database, "publish")) as session:
            for statement in statements:
                session.run(statement)

    def _connect(self, database: str, purpose: str) -> SnowflakeSession:
        return connect(self._settings, database=database, purpose=purpose)

    def _lock_held(self, wait: float) -> AbstractContextManager[None]:
        return self._lock.hold(lambda: self._connect(self._private_database, "lock"), self._session(), wait=wait)

    @contextmanager
    def _private(self) -> Iterator[SnowflakeSession]:
        yield self._session()

    @contextmanager
    def _changing(self) -> Iterator[SnowflakeSession]:
        with self.writing():
            session = self._session()
            with session.transaction():
                self._lock.confirm(session)
                yield session

    @contextmanager
    def _loading(self) -> Iterator[SnowflakeLoad]:
        with self.writing():
            load = SnowflakeLoad(self._session(), self._lock, self._folder / "staging")
            try:
                yield load
            finally:
                load.forget()

    def _refill(self, session: SnowflakeSession, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Send the rows as JSON: an array binding of the calendar's would take a stage of its own."""
        kinds = table_columns.columns(table, snowflake=True).values()
        cells = ", ".join(f"value[{number}]::varchar::{kind}" for number, kind in enumerate(kinds))
        session.run(f"delete from {table}")  # noqa: S608 - a name of ours
        plain = [[_plain(value) for value in row] for row in rows]
        # a bound text has at most 16 MB
        for start in range(0, len(plain), 5000):
            text = orjson.dumps(plain[start : start + 5000]).decode()
            session.run(f"insert into {table} select {cells} from table(flatten(parse_json(?)))", [text])  # noqa: S608

    def _reader(self) -> str:
        """Return the role that reads, where ``stocks init`` made it; a loader without it publishes for itself."""
        name = f"{self._published}_REPORTER"
        return name if self._session().rows(f"show roles like '{name}'") else ""

    def _dbt_place(self) -> DbtPlace:
        target = self._folder / "dbt" / self._private_database.lower() / "target"
        environ = {
            "STOCKS_DBT_TARGET": "snowflake",
            "STOCKS_SNOWFLAKE_DATABASE": self._private_database,
            "STOCKS_SNOWFLAKE_SCHEMA": self._settings.snowflake_schema,
            "STOCKS_RUN": RUN,
            **self._who.environ(),
        }
        return DbtPlace(self._settings, target, environ)


class _Published:
    """The published database as one of this thread's sessions sees it."""

    def __init__(self, session: SnowflakeSession, database: str, build: Build | None = None) -> None:
        self._session = session
        self._database = database
        self._build = build

    def query(self, sql: str, params: Sequence[Any] = ()) -> "pd.DataFrame":
        return to_frame(self.arrow(sql, params))

    def arrow(self, sql: str, params: Sequence[Any] = (), *, exact: bool = False) -> "pa.Table":
        answer = self._session.arrow(sql, [_plain(value) for value in params])
        return to_exact(answer) if exact else to_table(answer)

    def published_build(self) -> Build | None:
        return self._build or read_build(self._session, f"{self._database}.")


def _plain(value: Any) -> Any:
    """Return a value as the warehouse holds it: of an instant, UTC without a zone."""
    return naive(value) if isinstance(value, datetime) and value.tzinfo else value
