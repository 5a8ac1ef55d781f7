"""The tables that dbt does not make, for both engines, as ``tables.sql`` declares them; and the rows of the calendar.

``statements`` renders any SQL template of this room.
"""

from functools import cache
from pathlib import Path
from typing import Any

from stocklib.warehouse import DATASETS

SCHEMAS = ("raw", "bronze", "silver", "gold", "ops")
CALENDAR = "raw.trading_sessions"


def statements(template: str, **values: Any) -> list[str]:
    """Return the statements of a template of this room, each on one line."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    room = Environment(loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined)  # noqa: S701 - SQL
    text = room.get_template(template).render(schemas=SCHEMAS, datasets=DATASETS, **values) + "\n"
    return [" ".join(statement.split()) for statement in text.split(";\n") if statement.strip()]


@cache
def table_statements(*, snowflake: bool) -> dict[str, str]:
    """Return what makes the tables, by what is there afterwards: ``schema.table``, or ``schema.table.column``."""
    made = {}
    for statement in statements("tables.sql", snowflake=snowflake, place=""):
        before, _, after = statement.partition(" if not exists ")
        table = before.removeprefix("alter table ").removesuffix(" add column") + "."
        made[f"{table if statement.startswith('alter') else ''}{after.split()[0]}"] = statement
    return made


@cache
def columns(table: str, *, snowflake: bool) -> dict[str, str]:
    """Return the columns of a table, in order, each with its type.

    >>> columns("ops.schema_version", snowflake=True)
    {'version': 'integer', 'calendar': 'varchar'}
    """
    declared = table_statements(snowflake=snowflake)[table].partition("(")[2].removesuffix(")")
    return {words[0]: words[1] for words in map(str.split, declared.split(", "))}


@cache
def calendar_rows() -> list[list[object]]:
    """Return the rows of the calendar: every date that the library knows, whatever was loaded; instants are UTC."""
    from stocklib.sessions import FIRST_DATE, LAST_DATE, calendar_days

    names = columns(CALENDAR, snowflake=False)
    return [[_naive(day[name]) for name in names] for day in calendar_days(FIRST_DATE, LAST_DATE)]


def _naive(value: object) -> object:
    return value.replace(tzinfo=None) if getattr(value, "tzinfo", None) else value  # type: ignore[attr-defined]
