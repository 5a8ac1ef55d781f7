"""One emulated Snowflake for all tests of a process, and a warehouse of its own for each that asks."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from snowflake_emulator import Emulator, emulator, make_databases

from stocklib.settings import Settings

StartWarehouse = Callable[..., Settings]


@pytest.fixture(scope="session")
def snow() -> Iterator[Emulator]:
    """The running server."""
    with emulator() as running:
        yield running


@pytest.fixture
def warehouse(snow: Emulator, tmp_path: Path) -> Settings:
    """Settings of an empty warehouse."""
    settings = snow.settings(tmp_path)
    make_databases(settings)
    return settings
