"""What Snowflake needs once, run as the current role or printed for an administrator: the statements of ``setup.sql``.

``stocks init --dry-run`` prints all, and ``snowflake/sql_init.sql`` holds them for the default names; what the current
role may not do is listed.
"""

import contextlib
from dataclasses import dataclass

from stocklib.errors import WarehouseError
from stocklib.settings import Settings
from stocklib.warehouse import table_columns
from stocklib.warehouse.snowflake.lease import COLUMNS
from stocklib.warehouse.snowflake.session import connect


@dataclass(frozen=True)
class Refused:
    """A statement that the current role may not run, and why."""

    statement: str
    reason: str


def statements(settings: Settings) -> list[str]:
    """Return every statement, in the order in which it can run."""
    return table_columns.statements(
        "snowflake/setup.sql",
        database=settings.snowflake_database.upper(),
        schema=settings.snowflake_schema.upper(),
        warehouse=settings.snowflake_warehouse.upper(),
        snowflake=True,
        lock_columns=COLUMNS,
    )


def script(settings: Settings) -> str:
    """Return the statements as a file for an administrator."""
    database = settings.snowflake_database.upper()
    head = (
        "-- Setup of Snowflake, written by `stocks init --dry-run`. Run it once as ACCOUNTADMIN.\n"
        "-- Every statement may run again. Afterwards grant the roles to users:\n"
        f"--   grant role {database}_TRANSFORMER to user …;  grant role {database}_REPORTER to user …;\n\n"
    )
    return head + "".join(f"{statement};\n" for statement in statements(settings))


def set_up(settings: Settings) -> tuple[int, list[Refused]]:
    """Run every statement as the current role; return how many were executed, and which were refused."""
    everything = statements(settings)
    refused = []
    with contextlib.closing(connect(settings, database="", purpose="init")) as session:
        for statement in everything:
            try:
                session.run(statement)
            except WarehouseError as error:
                refused.append(Refused(statement, str(error)))
    return len(everything) - len(refused), refused
