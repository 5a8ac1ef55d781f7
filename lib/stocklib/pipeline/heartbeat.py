"""The producer's heartbeat: one small file that says how far it got, for ``stocks status`` and the ledger.

It holds the last confirmed ``seq`` of each symbol, so that a lost tail of the stream shows too. Written whole or not at
all; the file of the run before is kept beside it under its run id.
"""

import logging
import os
import time
from pathlib import Path
from typing import Any

import orjson

from stocklib.errors import SettingsError

log = logging.getLogger(__name__)

_EVERY_SECONDS = 2.0


class Heartbeat:
    """The file ``producer.json`` under ``home/heartbeats`` of one run."""

    def __init__(self, home: Path, *, run_id: str) -> None:
        self.path = home / "heartbeats" / "producer.json"
        self._run_id = run_id
        self._written = 0.0
        self._failing = False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._keep_previous()
        except OSError as error:
            raise SettingsError(
                f"{self.path} cannot be written ({error}): STOCKS_HOME must be a folder of yours"
            ) from error

    def beat(self, facts: dict[str, Any], *, now: bool = False) -> None:
        """Write the facts, at most every two seconds unless ``now``; a full disk is logged and stops nothing."""
        if not now and time.monotonic() - self._written < _EVERY_SECONDS:
            return
        self._written = time.monotonic()
        content = {"run_id": self._run_id, "pid": os.getpid(), "written_at": time.time(), **facts}
        fresh = self.path.with_name(f".producer.{os.getpid()}.json")
        try:
            fresh.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
            fresh.replace(self.path)
            self._failing = False
        except OSError as error:
            if not self._failing:
                log.error("the heartbeat %s cannot be written: %s; the stream goes on", self.path, error)
            self._failing = True

    def _keep_previous(self) -> None:
        try:
            previous = orjson.loads(self.path.read_bytes()).get("run_id")
        except (FileNotFoundError, orjson.JSONDecodeError, AttributeError):
            return
        if isinstance(previous, str) and previous.replace("-", "").isalnum() and previous != self._run_id:
            self.path.replace(self.path.with_name(f"producer-{previous}.json"))
