"""The embedded stack: idempotent, durable, named when something is wrong, and gone when it is down."""

import pytest
from stocklib.settings import Settings


@pytest.mark.stack
def test_the_pair_runs(settings: Settings) -> None:
    assert settings.kafka_broker.startswith("127.0.0.1:")
