"""lake → RAW: load every landed object that is not loaded yet, all in one transaction.

New objects are in the last hours of landing, so each dataset is listed from one hour before the newest loaded object;
objects in ``load_history`` are left out. A line that RAW cannot hold goes to ``raw.rejected_lines``. An unreadable
object is recorded in ``ops.unreadable_objects``: each load tries it again and names it, until it loads or is deleted
from the lake.
"""

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from stocklib.lake import Lake, LakeObject, parse_key, start_of_hour
from stocklib.pipeline.loading.cost_limit import stay_within_cost_limit
from stocklib.settings import Settings
from stocklib.warehouse import DATASETS, LandedObject, LoadResult, Warehouse, open_warehouse

log = logging.getLogger(__name__)

# How far before the newest loaded hour a load lists; an object that lands later under an older hour is never loaded.
OVERLAP = timedelta(hours=1)


class OnProgress(Protocol):
    """A callback for the progress of a load."""

    def __call__(self, done: int, total: int | None = None, text: str = "") -> None: ...


def load(settings: Settings, *, on_progress: OnProgress | None = None) -> LoadResult:
    """Load everything new; ``WarehouseBusy`` when another process is writing and does not finish in time."""
    lake = Lake(settings)
    lake.ensure_bucket()
    warehouse = open_warehouse(settings)
    with warehouse.writing():
        warehouse.initialise()
        stay_within_cost_limit(settings, warehouse)
        return load_objects(lake, warehouse, list_new(lake, warehouse), on_progress=on_progress)


def load_all(settings: Settings, warehouse: Warehouse, *, on_progress: OnProgress | None = None) -> LoadResult:
    """Load the whole lake into an empty warehouse."""
    lake = Lake(settings)
    everything = {found.key: dataset for dataset in DATASETS for found in lake.list(dataset)}
    return load_objects(lake, warehouse, everything, on_progress=on_progress)


def list_new(lake: Lake, warehouse: Warehouse) -> dict[str, str]:
    """Return the keys that have landed and are not loaded, each with its dataset."""
    new = {found.key: dataset for dataset in DATASETS for found in _new_objects(lake, warehouse, dataset)}
    # unreadable objects may be older than the listed hours
    return new | {again.key: again.dataset for again in warehouse.unreadable()}


def horizon() -> datetime:
    """Return the last hour in which an object can have landed by now: other machines' clocks may be an hour ahead.

    A key of a later hour does not move the start of the next listing.
    """
    return (datetime.now(UTC) + OVERLAP).replace(minute=0, second=0, microsecond=0)


def load_objects(
    lake: Lake, warehouse: Warehouse, objects: dict[str, str], *, on_progress: OnProgress | None = None
) -> LoadResult:
    """Load these objects, all in one transaction."""
    done = warehouse.load(_landed(lake, objects, on_progress))
    log.info("%s%s", "" if done.load_id is None else f"load {done.load_id}: ", done)
    return done


def _new_objects(lake: Lake, warehouse: Warehouse, dataset: str) -> list[LakeObject]:
    bound = horizon()
    last = warehouse.last_key(dataset, before=start_of_hour(dataset, bound + OVERLAP))
    since = parse_key(last).landed_hour - OVERLAP if last else None
    found = list(lake.list(dataset, since=since))
    known = warehouse.known_keys(dataset, since=min((o.key for o in found), default=last or ""))
    new = [landed for landed in found if landed.key not in known]
    for landed in new:
        if landed.landed_hour > bound:
            log.warning(
                "%s has a future hour of landing: it is loaded, and ignored as the start of the next listing",
                landed.key,
            )
    return new


def _landed(lake: Lake, objects: Mapping[str, str], on_progress: OnProgress | None) -> Iterator[LandedObject]:
    """Yield the objects of these keys, each with its dataset."""
    for number, (key, dataset) in enumerate(objects.items(), start=1):
        yield LandedObject(dataset, key, lambda key=key: lake.read(key))  # type: ignore[misc]
        if on_progress is not None:
            on_progress(number, len(objects), dataset)
