"""Heartbeats: each running process writes one small file with its state, for ``stocks status`` and the ledger.

``STOCKS_HOME/heartbeats/<role>.json`` is the latest run of a role, dead or alive. When the next of its kind begins,
that file is renamed to ``<run_id>.json``; those of runs that confirmed quotes stay for good, since the ledger counts by
them; of the others the last twenty stay. A file is written whole or not at all. One that holds what Kafka confirmed is
synced to the disk, so that a power cut leaves the old one or the new one.
"""

import logging
import os
import socket
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar

import orjson

from stocklib.errors import SettingsError, StateError
from stocklib.host import is_alive
from stocklib.monitoring.prometheus import MetricsServer
from stocklib.state_files import Shape, read_record, sync_folder, write_state

log = logging.getLogger(__name__)

BEAT_SECONDS = 2.0
# How many files of past runs stay that the ledger does not count by.
_KEPT = 20
_RATE_SECONDS = 60.0
# A process on another machine or in another container counts as alive while its file is this fresh.
_FRESH_SECONDS = 30.0

# The kinds that confirm nothing: the ledger does not count by their files.
_UNCOUNTED = ("consumer", "loader")
_NUMBER = (int, float)
_WHO: Shape = {
    "run_id": str,
    "role": str,
    "pid": int,
    "started": _NUMBER,
    "host": str,
    "at": _NUMBER,
    "state": str,
    "ended": (str, NoneType),
}
# The facts of a kind of process.
_FACTS: Shape = {
    **dict.fromkeys(("messages", "errors", "lag"), (int, NoneType)),
    **dict.fromkeys(("began_at", "last_event_at", "last_market_at"), (*_NUMBER, NoneType)),
    **dict.fromkeys(("per_second", "patience", "round_seconds"), (*_NUMBER, NoneType)),
    **dict.fromkeys(("trouble", "source"), (str, NoneType)),
    **dict.fromkeys(("clock", "confirmed"), (dict, NoneType)),
}

Facts = Callable[[], Mapping[str, Any]]
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Beat:
    """The content of a heartbeat file: who wrote it, when (epoch of this machine's clock), and the facts.

    ``ended`` is None while the run goes on; then ``done`` (it reached its end), ``stopped`` (as asked) or ``error``.
    """

    path: Path
    run_id: str
    role: str
    pid: int
    started: float
    host: str
    at: float
    state: str
    ended: str | None
    facts: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The role without the number of its process: ``consumer`` of ``consumer-4711``."""
        return self.role.partition("-")[0]

    @property
    def is_past(self) -> bool:
        """Whether another run of its kind began after it."""
        return self.path.stem == self.run_id

    @property
    def age(self) -> float:
        """Seconds since it was written."""
        return max(0.0, time.time() - self.at)

    @property
    def is_alive(self) -> bool:
        """Whether that process still runs; a later process with the same pid does not count."""
        if self.ended or self.is_past:
            return False
        if self.host != socket.gethostname():
            return self.age < _FRESH_SECONDS
        return is_alive(self.pid, started=self.started)


class Heartbeat:
    """The file of one run. ``role`` is ``producer``, ``trades``, ``loader`` or ``consumer-<pid>``.

    While another run of the same role lives it writes ``<role>-<run_id>.json``: neither overwrites the other.
    ``latest`` holds the latest facts, with the rate of the last minute. Facts of every role: ``state``, ``messages``
    (how many so far), ``errors`` (how many so far), ``last_event_at`` (epoch, on the source's clock), ``lag``
    (messages), and ``trouble``, a sentence about what it waits for, if anything; this class records since when.

    With a ``metrics_port`` (``METRICS_PORT``) the same facts are served as Prometheus text until ``end``.
    """

    def __init__(self, home: Path, *, role: str, run_id: str, metrics_port: int = 0) -> None:
        # on Linux it needs a module that Windows lacks, and verbs that only read heartbeats do without
        import psutil  # type: ignore[import-untyped]

        self.role = role
        self.run_id = run_id
        self.latest: Mapping[str, Any] = {}
        self._who = {
            "run_id": run_id,
            "role": role,
            "pid": os.getpid(),
            "started": psutil.Process().create_time(),
            "host": socket.gethostname(),
            "began_at": time.time(),
        }
        self._written = -BEAT_SECONDS
        self._failing = self._is_there = False
        self._trouble_since: float | None = None
        self._counts: deque[tuple[float, int]] = deque()
        folder = home / "heartbeats"
        self.path = folder / f"{role}.json"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _set_aside(home, kind=role.partition("-")[0])
            if self.path.exists():
                self.path = folder / f"{role}-{run_id}.json"
        except OSError as error:
            raise SettingsError(
                f"{self.path} cannot be written ({error}): STOCKS_HOME must be a folder of yours"
            ) from error
        self._metrics: MetricsServer | None = None
        if metrics_port:
            self._metrics = MetricsServer(metrics_port, kind=role.partition("-")[0], latest=lambda: self.latest)
            self._who["metrics"] = self._metrics.address

    def name(self, run_id: str) -> None:
        """Set the id of a run that was unknown when the file was created."""
        self.run_id = run_id
        self._who["run_id"] = run_id

    def beat(self, facts: Facts, *, now: bool = False) -> None:
        """Write the facts that ``facts`` returns, at most every two seconds unless ``now``; cheap in between."""
        if now or time.monotonic() - self._written >= BEAT_SECONDS:
            self._write(facts, ended=None)

    def end(self, facts: Facts, *, ended: str) -> None:
        """Write the last heartbeat of a run that was ``done``, ``stopped`` as asked, or failed with an ``error``."""
        self._write(facts, ended=ended)
        if self._metrics:
            self._metrics.close()
            self._metrics = None

    def _write(self, facts: Facts, *, ended: str | None) -> None:
        current = facts()
        self._written = time.monotonic()
        self._trouble_since = (self._trouble_since or time.time()) if current.get("trouble") else None
        self.latest = {
            **self._who,
            "at": time.time(),
            "ended": ended,
            **current,
            "trouble_since": self._trouble_since,
            "per_second": round(self._rate(int(current.get("messages") or 0)), 3),
        }
        is_counted = "confirmed" in current
        try:
            content = orjson.dumps(self.latest, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
            write_state(self.path, content, durable=is_counted)
            if is_counted and (ended or not self._is_there):
                # without a sync a power cut may restore an earlier version: it confirms less, never more
                sync_folder(self.path.parent)
            self._failing, self._is_there = False, True
        except OSError as error:
            # a full disk must not stop the stream
            if not self._failing:
                log.error("the heartbeat %s cannot be written: %s; the stream goes on", self.path, error)
            self._failing = True

    def _rate(self, count: int) -> float:
        """Return messages a second over the last minute."""
        now = time.monotonic()
        self._counts.append((now, count))
        while self._counts[0][0] < now - _RATE_SECONDS and len(self._counts) > 2:
            self._counts.popleft()
        since, before = self._counts[0]
        return (count - before) / (now - since) if now > since else 0.0


def name_run(kind: str) -> str:
    """Return a run id for a process that is not part of a stream.

    >>> name_run("loader").startswith("loader-2")
    True
    """
    return f"{kind}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"


def read_heartbeats(home: Path, *, past: bool = False) -> list[Beat]:
    """Return the latest run of each role, dead or alive, by role; with ``past``, earlier runs too.

    A damaged file is left out and logged; ``damaged_heartbeats`` returns those.
    """
    beats, damaged = _read_all(home)
    for error in damaged:
        _warn_once(str(error))
    return sorted((beat for beat in beats if past or not beat.is_past), key=lambda beat: (beat.role, beat.at))


@cache
def _warn_once(sentence: str) -> None:
    log.warning("%s", sentence)


def damaged_heartbeats(home: Path) -> list[StateError]:
    """Return the damaged files: each may be that of a running process, or of one that died."""
    return _read_all(home)[1]


def read_confirmed(home: Path) -> tuple[list[Mapping[str, Any]], list[StateError]]:
    """Return the facts of every run that confirmed something, and the damaged files that may be of such a run.

    Fields: ``run_id``, ``topic`` (absent or None in the files of an old release), ``confirmed``: seq by symbol.
    """
    found, damaged = _read_each(home, _read_seqs)
    counted = [error for error in damaged if _kind(error.path) not in _UNCOUNTED]
    return [record for record in found if "confirmed" in record], counted


def _read_seqs(path: Path) -> Mapping[str, Any]:
    record = read_record(path, shape={"run_id": str}, remedy=_remedy(path))
    seqs = record.get("confirmed", {})
    # to Python, True is a number
    if not isinstance(seqs, dict) or not all(type(seq) is int and seq >= 0 for seq in seqs.values()):
        raise StateError(path, "has no valid 'confirmed'", _remedy(path))
    return record


def _read_all(home: Path) -> tuple[list[Beat], list[StateError]]:
    return _read_each(home, _read_beat)


def _read_beat(path: Path) -> Beat:
    record = {"ended": None, **read_record(path, shape={**_WHO, **_FACTS}, remedy=_remedy(path))}
    if record.get("clock") and not isinstance(record["clock"].get("now"), _NUMBER):
        raise StateError(path, "has no valid 'clock'", _remedy(path))
    return Beat(path=path, facts=record, **{name: record[name] for name in _WHO})


def _read_each(home: Path, read: Callable[[Path], Found]) -> tuple[list[Found], list[StateError]]:
    found: list[Found] = []
    damaged: list[StateError] = []
    for path in sorted((home / "heartbeats").glob("[!.]*.json")):
        try:
            # a file may be renamed after it was listed
            with suppress(FileNotFoundError):
                found.append(read(path))
        except StateError as error:
            damaged.append(error)
    return found, damaged


def _kind(path: Path) -> str:
    """Return the kind of process that wrote a file, by its name; a past run of a feed is named after its source."""
    return path.stem.partition("-")[0]


def _remedy(path: Path) -> str:
    if _kind(path) in _UNCOUNTED:
        return "the ledger does not count by it; the next such process removes it, or you delete it"
    return (
        "it recorded what Kafka confirmed for its run; delete it, and `stocks ledger --accept` counts without that run"
    )


def _set_aside(home: Path, *, kind: str) -> None:
    """Rename the files of this kind's dead runs, and delete the oldest that the ledger does not count by."""
    beats, damaged = _read_all(home)
    for error in damaged:
        if kind in _UNCOUNTED and _kind(error.path) == kind:
            log.warning("%s; removed", error)
            error.path.unlink(missing_ok=True)
    for beat in beats:
        safe = beat.run_id.replace("-", "").replace("_", "").isalnum()
        if beat.kind == kind and safe and not beat.is_past and not beat.is_alive:
            with suppress(FileNotFoundError):
                beat.path.replace(beat.path.with_name(f"{beat.run_id}.json"))
    needless = [beat for beat in beats if beat.is_past and not any((beat.facts.get("confirmed") or {}).values())]
    for beat in sorted(needless, key=lambda beat: beat.at)[:-_KEPT]:
        beat.path.unlink(missing_ok=True)
