"""The tables of the Snowflake warehouse that dbt does not make: RAW with VARIANT records, ops, and the calendar.

``create`` asks what is there and makes what is missing, so that a load pays two statements for it.
"""

from collections.abc import Iterator
from datetime import datetime

from stocklib.errors import OtherRelease
from stocklib.settings import Settings
from stocklib.warehouse import SCHEMA_VERSION, calendar_version
from stocklib.warehouse.releases import schema_complaint
from stocklib.warehouse.snowflake.session import SnowflakeSession
from stocklib.warehouse.table_columns import COLUMNS, SCHEMAS, calendar_columns, create_table

# The columns that a calendar of an older release lacks.
ADDED_TO_CALENDAR = tuple(
    f"raw.trading_sessions add column if not exists {column}"
    for column in ("session_number integer", "calendar varchar")
)

TABLES = {
    name: columns.replace(" timestamp", " timestamp_ntz").replace("record json", "record variant")
    for name, columns in COLUMNS.items()
}


def create(session: SnowflakeSession, settings: Settings) -> None:
    """Create what is missing; fill the trading calendar again when the library that knows it has changed."""
    there = {
        f"{schema}.{name}"
        for schema, name in session.rows(
            "select lower(table_schema), lower(table_name) from information_schema.tables "
            "where lower(table_schema) in ('raw', 'ops')"
        )
    }
    found = session.row("select version, calendar from ops.schema_version") if "ops.schema_version" in there else None
    if found is not None and int(found[0]) != SCHEMA_VERSION:
        raise OtherRelease(schema_complaint(settings, int(found[0])))
    if missing := set(TABLES) - there:
        for statement in statements(missing):
            session.run(statement)
    calendar = calendar_version()
    if found is None or found[1] != calendar:
        _fill_calendar(session, calendar)


def statements(tables: set[str] | None = None) -> Iterator[str]:
    """Yield the statements that make these tables (default: all), their schemas, the stage and its format."""
    for schema in SCHEMAS:
        yield f"create schema if not exists {schema}"
    yield "create file format if not exists raw.ndjson type = json"
    yield "create stage if not exists raw.landing"
    for name, columns in TABLES.items():
        if tables is None or name in tables:
            yield create_table(name, columns)


def _fill_calendar(session: SnowflakeSession, calendar: str) -> None:
    """Eighteen thousand days as one JSON text: an array binding of them would take a stage of its own."""
    rows = _calendar_json()
    there = session.row(
        "select count(*) from information_schema.columns where lower(table_schema) = 'raw' "
        "and lower(table_name) = 'trading_sessions' and lower(column_name) = 'calendar'"
    )
    # a role that only loads may not alter a table; one that has the column needs no change
    if not there or not there[0]:
        for column in ADDED_TO_CALENDAR:
            session.run(f"alter table {column}")
    with session.transaction():
        session.run("delete from raw.trading_sessions")
        for text in rows:
            session.run(
                "insert into raw.trading_sessions select value[0]::varchar::date, value[1]::varchar::boolean, "
                "value[2]::varchar::boolean, value[3]::varchar::timestamp_ntz, value[4]::varchar::timestamp_ntz, "
                "value[5]::varchar, value[6]::integer, value[7]::varchar from table(flatten(parse_json(?)))",
                [text],
            )
        # another calendar can change what was built: the next transform builds everything again
        session.run("delete from ops.builds")
        session.run("delete from ops.schema_version")
        session.run("insert into ops.schema_version values (?, ?)", [SCHEMA_VERSION, calendar])


def _calendar_json() -> list[str]:
    import orjson

    columns = [map(_plain, column) for column in calendar_columns().values()]
    days = list(zip(*columns, strict=True))
    # a bound text is at most 16 MB; a year at a time would be fifty statements
    return [orjson.dumps(days[start : start + 5000]).decode() for start in range(0, len(days), 5000)]


def _plain(value: object) -> object:
    return value.isoformat(sep=" ") if isinstance(value, datetime) else value
