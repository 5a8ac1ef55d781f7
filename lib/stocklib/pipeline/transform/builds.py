"""RAW → gold: dbt builds and tests, and readers see the new version only when every test passed.

Write, audit, publish: a failed test, or a ledger that does not balance, leaves the published tables as they were. A
change of the models or of a setting that they read causes a full refresh; otherwise the cost follows what was loaded
since.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stocklib.errors import CorruptObject, StocksError, TransformFailed, WarehouseError
from stocklib.pipeline.loading import OnProgress, load_all
from stocklib.pipeline.loading.cost_limit import stay_within_cost_limit
from stocklib.pipeline.reconcile import prepublish_check
from stocklib.reference_data import check_sectors, read_symbol_changes
from stocklib.settings import Settings
from stocklib.text_files import read_text
from stocklib.warehouse import Build, DbtResult, LoadResult, Warehouse, open_warehouse
from stocklib.warehouse.releases import files_digest, logic_digest

log = logging.getLogger(__name__)

OnNode = Callable[[str], None] | None


@dataclass(frozen=True)
class TransformSummary:
    """The result of one transform. ``models`` and ``tests`` count what ran; both 0 when there was nothing to do.

    ``seconds`` is how long dbt built and tested, without the ledger's check and the publish.
    """

    models: int
    tests: int
    seconds: float
    full_refresh: bool = False
    published: bool = True
    is_whole: bool = True

    def __str__(self) -> str:
        if not self.models and not self.tests:
            return "nothing new to transform; the published tables are up to date"
        refreshed = ", all with a full refresh" if self.full_refresh else ""
        built = f"built {self.models} models{refreshed}, {self.tests} tests passed"
        if not self.published:
            return f"{built}; not published, since only a part was selected: `stocks transform` publishes the whole"
        return f"{built}, published; built in {self.seconds:.1f} s"


@dataclass(frozen=True)
class RebuildSummary:
    """The result of a rebuild."""

    loaded: LoadResult
    built: TransformSummary

    def __str__(self) -> str:
        return f"{self.loaded}\n{self.built}"


def transform(
    settings: Settings, *, select: str | None = None, full_refresh: bool = False, on_node: OnNode = None
) -> TransformSummary:
    """Build and test what the new loads touch, then publish. On an error readers keep the last good version:
    ``TransformFailed`` names the model or test that failed, ``LedgerUnbalanced`` the messages that are missing or
    doubled, ``CostLimitReached`` the credits that the day has cost.

    ``select`` is dbt's selection, to try one model: it is built and tested, and nothing is published. The default
    builds every model, and does nothing when nothing changed.
    """
    warehouse = open_warehouse(settings)
    with warehouse.writing():
        warehouse.initialise()
        stay_within_cost_limit(settings, warehouse)
        wanted = wanted_build(settings, warehouse)
        last = warehouse.last_build()
        # a rebuild counts its loads from one again, so only the published build itself is the same
        is_done = is_same(wanted, last) and last == warehouse.published_build()
        # a stream tests only the rows that it touched: whole tables are not tested yet
        if select is None and not full_refresh and is_done and last and last.is_whole:
            return TransformSummary(0, 0, 0.0)
        with recorded(warehouse, "transform"):
            if select is not None:
                # a part may pass its tests while the rest of the private version failed: it is not published
                done = _build(settings, warehouse, wanted, select=select, full_refresh=full_refresh, on_node=on_node)
                return replace(done, published=False)
            done = build_whole(settings, warehouse, wanted, full_refresh=full_refresh, on_node=on_node)
        warehouse.publish()
    return done


def build_whole(
    settings: Settings, warehouse: Warehouse, wanted: Build, *, full_refresh: bool = False, on_node: OnNode = None
) -> TransformSummary:
    """Build every model, test whole tables and check the ledger, without publishing."""
    last, published = warehouse.last_build(), warehouse.published_build()
    # an incremental build needs tables of the same logic
    full_refresh = full_refresh or last is None or last.logic != wanted.logic
    done = _build(settings, warehouse, wanted, full_refresh=full_refresh, on_node=on_node)
    # a build of more loads than this warehouse has is from before a rebuild
    is_ours = published is not None and last is not None and published.load_id <= last.load_id
    since = published.load_id if published and is_ours and not full_refresh else 0
    prepublish_check.check(settings, warehouse, since=since, upto=wanted.load_id)
    return done


def rebuild(
    settings: Settings, *, without_corrupt: bool = False, on_progress: OnProgress | None = None
) -> RebuildSummary:
    """Build the whole warehouse again from the lake; the old one stays until the new one is complete.

    An unreadable object ends it (``CorruptObject``), since the old warehouse may hold its rows; ``without_corrupt``
    leaves such objects out, and later loads try them again.
    """
    warehouse = open_warehouse(settings)
    kept: list[tuple[Any, ...]] = []
    with warehouse.writing():
        with suppress(WarehouseError):
            # that of another release may have none
            kept = warehouse.read("select * from ops.ledger_accepted")
        with warehouse.fresh() as new:
            new.replace_ops({"ledger_accepted": kept})
            loaded = load_all(settings, new, on_progress=on_progress)
            if loaded.corrupt and not without_corrupt:
                raise CorruptObject(
                    f"not rebuilt, the warehouse is as it was: {'; '.join(loaded.corrupt)}. Restore the object, or "
                    "`stocks rebuild --without-corrupt` to do without its rows"
                )
            with recorded(new, "rebuild"):
                wanted = wanted_build(settings, new)
                built = _build(settings, new, wanted, full_refresh=True)
                prepublish_check.check(settings, new, since=0, upto=wanted.load_id, gaps=not without_corrupt)
        warehouse.publish()
    return RebuildSummary(loaded, built)


def run_dbt(settings: Settings, arguments: Sequence[str]) -> int:
    """Run dbt with these arguments, printing its own output; return its exit code."""
    _described(settings)
    warehouse = open_warehouse(settings)
    warehouse.initialise()
    return 0 if warehouse.dbt(arguments, quiet=False).success else 1


def _build(
    settings: Settings,
    warehouse: Warehouse,
    wanted: Build,
    *,
    select: str | None = None,
    full_refresh: bool = False,
    on_node: OnNode = None,
) -> TransformSummary:
    began = time.monotonic()
    # dbt's unit tests hold for every version of the data: the project's own test suite runs them
    arguments = ["build", "--exclude-resource-type", "unit_test"]
    # a test that also reads what comes after the selected models would compare new rows with old ones
    arguments += ["--indirect-selection", "buildable", "--select", *select.split()] if select else []
    arguments += ["--full-refresh"] if full_refresh else []
    result = warehouse.dbt(arguments, on_node=on_node, keep=True)
    if not result.success:
        raise TransformFailed(explain(result))
    if select is None:
        built = wanted_build(settings, warehouse)
        if built.logic != wanted.logic and not full_refresh:
            log.info("the data has reached a rename of config/symbol_changes.csv: every model is built again")
            return _build(settings, warehouse, built, full_refresh=True, on_node=on_node)
        warehouse.record_build(replace(wanted, logic=built.logic))
    tests = result.counts.get("pass", 0) + result.counts.get("warn", 0)
    models = sum(1 for _, status, _ in result.nodes if status == "success")
    return TransformSummary(models, tests, time.monotonic() - began, full_refresh)


@contextmanager
def recorded(warehouse: Warehouse, verb: str) -> Iterator[None]:
    """Record in ops that the step ran, and how it ended."""
    began = datetime.now(UTC)
    try:
        yield
    except StocksError as error:
        warehouse.record_run(verb, "failed", started_at=began, detail=str(error)[:1000])
        raise
    warehouse.record_run(verb, "succeeded", started_at=began, detail="")


def wanted_build(settings: Settings, warehouse: Warehouse) -> Build:
    """Return what a build would be now. A rename that takes effect counts as another logic."""
    inputs = files_digest([*_described(settings), *sorted((settings.root / "config").glob("*.csv"))], "")
    logic = f"{logic_digest(settings)}.{files_digest([], _renames(settings, warehouse))[:16]}"
    now = datetime.now(UTC)
    return Build(warehouse.newest_load(), logic, inputs, now, now)


def _described(settings: Settings) -> list[Path]:
    """Return dbt's project files and models; ``SettingsError`` for one that is not readable text."""
    check_sectors(settings.root)
    project = settings.root / "dbt_stocks"
    # the descriptions of columns become comments of the tables
    described = [*sorted(project.rglob("*.yml")), *sorted((project / "models").rglob("*.md"))]
    for path in described:
        read_text(path)
    return described


def _renames(settings: Settings, warehouse: Warehouse) -> str:
    """Return the renames of the file, and each symbol's companies in the private version."""
    changes = read_symbol_changes(settings.root)
    find_table = (
        "select 1 from information_schema.tables where lower(table_schema) = 'silver' and lower(table_name) = ?"
    )
    holders = []
    if changes and warehouse.read(find_table, ["int_symbol_holders"]):
        holders = warehouse.read("select * from silver.int_symbol_holders order by symbol, valid_from")
    return f"{changes} {[tuple(map(str, row)) for row in holders]}"


def is_same(wanted: Build, found: Build | None) -> bool:
    """Return whether a build is of the same loads, logic and inputs."""
    same = ("load_id", "logic", "inputs")
    return found is not None and all(getattr(found, name) == getattr(wanted, name) for name in same)


def explain(result: DbtResult) -> str:
    shown = "\n".join(f"  {failure}" for failure in result.failures[:10]) or "  dbt gave no reason"
    more = f"\n  and {len(result.failures) - 10} more" if len(result.failures) > 10 else ""
    return (
        f"dbt failed, and readers still see the last good version:\n{shown}{more}\n"
        f"dbt's log is {result.log}; `stocks dbt -- build` shows it all"
    )
