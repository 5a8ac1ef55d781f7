"""The parts of a stream, each run as ``python -m workbench.supervisor.roles ROLE DEMO PLAN`` by the supervisor.

A part ends in order when it reads the word ``stop`` on its standard input, and also when that ends: then the supervisor
is gone. Its exit status is 0 when it is done, 3 when trying again is of no use, 1 otherwise.
"""

import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from stocklib.errors import InputError, KeyRefused, SettingsError, StocksError, WrongSource
from stocklib.logs import write_log
from stocklib.settings import Settings, read_settings
from workbench.supervisor.plan import DONE, FAILED, HOPELESS, Plan

log = logging.getLogger("workbench.supervisor")

_EVENTS_BYTES = 20_000_000
_AFTER_THE_PARTS = 60.0


def main(role: str, demo: str, plan: str) -> int:
    """Be one part until told to end, or until its work is done; the exit status."""
    # Ctrl-C reaches every process of a terminal; the supervisor is the one that decides
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told, gone = threading.Event(), threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: told.set())
    threading.Thread(target=_hear, args=(told, gone), daemon=True).start()
    try:
        settings = Plan.from_json(plan).applied_to(read_settings(demo=demo == "demo"))
        write_log(sys.stderr, level=settings.stocks_log, secrets=settings.secrets())
        _ROLES[role](settings, Plan.from_json(plan), told, gone)
    except (InputError, KeyRefused, SettingsError, WrongSource) as error:
        log.error("%s", error)
        return HOPELESS
    except StocksError as error:
        log.error("%s", error)
        return FAILED
    return DONE


def _produce(settings: Settings, plan: Plan, told: threading.Event, gone: threading.Event) -> None:
    from stocklib.pipeline.ingest import produce

    symbols = list(plan.symbols) if plan.symbols else None
    produce(settings, until_close=plan.until_close, symbols=symbols, stop=told)


def _listen_to_trades(settings: Settings, plan: Plan, told: threading.Event, gone: threading.Event) -> None:
    from stocklib.pipeline.ingest import produce_trades

    symbols = list(plan.symbols) if plan.symbols else None
    # where quotes are polled too, they move a stepping clock
    alone = plan.producers == ["trades"]
    produce_trades(settings, until_close=plan.until_close, symbols=symbols, stop=told, moves_clock=alone)


def _consume(settings: Settings, plan: Plan, told: threading.Event, gone: threading.Event) -> None:
    from stocklib.pipeline.landing import LandedBatch, land

    tell = _events(settings, "consumer")

    def landed(batch: LandedBatch) -> None:
        tell(
            key=batch.key, topic=batch.topic, partition=batch.partition, first=batch.first, last=batch.last,
            messages=batch.messages,
        )  # fmt: skip

    land(settings, stop=gone, drain=told, on_batch=landed)


def _load(settings: Settings, plan: Plan, told: threading.Event, gone: threading.Event) -> None:
    from stocklib.pipeline.transform import follow
    from stocklib.pipeline.transform.micro_batches import PublishedBatch

    tell = _events(settings, "loader")

    def took(batch: PublishedBatch) -> None:
        tell(
            load_id=batch.loaded.load_id, objects=batch.loaded.objects, rows=batch.loaded.rows,
            models=batch.built.models, tests=batch.built.tests, whole=batch.built.is_whole, seconds=batch.seconds,
        )  # fmt: skip

    follow(settings, stop=told, on_batch=took)


def _keep(settings: Settings, plan: Plan, told: threading.Event, gone: threading.Event) -> None:
    """Stop the embedded servers that the stream started when the supervisor cannot do it any more."""
    told.wait()
    if not gone.is_set():
        return
    from stocklib.monitoring.heartbeat import read_heartbeats
    from workbench import embedded

    deadline = time.monotonic() + _AFTER_THE_PARTS
    # they are flushing
    while any(beat.is_alive for beat in read_heartbeats(settings.home)) and time.monotonic() < deadline:
        time.sleep(0.2)
    embedded.down(settings)


_ROLES: dict[str, Callable[[Settings, Plan, threading.Event, threading.Event], None]] = {
    "producer": _produce,
    "trades": _listen_to_trades,
    "consumer": _consume,
    "loader": _load,
    "keeper": _keep,
}


def _hear(told: threading.Event, gone: threading.Event) -> None:
    if not sys.stdin.readline():
        gone.set()
    told.set()
    # also one that was told to end does so sooner when the supervisor is gone
    while sys.stdin.readline():
        pass
    gone.set()


def _events(settings: Settings, role: str) -> Callable[..., None]:
    """Writes what happened as lines of JSON with the wall clock, for whoever measures: ``logs/stream-<role>.jsonl``."""
    path = settings.home / "logs" / f"stream-{role}.jsonl"
    with suppress(FileNotFoundError):
        if path.stat().st_size > _EVENTS_BYTES:
            path.replace(path.with_name(f"{path.name}.1"))

    def tell(**facts: Any) -> None:
        with suppress(OSError), Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"at": time.time(), **facts}) + "\n")

    return tell


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
