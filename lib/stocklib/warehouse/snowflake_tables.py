"""The tables of the Snowflake warehouse that dbt does not make: RAW with VARIANT records, ops, and the calendar.

Their columns are those of the local warehouse (a test compares them). ``create`` asks what is there and makes what is
missing, so that a load pays two statements for it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from stocklib.errors import OtherRelease
from stocklib.settings import Settings
from stocklib.warehouse import DATASETS, SCHEMA_VERSION, calendar_version
from stocklib.warehouse.releases import schema_complaint
from stocklib.warehouse.snowflake_session import SnowflakeSession

_RECORD = (
    "record variant not null, object_key varchar not null, line_no integer not null, load_id bigint not null, "
    "loaded_at timestamp_ntz not null"
)

# The columns that a calendar of an older release lacks.
ADDED_TO_CALENDAR = tuple(
    f"raw.trading_sessions add column if not exists {column}"
    for column in ("session_number integer", "calendar varchar")
)

# The columns of each table. RAW's datasets all have the same.
TABLES: dict[str, str] = {
    **{f"raw.{name}": _RECORD for name in DATASETS},
    "raw.load_history": "dataset varchar, object_key varchar, load_id bigint, lines bigint, loaded_lines bigint, "
    "rejected_lines bigint, bytes bigint, loaded_at timestamp_ntz",
    "raw.rejected_lines": "dataset varchar, object_key varchar, line_no integer, raw_text varchar, reason varchar, "
    "load_id bigint, loaded_at timestamp_ntz",
    "raw.trading_sessions": "calendar_date date, is_trading_day boolean, is_early_close boolean, "
    "session_open timestamp_ntz, session_close timestamp_ntz, holiday varchar, session_number integer, "
    "calendar varchar",
    "ops.schema_version": "version integer, calendar varchar",
    "ops.warehouse_source": "kind varchar, first_object varchar",
    "ops.model_loads": "model varchar, load_id bigint, finished_at timestamp_ntz",
    "ops.builds": "load_id bigint, logic varchar, inputs varchar, finished_at timestamp_ntz, whole_at timestamp_ntz",
    "ops.unreadable_objects": "dataset varchar, object_key varchar, reason varchar, first_seen_at timestamp_ntz, "
    "last_tried_at timestamp_ntz",
    "ops.freshness": "dataset varchar, last_object varchar, load_id bigint, loaded_at timestamp_ntz",
    "ops.pipeline_runs": "verb varchar, status varchar, load_id bigint, detail varchar, started_at timestamp_ntz, "
    "finished_at timestamp_ntz",
    "ops.ledger": "checked_at timestamp_ntz, kafka_topic varchar, kafka_topic_id varchar, kafka_partition integer, "
    "quote_date date, landed bigint, loaded bigint, in_silver bigint, quarantined bigint, duplicates bigint, "
    "waiting bigint, dead_letters bigint, readmitted bigint, lost bigint",
    "ops.ledger_runs": "checked_at timestamp_ntz, run_id varchar, confirmed bigint, in_raw bigint, in_lake bigint, "
    "in_kafka bigint, dead_letters bigint, lost bigint",
    "ops.ledger_problems": "checked_at timestamp_ntz, problem varchar, hop varchar, kind varchar, what varchar, "
    "messages bigint, accepted boolean",
    "ops.ledger_unchecked": "checked_at timestamp_ntz, hop varchar, reason varchar",
    "ops.ledger_accepted": "problem varchar, accepted_at timestamp_ntz, what varchar",
}
SCHEMAS = ("raw", "bronze", "silver", "gold", "ops")


def create(session: SnowflakeSession, settings: Settings) -> None:
    """Create what is missing; fill the trading calendar anew when the library that knows it has changed."""
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
    """What makes these tables (default: all), their schemas, the stage and its format."""
    for schema in SCHEMAS:
        yield f"create schema if not exists {schema}"
    yield "create file format if not exists raw.ndjson type = json"
    yield "create stage if not exists raw.landing"
    for name, columns in TABLES.items():
        if tables is None or name in tables:
            yield f"create table if not exists {name} ({columns})"


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
        # another calendar can change what was built: the next transform builds everything anew
        session.run("delete from ops.builds")
        session.run("delete from ops.schema_version")
        session.run("insert into ops.schema_version values (?, ?)", [SCHEMA_VERSION, calendar])


def _calendar_json() -> list[str]:
    import orjson

    from stocklib.sessions import FIRST_DATE, LAST_DATE, calendar_days

    names = ["calendar_date", "is_trading_day", "is_early_close", "session_open", "session_close", "holiday"]
    names += ["session_number", "calendar"]
    days = [[_plain(day[name]) for name in names] for day in calendar_days(FIRST_DATE, LAST_DATE)]
    # a bound text is at most 16 MB; a year at a time would be fifty statements
    return [orjson.dumps(days[start : start + 5000]).decode() for start in range(0, len(days), 5000)]


def _plain(value: Any) -> Any:
    """Instants of the warehouse hold UTC without saying so."""
    return value.replace(tzinfo=None).isoformat(sep=" ") if hasattr(value, "tzinfo") else value


def refill(session: SnowflakeSession, table: str, rows: Sequence[Sequence[Any]]) -> None:
    """Give a table other rows, in the order of its columns."""
    session.run(f"delete from {table}")  # noqa: S608 - a name of ours
    if rows:
        marks = ", ".join("?" * len(rows[0]))
        session.run_many(f"insert into {table} values ({marks})", rows)  # noqa: S608
