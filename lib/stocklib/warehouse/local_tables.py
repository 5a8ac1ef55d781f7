"""The tables of the local warehouse that dbt does not make: RAW and ops, and the trading calendar in RAW.

``create`` is idempotent, and asks for a file of this release: ``schema_version`` says whose it is.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from stocklib.warehouse import DATASETS, SCHEMA_VERSION, calendar_version
from stocklib.warehouse.local_load import first_row

_RAW_TABLE = """
create table if not exists raw.{name} (
    record json not null, object_key varchar not null, line_no integer not null, load_id bigint not null,
    loaded_at timestamp not null
)
"""

_CALENDAR = """
create or replace table raw.trading_sessions (
    calendar_date date, is_trading_day boolean, is_early_close boolean, session_open timestamp,
    session_close timestamp, holiday varchar, session_number integer, calendar varchar
)
"""

_TABLES = """
create schema if not exists raw;
create schema if not exists ops;
create table if not exists raw.load_history (
    dataset varchar, object_key varchar, load_id bigint, lines bigint, loaded_lines bigint, rejected_lines bigint,
    bytes bigint, loaded_at timestamp
);
create table if not exists raw.rejected_lines (
    dataset varchar, object_key varchar, line_no integer, raw_text varchar, reason varchar, load_id bigint,
    loaded_at timestamp
);
create table if not exists ops.schema_version (version integer, calendar varchar);
create table if not exists ops.warehouse_source (kind varchar, first_object varchar);
create table if not exists ops.model_loads (model varchar, load_id bigint, finished_at timestamp);
create table if not exists ops.builds (load_id bigint, logic varchar, inputs varchar, finished_at timestamp);
create table if not exists ops.unreadable_objects (
    dataset varchar, object_key varchar, reason varchar, first_seen_at timestamp, last_tried_at timestamp
);
alter table ops.builds add column if not exists whole_at timestamp;
create table if not exists ops.publications (
    number bigint, name varchar, load_id bigint, days date[], since date, is_whole boolean, published_at timestamp
);
create table if not exists ops.freshness (dataset varchar, last_object varchar, load_id bigint, loaded_at timestamp);
create table if not exists ops.pipeline_runs (
    verb varchar, status varchar, load_id bigint, detail varchar, started_at timestamp, finished_at timestamp
);
create table if not exists ops.ledger (
    checked_at timestamp, kafka_topic varchar, kafka_topic_id varchar, kafka_partition integer, quote_date date,
    landed bigint, loaded bigint, in_silver bigint, quarantined bigint, duplicates bigint, waiting bigint,
    dead_letters bigint, readmitted bigint, lost bigint
);
create table if not exists ops.ledger_runs (
    checked_at timestamp, run_id varchar, confirmed bigint, in_raw bigint, in_lake bigint, in_kafka bigint,
    dead_letters bigint, lost bigint
);
create table if not exists ops.ledger_problems (
    checked_at timestamp, problem varchar, hop varchar, kind varchar, what varchar, messages bigint, accepted boolean
);
create table if not exists ops.ledger_unchecked (checked_at timestamp, hop varchar, reason varchar);
create table if not exists ops.ledger_accepted (problem varchar, accepted_at timestamp, what varchar);
"""


def schema_version(con: Any) -> int | None:
    """Return the schema version of a file's tables; None where it has none yet."""
    found = _version(con)
    return found[0] if found else None


def create(con: Any) -> None:
    """Create what is missing; fill the trading calendar anew when the library that knows it has changed."""
    found = _version(con)
    calendar = calendar_version()
    con.begin()
    # always: a release may add a table without another schema version
    con.execute(_TABLES)
    for name in DATASETS:
        con.execute(_RAW_TABLE.format(name=name))
    if found is None or found[1] != calendar:
        _fill_calendar(con, calendar)
    con.commit()


def _fill_calendar(con: Any, calendar: str) -> None:
    rows = _calendar_rows()
    # one of an older release may lack a column
    con.execute(_CALENDAR)
    con.register("calendar_rows", rows)
    con.execute("insert into raw.trading_sessions select * from calendar_rows order by calendar_date")
    con.unregister("calendar_rows")
    # another calendar can change what was built: the next transform builds everything anew
    con.execute("delete from ops.builds")
    con.execute("delete from ops.schema_version")
    con.execute("insert into ops.schema_version values (?, ?)", [SCHEMA_VERSION, calendar])


def refill(con: Any, table: str, rows: Sequence[Sequence[Any]]) -> None:
    """Give a table other rows, in the order of its columns."""
    import pyarrow as pa

    con.execute(f"delete from {table}")  # noqa: S608 - a name of ours
    if rows:
        names = [f"c{number}" for number in range(len(rows[0]))]
        columns = [pa.array(list(column)) for column in zip(*rows, strict=True)]
        con.register("incoming", pa.table(columns, names=names))
        con.execute(f"insert into {table} select * from incoming")  # noqa: S608
        con.unregister("incoming")


def _version(con: Any) -> tuple[int, str] | None:
    there = first_row(
        con, "select count(*) from duckdb_tables() where schema_name = 'ops' and table_name = 'schema_version'"
    )[0]
    row = first_row(con, "select version, calendar from ops.schema_version") if there else None
    return (int(row[0]), str(row[1])) if row else None


@cache
def _calendar_rows() -> Any:
    """Every date that the calendar knows, so that the table does not depend on what was loaded so far."""
    import pyarrow as pa

    from stocklib.sessions import FIRST_DATE, LAST_DATE, calendar_days

    days = list(calendar_days(FIRST_DATE, LAST_DATE))
    return pa.table(
        {
            "calendar_date": pa.array([day["calendar_date"] for day in days], pa.date32()),
            "is_trading_day": pa.array([day["is_trading_day"] for day in days], pa.bool_()),
            "is_early_close": pa.array([day["is_early_close"] for day in days], pa.bool_()),
            "session_open": pa.array([_naive(day["session_open"]) for day in days], pa.timestamp("us")),
            "session_close": pa.array([_naive(day["session_close"]) for day in days], pa.timestamp("us")),
            "holiday": pa.array([day["holiday"] for day in days], pa.string()),
            "session_number": pa.array([day["session_number"] for day in days], pa.int32()),
            "calendar": pa.array([day["calendar"] for day in days], pa.string()),
        }
    )


def _naive(instant: Any) -> Any:
    """Timestamps of the warehouse hold UTC without saying so."""
    return instant.replace(tzinfo=None) if instant else None
