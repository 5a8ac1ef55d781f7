"""What the operating system lends: locks go with their holder, the environment comes back."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from stocklib.host import environment, is_alive, lock


def test_a_lock_is_one_holders_until_it_closes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w") as first, path.open("w") as second:
        assert lock(first, wait=0)
        began = time.monotonic()
        assert not lock(second, wait=0.2)
        assert time.monotonic() - began >= 0.2
        threading.Timer(0.2, first.close).start()
        assert lock(second, wait=10)


def test_a_lock_of_a_killed_process_is_free_and_its_zombie_is_dead(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = f"from stocklib.host import lock; f = open({str(path)!r}, 'w'); print(lock(f, wait=0), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        with path.open("w") as file:
            assert not lock(file, wait=0)
            assert is_alive(holder.pid)
            assert not is_alive(holder.pid, started=time.time() - 3600)
            holder.send_signal(signal.SIGKILL)
            assert lock(file, wait=10)
            deadline = time.monotonic() + 10
            while is_alive(holder.pid) and time.monotonic() < deadline:
                time.sleep(0.01)
            assert not is_alive(holder.pid)


def test_a_lock_is_held_as_long_as_a_child_has_the_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w") as mine, path.open("w") as other:
        assert lock(mine, wait=0)
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[mine.fileno()]) as child:
            mine.close()
            assert not lock(other, wait=0)
            child.communicate()
        assert lock(other, wait=10)


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
