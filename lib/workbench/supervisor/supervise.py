"""The supervisor: starts the parts of a stream, keeps them running, says how they are, and ends them in order."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from stocklib.settings import Settings
from workbench.supervisor.children import Child
from workbench.supervisor.plan import Plan
from workbench.supervisor.stack import Servers
from workbench.supervisor.status_line import Status, read_status

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2
# How long each part may take to end in order: the producer flushes, the consumer reads to the end and writes, the
# loader makes one more batch.
_PATIENCE = {"producer": 20.0, "trades": 20.0, "consumer": 40.0, "loader": 120.0}


def run_stream(
    settings: Settings,
    plan: Plan,
    *,
    stop: threading.Event,
    say: Callable[[str], None],
    on_status: Callable[[Status], None],
) -> Status:
    """Run everything until ``stop`` is set, the plan's ``duration`` is over or, with ``until_close``, the session is.

    Then the producer ends first, the consumer when it has landed everything, the loader when that is published.
    ``StocksError`` when a part says that trying again is of no use.
    """
    servers = Servers(settings, say=say)
    keeper = Child("keeper", settings, plan)
    parts: dict[str, Child] = {}
    try:
        if servers.started_here:
            keeper.watch()
        settings = servers.begin()
        parts = {role: Child(role, settings, plan) for role in ("loader", "consumer", *plan.producers)}
        began = time.monotonic()
        while not _is_over([parts[role] for role in plan.producers], plan, stop, began):
            _watch(parts, servers)
            on_status(read_status(settings, parts, servers))
            stop.wait(_LOOK_SECONDS)
        for role in plan.producers:
            parts[role].ask()
        for role in (*plan.producers, "consumer", "loader"):
            _finish(parts[role], on_wait=lambda: on_status(read_status(settings, parts, servers)))
        return read_status(settings, parts, servers)
    finally:
        for child in parts.values():
            child.end()
        servers.end()
        keeper.ask()
        while not keeper.has_ended():
            time.sleep(_LOOK_SECONDS)
        keeper.end()


def _is_over(producers: Sequence[Child], plan: Plan, stop: threading.Event, began: float) -> bool:
    is_late = plan.duration is not None and time.monotonic() - began >= plan.duration
    return stop.is_set() or is_late or all(producer.is_done for producer in producers)


def _watch(parts: dict[str, Child], servers: Servers) -> None:
    if servers.moved.is_set():
        servers.moved.clear()
        log.warning("the embedded servers have other addresses now: starting every part again")
        for child in parts.values():
            child.restart()
    for child in parts.values():
        child.watch()


def _finish(child: Child, *, on_wait: Callable[[], None]) -> None:
    deadline = time.monotonic() + _PATIENCE[child.role]
    child.ask()
    while not child.has_ended() and time.monotonic() < deadline:
        on_wait()
        time.sleep(0.05)
    child.end()
