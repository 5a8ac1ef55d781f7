"""The settings of a task: those of every other process, and over them what Airflow's connections state.

The rule: a value that a connection ``finnhub``, ``minio`` or ``snowflake`` states wins over the setting of the same
thing; what the connection leaves empty, and every system without one, is the setting's. The demo reads neither.
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


@contextmanager
def task_settings() -> Iterator[Settings]:
    """Inside this block, this process and the kernels that it starts have the settings of the task.

    An error of ours that repeating cannot mend (``is_hopeless``) leaves it as one that Airflow does not try again.
    """
    from airflow.sdk.exceptions import AirflowFailException

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
        except StocksError as error:
            if error.is_hopeless:
                raise AirflowFailException(str(error)) from error
            raise


def settings_of(name: str, connection: Any) -> dict[str, str]:
    """What a connection states, as settings; empty values are left out."""
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
