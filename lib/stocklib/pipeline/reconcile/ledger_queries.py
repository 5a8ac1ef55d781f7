"""The ledger's queries to the warehouse's private version, in SQL for both engines: the files of ``queries/``.

What silver must hold of bronze is tested by dbt as well: that SQL is in ``dbt_stocks/macros/ledger.sql``, once.
Only the bronze views read JSON. An event's identity is that of silver: (run, symbol, seq), else the message's own
position. Rows that were loaded after the last complete build are waiting, not missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from stocklib.sessions import NEW_YORK
from stocklib.settings import project_root
from stocklib.text_files import read_text
from stocklib.warehouse import Warehouse

# read at once: a process that runs for days keeps the queries that it began with
_QUERIES = {path.stem: path.read_text("utf-8") for path in Path(__file__).with_name("queries").glob("*.sql")}
# So many problems of a kind are named.
_MOST = 200
_LAST = date(9999, 12, 30)


@dataclass(frozen=True)
class Stream:
    """A dataset that comes through Kafka, and its events in silver.

    ``states`` is the table that counts its events in ``times_seen``, one row a state.
    """

    dataset: str
    events: str
    states: str = ""


QUOTES = Stream("stock_quotes", "silver.int_quote_events", "silver.stg_stock_quotes_cleaned")
TRADES = Stream("stock_trades", "silver.int_trade_events")
STREAMS = (QUOTES, TRADES)


@dataclass(frozen=True)
class Span:
    """Which rows: loaded after ``since`` and not after ``upto``, of messages fetched on the New York dates ``days``."""

    since: int = 0
    upto: int = 2**62
    days: tuple[date, date] | None = None

    @property
    def condition(self) -> str:
        """Return the condition on a bronze view; the last complete build is not a bound here."""
        loads = f"load_id > {self.since:d}"
        if self.days is None:
            return loads
        first, after = _midnight(self.days[0]), _midnight(min(self.days[1], _LAST) + timedelta(days=1))
        return f"{loads} and record_timestamp >= timestamp '{first}' and record_timestamp < timestamp '{after}'"


def _midnight(day: date) -> datetime:
    """Return the instant at which a New York date begins, in UTC without a zone, as in RAW."""
    return datetime.combine(day, time(), NEW_YORK).astimezone(UTC).replace(tzinfo=None)


def select(warehouse: Warehouse, query: str, params: Sequence[Any] = (), **names: Any) -> list[tuple[Any, ...]]:
    """Return the rows of ``queries/<query>.sql``; its first line says what they hold.

    ``names`` are the stream, span, dataset or load that the query names in braces; ``params`` are its values.
    """
    return warehouse.read(_QUERIES[query].format(event=_shared().event_id(), most=_MOST, **names), params)


def missing_events(warehouse: Warehouse, stream: Stream, span: Span, *, known_since: int = 0) -> list[tuple[Any, ...]]:
    """Return (object, line, event, topic, partition, offset) of the messages whose event silver lacks.

    Only silver's events of the loads after ``known_since`` are looked at.
    """
    bounds = f"{span.condition} and load_id <= {span.upto:d}"
    known = f"load_id > {known_since:d}"
    sql = _shared().missing_events(f"bronze.stg_{stream.dataset}_raw", stream.events, bounds, known)
    return warehouse.read(f"{sql}\norder by object_key, line_no limit {_MOST}")


def miscounted_states(warehouse: Warehouse, stream: Stream, span: Span) -> list[tuple[Any, ...]]:
    """Return (symbol, day, events, events that the states count) where they differ, on the days of the span's loads."""
    if not stream.states:
        return []
    bounds = f"load_id > {span.since:d} and load_id <= {span.upto:d}"
    sql = _shared().miscounted_states(stream.states, stream.events, bounds, f"{span.upto:d}")
    return warehouse.read(f"{sql}\norder by quote_date, symbol limit {_MOST}")


@cache
def _shared() -> Any:
    """Return the macros that the ledger shares with dbt's tests; each gives SQL."""
    return jinja2.Template(read_text(project_root() / "dbt_stocks" / "macros" / "ledger.sql")).module


def loaded_keys(warehouse: Warehouse, dataset: str) -> set[str]:
    """Return every loaded object of a dataset."""
    rows = warehouse.read("select distinct object_key from raw.load_history where dataset = ?", [dataset])
    return {row[0] for row in rows}
