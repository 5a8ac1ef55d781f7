"""One Snowflake for all tests of a process, and a warehouse of its own for each that asks.

It is the emulator, or the account of the environment's SNOWFLAKE_* where STOCKS_TEST_SNOWFLAKE=account says so
(`make test-snowflake`): there, in databases that are dropped at the end.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from snowflake_emulator import Emulator, emulator, make_databases

from stocklib.settings import Settings, read_settings
from stocklib.warehouse.snowflake.session import connect

# What takes minutes on the emulator, which turns every statement into another SQL first.
SLOW = ("test_parity.py", "test_realtime.py", "test_load.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow ones have targets of their own."""
    if "STOCKS_TEST_SNOWFLAKE" in os.environ:
        return
    for item in items:
        if item.path.parent == Path(__file__).parent and item.path.name in SLOW:
            item.add_marker(pytest.mark.skip(reason="takes minutes: make test-emulator, or make test-snowflake"))


class Account:
    """A real account, and the databases that the tests made there."""

    def __init__(self) -> None:
        self.made: list[Settings] = []

    def settings(self, home: Path) -> Settings:
        """Settings of an empty warehouse in databases of its own."""
        name = f"STOCKS_TEST_{uuid.uuid4().hex[:8]}".upper()
        more = {"STOCKS_HOME": str(home), "STOCKS_WAREHOUSE": "snowflake", "CLOSE_SETTLE_SECONDS": "0"}
        settings = read_settings(environ={**os.environ, **more, "SNOWFLAKE_DATABASE": name})
        self._run(settings, "create transient database if not exists {}")
        self.made.append(settings)
        return settings

    def drop(self) -> None:
        """Leave nothing behind."""
        for settings in self.made:
            self._run(settings, "drop database if exists {}")

    @staticmethod
    def _run(settings: Settings, statement: str) -> None:
        with closing(connect(settings, database="", purpose="tests")) as session:
            for suffix in ("", "_BUILD", "_REBUILD"):
                session.run(statement.format(settings.snowflake_database + suffix))


@contextmanager
def account() -> Iterator[Account]:
    """The account; its databases go at the end, whatever happened."""
    running = Account()
    try:
        yield running
    finally:
        running.drop()


@pytest.fixture(scope="session")
def snow() -> Iterator[Emulator | Account]:
    """The running server."""
    on_account = os.environ.get("STOCKS_TEST_SNOWFLAKE") == "account"
    if on_account and not (os.environ.get("SNOWFLAKE_ACCOUNT") or os.environ.get("SNOWFLAKE_CONNECTION")):
        pytest.exit(
            "there is no account to test on: set SNOWFLAKE_ACCOUNT, SNOWFLAKE_USER, a way to sign in and "
            "SNOWFLAKE_WAREHOUSE, or SNOWFLAKE_CONNECTION, in the environment; its user must be allowed to create "
            "databases. Nothing was run. `make test-emulator` runs the same on an emulator",
            returncode=2,
        )
    with account() if on_account else emulator() as running:
        yield running


@pytest.fixture
def warehouse(snow: Emulator, tmp_path: Path) -> Settings:
    """Settings of an empty warehouse."""
    settings = snow.settings(tmp_path)
    make_databases(settings)
    return settings
