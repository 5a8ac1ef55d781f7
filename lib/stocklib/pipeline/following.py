"""lake → gold, again and again: load, transform and publish every ``LOAD_SECONDS``, saying how it is in a heartbeat.

What may pass by itself (S3 out of reach, another writer, a test that failed or a gap that is there until the rest of
the data comes) is said, counted and tried again by the next round; anything else ends the run.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from stocklib.clocks import Lively
from stocklib.errors import LakeError, LedgerUnbalanced, StocksError, TransformFailed, WarehouseBusy, WarehouseError
from stocklib.pipeline.heartbeat import Heartbeat, name_run
from stocklib.pipeline.loading import LoadSummary, load
from stocklib.pipeline.transform import TransformSummary, transform
from stocklib.settings import Settings
from stocklib.warehouse import open_warehouse

log = logging.getLogger(__name__)

# A load of everything, or dbt's work on it, says nothing before it is done.
_PATIENCE = 1800.0


def follow(
    settings: Settings, *, stop: threading.Event, on_done: Callable[[LoadSummary | TransformSummary], None]
) -> None:
    """Load and publish every ``LOAD_SECONDS`` until ``stop`` is set; ``on_done`` is told of each step's result."""
    loader = LoaderHealth(settings)
    lively = Lively(stop)
    lively.meanwhile = loader.beat
    ended = "error"
    try:
        while not stop.is_set():
            _round(settings, loader, on_done)
            loader.state = "waiting for what is new"
            loader.beat(now=True)
            lively.wait(settings.load_seconds)
        ended, loader.state = "stopped", "stopped as asked"
    except StocksError:
        loader.state = "ended by an error"
        raise
    finally:
        loader.end(ended)


class LoaderHealth:
    """What a process that loads and publishes says of itself: its heartbeat, and its metrics.

    Call ``loaded`` and ``published`` when that is done, ``failed`` when it was not, ``beat`` in between.
    """

    def __init__(self, settings: Settings) -> None:
        self.state = "starting"
        self._settings = settings
        self._counts = {"messages": 0, "objects": 0, "loads": 0, "errors": 0}
        self._failing: str | None = None
        self._published_at: float | None = None
        self._last_event_at: float | None = None
        run_id = name_run("loader")
        self._heartbeat = Heartbeat(settings.home, role="loader", run_id=run_id, metrics_port=settings.metrics_port)

    def loaded(self, summary: LoadSummary) -> None:
        """Lines are in RAW."""
        self._counts["messages"] += summary.rows
        self._counts["objects"] += summary.objects
        self._counts["loads"] += 1

    def published(self) -> None:
        """Readers see new gold, or the old one that needed no change."""
        self._failing = None
        self._published_at = time.time()
        try:
            newest = open_warehouse(self._settings).query("select max(fetched_at) as newest from gold.gold_kpi")
        except WarehouseError as error:
            log.debug("asking gold for its newest quote: %s", error)
            return
        if not newest["newest"].isna().all():
            self._last_event_at = newest["newest"].iloc[0].tz_localize("UTC").timestamp()

    def failed(self, error: StocksError) -> None:
        """A step failed, and will be tried again."""
        self._counts["errors"] += 1
        self._failing = str(error)

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
            "patience": _PATIENCE,
            "failing": self._failing,
            "published_at": self._published_at,
            "last_event_at": self._last_event_at,
            "lag": None,
            **self._counts,
        }


def _round(settings: Settings, loader: LoaderHealth, on_done: Callable[[LoadSummary | TransformSummary], None]) -> None:
    try:
        loader.state = "loading"
        loader.beat(now=True)
        loaded = load(settings)
        loader.loaded(loaded)
        on_done(loaded)
        loader.state = "transforming"
        loader.beat(now=True)
        on_done(transform(settings))
        loader.published()
    except (LakeError, WarehouseBusy, TransformFailed, LedgerUnbalanced) as error:
        log.error("%s; trying again in %g s", error, settings.load_seconds)
        loader.failed(error)
