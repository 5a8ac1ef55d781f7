"""The tables of the local warehouse that dbt does not make, and the trading calendar in RAW.

``create`` is idempotent, and asks for a file of this release: ``schema_version`` says whose it is.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from stocklib.warehouse import SCHEMA_VERSION, calendar_version
from stocklib.warehouse.local.files import LocalSession
from stocklib.warehouse.table_columns import CALENDAR, COLUMNS, calendar_columns, create_table

# What publishing remembers of the versions that it brought forward; a clone of Snowflake's needs no such memory.
TABLES = {
    **{name: columns for name, columns in COLUMNS.items() if name != CALENDAR},
    "ops.publications": "number bigint, name varchar, load_id bigint, days date[], since date, is_whole boolean, "
    "published_at timestamp",
}


def schema_version(session: LocalSession) -> int | None:
    """Return the schema version of a file's tables; None where it has none yet."""
    found = _version(session)
    return found[0] if found else None


def create(session: LocalSession) -> None:
    """Create what is missing; fill the trading calendar again when the library that knows it has changed."""
    found = _version(session)
    calendar = calendar_version()
    session.run("begin")
    for schema in ("raw", "ops"):
        session.run(f"create schema if not exists {schema}")
    # always: a release may add a table without another schema version
    for name, columns in TABLES.items():
        session.run(create_table(name, columns))
    # an older release made it without
    session.run("alter table ops.builds add column if not exists whole_at timestamp")
    if found is None or found[1] != calendar:
        _fill_calendar(session, calendar)
    session.run("commit")


def _fill_calendar(session: LocalSession, calendar: str) -> None:
    # one of an older release may lack a column
    session.run(f"create or replace table {CALENDAR} ({COLUMNS[CALENDAR]})")
    filling = f"insert into {CALENDAR} select * from incoming order by calendar_date"  # noqa: S608
    session.insert_arrow(filling, _calendar_rows())
    # another calendar can change what was built: the next transform builds everything again
    session.run("delete from ops.builds")
    session.run("delete from ops.schema_version")
    session.run("insert into ops.schema_version values (?, ?)", [SCHEMA_VERSION, calendar])


def refill(session: LocalSession, table: str, rows: Sequence[Sequence[Any]]) -> None:
    """Give a table other rows, in the order of its columns."""
    import pyarrow as pa

    session.run(f"delete from {table}")  # noqa: S608 - a name of ours
    if rows:
        names = [f"c{number}" for number in range(len(rows[0]))]
        columns = [pa.array(list(column)) for column in zip(*rows, strict=True)]
        session.insert_arrow(f"insert into {table} select * from incoming", pa.table(columns, names=names))  # noqa: S608


def _version(session: LocalSession) -> tuple[int, str] | None:
    there = "select 1 from duckdb_tables() where schema_name = 'ops' and table_name = 'schema_version'"
    row = session.row("select version, calendar from ops.schema_version") if session.row(there) else None
    return (int(row[0]), str(row[1])) if row else None


@cache
def _calendar_rows() -> Any:
    import pyarrow as pa

    return pa.table(calendar_columns())
