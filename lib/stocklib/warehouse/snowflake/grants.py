"""The privileges of a role in a Snowflake warehouse, checked by statements that change nothing.

A session in; missing privileges out, each with the statement that mends it. ``troubles`` explains a refused
sign-in.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from stocklib.errors import WarehouseError
from stocklib.warehouse.snowflake.session import SnowflakeSession
from stocklib.warehouse.snowflake.signin import SignIn

_GRANTS = ("lacks a grant", "may not see it")


@dataclass(frozen=True)
class _Probe:
    """A statement that changes nothing, and what an administrator grants where it is refused."""

    statement: str
    grant: str


def missing(session: SnowflakeSession, who: SignIn, *, build: str, published: str, schema: str) -> list[str]:
    """Return what keeps this role from working, one sentence each; empty when nothing does."""
    if who.warehouse and not session.rows(f"show warehouses like '{who.warehouse}'"):
        return [
            f"there is no warehouse {who.warehouse} that {_role(who)} may see: `stocks init` makes it, and `grant "
            f"usage, operate on warehouse {who.warehouse} to role {who.role or '<role>'}` lets the role use it"
        ]
    probes = [*_reads(published, who.role)]
    if not who.role.upper().endswith("_REPORTER"):
        probes += _writes(build, schema, who.role)
    return [refusal for probe in probes if (refusal := _refusal(session, probe))]


def _reads(published: str, role: str) -> Iterator[_Probe]:
    for schema in ("ops", "gold"):
        yield _Probe(
            f"show tables in schema {published}.{schema}", _grant("usage", f"schema {published}.{schema}", role)
        )


def _writes(build: str, schema: str, role: str) -> Iterator[_Probe]:
    every = "select, insert, update, delete"
    for table in ("raw.load_history", "ops.pipeline_runs"):
        name = f"{build}.{table}"
        yield _Probe(
            f"insert into {name} select * from {name} where false",  # noqa: S608 - names of ours
            _grant(every, f"all tables in schema {name.rpartition('.')[0]}", role),
        )
    lock = f"{build}.{schema}.writer_lock"
    yield _Probe(f"update {lock} set holder = holder where false", _grant(every, f"table {lock}", role))  # noqa: S608
    yield _Probe(f"list @{build}.raw.landing", _grant("read, write", f"stage {build}.raw.landing", role))


def _refusal(session: SnowflakeSession, probe: _Probe) -> str:
    try:
        session.rows(probe.statement)
    except WarehouseError as error:
        refusal = str(error)
        return f"{refusal}; `{probe.grant}` mends it" if any(sign in refusal for sign in _GRANTS) else refusal
    return ""


def _grant(what: str, on: str, role: str) -> str:
    return f"grant {what} on {on} to role {role or '<role>'}"


def _role(who: SignIn) -> str:
    return f"role {who.role}" if who.role else "this user's role"
