"""The recorded tape and its market, read once."""

import pytest

from finnhub_replay.bar_files import read_tape
from finnhub_replay.exchange import Exchange
from finnhub_replay.tape import Tape


@pytest.fixture(scope="session")
def tape() -> Tape:
    return read_tape()


@pytest.fixture(scope="session")
def exchange(tape: Tape) -> Exchange:
    return Exchange(tape)
