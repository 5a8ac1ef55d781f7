"""The roles of a stream, each run as ``python -m workbench.supervisor.roles ROLE DEMO PLAN`` by the supervisor.

A role ends in order when it reads the word ``stop`` on its standard input, or when that input ends, since then the
supervisor is gone. It also ends in order after SIGTERM, and the supervisor starts it again. Its exit status is 0 when
it is done, 3 when a restart would fail again, 1 otherwise.
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

from stocklib.errors import StocksError
from stocklib.logs import write_log
from stocklib.settings import Settings, read_settings
from workbench.supervisor.plan import DONE, FAILED, HOPELESS, Plan

log = logging.getLogger("workbench.supervisor")

_MEASUREMENTS_BYTES = 20_000_000
_LAST_LOAD_SECONDS = 60.0
_LOOK_SECONDS = 1.0


def main(role: str, demo: str, plan: str) -> int:
    """Run one role until it is asked to end or its work is done; return the exit status."""
    # Ctrl-C reaches every process of a terminal; the supervisor decides when they end
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop_requested, supervisor_gone, terminated = threading.Event(), threading.Event(), threading.Event()

    def end_in_order(number: int, frame: Any) -> None:
        terminated.set()
        stop_requested.set()

    signal.signal(signal.SIGTERM, end_in_order)
    threading.Thread(target=_read_commands, args=(stop_requested, supervisor_gone), daemon=True).start()
    try:
        settings = Plan.from_json(plan).applied_to(read_settings(demo=demo == "demo"))
        write_log(sys.stderr, level=settings.stocks_log, secrets=settings.secrets())
        _ROLES[role](settings, Plan.from_json(plan), stop_requested, supervisor_gone)
    except StocksError as error:
        log.error("%s", error)
        return HOPELESS if error.is_hopeless else FAILED
    # another process asked it to end: the supervisor starts it again
    return FAILED if terminated.is_set() else DONE


def _produce(settings: Settings, plan: Plan, stop_requested: threading.Event, supervisor_gone: threading.Event) -> None:
    from stocklib.pipeline.ingest import produce

    symbols = list(plan.symbols) if plan.symbols else None
    produce(settings, until_close=plan.until_close, symbols=symbols, stop=stop_requested)


def _listen_to_trades(
    settings: Settings, plan: Plan, stop_requested: threading.Event, supervisor_gone: threading.Event
) -> None:
    from stocklib.pipeline.ingest import produce_trades

    symbols = list(plan.symbols) if plan.symbols else None
    # where quotes are polled too, they move a stepping clock
    alone = plan.producers == ["trades"]
    produce_trades(settings, until_close=plan.until_close, symbols=symbols, stop=stop_requested, moves_clock=alone)


def _consume(settings: Settings, plan: Plan, stop_requested: threading.Event, supervisor_gone: threading.Event) -> None:
    from stocklib.pipeline.landing import LandedBatch, land

    write_measurement = _measurements(settings, "consumer")

    def landed(batch: LandedBatch) -> None:
        write_measurement(
            key=batch.key, topic=batch.topic, partition=batch.partition, first=batch.first, last=batch.last,
            messages=batch.messages,
        )  # fmt: skip

    land(settings, stop=supervisor_gone, drain=stop_requested, on_batch=landed)


def _load(settings: Settings, plan: Plan, stop_requested: threading.Event, supervisor_gone: threading.Event) -> None:
    from stocklib.pipeline.transform import follow
    from stocklib.pipeline.transform.micro_batches import PublishedBatch

    write_measurement = _measurements(settings, "loader")

    def published(batch: PublishedBatch) -> None:
        write_measurement(
            load_id=batch.loaded.load_id, objects=batch.loaded.objects, rows=batch.loaded.rows,
            models=batch.built.models, tests=batch.built.tests, whole=batch.built.is_whole, seconds=batch.seconds,
        )  # fmt: skip

    follow(settings, stop=stop_requested, on_batch=published)


def _keep(settings: Settings, plan: Plan, stop_requested: threading.Event, supervisor_gone: threading.Event) -> None:
    """Stop the embedded servers that the stream started when the supervisor is gone."""
    # with a timeout: the system may give SIGTERM to another thread, and only this one can handle it
    while not stop_requested.wait(_LOOK_SECONDS):
        continue
    if not supervisor_gone.is_set():
        return
    from stocklib.monitoring.heartbeat import read_heartbeats
    from workbench import embedded

    deadline = time.monotonic() + _LAST_LOAD_SECONDS
    # the other roles are still finishing
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


def _read_commands(stop_requested: threading.Event, supervisor_gone: threading.Event) -> None:
    if not sys.stdin.readline():
        supervisor_gone.set()
    stop_requested.set()
    # a role that was asked to end ends sooner when the supervisor is gone
    while sys.stdin.readline():
        pass
    supervisor_gone.set()


def _measurements(settings: Settings, role: str) -> Callable[..., None]:
    """Return a writer of measurements with the wall clock: JSON lines in ``logs/stream-<role>.jsonl``."""
    path = settings.home / "logs" / f"stream-{role}.jsonl"
    with suppress(FileNotFoundError):
        if path.stat().st_size > _MEASUREMENTS_BYTES:
            path.replace(path.with_name(f"{path.name}.1"))

    def write_measurement(**facts: Any) -> None:
        with suppress(OSError), Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"at": time.time(), **facts}) + "\n")

    return write_measurement


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
