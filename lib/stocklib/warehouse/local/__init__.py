"""The local warehouse: one DuckDB file that is built in private, and a copy of it that readers see.

Its files are in ``STOCKS_HOME/warehouse``:

- ``build.duckdb``: the private version; load and dbt write it, under ``lock``.
- ``published.duckdb``: what readers open, read-only; swapped in by rename after the tests passed.
- ``spare.duckdb``: the version before the published one, which a stream brings forward (``publication``); during the
  swap also ``spare.next.duckdb``.
- ``rebuild/build.duckdb``: a private version that a rebuild fills; it replaces ``build.duckdb`` when it is complete.
- ``.publishing-<pid>-….tmp``: an unfinished copy; ``.reading-<pid>-….tmp``: a link through which a process reads.
- ``dbt/``: dbt's target folders.
"""

import contextlib
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from stocklib.errors import WarehouseError
from stocklib.settings import Settings
from stocklib.warehouse import Build, Reader, Touched
from stocklib.warehouse.cost import Cost
from stocklib.warehouse.dbt import DbtPlace
from stocklib.warehouse.engine_base import WarehouseEngine, exported_tables
from stocklib.warehouse.local import publication
from stocklib.warehouse.local.duckdb_load import LocalLoad
from stocklib.warehouse.local.files import (
    LocalSession,
    open_private,
    open_published,
    remove_orphans,
)
from stocklib.warehouse.local.lock import hold
from stocklib.warehouse.spreadsheets import harmless_select

# Each publication writes the whole of ops: of a stream's runs, those of the last hours are kept.
_RUNS_KEPT = 10_000


class LocalWarehouse(WarehouseEngine):
    """DuckDB behind the warehouse's interface. Its file is open inside ``writing`` blocks and calls, not in between."""

    _field = "record->>'$.{}'"

    def __init__(self, settings: Settings, *, private_path: Path | None = None) -> None:
        super().__init__(settings)
        self._folder = settings.home / "warehouse"
        self._private_path = private_path or self._folder / "build.duckdb"
        self._published = self._folder / "published.duckdb"

    def check(self) -> str:
        """Return what ``stocks doctor`` says of it."""
        if not self._published.exists():
            return f"local, at {self._folder}; nothing is published yet"
        bars = self.query("select count(*) as bars, max(quote_date) as last from gold.fact_daily_stock_quotes")
        return f"local, at {self._published}; {int(bars['bars'].iloc[0]):,} daily bars"

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────

    def read(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query of the private file; ``WarehouseError`` when it does not exist."""
        if not self._private_path.exists():
            raise WarehouseError(f"nothing is loaded yet at {self._private_path}: `stocks load` loads the lake")
        return super().read(sql, params)

    def published_build(self) -> Build | None:
        """Return the build that readers see."""
        if not self._published.exists():
            return None
        with self.reading() as published:
            return published.published_build()

    def record_run(self, verb: str, status: str, *, started_at: datetime, detail: str) -> None:
        """Record that a step ran, and how it ended; forget the oldest runs."""
        with self._private() as session:
            super().record_run(verb, status, started_at=started_at, detail=detail)
            session.run(
                "delete from ops.pipeline_runs where finished_at < "
                "(select finished_at from ops.pipeline_runs order by finished_at desc offset ? limit 1)",
                [_RUNS_KEPT],
            )

    def publish(self, *, touched: Touched | None = None) -> None:
        """Update a copy of the published file and swap it in: readers see the old version or the new one, never half.

        With ``touched``, this process must have closed its readers of the version before the published one: the spare
        changes under them, since DuckDB's lock of a file keeps only other processes out.
        """
        with self.writing():
            remove_orphans(self._folder)
            with self._private() as session:
                publication.note(session, touched)
                session.run("force checkpoint")
                if touched and publication.bring_forward(session, self._folder):
                    return
            self._close_private()
            publication.copy(self._private_path, self._folder, keep=touched is not None)

    @contextmanager
    def fresh(self) -> Iterator["LocalWarehouse"]:
        """Yield an empty file to fill; it takes the place of ``build.duckdb`` when the block ends well."""
        with self.writing():
            # the same file name, so that dbt calls the database by the same name
            fresh_path = self._folder / "rebuild" / "build.duckdb"
            shutil.rmtree(fresh_path.parent, ignore_errors=True)
            try:
                other = LocalWarehouse(self._settings, private_path=fresh_path)
                with other._holding():
                    other.initialise()
                    yield other
                self._close_private()
                _wal(self._private_path).unlink(missing_ok=True)
                fresh_path.replace(self._private_path)
            finally:
                shutil.rmtree(fresh_path.parent, ignore_errors=True)

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _read_published(self) -> Iterator[Reader]:
        with open_published(self._published) as session:
            yield session

    def costs(self, *, since: datetime) -> list[Cost]:
        """Return nothing: it runs on this machine."""
        return []

    def export(self, folder: Path, *, fmt: str, tables: Collection[str] | None = None) -> list[Path]:
        """Write published tables, by default gold and ``BESIDE_GOLD``, to ``folder``, all from the same version."""
        options = {"parquet": "format parquet", "csv": "format csv, header true"}[fmt]
        written: list[Path] = []
        with open_published(self._published, writes_files=True) as session:
            for table in exported_tables(session, tables):
                path = folder / f"{table.partition('.')[2]}.{fmt}"
                target = str(path).replace("'", "''")
                asked = harmless_select(session.rows, table) if fmt == "csv" else f"select * from {table}"  # noqa: S608
                # the disk that can be full is that of the folder
                LocalSession(session.con, folder).run(f"copy ({asked} order by all) to '{target}' ({options})")
                written.append(path)
        return written

    # ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _lock_held(self, wait: float) -> AbstractContextManager[None]:
        return hold(self._folder / "lock", wait=wait)

    @contextmanager
    def _private(self) -> Iterator[LocalSession]:
        """Yield the private file; what is not committed when the block fails is gone."""
        with self.writing():
            if getattr(self._thread, "session", None) is None:
                self._thread.files = contextlib.ExitStack()
                self._thread.session = self._thread.files.enter_context(open_private(self._private_path))
            try:
                yield self._thread.session
            except BaseException:
                # this ends the transaction, if one was begun
                self._close_private()
                raise

    @contextmanager
    def _changing(self) -> Iterator[LocalSession]:
        with self._private() as session:
            session.run("begin")
            yield session
            session.run("commit")

    @contextmanager
    def _loading(self) -> Iterator[LocalLoad]:
        with self._private() as session:
            session.run("begin")
            yield LocalLoad(session)

    def _define(self, statements: Iterable[str]) -> None:
        with self._changing() as session:
            session.run(";".join(statements))

    def _refill(self, session: LocalSession, table: str, rows: Sequence[Sequence[Any]]) -> None:
        import pyarrow as pa

        session.run(f"delete from {table}")  # noqa: S608 - a name of ours
        if rows:
            columns = [pa.array(list(column)) for column in zip(*rows, strict=True)]
            incoming = pa.table(columns, names=[f"c{number}" for number in range(len(columns))])
            session.insert_arrow(f"insert into {table} select * from incoming", incoming)  # noqa: S608

    def _close_private(self) -> None:
        """Close the private file, so that others, dbt among them, can open it."""
        if getattr(self._thread, "session", None) is not None:
            self._thread.session = None
            self._thread.files.close()

    def _dbt_place(self) -> DbtPlace:
        target = self._folder / "dbt" / self._private_path.parent.name / "target"
        environ = {"STOCKS_DBT_TARGET": "local", "STOCKS_WAREHOUSE_FILE": str(self._private_path)}
        return DbtPlace(self._settings, target, environ)


def _wal(path: Path) -> Path:
    return path.with_name(path.name + ".wal")
