"""The supervisor: start the processes of a stream, keep them running, report their status, end them in order."""

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


def run_stream(
    settings: Settings,
    plan: Plan,
    *,
    stop: threading.Event,
    say: Callable[[str], None],
    on_status: Callable[[Status], None],
) -> Status:
    """Run everything until ``stop`` is set, the plan's ``duration`` is over or, with ``until_close``, the session is.

    The producer ends first, then the consumer when it has landed everything, then the loader when that is published.
    ``StocksError`` when a process reports that another try would fail too.
    """
    servers = Servers(settings, say=say)
    keeper = Child("keeper", settings, plan)
    children: dict[str, Child] = {}
    try:
        if servers.started_here:
            keeper.ensure_running()
        settings = servers.begin()
        children = {role: Child(role, settings, plan) for role in ("loader", "consumer", *plan.producers)}
        began = time.monotonic()
        while not _is_over([children[role] for role in plan.producers], plan, stop, began):
            _ensure_running(children, servers)
            on_status(read_status(settings, children, servers))
            stop.wait(_LOOK_SECONDS)
        for role in plan.producers:
            children[role].request_stop()
        for role in (*plan.producers, "consumer", "loader"):
            children[role].finish(on_wait=lambda: on_status(read_status(settings, children, servers)))
        return read_status(settings, children, servers)
    finally:
        for child in children.values():
            child.end()
        servers.end()
        keeper.finish()


def _is_over(producers: Sequence[Child], plan: Plan, stop: threading.Event, began: float) -> bool:
    is_late = plan.duration is not None and time.monotonic() - began >= plan.duration
    return stop.is_set() or is_late or all(producer.is_done for producer in producers)


def _ensure_running(children: dict[str, Child], servers: Servers) -> None:
    if servers.moved.is_set():
        servers.moved.clear()
        log.warning("the embedded servers have other addresses now: restarting every process")
        for child in children.values():
            child.restart()
    for child in children.values():
        child.ensure_running()
