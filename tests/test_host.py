"""What the operating system lends: locks go with their holder, the environment comes back."""

import os
import threading
import time
from pathlib import Path

import pytest

from stocklib.host import environment, lock


def test_a_lock_is_one_holders_until_it_closes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w") as first, path.open("w") as second:
        assert lock(first, wait=0)
        began = time.monotonic()
        assert not lock(second, wait=0.2)
        assert time.monotonic() - began >= 0.2
        threading.Timer(0.2, first.close).start()
        assert lock(second, wait=10)


def test_the_environment_is_what_it_was_after_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCKS_THERE", "before")
    monkeypatch.delenv("STOCKS_NOT_THERE", raising=False)

    def fail_within() -> None:
        with environment({"STOCKS_THERE": "now", "STOCKS_NOT_THERE": "now"}):
            assert (os.environ["STOCKS_THERE"], os.environ["STOCKS_NOT_THERE"]) == ("now", "now")
            raise KeyError

    with pytest.raises(KeyError):
        fail_within()
    assert os.environ["STOCKS_THERE"] == "before"
    assert "STOCKS_NOT_THERE" not in os.environ
