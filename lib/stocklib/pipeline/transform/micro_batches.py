"""lake → gold every few seconds: load, build, test and publish new objects, at the cost of what is new.

A batch of quotes and trades builds the models downstream and tests the rows that it touched: bronze of its loads,
silver of its events' trade dates, gold from the first changed date on, small tables whole. Other batches do all that
``transform`` does, which tests whole tables; ``docs/scale.md`` lists them. Either way readers see only versions whose
tests passed.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from stocklib.errors import LakeError, TransformFailed
from stocklib.lake import Lake
from stocklib.pipeline.loading.cost_limit import stay_within_cost_limit
from stocklib.pipeline.loading.loader import load_objects
from stocklib.pipeline.loading.new_objects import Listing
from stocklib.pipeline.reconcile import prepublish_check
from stocklib.pipeline.reconcile.object_checks import KAFKA_DATASETS
from stocklib.pipeline.transform.builds import TransformSummary, build_whole, explain, is_same, recorded, wanted_build
from stocklib.settings import Settings
from stocklib.warehouse import Build, LoadResult, Touched, Warehouse, open_warehouse

log = logging.getLogger(__name__)

WHOLE_TESTS_SECONDS = 3600.0


@dataclass(frozen=True)
class PublishedBatch:
    """The result of one batch, and the seconds of each step."""

    loaded: LoadResult
    built: TransformSummary
    seconds: dict[str, float]

    @property
    def is_empty(self) -> bool:
        """Return whether nothing was new."""
        return not self.loaded.objects and not self.built.models

    def __str__(self) -> str:
        steps = ", ".join(f"{name} {seconds:.1f}" for name, seconds in self.seconds.items())
        whole = "whole tables" if self.built.is_whole else "touched rows"
        return (
            f"{self.loaded.rows:,} lines of {self.loaded.objects} objects, {self.built.models} models, "
            f"{self.built.tests} tests of {whole}; seconds: {steps}"
        )


class MicroBatches:
    """One loader, with what it keeps from batch to batch."""

    def __init__(self, settings: Settings, *, on_step: Callable[[str], None] | None = None) -> None:
        self._settings = settings
        self._on_step = on_step
        self._lake = Lake(settings)
        self._warehouse = open_warehouse(settings)
        self._listing = Listing(settings, self._lake)
        self._lake.ensure_bucket()

    def is_due(self) -> bool:
        """Return whether new objects have landed, or the whole listing is due."""
        try:
            return self._listing.is_new()
        except LakeError as error:
            log.debug("listing: %s", error)
            return True

    def run_once(self) -> PublishedBatch:
        """Load what has landed, build, test, publish."""
        timer = _Timer(self._on_step)
        with self._warehouse.writing():
            self._warehouse.initialise()
            stay_within_cost_limit(self._settings, self._warehouse)
            new = self._listing.new_objects(self._warehouse)
            timer.note("list")
            loaded = load_objects(self._lake, self._warehouse, new) if new else LoadResult(None, 0, 0, 0)
            self._listing.mark_offered(new)
            timer.note("load")
            built = self._build(timer)
        return PublishedBatch(loaded, built, timer.seconds)

    def _build(self, timer: "_Timer") -> TransformSummary:
        warehouse = self._warehouse
        wanted = wanted_build(self._settings, warehouse)
        last, published = warehouse.last_build(), warehouse.published_build()
        if is_same(wanted, last) and last == published:
            return TransformSummary(0, 0, 0.0)
        datasets = warehouse.loaded_since(last.load_id) if last else set()
        is_small = (
            last is not None
            and published is not None
            and (last.logic, last.inputs) == (published.logic, published.inputs) == (wanted.logic, wanted.inputs)
            # those of a stream, whose touched rows ``touched_since`` knows
            and datasets <= KAFKA_DATASETS
            # more loads than this warehouse has: the published version is from before a rebuild
            and published.load_id <= last.load_id
            and last.whole_at is not None
            and (wanted.finished_at - last.whole_at).total_seconds() < WHOLE_TESTS_SECONDS
        )
        # no model is downstream of dead letters
        nothing_downstream = datasets <= {"dead_letters"}
        if is_small and nothing_downstream and last == published:
            return TransformSummary(0, 0, 0.0)
        # nothing new, but the last batch failed the pre-publish check: build and check everything again
        is_small = is_small and not nothing_downstream
        touched: Touched | None = None
        with recorded(warehouse, "micro-batch" if is_small else "transform"):
            small = (
                _build_touched(self._settings, warehouse, wanted, last, datasets, timer) if is_small and last else None
            )
            if small and published:
                done, touched = small
                prepublish_check.check(self._settings, warehouse, since=published.load_id, upto=wanted.load_id)
                if published != last:
                    # a batch that failed the check before is included; data that is not a stream's changes more rows
                    is_streamed = warehouse.loaded_since(published.load_id) <= KAFKA_DATASETS
                    touched = warehouse.touched_since(published.load_id) if is_streamed else None
                timer.note("ledger")
            else:
                done = build_whole(self._settings, warehouse, wanted_build(self._settings, warehouse))
                timer.note("build and test")
        warehouse.publish(touched=touched)
        timer.note("publish")
        return done


def _build_touched(
    settings: Settings, warehouse: Warehouse, wanted: Build, last: Build, datasets: set[str], timer: "_Timer"
) -> tuple[TransformSummary, Touched] | None:
    """Return what was built and touched; None when a rename took effect, which changes more rows."""
    began = time.monotonic()
    downstream = [f"source:raw.{dataset}+" for dataset in sorted(datasets - {"dead_letters"})]
    # views, splits and dividends are unchanged: only a rename that takes effect changes them
    chosen = ["--select", *downstream, "--exclude", "config.materialized:view", "dim_corporate_action"]
    run = warehouse.dbt(["run", *chosen, "--vars", "{is_whole_build: false}"], keep=True)
    timer.note("build")
    if not run.success:
        raise TransformFailed(explain(run))
    if wanted_build(settings, warehouse).logic != wanted.logic:
        return None
    touched = warehouse.touched_since(last.load_id)
    result = warehouse.test(downstream, touched)
    timer.note("test")
    if not result.success:
        raise TransformFailed(explain(result))
    warehouse.record_build(replace(wanted, whole_at=last.whole_at))
    passed = result.counts.get("pass", 0) + result.counts.get("warn", 0)
    seconds = time.monotonic() - began
    return TransformSummary(run.counts.get("success", 0), passed, seconds, is_whole=False), touched


class _Timer:
    """Measures the seconds of each step, from one ``note`` to the next."""

    def __init__(self, on_step: Callable[[str], None] | None) -> None:
        self.seconds: dict[str, float] = {}
        self._on_step = on_step
        self._since = time.monotonic()

    def note(self, step: str) -> None:
        now = time.monotonic()
        self.seconds[step] = round(now - self._since, 3)
        self._since = now
        if self._on_step:
            self._on_step(step)
