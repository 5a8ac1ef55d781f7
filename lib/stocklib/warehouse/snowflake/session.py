"""A session of Snowflake's connector: statements in, rows or Arrow out, its errors as ours.

Only this module imports the connector. Values are ``?`` parameters, bound by the server. A session identifies itself by
its query tag, and no statement of it takes longer than ``SNOWFLAKE_TIMEOUT_SECONDS``.
"""

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from stocklib.errors import UnknownName, WarehouseBusy, WarehouseError
from stocklib.host import extra
from stocklib.settings import Settings
from stocklib.warehouse.snowflake.signin import SignIn, sign_in
from stocklib.warehouse.snowflake.troubles import explain

log = logging.getLogger(__name__)

_LOGIN_SECONDS = 30
# This process, in the query tag of each statement: what `stocks cost` calls a run.
RUN = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}"


class SnowflakeSession:
    """One connection, used by one thread."""

    def __init__(self, con: Any, who: SignIn) -> None:
        self._con = con
        self._who = who

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return every row of an answer."""
        with self._cursor(sql, params) as cursor:
            return [tuple(row) for row in cursor.fetchall()]

    def row(self, sql: str, params: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """Return the first row of an answer, or None."""
        return next(iter(self.rows(sql, params)), None)

    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Run a statement; return how many rows it changed."""
        with self._cursor(sql, params) as cursor:
            return int(cursor.rowcount or 0)

    def arrow(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """Return the answer as an Arrow table, with the server's column names."""
        with self._cursor(sql, params) as cursor:
            return cursor.fetch_arrow_all(force_return_table=True)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit the whole block or nothing of it. No DDL inside: Snowflake would commit before it."""
        self.run("begin")
        try:
            yield
            # a refused commit leaves the transaction open, and a later statement would commit it
            self.run("commit")
        except BaseException:
            with contextlib.suppress(WarehouseError):
                self.run("rollback")
            raise

    @property
    def is_open(self) -> bool:
        """Return whether it can still be used."""
        return not self._con.is_closed() and not self._con.expired

    def close(self) -> None:
        """Sign out; uncommitted changes are lost."""
        with contextlib.suppress(Exception):
            self._con.close(retry=False)

    @contextmanager
    def _cursor(self, sql: str, params: Sequence[Any]) -> Iterator[Any]:
        with connector_errors(self._who), contextlib.closing(self._con.cursor()) as cursor:
            cursor.execute(sql, tuple(params) or None)
            yield cursor


def connect(settings: Settings, *, database: str, purpose: str) -> SnowflakeSession:
    """Sign in; ``WarehouseError`` says which setting, or which statement of an administrator, mends a refusal."""
    with extra("snowflake"):
        import snowflake.connector

    who = sign_in(settings)
    timeout = int(settings.snowflake_timeout_seconds)
    with connector_errors(who):
        con = snowflake.connector.connect(
            **who.arguments(),
            database=database,
            schema=settings.snowflake_schema,
            paramstyle="qmark",
            application="stocks_workbench",
            login_timeout=min(_LOGIN_SECONDS, timeout),
            network_timeout=timeout,
            client_session_keep_alive=False,
            # else each sign-in calls the metadata services of three clouds
            platform_detection_timeout_seconds=0.0,
            session_parameters={
                "QUERY_TAG": f"stocks:{purpose}:{RUN}",
                "STATEMENT_TIMEOUT_IN_SECONDS": timeout,
                "TIMEZONE": "UTC",
                "TIMESTAMP_TYPE_MAPPING": "TIMESTAMP_NTZ",
                "CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False,
            },
        )
    return SnowflakeSession(con, who)


@contextmanager
def connector_errors(who: SignIn) -> Iterator[None]:
    """Turn the connector's errors into ours."""
    from snowflake.connector import errors

    try:
        yield
    except errors.Error as error:
        trouble = explain(error.errno, str(error.msg or error), who)
        if trouble.kind == "locked":
            raise WarehouseBusy(trouble.text) from error
        if trouble.kind in ("missing object", "missing column"):
            raise UnknownName(trouble.text) from error
        raise WarehouseError(trouble.text) from error
