"""The account's query history and meter: our tagged statements, and the credits of the warehouse by hour.

The history is that of INFORMATION_SCHEMA, which has no delay and reaches back seven days. The meter needs a privilege;
without it credits are estimated from the times of statements.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from stocklib.errors import WarehouseError
from stocklib.warehouse.cost import Cost, Statement, add_up
from stocklib.warehouse.snowflake.session import SnowflakeSession
from stocklib.warehouse.table_columns import statements

log = logging.getLogger(__name__)

# The most rows that the function returns, the newest first.
_PAGE = 10_000
_REACH = timedelta(days=7)


def costs(session: SnowflakeSession, database: str, warehouse: str, *, since: datetime) -> list[Cost]:
    """Return the cost of our statements since then, at most the seven days that the account keeps."""
    now = datetime.now(UTC)
    # a minute less, for the time of the query itself
    since = max(since, now - _REACH + timedelta(minutes=1))
    return add_up(_history(session, database, since, now), metered=_metered(session, database, warehouse, since))


def _history(session: SnowflakeSession, database: str, since: datetime, until: datetime) -> Iterator[Statement]:
    seen: set[str] = set()
    while True:
        span = {"database": database, "since": since, "until": until, "most": _PAGE}
        page = session.rows(statements("snowflake/history.sql", **span)[0])
        for row in page:
            if row[0] not in seen and row[1].startswith("stocks"):
                yield _statement(row)
        seen |= {row[0] for row in page}
        ends = [row[4].replace(tzinfo=UTC) for row in page if row[4]]
        # to the second, so that the next page begins with known rows
        earliest = min(ends, default=since) + timedelta(seconds=1)
        if len(page) < _PAGE or earliest >= until:
            return
        until = earliest


def _statement(row: tuple[Any, ...]) -> Statement:
    return Statement(row[1], row[3].replace(tzinfo=UTC), float(row[5] or 0) / 1000, int(row[6]), row[2])


def _metered(session: SnowflakeSession, database: str, warehouse: str, since: datetime) -> dict[datetime, float]:
    """Return the metered hours that are over: the current one is incomplete."""
    try:
        meter = {"database": database, "warehouse": warehouse, "since": since}
        rows = session.rows(statements("snowflake/meter.sql", **meter)[0])
    except WarehouseError as error:
        log.debug("credits are estimated: %s", error)
        return {}
    last = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    hours = {row[0].replace(tzinfo=UTC): float(row[1]) for row in rows}
    return {hour: credits for hour, credits in hours.items() if hour < last}
