"""The recorded tape and its market, read once."""

import pytest

from stocklib.embedded.replay.bars import read_tape
from stocklib.embedded.replay.exchange import Exchange
from stocklib.embedded.replay.tape import Tape


@pytest.fixture(scope="session")
def tape() -> Tape:
    return read_tape()


@pytest.fixture(scope="session")
def exchange(tape: Tape) -> Exchange:
    return Exchange(tape)
