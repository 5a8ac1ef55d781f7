"""The embedded stack, for a machine without servers: an S3 server, a Kafka broker and a replay, on loopback.

``up`` starts every server that the settings do not replace and writes the addresses and generated keys to
``STOCKS_HOME/embedded.env``, where ``settings`` finds them; ``status`` reports the servers; ``down`` stops them. Their
data is under ``STOCKS_HOME/embedded`` and stays for the next ``up``.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stocklib.settings import END, ENDS, Settings, read_settings
from stocklib.state_files import write_promise
from workbench.embedded import kafka, processes, replay_server, s3
from workbench.embedded.home import Keys, folder_of, locked, read_keys
from workbench.embedded.orphans import end_orphans
from workbench.embedded.processes import Daemon

__all__ = ["ServerStatus", "down", "is_alive", "running", "status", "up", "wanted"]

_STATED = ("environment", ".env")
_NOWHERE = "127.0.0.1:1"
Say = Callable[[str], None]


# Each has TITLE, WHAT, POINTERS, start, flavour, complaint and stop.
_SERVERS: dict[str, Any] = {"s3": s3, "kafka": kafka, "replay": replay_server}


@dataclass(frozen=True)
class ServerStatus:
    """One server: address, process, whether it lives and answers, log file, and a remark."""

    name: str
    address: str = ""
    pid: int | None = None
    alive: bool = False
    answering: bool = False
    log: Path | None = None
    remark: str = ""

    def __str__(self) -> str:
        state = "up" if self.answering else "NOT ANSWERING" if self.alive else "down"
        facts = [
            self.address,
            f"pid {self.pid}" if self.pid else "",
            f"log {self.log}" if self.log else "",
            self.remark,
        ]
        return f"{self.name:<7} {state:<14} " + "  ".join(fact for fact in facts if fact)


def up(settings: Settings, *, on_progress: Say | None = None) -> list[ServerStatus]:
    """Start every embedded server that is needed and not running, wait until each answers, and return their state.

    A server that answers is left alone, unless it is a broker older than its S3 server. Raise ``EmbeddedError``.
    """
    say = on_progress or _silent
    with locked(settings):
        end_orphans(folder_of(settings))
        needed, keys = wanted(settings), read_keys(settings)
        # it starts while the others do
        answer_of_replay = _begin(settings, "replay", keys, say) if "replay" in needed else None
        if "s3" in needed:
            storage = _begin(settings, "s3", keys, say)()
            buckets = [settings.minio_bucket, settings.minio_artifacts_bucket]
            for bucket in [*buckets, kafka.BUCKET] if "kafka" in needed else buckets:
                s3.make_bucket(storage, keys, bucket)
        if "kafka" in needed:
            _begin(settings, "kafka", keys, say)()
        if answer_of_replay:
            answer_of_replay()
        write_promise(settings.embedded_env, _env(settings, keys).encode(), private=True)
    return status(settings)


def status(settings: Settings) -> list[ServerStatus]:
    """Return the state of each server of the stack."""
    needed = wanted(settings)
    return [_status(settings, name, needed) for name in _SERVERS]


def wanted(settings: Settings) -> set[str]:
    """Return the servers that these settings do not replace; the broker needs the S3 server."""
    ours = _ours(settings)
    return ours | ({"s3"} if "kafka" in ours else set())


def is_alive(settings: Settings, name: str) -> bool:
    """Return whether the process of a server runs; ``status`` says whether it answers."""
    daemon = processes.recall(folder_of(settings, name), port=name)
    return daemon is not None and daemon.is_alive()


def down(settings: Settings) -> None:
    """Stop every embedded server of this home, also those that the settings no longer need; the data stays."""
    if not folder_of(settings).is_dir():
        return
    with locked(settings):
        # the broker first, which writes to the S3 server
        for name in ("kafka", "s3", "replay"):
            if daemon := processes.recall(folder_of(settings, name), port=name):
                _SERVERS[name].stop(daemon)
        end_orphans(folder_of(settings))
        if settings.embedded_env.exists():
            # an address without a server: another process may use the old port by tomorrow
            write_promise(settings.embedded_env, _env(settings, read_keys(settings), up=False).encode(), private=True)


@contextmanager
def running(settings: Settings, *, only_for: str = "", on_progress: Say | None = None) -> Iterator[Settings]:
    """Run the needed servers during the block; stop those of a stack that was down after it.

    Yield the settings with their addresses; the same settings where none is needed, or not the one named by
    ``only_for``.
    """
    needed = wanted(settings)
    if not needed or (only_for and only_for not in needed):
        yield settings
        return
    ran = any(is_alive(settings, name) for name in needed)
    up(settings, on_progress=on_progress)
    try:
        yield read_settings(demo=settings.demo)
    finally:
        if not ran:
            (on_progress or _silent)("stopping the embedded servers")
            down(settings)


def _begin(settings: Settings, name: str, keys: Keys, say: Say) -> Callable[[], Daemon]:
    """Start a server, unless one like it runs and answers; return a function that waits until it answers."""
    server, before = _SERVERS[name], processes.recall(folder_of(settings, name), port=name)
    if before and before.is_alive():
        if before.flavour == server.flavour(settings) and server.complaint(before, keys) is None:
            return lambda: before
        say(
            f"{server.TITLE}: restarting pid {before.pid}, since it does not answer, its settings or its S3 server are "
            "others now, or another release started it"
        )
    if before:
        server.stop(before)
    say(f"{server.TITLE}: starting {server.WHAT.format(settings)}")
    began = time.monotonic()
    daemon: Daemon = server.start(settings, keys, wanted=_wanted(before, say))

    def wait() -> Daemon:
        processes.wait_until(daemon, lambda: server.complaint(daemon, keys), seconds=60)
        say(f"{server.TITLE}: answers at 127.0.0.1:{daemon.ports[name]} after {time.monotonic() - began:.1f} s")
        return daemon

    return wait


def _ours(settings: Settings) -> set[str]:
    return {
        name
        for name, server in _SERVERS.items()
        if not any(settings.origins[pointer] in _STATED for pointer in server.POINTERS)
    }


def _status(settings: Settings, name: str, needed: set[str]) -> ServerStatus:
    daemon = processes.recall(folder_of(settings, name), port=name)
    if name not in needed and not (daemon and daemon.is_alive()):
        pointer = next(p for p in _SERVERS[name].POINTERS if settings.origins[p] in _STATED)
        remark = f"not embedded: {pointer} is set in the {settings.origins[pointer]}; `stocks doctor` asks yours"
        return ServerStatus(name, remark=remark)
    if daemon is None:
        return ServerStatus(name, remark="never started here: stocks up")
    address = f"127.0.0.1:{daemon.ports[name]}"
    if not daemon.is_alive():
        taken = [
            f"port {port} is held by {processes.holder(port)}"
            for port in daemon.ports.values()
            if not processes.is_free(port)
        ]
        remark = "; ".join([*taken, "stocks up starts it" + (" on another port" if taken else "")])
        return ServerStatus(name, address, log=daemon.log, remark=remark)
    wrong = _SERVERS[name].complaint(daemon, read_keys(settings))
    remark = f"{wrong}: stocks up restarts it" if wrong else ""
    return ServerStatus(name, address, daemon.pid, True, wrong is None, daemon.log, remark)


def _wanted(before: Daemon | None, say: Say) -> dict[str, int]:
    """Return the ports of last time, so that addresses stay; report one that another process holds now."""
    ports = before.ports if before else {}
    for port in ports.values():
        if not processes.is_free(port):
            say(f"port {port}, used last time, is now held by {processes.holder(port)}: taking another")
    return ports


def _env(settings: Settings, keys: Keys, *, up: bool = True) -> str:
    """Return the settings that clients of the running servers need."""
    at = {}
    for name in _SERVERS:
        daemon = processes.recall(folder_of(settings, name), port=name)
        at[name] = f"127.0.0.1:{daemon.ports[name]}" if up and daemon else _NOWHERE
    ours = _ours(settings)
    values: dict[str, str | Path] = {}
    if "s3" in ours:
        values |= {
            "MINIO_ENDPOINT": f"http://{at['s3']}",
            "MINIO_ACCESS_KEY": keys.access,
            "MINIO_SECRET_KEY": keys.secret,
            "MINIO_REGION": s3.REGION,
        }
    if "kafka" in ours:
        values |= {
            "KAFKA_BROKER": at["kafka"],
            "KAFKA_PARTITIONS": "3",
            # a join takes half of it on this broker
            "KAFKA_SESSION_TIMEOUT_MS": "6000",
        }
    if "replay" in ours:
        values |= {
            "FINNHUB_BASE_URL": f"http://{at['replay']}/api/v1",
            "FINNHUB_WS_URL": f"ws://{at['replay']}",
            "FINNHUB_API_KEY": keys.finnhub,
            "STOCKS_WATCHLIST": replay_server.symbols_file(settings),
            "CLOSE_SETTLE_SECONDS": "0",
            "FINNHUB_CALLS_PER_MINUTE": "0",
            "FINNHUB_CALLS_PER_SECOND": "0",
        }
    header = f"# Written by `stocks up` and `stocks down`{ENDS}. The environment and .env win over it.\n"
    return header + "".join(f"{name}='{value}'\n" for name, value in values.items()) + END


def _silent(text: str) -> None:
    """Default of ``on_progress``."""
