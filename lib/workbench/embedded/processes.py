"""Daemons: start one detached, recognise it later, find who holds a port, and stop it.

A daemon is identified by its pid *and* its start time, so that a recycled pid does not count, and a zombie counts as
dead. Its record is ``server.json`` in its folder; everything it writes stays in that folder.
"""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from stocklib.errors import EmbeddedError, StateError
from stocklib.host import is_alive
from stocklib.state_files import Shape, read_record, write_promise

# A server that listens on P may listen on P + 10000 too (S3's does, for gRPC). Both stay below the ports that
# Linux (32768 and up) and macOS give to outgoing connections, which could otherwise take one between two starts.
_FIRST_PORT, _LAST_PORT, _TWIN = 11_000, 22_000, 10_000
_SHAPE: Shape = {"name": str, "pid": int, "started": (int, float), "ports": dict, "flavour": str}
_REMEDY = "delete it and run `stocks up`, which ends the server of that record and starts another over the same data"
# Kept so that a child that dies before its starter is reaped, not left a zombie.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Daemon:
    """A started server: its process, its ports, and its command line without ports and secrets."""

    name: str
    pid: int
    started: float
    ports: dict[str, int]
    flavour: str
    folder: Path

    @property
    def log(self) -> Path:
        """Its log file."""
        return self.folder / "server.log"

    def is_alive(self) -> bool:
        """Whether that process still runs."""
        child = _children.get(self.pid)
        if child is not None and child.poll() is not None:
            del _children[self.pid]
            return False
        return is_alive(self.pid, started=self.started)


def start(
    name: str,
    command: Sequence[str],
    *,
    folder: Path,
    ports: dict[str, int],
    environ: Mapping[str, str],
    flavour: str = "",
) -> Daemon:
    """Start a server in its own session, with only PATH of our environment, and record it."""
    tmp = folder / "tmp"
    tmp.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    if log.exists():
        log.replace(folder / "server.log.1")
    # its own home, so that it neither reads a configuration in the user's home nor writes there
    env = {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "TMPDIR": str(tmp), **environ}
    with log.open("wb") as out:
        child = subprocess.Popen(  # noqa: S603
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=env,
            start_new_session=True,
        )
    _children[child.pid] = child
    try:
        started = psutil.Process(child.pid).create_time()
    except psutil.Error:
        started = time.time()
    daemon = Daemon(name, child.pid, started, ports, flavour, folder)
    _remember(daemon)
    return daemon


def recall(folder: Path, *, port: str = "") -> Daemon | None:
    """Return the daemon that was last started in this folder, dead or alive; ``StateError`` without a valid port."""
    path = folder / "server.json"
    try:
        record = read_record(path, shape=_SHAPE, remedy=_REMEDY)
    except FileNotFoundError:
        return None
    ports = record["ports"]
    if not all(isinstance(number, int) for number in ports.values()) or (port and port not in ports):
        raise StateError(path, "has no valid 'ports'", _REMEDY)
    return Daemon(**{name: record[name] for name in _SHAPE}, folder=folder)


def stop(daemon: Daemon, *, grace: float) -> None:
    """End a daemon: SIGTERM, wait ``grace`` seconds, then SIGKILL. Do nothing for a dead one."""
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
        if not daemon.is_alive():
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(daemon.pid, number)
        deadline = time.monotonic() + seconds
        while daemon.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)
    if daemon.is_alive():
        raise EmbeddedError(f"{daemon.name} (pid {daemon.pid}) does not end, not even by SIGKILL; see {daemon.log}")


def wait_until(daemon: Daemon, answers: Callable[[], str | None], *, seconds: float) -> None:
    """Wait until ``answers`` has no complaint; stop a daemon that dies or stays silent, and raise why."""
    deadline = time.monotonic() + seconds
    complaint: str | None = ""
    while daemon.is_alive():
        complaint = answers()
        if complaint is None:
            return
        if time.monotonic() > deadline:
            stop(daemon, grace=1)
            complaint = f"did not answer within {seconds:.0f} s ({complaint})"
            break
        time.sleep(0.03)
    else:
        complaint = "ended at once"
    taken = [f"port {port} is held by {holder(port)}" for port in daemon.ports.values() if not is_free(port)]
    raise EmbeddedError(
        f"the embedded {daemon.name} server {complaint}. {'; '.join([*taken, ''])}"
        f"Its log, {daemon.log}, ends with: {_tail(daemon.log)}"
    )


def free_ports(names: Sequence[str], *, wanted: Mapping[str, int]) -> dict[str, int]:
    """Return a free loopback port for each name: the wanted one where it is still free, else another."""
    chosen: dict[str, int] = {}
    candidates = _candidates()
    for name in names:
        port = wanted.get(name, 0)
        while port in chosen.values() or not (port and is_free(port) and is_free(port + _TWIN)):
            port = next(candidates)
        chosen[name] = port
    return chosen


def is_free(port: int) -> bool:
    """Return whether no process listens on this loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    # macOS lets a process bind a specific address next to a listener on every address
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return sys.platform == "linux" or probe.connect_ex(("127.0.0.1", port)) != 0


def holder(port: int) -> str:
    """Return who listens on a port, as far as this user may see: ``python3 (pid 4711)``."""
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error):
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return f"{process.info['name']} (pid {process.pid})"
    return f"a process of another user (see lsof -i :{port} as root)"


def _remember(daemon: Daemon) -> None:
    record = {name: value for name, value in asdict(daemon).items() if name != "folder"}
    write_promise(daemon.folder / "server.json", json.dumps(record).encode(), private=True)


def _candidates() -> Iterator[int]:
    ports = list(range(_FIRST_PORT, _LAST_PORT))
    random.shuffle(ports)
    yield from ports
    raise EmbeddedError(f"no free loopback port between {_FIRST_PORT} and {_LAST_PORT}")


def _tail(log: Path, *, lines: int = 3) -> str:
    try:
        return " | ".join(log.read_text(encoding="utf-8", errors="replace").split("\n")[-lines - 1 :]).strip(" |")
    except OSError as error:
        return f"(unreadable: {error})"
