"""The processes of a stream: started, watched, started again after a pause, and asked to end."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from stocklib.backoff import Backoff
from stocklib.errors import StocksError
from stocklib.settings import Settings
from workbench.supervisor.plan import DONE, HOPELESS, Plan

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
# A process that ran for this long was healthy: its next pause is the shortest again.
_WELL_SECONDS = 60.0
_LOG_BYTES = 20_000_000
# How long each role may take to end in order: the producer flushes, the consumer reads to the end and writes, the
# loader makes one more batch.
_END_SECONDS = {"producer": 20.0, "trades": 20.0, "consumer": 40.0, "loader": 120.0, "keeper": 20.0}


class Child:
    """One process of a stream. ``restarts`` counts how often it was restarted."""

    def __init__(self, role: str, settings: Settings, plan: Plan) -> None:
        self.role = role
        self.restarts = 0
        self.is_done = False
        self._demo = "demo" if settings.demo else "-"
        self._plan = plan
        self._log = settings.home / "logs" / f"stream-{role}.log"
        self._process: subprocess.Popen[bytes] | None = None
        # the latest process, even after it ended
        self.pid: int | None = None
        self._began = 0.0
        self._backoff = Backoff(first=_FIRST_PAUSE, longest=_LONGEST_PAUSE)

    def ensure_running(self) -> None:
        """Start the process if it is down and its pause is over; ``StocksError`` where a restart would fail again."""
        if self._process is not None and self._process.poll() is not None:
            self._reap()
        if self._process is None and not self.is_done and self._backoff.is_over:
            self._start()

    def request_stop(self) -> None:
        """Ask the process to end in order."""
        if self._process and self._process.stdin:
            with suppress(OSError):
                self._process.stdin.write(b"stop\n")
                self._process.stdin.flush()

    def finish(self, *, on_wait: Callable[[], None] = lambda: None) -> str:
        """Ask the process to end in order, and kill it where it takes too long; return what went wrong, or nothing."""
        deadline = time.monotonic() + _END_SECONDS[self.role]
        self.request_stop()
        while not self.has_ended() and time.monotonic() < deadline:
            on_wait()
            time.sleep(0.05)
        is_done = self.is_done or (self._process is not None and self._process.poll() == DONE)
        self.end()
        return "" if is_done else f"the {self.role} did not finish its work: {_last_line(self._log)}"

    def has_ended(self) -> bool:
        """Return whether the process does not run."""
        return self._process is None or self._process.poll() is not None

    def end(self) -> None:
        """Kill the process, unless it has ended."""
        if self._process is None:
            return
        if self._process.poll() is None:
            log.warning("the %s did not end in time and is killed; the next run finishes its work", self.role)
            self._process.kill()
        self._process.wait()
        if self._process.stdin:
            with suppress(OSError):
                self._process.stdin.close()
        self._process = None

    def restart(self) -> None:
        """Kill the process; ``ensure_running`` starts it again."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        if self.pid is not None:
            self.restarts += 1
        self._began = time.monotonic()
        command = [sys.executable, "-m", "workbench.supervisor.roles", self.role, self._demo, self._plan.to_json()]
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            if self._log.stat().st_size > _LOG_BYTES:
                self._log.replace(self._log.with_name(f"{self._log.name}.1"))
        with self._log.open("ab") as out:
            # in its own process group: Ctrl-C reaches only the supervisor, and what the process starts ends with it
            self._process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.PIPE, stdout=out, stderr=out, start_new_session=True, env=dict(os.environ)
            )
            self.pid = self._process.pid

    def _reap(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin:
            with suppress(OSError):
                process.stdin.close()
        if process.returncode == DONE:
            self.is_done = True
            return
        if process.returncode == HOPELESS:
            raise StocksError(f"the {self.role} cannot go on: {_last_line(self._log)}")
        if time.monotonic() - self._began >= _WELL_SECONDS:
            self._backoff.succeed()
        pause = self._backoff.fail()
        how = f"signal {-process.returncode}" if process.returncode < 0 else f"status {process.returncode}"
        log.warning("the %s ended (%s; %s): starting it again in %.1f s", self.role, how, _last_line(self._log), pause)


def _last_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 2000))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
    except OSError as error:
        return f"{path} is unreadable: {error}"
    return f"{lines[-1]}; its log is {path}" if lines else f"its log is {path}"
