"""Publishing the local warehouse: a copy of the private file, or the version before the last brought forward.

A copy costs what the whole file costs. A stream publishes every few seconds, so it keeps two files in turn: the one
that readers see, and the one that they saw before (``spare.duckdb``), which lacks what the last two publications
changed. That alone is copied from the private file, in one transaction, and the two change places. ``ops.publications``
says what each publication changed. A spare is used only if its last publication is in that table.
"""

import contextlib
import logging
import os
import shutil
import uuid
from datetime import UTC, datetime
from pathlib import Path

from stocklib.errors import WarehouseError
from stocklib.state_files import sync_folder
from stocklib.warehouse import Touched
from stocklib.warehouse.local.files import LocalSession, temporary_name

log = logging.getLogger(__name__)

_KEPT = 1000
# A table of silver or gold with such a column is brought forward by date. A new one changes what a publication copies.
_SPANS = ("quote_date", "candle_time")


def note(session: LocalSession, touched: Touched | None) -> None:
    """Write down that the private version is about to be published, and what it changed."""
    session.run(
        "insert into ops.publications select (select coalesce(max(number), 0) + 1 from ops.publications), ?, "
        "(select coalesce(max(load_id), 0) from raw.load_history), ?, ?, ?, ?",
        [
            uuid.uuid4().hex,
            list(touched.days) if touched else None,
            touched.since if touched else None,
            touched is None,
            datetime.now(UTC).replace(tzinfo=None),
        ],
    )
    session.run("delete from ops.publications where number <= (select max(number) from ops.publications) - ?", [_KEPT])


def copy(private: Path, folder: Path, *, keep: bool) -> None:
    """Copy the private file, which no process has open, and swap it in; ``keep`` the old version as the spare."""
    published, spare = folder / "published.duckdb", folder / "spare.duckdb"
    fresh = temporary_name(folder, "publishing")
    try:
        shutil.copyfile(private, fresh)
        with fresh.open("rb+") as file:
            os.fsync(file.fileno())
        spare.unlink(missing_ok=True)
        # what a kill left of it would keep every later spare from being opened
        spare.with_name(spare.name + ".wal").unlink(missing_ok=True)
        if keep and published.exists():
            # a file system without hard links has no spare: each publication is a copy there
            with contextlib.suppress(OSError):
                os.link(published, spare)
        fresh.replace(published)
        sync_folder(folder)
    except OSError as error:
        raise WarehouseError(
            f"the new version could not be copied to {published}: {error}; readers still see "
            "the old one. It needs as much free space as the old one takes"
        ) from error
    finally:
        fresh.unlink(missing_ok=True)


def bring_forward(session: LocalSession, folder: Path) -> bool:
    """Bring the spare up to the private version and swap it in; return False where it cannot be brought forward."""
    published, spare, aside = folder / "published.duckdb", folder / "spare.duckdb", folder / "spare.next.duckdb"
    aside.unlink(missing_ok=True)
    if not spare.exists() or not published.exists():
        return False
    try:
        session.run(f"attach '{str(spare).replace(chr(39), chr(39) * 2)}' as spare")
    except WarehouseError as error:
        # a reader still has it open
        log.info("the version before the last cannot be brought forward (%s): copying", error)
        return False
    try:
        base = _base(session)
        if base is None:
            return False
        session.run("begin")
        for statement in _statements(session, base):
            session.run(statement)
        session.run("commit")
        session.run("force checkpoint spare")
    finally:
        # what was begun and not committed is gone with the connection
        with contextlib.suppress(WarehouseError):
            session.run("detach spare")
    if spare.with_name(spare.name + ".wal").exists():
        return False
    os.link(published, aside)
    spare.replace(published)
    aside.replace(spare)
    sync_folder(folder)
    return True


def _base(session: LocalSession) -> tuple[int, int] | None:
    """Return the number and the load of the spare's last publication.

    None where it has other columns, an unknown publication, or a whole one since.
    """
    # the type of a column too: a release may have widened it
    tables = (
        "select schema_name, table_name, list(column_name || ' ' || data_type order by column_index) "
        "from duckdb_columns() where database_name = {} group by all order by all"
    )
    ours, theirs = (session.rows(tables.format(name)) for name in ("current_database()", "'spare'"))
    if ours != theirs:
        return None
    row = session.row(
        "select number, load_id from ops.publications where name = "
        "(select name from spare.ops.publications order by number desc limit 1)"
    )
    if row is None or session.row("select 1 from ops.publications where is_whole and number > ?", [row[0]]):
        return None
    return int(row[0]), int(row[1])


def _statements(session: LocalSession, base: tuple[int, int]) -> list[str]:
    """Return the statements that copy what changed to the spare.

    They copy the new loads of RAW, the touched days of silver, gold from the first changed day on, and every other
    table whole.
    """
    number, load_id = base
    later = "from ops.publications where number > ?"
    days = session.rows(f"select distinct unnest(days) as day {later} order by day", [number])
    ((since,),) = session.rows(f"select min(since) {later}", [number])
    listed = ", ".join(f"date '{day}'" for (day,) in days) or "null"
    statements = []
    for schema, name, columns in session.rows(
        "select schema_name, table_name, list(column_name) from duckdb_columns() "
        "join duckdb_tables() using (database_name, schema_name, table_name) "
        "where database_name = current_database() group by all order by 1, 2"
    ):
        table, span = f"{schema}.{name}", next((column for column in _SPANS if column in columns), None)
        where = ""
        if schema == "raw":
            if "load_id" in columns:
                statements.append(f"insert into spare.{table} select * from {table} where load_id > {load_id}")  # noqa: S608
            continue
        if schema == "silver" and span:
            where = f"where {span} in ({listed})"
        elif schema == "gold" and span:
            where = f"where {span} >= date '{since}'" if since else "where false"
        statements.append(f"delete from spare.{table} {where}")  # noqa: S608
        statements.append(f"insert into spare.{table} select * from {table} {where}")  # noqa: S608
    return statements
