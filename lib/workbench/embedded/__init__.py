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

from stocklib.settings import END, ENDS, Settings
from stocklib.state_files import write_promise
from workbench.embedded import kafka, processes, replay_server, s3
from workbench.embedded.home import folder_of, locked, read_keys
from workbench.embedded.orphans import end_orphans
from workbench.embedded.processes import Daemon
from workbench.embedded.s3 import Keys

__all__ = ["ServerStatus", "Stack", "down", "is_alive", "running", "status", "up", "wanted"]

# The setting with each server's address: where the user sets it, ours is not needed.
_POINTED = {"s3": ("MINIO_ENDPOINT",), "kafka": ("KAFKA_BROKER",), "replay": ("FINNHUB_API_KEY", "FINNHUB_BASE_URL")}
_STATED = ("environment", ".env")
_NOWHERE = "127.0.0.1:1"
Say = Callable[[str], None]


@dataclass(frozen=True)
class ServerStatus:
    """One server: address, process, whether it lives and answers, log file, and a remark."""

    name: str
    address: str
    pid: int | None
    alive: bool
    answering: bool
    log: Path | None
    remark: str

    def __str__(self) -> str:
        state = "up" if self.answering else "NOT ANSWERING" if self.alive else "down"
        facts = [
            self.address,
            f"pid {self.pid}" if self.pid else "",
            f"log {self.log}" if self.log else "",
            self.remark,
        ]
        return f"{self.name:<7} {state:<14} " + "  ".join(fact for fact in facts if fact)


@dataclass(frozen=True)
class Stack:
    """The servers that ``up`` started or found."""

    home: Path
    servers: tuple[ServerStatus, ...]


def up(settings: Settings, *, on_progress: Say | None = None) -> Stack:
    """Start every embedded server that is needed and not running, and wait until each answers.

    A server that answers is left alone, unless it is a broker older than its S3 server. Raise ``EmbeddedError``.
    """
    say = on_progress or _silent
    with locked(settings):
        end_orphans(folder_of(settings))
        ours = _ours(settings)
        keys = read_keys(settings)
        storage: Daemon | None = None
        if "replay" in ours:
            replay = _begin_replay(settings, keys, say)
        if "s3" in ours or "kafka" in ours:
            storage = _run_s3(settings, keys, say)
            for bucket in (settings.minio_bucket, settings.minio_artifacts_bucket):
                s3.make_bucket(storage, _pair(keys), bucket)
        if "kafka" in ours and storage:
            _run_kafka(settings, keys, storage, say)
        if "replay" in ours:
            processes.wait_until(replay, lambda: replay_server.complaint(replay, keys["finnhub"]), seconds=60)
        write_promise(settings.embedded_env, _env(settings, keys).encode(), private=True)
    return Stack(home=settings.home, servers=tuple(status(settings)))


def status(settings: Settings) -> list[ServerStatus]:
    """Return the state of each server of the stack."""
    needed = wanted(settings)
    return [_status(settings, name, needed) for name in ("s3", "kafka", "replay")]


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
        for name, room in (("kafka", kafka), ("s3", s3), ("replay", replay_server)):
            daemon = processes.recall(folder_of(settings, name), port=name)
            if daemon:
                room.stop(daemon)
        end_orphans(folder_of(settings))
        if settings.embedded_env.exists():
            # an address without a server: another process may use the old port by tomorrow
            write_promise(settings.embedded_env, _env(settings, read_keys(settings), up=False).encode(), private=True)


@contextmanager
def running(settings: Settings, *, on_progress: Say | None = None) -> Iterator[None]:
    """Run the needed servers during the block; stop those of a stack that was down after it."""
    ran = any(is_alive(settings, name) for name in wanted(settings))
    up(settings, on_progress=on_progress)
    try:
        yield
    finally:
        if not ran:
            (on_progress or _silent)("stopping the embedded servers")
            down(settings)


def _begin_replay(settings: Settings, keys: dict[str, str], say: Say) -> Daemon:
    folder = folder_of(settings, "replay")
    before = processes.recall(folder, port="replay")
    if before and before.is_alive():
        if (
            before.flavour == replay_server.flavour(settings)
            and replay_server.complaint(before, keys["finnhub"]) is None
        ):
            return before
        say(
            "replay: restarting it, since it does not answer, or was started by another release or with another start, "
            "speed or data"
        )
        replay_server.stop(before)
    say(f"replay: starting at {settings.replay_start} New York time, speed {settings.replay_speed}")
    return replay_server.start(folder, settings, key=keys["finnhub"], wanted=_wanted(before, say))


def _run_s3(settings: Settings, keys: dict[str, str], say: Say) -> Daemon:
    folder, pair = folder_of(settings, "s3"), _pair(keys)
    before = processes.recall(folder)
    if before and before.is_alive():
        if before.flavour == s3.FLAVOUR and s3.complaint(before, pair) is None:
            return before
        say(f"S3: restarting pid {before.pid}, since it does not answer or another release started it")
    if before:
        s3.stop(before)
    say("S3: starting SeaweedFS (a few seconds)")
    began = time.monotonic()
    daemon = s3.start(folder, pair, wanted=_wanted(before, say))
    processes.wait_until(daemon, lambda: s3.complaint(daemon, pair), seconds=60)
    say(f"S3: answers at 127.0.0.1:{daemon.ports['s3']} after {time.monotonic() - began:.1f} s")
    return daemon


def _run_kafka(settings: Settings, keys: dict[str, str], storage: Daemon, say: Say) -> Daemon:
    folder, pair = folder_of(settings, "kafka"), _pair(keys)
    before = processes.recall(folder)
    if before and before.is_alive():
        # a broker older than its S3 server may keep answers of the dead one
        if before.started > storage.started and kafka.complaint(before) is None:
            return before
        say(f"Kafka: restarting pid {before.pid}, since it does not answer or its S3 server is a new one")
        kafka.stop(before)
    s3.make_bucket(storage, pair, kafka.BUCKET)
    say("Kafka: starting Tansu")
    daemon = kafka.start(folder, pair, s3_port=storage.ports["s3"], wanted=_wanted(before, say))
    processes.wait_until(daemon, lambda: kafka.complaint(daemon), seconds=30)
    say(f"Kafka: answers at 127.0.0.1:{daemon.ports['kafka']}")
    return daemon


def _ours(settings: Settings) -> set[str]:
    return {
        name
        for name, pointers in _POINTED.items()
        if not any(settings.origins[pointer] in _STATED for pointer in pointers)
    }


def _status(settings: Settings, name: str, needed: set[str]) -> ServerStatus:
    daemon = processes.recall(folder_of(settings, name), port=name)
    if name not in needed and not (daemon and daemon.is_alive()):
        pointer = next(p for p in _POINTED[name] if settings.origins[p] in _STATED)
        remark = f"not embedded: {pointer} is set in the {settings.origins[pointer]}; `stocks doctor` asks yours"
        return ServerStatus(name, "", None, False, False, None, remark)
    if daemon is None:
        return ServerStatus(name, "", None, False, False, None, "never started here: stocks up")
    address = f"127.0.0.1:{daemon.ports[name]}"
    if not daemon.is_alive():
        taken = [
            f"port {port} is held by {processes.holder(port)}"
            for port in daemon.ports.values()
            if not processes.is_free(port)
        ]
        remark = "; ".join([*taken, "stocks up starts it" + (" on another port" if taken else "")])
        return ServerStatus(name, address, None, False, False, daemon.log, remark)
    wrong = _complaint(name, daemon, read_keys(settings))
    remark = f"{wrong}: stocks up restarts it" if wrong else ""
    return ServerStatus(name, address, daemon.pid, True, wrong is None, daemon.log, remark)


def _complaint(name: str, daemon: Daemon, keys: dict[str, str]) -> str | None:
    if name == "s3":
        return s3.complaint(daemon, _pair(keys))
    return replay_server.complaint(daemon, keys["finnhub"]) if name == "replay" else kafka.complaint(daemon)


def _wanted(before: Daemon | None, say: Say) -> dict[str, int]:
    """Return the ports of last time, so that addresses stay; report one that another process holds now."""
    ports = before.ports if before else {}
    for port in ports.values():
        if not processes.is_free(port):
            say(f"port {port}, used last time, is now held by {processes.holder(port)}: taking another")
    return ports


def _env(settings: Settings, keys: dict[str, str], *, up: bool = True) -> str:
    """Return the settings that clients of the running servers need."""
    at = {}
    for name in ("s3", "kafka", "replay"):
        daemon = processes.recall(folder_of(settings, name), port=name)
        at[name] = f"127.0.0.1:{daemon.ports[name]}" if up and daemon else _NOWHERE
    ours = _ours(settings)
    values: dict[str, str | Path] = {}
    if "s3" in ours:
        values |= {
            "MINIO_ENDPOINT": f"http://{at['s3']}",
            "MINIO_ACCESS_KEY": keys["access"],
            "MINIO_SECRET_KEY": keys["secret"],
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
            "FINNHUB_API_KEY": keys["finnhub"],
            "STOCKS_WATCHLIST": replay_server.symbols_file(folder_of(settings, "replay"), settings),
            "CLOSE_SETTLE_SECONDS": "0",
            "FINNHUB_CALLS_PER_MINUTE": "0",
            "FINNHUB_CALLS_PER_SECOND": "0",
        }
    header = f"# Written by `stocks up` and `stocks down`{ENDS}. The environment and .env win over it.\n"
    return header + "".join(f"{name}='{value}'\n" for name, value in values.items()) + END


def _pair(keys: dict[str, str]) -> Keys:
    return Keys(access=keys["access"], secret=keys["secret"])


def _silent(text: str) -> None:
    """Default of ``on_progress``."""
