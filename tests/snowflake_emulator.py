"""Snowflake, as far as it goes without an account: fakesnow's server, reached by the real connector over HTTP.

What it lacks, and the warehouse needs, is made up here, in the server: it shows that the warehouse sends the right
statements in the right order, and not that Snowflake takes them (docs/snowflake.md says which these are).

- GRANT, ALTER SESSION and SHOW ROLES are taken and do nothing; SHOW WAREHOUSES answers one.
- Its query history is what it has seen, and signing in is refused where a test says so.
- REMOVE empties a stage's folder.
- An instant that is null comes as null; fakesnow sends 1970.
- CREATE SCHEMA … CLONE copies each table and makes a table of each view; SWAP exchanges the tables of two schemas.
  Comments go along.
- COMMENT ON takes an apostrophe, and ALTER TABLE … ALTER … COMMENT several columns.
"""

import gzip
import importlib
import json
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import fakesnow
import fakesnow.arrow
import pyarrow as pa
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.transforms import stage
from snowflake.connector.errors import ProgrammingError
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from stocklib.settings import Settings, read_settings
from stocklib.warehouse.snowflake.session import connect

# importing the module takes the name of the function
_start = fakesnow.server
_module = importlib.import_module("fakesnow.server")
_execute = FakeSnowflakeCursor.execute
_instants = fakesnow.arrow.timestamp_to_sf_struct

_TAG = re.compile(r"\s*alter session set query_tag = '(.*)'", re.IGNORECASE)
_NOTHING = [r"\s*grant ", r"\s*alter session", r"\s*use role"]
_CLONE = re.compile(r"\s*create or replace schema (\w+)\.(\w+) clone (\w+)\.(\w+)\s*$", re.IGNORECASE)
_SWAP = re.compile(r"\s*alter schema (\w+)\.(\w+) swap with (\w+)\.(\w+)\s*$", re.IGNORECASE)
_REMOVE = re.compile(r"\s*remove @(\w+)\.(\w+)(?:/(\w+))?\s*$", re.IGNORECASE)
_COMMENT = re.compile(r"\s*comment on (table|view) (\S+) is \$\$(.*?)\$\$", re.IGNORECASE | re.DOTALL)
_COLUMN_COMMENTS = re.compile(r"\s*alter\s+(?:table|view) (\S+) alter\s.*comment \$\$", re.IGNORECASE | re.DOTALL)
_COLUMN_COMMENT = re.compile(r'(\w+)"? comment \$\$(.*?)\$\$', re.IGNORECASE | re.DOTALL)
_REPLACE = re.compile(r"\s*create or replace schema (\w+)\.(\w+)\s*$", re.IGNORECASE)


class Emulator:
    """A running server: where it is, which statements it has seen, and who is asked before and after each."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.seen: list[str] = []
        self.before: Callable[[str], None] = lambda sql: None
        self.after: Callable[[str], None] = lambda sql: None
        # what clients said of themselves when they signed in, and who is refused: (number, message)
        self.logins: list[dict[str, Any]] = []
        self.refuse: Callable[[dict[str, Any]], tuple[str, str] | None] = lambda asked: None
        # every statement since ``recording`` began: (tag, began at, seconds); the meter, or why nobody may see it
        self.history: list[tuple[str, datetime, float]] = []
        self.tags: dict[int, str] = {}
        self.meter: dict[datetime, float] | None = None

    def environ(self, **more: str) -> dict[str, str]:
        """Settings of a warehouse of its own on this server."""
        return {
            "STOCKS_WAREHOUSE": "snowflake",
            "SNOWFLAKE_ACCOUNT": "fakesnow",
            "SNOWFLAKE_USER": "fake",
            "SNOWFLAKE_PASSWORD": "snow-secret",
            "SNOWFLAKE_HOST": self.address,
            "SNOWFLAKE_DATABASE": f"STOCKS_{uuid.uuid4().hex[:8]}".upper(),
            "SNOWFLAKE_TIMEOUT_SECONDS": "8",
            "CLOSE_SETTLE_SECONDS": "0",
            **more,
        }

    def settings(self, home: Path, **more: str) -> Settings:
        """The same as settings."""
        return read_settings(environ={"STOCKS_HOME": str(home), **self.environ(**more)})


@contextmanager
def emulator() -> Iterator[Emulator]:
    """Start the server; what is in it goes with it."""
    with _start() as told:
        running = Emulator(f"http://{told['host']}:{told['port']}")

        def execute(cursor: Any, command: str, *args: Any, **kwargs: Any) -> Any:
            running.seen.append(command)
            running.before(command)
            began = datetime.now(UTC)
            if found := _TAG.match(command):
                running.tags[id(cursor._conn)] = found[1]
            done = _told_of_cost(running, cursor, command) or _made_up(cursor, command)
            result = done or _execute(cursor, command, *args, **kwargs)
            tag = running.tags.get(id(cursor._conn), "")
            running.history.append((tag, began, (datetime.now(UTC) - began).total_seconds()))
            running.after(command)
            return result

        async def login(request: Request) -> JSONResponse:
            body = await request.body()
            body = gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body
            asked = json.loads(body)["data"]
            running.logins.append(asked)
            if refused := running.refuse(asked):
                return JSONResponse({"data": None, "code": refused[0], "message": refused[1], "success": False})
            answer: JSONResponse = await _module.login_request(request)
            session = _module.sessions[json.loads(answer.body)["data"]["token"]]
            running.tags[id(session)] = asked["SESSION_PARAMETERS"].get("QUERY_TAG", "")
            return answer

        route = Route("/session/v1/login-request", login, methods=["POST"])
        _module.app.router.routes.insert(0, route)

        _module.shared_fs.nop_regexes = _NOTHING
        fakesnow.arrow.timestamp_to_sf_struct = _with_nulls
        FakeSnowflakeCursor.execute = execute  # type: ignore[method-assign]
        try:
            yield running
        finally:
            _module.app.router.routes.remove(route)
            FakeSnowflakeCursor.execute = _execute  # type: ignore[method-assign]
            fakesnow.arrow.timestamp_to_sf_struct = _instants


def _told_of_cost(running: Emulator, cursor: Any, command: str) -> Any:
    """The history of statements and the meter, by what this server has seen."""
    if "information_schema.query_history(" in command:
        rows = [
            f"('q{number}', '{tag}', 'X-Small', '{_text(began)}'::timestamp, "
            f"'{_text(began + timedelta(seconds=seconds))}'::timestamp, {seconds * 1000}::double, 1000::bigint)"
            for number, (tag, began, seconds) in enumerate(running.history)
        ]
        return _execute(cursor, f"select * from (values {', '.join(rows)}) as told(q, tag, size, a, b, ms, bytes)")
    if "warehouse_metering_history(" in command:
        if running.meter is None:
            raise ProgrammingError(msg="Insufficient privileges to operate on account 'A'", errno=3001)
        rows = [f"('{_text(hour)}'::timestamp, {credits}::double)" for hour, credits in running.meter.items()]
        return _execute(cursor, f"select * from (values {', '.join(rows)}) as told(hour, credits)")
    return None


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%d %H:%M:%S.%f")


def lose_staged_files(settings: Settings) -> None:
    """What was put into the stages of a warehouse is gone."""
    shutil.rmtree(Path(stage.LOCAL_BUCKET_PATH) / f"{settings.snowflake_database}_BUILD", ignore_errors=True)


def end_sessions_of_others(settings: Settings) -> None:
    """What Snowflake does with the sessions of a client that died: what they began is rolled back."""
    for con in list(_module.sessions.values()):
        if con.database and con.database.startswith(settings.snowflake_database):
            with suppress(duckdb.Error):
                con._duck_conn.execute("rollback")


def environ_of(settings: Settings) -> dict[str, str]:
    """The environment in which another process has these settings."""
    values = {
        name: getattr(value, "reveal", lambda value=value: str(value))() for name, value in settings.values.items()
    }
    return {"STOCKS_HOME": str(settings.home)} | {
        name: value for name, value in values.items() if settings.origins[name] == "environment"
    }


def _with_nulls(values: Any) -> Any:
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    made = _instants(values)
    fields = [made.type.field(number) for number in range(made.type.num_fields)]
    return pa.StructArray.from_arrays(made.flatten(), fields=fields, mask=values.is_null())


def _made_up(cursor: Any, command: str) -> Any:
    """The result of a statement that fakesnow does not know; None when it does."""
    if found := _CLONE.match(command):
        to, source = f"{found[1]}.{found[2]}".upper(), f"{found[3]}.{found[4]}".upper()
        _empty(cursor, to)
        for name in _tables(cursor, source):
            _copy(cursor, source, to, name)
    elif found := _SWAP.match(command):
        _swap(cursor, f"{found[1]}.{found[2]}".upper(), f"{found[3]}.{found[4]}".upper())
    elif found := _REPLACE.match(command):
        _empty(cursor, f"{found[1]}.{found[2]}".upper())
    elif found := _COMMENT.match(command):
        cursor._duck_conn.execute(f"comment on {found[1]} {found[2]} is {_literal(found[3])}")
    elif found := _COLUMN_COMMENTS.match(command):
        for column, comment in _COLUMN_COMMENT.findall(command):
            cursor._duck_conn.execute(f'comment on column {found[1]}."{column}" is {_literal(comment)}')
    elif found := _REMOVE.match(command):
        place = stage.internal_dir(f"{cursor._conn.database}.{found[1]}.{found[2]}".upper())
        shutil.rmtree(Path(place) / (found[3] or ""), ignore_errors=True)
        Path(place).mkdir(parents=True, exist_ok=True)
    elif found := re.match(r"\s*show warehouses like '(\w+)'", command, re.IGNORECASE):
        one = "select 'STOCKS_WH' as name, 'SUSPENDED' as state"
        return _execute(cursor, f"{one} where '{found[1].upper()}' = 'STOCKS_WH'")
    elif re.match(r"\s*show roles", command, re.IGNORECASE):
        return _execute(cursor, "select 'none' as name where false")
    else:
        return None
    return _execute(cursor, "select 'Statement executed successfully.' as status")


def _swap(cursor: Any, one: str, other: str) -> None:
    """The tables of each become those of the other; views stay, and read what is next to them."""
    aside = f"{one}_ASIDE"
    for to, source in ((aside, one), (one, other), (other, aside)):
        _empty(cursor, to)
        for name in _tables(cursor, source):
            _copy(cursor, source, to, name)
    cursor._duck_conn.execute(f"drop schema {aside} cascade")


def _copy(cursor: Any, source: str, to: str, name: str) -> None:
    """Copy a table, or what a view shows, with its comments."""
    cursor._duck_conn.execute(f'create table {to}."{name}" as select * from {source}."{name}"')
    columns = (
        "select column_name, comment from duckdb_columns() "
        "where database_name || '.' || schema_name = ? and table_name = ? and comment is not null"
    )
    for column, comment in cursor._duck_conn.execute(columns, [source, name]).fetchall():
        cursor._duck_conn.execute(f'comment on column {to}."{name}"."{column}" is {_literal(comment)}')


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _empty(cursor: Any, schema: str) -> None:
    cursor._duck_conn.execute(f"drop schema if exists {schema} cascade")
    cursor._duck_conn.execute(f"create schema {schema}")


def _tables(cursor: Any, schema: str) -> list[str]:
    database, name = schema.split(".")
    rows = cursor._duck_conn.execute(
        "select table_name from information_schema.tables where table_catalog = ? and table_schema = ?",
        [database, name],
    ).fetchall()
    return [row[0] for row in rows]


def make_databases(settings: Settings) -> None:
    """The databases that ``stocks init`` makes; this server makes what a session names."""
    name = settings.snowflake_database
    for database in (name, f"{name}_BUILD", f"{name}_REBUILD"):
        connect(settings, database=database, purpose="tests").close()
