"""What Snowflake needs once: databases, a warehouse that stops by itself, three roles with least grants, a monitor.

Every statement may run again. ``stocks init --dry-run`` prints all for an administrator, and ``snowflake/sql_init.sql``
holds them for the default names; what the current role may not do is listed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from stocklib.errors import WarehouseError
from stocklib.settings import Settings
from stocklib.warehouse.snowflake.session import SnowflakeSession, connect
from stocklib.warehouse.snowflake.variant_tables import ADDED_TO_CALENDAR
from stocklib.warehouse.snowflake.variant_tables import statements as table_statements
from stocklib.warehouse.table_columns import SCHEMAS

_CREDITS_A_MONTH = 30


@dataclass(frozen=True)
class Names:
    """What an account calls our things."""

    database: str = "STOCKS"
    schema: str = "PUBLIC"
    warehouse: str = "STOCKS_WH"

    @property
    def build(self) -> str:
        """The private database."""
        return f"{self.database}_BUILD"

    @property
    def rebuild(self) -> str:
        """The database that a rebuild fills."""
        return f"{self.database}_REBUILD"

    def role(self, what: str) -> str:
        """The role that loads, transforms or reports."""
        return f"{self.database}_{what}"


@dataclass(frozen=True)
class Refused:
    """A statement that the current role may not run, and why."""

    statement: str
    reason: str


def statements(names: Names) -> Iterator[str]:
    """Everything, in the order in which it can run."""
    loader, transformer, reporter = (names.role(what) for what in ("LOADER", "TRANSFORMER", "REPORTER"))
    yield (
        f"create resource monitor if not exists {names.database}_MONITOR with credit_quota = {_CREDITS_A_MONTH} "
        "frequency = monthly start_timestamp = immediately "
        "triggers on 80 percent do notify on 100 percent do suspend on 110 percent do suspend_immediate"
    )
    yield (
        f"create warehouse if not exists {names.warehouse} with warehouse_size = 'XSMALL' auto_suspend = 60 "
        f"auto_resume = true initially_suspended = true resource_monitor = {names.database}_MONITOR"
    )
    for database in (names.database, names.build, names.rebuild):
        yield f"create database if not exists {database}"
        yield f"create schema if not exists {database}.{names.schema}"
    for role in (loader, transformer, reporter):
        yield f"create role if not exists {role}"
        yield f"grant usage on warehouse {names.warehouse} to role {role}"
    for role in (loader, transformer):
        # to see the cost of its statements, from every user
        yield f"grant monitor on warehouse {names.warehouse} to role {role}"
    # who transforms does what a loader does and publishes; an administrator has both
    yield f"grant role {loader} to role {transformer}"
    yield f"grant role {transformer} to role SYSADMIN"
    for database in (names.build, names.rebuild):
        yield from _tables(names, database)
    for schema in SCHEMAS:
        yield f"create schema if not exists {names.database}.{schema}"
    yield from _loader_grants(names, loader)
    yield from _transformer_grants(names, transformer)
    yield f"grant usage on database {names.database} to role {reporter}"
    for schema in ("ops", "bronze", "silver", "gold"):
        yield f"grant usage on schema {names.database}.{schema} to role {reporter}"
        for kind in ("tables", "views"):
            yield f"grant select on all {kind} in schema {names.database}.{schema} to role {reporter}"


def script(names: Names) -> str:
    """The statements as a file for an administrator."""
    head = (
        "-- Setup of Snowflake, written by `stocks init --dry-run`. Run it once as ACCOUNTADMIN.\n"
        "-- Every statement may run again. Afterwards grant the roles to users:\n"
        f"--   grant role {names.role('TRANSFORMER')} to user …;  grant role {names.role('REPORTER')} to user …;\n\n"
    )
    return head + "".join(f"{statement};\n" for statement in statements(names))


def names_of(settings: Settings) -> Names:
    """The names that the settings give."""
    return Names(
        settings.snowflake_database.upper(), settings.snowflake_schema.upper(), settings.snowflake_warehouse.upper()
    )


def set_up(settings: Settings) -> tuple[int, list[Refused]]:
    """Run every statement as the current role: how many were taken, and which were refused."""
    names = names_of(settings)
    session = connect(settings, database="", purpose="init")
    refused: list[Refused] = []
    taken = 0
    try:
        for statement in statements(names):
            if reason := _refusal(session, statement):
                refused.append(Refused(statement, reason))
            else:
                taken += 1
    finally:
        session.close()
    return taken, refused


def _refusal(session: SnowflakeSession, statement: str) -> str:
    try:
        session.run(statement)
    except WarehouseError as error:
        return str(error)
    return ""


def _tables(names: Names, database: str) -> Iterator[str]:
    """Schemas, stage, format and tables of a private database, each by its full name."""
    for statement in table_statements():
        verb, _, rest = statement.partition(" if not exists ")
        yield f"{verb} if not exists {database}.{rest}"
    for column in ADDED_TO_CALENDAR:
        yield f"alter table {database}.{column}"
    yield f"create table if not exists {database}.{names.schema}.writer_lock ({_lock_columns()})"


def _lock_columns() -> str:
    from stocklib.warehouse.snowflake.lease import COLUMNS

    return COLUMNS


def _loader_grants(names: Names, role: str) -> Iterator[str]:
    yield f"grant usage on database {names.build} to role {role}"
    yield f"grant usage on schema {names.build}.raw to role {role}"
    yield f"grant usage on schema {names.build}.ops to role {role}"
    yield f"grant usage on schema {names.build}.{names.schema} to role {role}"
    yield f"grant create table on schema {names.build}.raw to role {role}"
    yield f"grant read, write on stage {names.build}.raw.landing to role {role}"
    yield f"grant usage on file format {names.build}.raw.ndjson to role {role}"
    for schema in ("raw", "ops", names.schema):
        yield f"grant select, insert, update, delete on all tables in schema {names.build}.{schema} to role {role}"


def _transformer_grants(names: Names, role: str) -> Iterator[str]:
    """To replace a schema one owns it: the private ones, and the published ones that clones are swapped with."""
    for database in (names.database, names.build, names.rebuild):
        yield f"grant usage, create schema on database {database} to role {role}"
        for schema in SCHEMAS:
            yield f"grant ownership on schema {database}.{schema} to role {role} copy current grants"
            for kind in ("tables", "views"):
                yield f"grant ownership on all {kind} in schema {database}.{schema} to role {role} copy current grants"
        yield f"grant usage, create table on schema {database}.{names.schema} to role {role}"
    for database in (names.build, names.rebuild):
        yield f"grant ownership on stage {database}.raw.landing to role {role} copy current grants"
        yield f"grant ownership on file format {database}.raw.ndjson to role {role} copy current grants"
        yield f"grant ownership on table {database}.{names.schema}.writer_lock to role {role} copy current grants"
