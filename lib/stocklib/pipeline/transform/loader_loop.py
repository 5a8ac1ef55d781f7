"""lake → gold in a loop: load, build and publish new objects batch by batch, with a heartbeat.

A temporary failure (S3 out of reach, another writer, a failed test or a gap until the rest of the data comes) is
logged, counted and tried again after growing pauses; any other failure ends the run.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from stocklib.backoff import Backoff
from stocklib.clocks import KeepAliveStop
from stocklib.errors import (
    CostLimitReached,
    LakeError,
    LedgerUnbalanced,
    StocksError,
    TransformFailed,
    WarehouseBusy,
    WarehouseError,
)
from stocklib.monitoring.heartbeat import Heartbeat, name_run
from stocklib.pipeline.transform.micro_batches import MicroBatches, PublishedBatch
from stocklib.settings import Settings
from stocklib.warehouse import open_warehouse
from stocklib.warehouse.cost import next_midnight

log = logging.getLogger(__name__)

# A load of everything, or dbt's work on it, may write no heartbeat before it is done.
_SILENT_SECONDS = 1800.0
# How often the lake is listed.
_LOOK_SECONDS = 0.25
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


def follow(settings: Settings, *, stop: threading.Event, on_batch: Callable[[PublishedBatch], None]) -> None:
    """Load and publish what lands until ``stop`` is set, and once more then; at most one batch every ``LOAD_SECONDS``.

    ``on_batch`` is called with each batch that was not empty.
    """
    health = LoaderHealth(settings)
    keep_alive_stop = KeepAliveStop(stop)
    keep_alive_stop.keep_alive = health.beat
    batches = MicroBatches(settings, on_step=health.step)
    ended, backoff = "error", Backoff(first=_FIRST_PAUSE, longest=_LONGEST_PAUSE)
    try:
        while True:
            began, is_last = time.monotonic(), stop.is_set()
            try:
                batch = batches.run_once()
            except (CostLimitReached, LakeError, WarehouseBusy, TransformFailed, LedgerUnbalanced) as error:
                if is_last:
                    raise
                # a spent limit: no statement until the next day's credits, each one costs
                pause = _until_midnight() if isinstance(error, CostLimitReached) else backoff.fail()
                log.error("%s; trying again in %.0f s", error, pause)
                health.failed(error)
                keep_alive_stop.wait(pause)
                continue
            backoff.succeed()
            health.batch_done(batch)
            if not batch.is_empty:
                log.info("%s", batch)
                on_batch(batch)
            if is_last:
                ended, health.state = "stopped", "stopped as asked"
                return
            health.step("waiting for new objects")
            keep_alive_stop.wait(settings.load_seconds - (time.monotonic() - began))
            while not stop.is_set() and not batches.is_due():
                stop.wait(_LOOK_SECONDS)
                health.beat()
    except StocksError:
        health.state = "ended by an error"
        raise
    except KeyboardInterrupt:
        ended, health.state = "stopped", "stopped as asked"
        raise
    finally:
        health.end(ended)


def _until_midnight() -> float:
    now = datetime.now(UTC)
    return (next_midnight(now) - now).total_seconds()


class LoaderHealth:
    """The heartbeat and the metrics of a process that loads and publishes.

    Call ``batch_done`` after a batch, ``failed`` after a failure, ``beat`` in between.
    """

    def __init__(self, settings: Settings) -> None:
        self.state = "starting"
        self._settings = settings
        self._counts = {"messages": 0, "objects": 0, "loads": 0, "errors": 0}
        # why the last round failed, until one succeeds
        self._trouble: str | None = None
        self._published_at: float | None = None
        self._last_event_at: float | None = None
        self._batch_seconds: float | None = None
        run_id = name_run("loader")
        self._heartbeat = Heartbeat(settings.home, role="loader", run_id=run_id, metrics_port=settings.metrics_port)

    def batch_done(self, batch: PublishedBatch) -> None:
        """Record that a batch is done."""
        if batch.loaded.objects:
            self._counts["messages"] += batch.loaded.rows
            self._counts["objects"] += batch.loaded.objects
            self._counts["loads"] += 1
        self._batch_seconds = round(sum(batch.seconds.values()), 3)
        if not batch.is_empty or self._published_at is None:
            self.published()
        self._trouble = None

    def step(self, state: str) -> None:
        """Record the current step."""
        self.state = state
        self.beat()

    def published(self) -> None:
        """Record that readers see the newest gold."""
        self._trouble = None
        self._published_at = time.time()
        try:
            newest = open_warehouse(self._settings).query("select max(fetched_at) as newest from gold.gold_kpi")
        except WarehouseError as error:
            log.debug("asking gold for its newest quote: %s", error)
            return
        if not newest["newest"].isna().all():
            self._last_event_at = newest["newest"].iloc[0].tz_localize("UTC").timestamp()

    def failed(self, error: StocksError) -> None:
        """Record that a step failed and is tried again."""
        self._counts["errors"] += 1
        self._trouble = str(error)

    def beat(self, *, now: bool = False) -> None:
        """Write the heartbeat."""
        self._heartbeat.beat(self._facts, now=now)

    def end(self, ended: str) -> None:
        """Write the last heartbeat."""
        self._heartbeat.end(self._facts, ended=ended)

    def _facts(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "source": None,
            "topic": None,
            "patience": _SILENT_SECONDS,
            "trouble": self._trouble,
            "published_at": self._published_at,
            "batch_seconds": self._batch_seconds,
            "last_event_at": self._last_event_at,
            "lag": None,
            **self._counts,
        }
