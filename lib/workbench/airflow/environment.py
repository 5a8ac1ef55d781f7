"""The settings of a task: those of every other process, overridden by Airflow's connections.

A value of the connection ``finnhub``, ``minio`` or ``snowflake`` wins over the same setting; an empty value, and a
system without a connection, keeps the setting. The demo reads no connection.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stocklib.errors import StocksError
from stocklib.host import environment
from stocklib.settings import Settings, read_settings

log = logging.getLogger(__name__)

_SNOWFLAKE = {
    "account": "SNOWFLAKE_ACCOUNT",
    "role": "SNOWFLAKE_ROLE",
    "warehouse": "SNOWFLAKE_WAREHOUSE",
    "database": "SNOWFLAKE_DATABASE",
    "private_key_file": "SNOWFLAKE_PRIVATE_KEY_PATH",
}


class NothingToDo(Exception):
    """A task has nothing to do, such as on a date without a session; the message says why."""


@contextmanager
def task_settings() -> Iterator[Settings]:
    """Give this process, and the kernels that it starts, the settings of the task during the block.

    An error with ``is_hopeless`` becomes one that Airflow does not retry; ``NothingToDo`` skips the task.
    """
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

    stated: dict[str, str] = {}
    for name in ("finnhub", "minio", "snowflake"):
        connection = _connection(name)
        if connection is not None:
            stated |= settings_of(name, connection)
    if stated:
        log.info("from Airflow's connections: %s", ", ".join(sorted(stated)))
    with environment(stated):
        try:
            yield read_settings()
        except NothingToDo as reason:
            raise AirflowSkipException(str(reason)) from None
        except StocksError as error:
            if error.is_hopeless:
                raise AirflowFailException(str(error)) from error
            raise


def settings_of(name: str, connection: Any) -> dict[str, str]:
    """Return a connection's values as settings; empty ones are left out."""
    extra = connection.extra_dejson
    if name == "finnhub":
        found = {"FINNHUB_API_KEY": connection.password, "FINNHUB_BASE_URL": _address(connection)}
    elif name == "minio":
        found = {
            "MINIO_ENDPOINT": extra.get("endpoint_url") or _address(connection),
            "MINIO_ACCESS_KEY": connection.login,
            "MINIO_SECRET_KEY": connection.password,
            "MINIO_REGION": extra.get("region_name"),
        }
    else:
        found = {setting: extra.get(key) for key, setting in _SNOWFLAKE.items()}
        found |= {
            "SNOWFLAKE_USER": connection.login,
            "SNOWFLAKE_PASSWORD": connection.password,
            "SNOWFLAKE_SCHEMA": connection.schema,
        }
    return {key: str(value) for key, value in found.items() if value}


def _address(connection: Any) -> str | None:
    if not connection.host or "://" in connection.host:
        return connection.host or None
    port = f":{connection.port}" if connection.port else ""
    return f"{connection.schema or 'https'}://{connection.host}{port}"


def _connection(name: str) -> Any:
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return BaseHook.get_connection(name)
    except AirflowNotFoundException:
        return None
