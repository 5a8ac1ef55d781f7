"""The tables that dbt does not make, with their columns, for both engines: RAW, the trading calendar, and ops."""

from stocklib.warehouse import DATASETS

SCHEMAS = ("raw", "bronze", "silver", "gold", "ops")

CALENDAR = "raw.trading_sessions"

_RECORD = (
    "record json not null, object_key varchar not null, line_no integer not null, load_id bigint not null, "
    "loaded_at timestamp not null"
)

# In DuckDB's types; ``variant_tables`` translates them.
COLUMNS: dict[str, str] = {
    **{f"raw.{name}": _RECORD for name in DATASETS},
    "raw.load_history": "dataset varchar, object_key varchar, load_id bigint, lines bigint, loaded_lines bigint, "
    "rejected_lines bigint, bytes bigint, loaded_at timestamp",
    "raw.rejected_lines": "dataset varchar, object_key varchar, line_no integer, raw_text varchar, reason varchar, "
    "load_id bigint, loaded_at timestamp",
    CALENDAR: "calendar_date date, is_trading_day boolean, is_early_close boolean, session_open timestamp, "
    "session_close timestamp, holiday varchar, session_number integer, calendar varchar",
    "ops.schema_version": "version integer, calendar varchar",
    "ops.warehouse_source": "kind varchar, first_object varchar",
    "ops.model_loads": "model varchar, load_id bigint, finished_at timestamp",
    "ops.builds": "load_id bigint, logic varchar, inputs varchar, finished_at timestamp, whole_at timestamp",
    "ops.unreadable_objects": "dataset varchar, object_key varchar, reason varchar, first_seen_at timestamp, "
    "last_tried_at timestamp",
    "ops.freshness": "dataset varchar, last_object varchar, load_id bigint, loaded_at timestamp",
    "ops.pipeline_runs": "verb varchar, status varchar, load_id bigint, detail varchar, started_at timestamp, "
    "finished_at timestamp",
    "ops.ledger": "checked_at timestamp, kafka_topic varchar, kafka_topic_id varchar, kafka_partition integer, "
    "quote_date date, landed bigint, loaded bigint, in_silver bigint, quarantined bigint, duplicates bigint, "
    "waiting bigint, dead_letters bigint, readmitted bigint, lost bigint",
    "ops.ledger_runs": "checked_at timestamp, run_id varchar, confirmed bigint, in_raw bigint, in_lake bigint, "
    "in_kafka bigint, dead_letters bigint, lost bigint",
    "ops.ledger_problems": "checked_at timestamp, problem varchar, hop varchar, kind varchar, what varchar, "
    "messages bigint, accepted boolean",
    "ops.ledger_unchecked": "checked_at timestamp, hop varchar, reason varchar",
    "ops.ledger_accepted": "problem varchar, accepted_at timestamp, what varchar",
}


def create_table(name: str, columns: str) -> str:
    """Return the statement that creates a table where it is missing."""
    return f"create table if not exists {name} ({columns})"


def calendar_columns() -> dict[str, list[object]]:
    """Return the columns of the calendar: every date that the library knows, whatever was loaded; instants are UTC."""
    from stocklib.sessions import FIRST_DATE, LAST_DATE, calendar_days

    names = [column.split()[0] for column in COLUMNS[CALENDAR].split(", ")]
    days = list(calendar_days(FIRST_DATE, LAST_DATE))
    return {name: [_naive(day[name]) for day in days] for name in names}


def _naive(value: object) -> object:
    return value.replace(tzinfo=None) if getattr(value, "tzinfo", None) else value  # type: ignore[attr-defined]
