"""The tasks without a notebook: decide the trade date, find new objects, write the report, check freshness.

Each is a function of the task's context; the pipeline is imported when it runs.
"""

import logging
from datetime import date, datetime, timedelta
from importlib import import_module
from typing import Any

from airflow.sdk import get_current_context, task

from stocklib.errors import DateRangeError, LedgerUnbalanced, MissedSchedule, StaleData
from workbench.airflow.common import SOURCE_POOL, WAREHOUSE_POOL
from workbench.airflow.environment import NothingToDo, task_settings
from workbench.airflow.run_folder import link, run_folder_of

log = logging.getLogger(__name__)

# A longer list of tasks is hard to read: beyond it, symbols share a task.
_MOST_TASKS = 50


@task(pool=WAREHOUSE_POOL)  # type: ignore[untyped-decorator]
def initialise() -> str:
    """Set the warehouse up once, and return a summary of it."""
    from stocklib.warehouse import open_warehouse

    with task_settings() as settings:
        warehouse = open_warehouse(settings)
        if settings.warehouse == "snowflake":
            _, refused = import_module("stocklib.warehouse.snowflake.setup").set_up(settings)
            for one in refused:
                log.warning("needs an administrator: %s; (%s)", one.statement, one.reason)
        with warehouse.writing():
            warehouse.initialise()
        return warehouse.check()


@task(pool=SOURCE_POOL)  # type: ignore[untyped-decorator]
def trade_day() -> str:
    """Return the run's trade date; skip the run, with the reason, where that has no session."""
    from workbench.airflow.days import decide_day

    with task_settings() as settings:
        return decide_day(settings, run_folder_of(get_current_context())).isoformat()


@task(pool=SOURCE_POOL)  # type: ignore[untyped-decorator]
def choose_symbols() -> list[dict[str, Any]]:
    """Return the symbols of each task of a backfill: one each, or several where there are very many."""
    from stocklib.quotes import check_symbol

    params = get_current_context()["params"]
    start, end = params.get("from") or "", params.get("to") or ""
    with task_settings() as settings:
        symbols = list(dict.fromkeys(check_symbol(one) for one in params.get("symbols") or settings.symbols))
        if start and end and date.fromisoformat(start) > date.fromisoformat(end):
            raise DateRangeError(f"the range from {start} to {end} is reversed")
    size = -(-len(symbols) // _MOST_TASKS)
    groups = [symbols[at : at + size] for at in range(0, len(symbols), size)]
    return [{"symbols": group, "start": start, "end": end, "publish": False} for group in groups]


@task.short_circuit(pool=WAREHOUSE_POOL)  # type: ignore[untyped-decorator]
def new_objects() -> int:
    """Return how many objects wait; without one the load is skipped, and the whole run where no session is near."""
    from stocklib.lake import Lake
    from stocklib.pipeline.loading.loader import list_new
    from stocklib.warehouse import open_warehouse
    from workbench.airflow.days import look_around

    with task_settings() as settings:
        look_around(settings, run_folder_of(get_current_context()))
        lake, warehouse = Lake(settings), open_warehouse(settings)
        lake.ensure_bucket()
        with warehouse.writing():
            warehouse.initialise()
            found = list_new(lake, warehouse)
    log.info("%d new objects in the lake", len(found))
    return len(found)


@task  # type: ignore[untyped-decorator]
def in_gold(day: str) -> str:
    """Return the date once gold holds it; until then fail, so that Airflow retries."""
    from workbench.airflow.watching import newest_day

    with task_settings() as settings:
        newest = newest_day(settings)
    if newest is None or newest < day:
        raise StaleData(f"gold holds {newest or 'nothing'} at most, and the report is about {day}")
    return day


@task  # type: ignore[untyped-decorator]
def export_report(day: str) -> str:
    """Write the market report of a session, keep it by its date, and return its address."""
    from stocklib.lake import Artifacts
    from stocklib.report import write_report

    folder = run_folder_of(get_current_context())
    with task_settings() as settings:
        path = settings.home / "runs" / folder.task / f"market-{day}.html"
        write_report(settings, day=date.fromisoformat(day), path=path)
        address = Artifacts(settings).keep(f"reports/{path.name}", path.read_bytes())
        path.unlink()
        return link(settings, address)


@task(pool=WAREHOUSE_POOL)  # type: ignore[untyped-decorator]
def check_ledger() -> str:
    """Compare every hop with the next and keep the ledger; fail where messages are missing or doubled."""
    from stocklib.pipeline.reconcile import balance, record

    with task_settings() as settings:
        found = record(settings, balance(settings))
    open_ones = [f"{problem}" for problem in found.problems if not problem.accepted]
    if open_ones:
        raise LedgerUnbalanced("\n".join([f"{found}", *open_ones]))
    for hop, reason in found.unchecked.items():
        log.warning("not checked: %s: %s", hop, reason)
    return f"{found}"


@task(pool=WAREHOUSE_POOL)  # type: ignore[untyped-decorator]
def check_freshness() -> str:
    """Fail where gold is behind the last finished session, or a process of the pipeline raises an alarm."""
    from workbench.airflow.watching import check_fresh

    with task_settings() as settings:
        return check_fresh(settings, run_folder_of(get_current_context()))


@task  # type: ignore[untyped-decorator]
def check_schedules() -> str:
    """Fail where a schedule passed without a run."""
    from workbench.airflow.watching import last_slots

    context = get_current_context()
    run = context["dag_run"]
    now: datetime = run.data_interval_end or run.logical_date or run.run_after
    with task_settings() as settings:
        slots = last_slots(settings, now - timedelta(minutes=15))
    missed = [
        f"{dag_id} was due at {slot:%Y-%m-%d %H:%M} UTC and did not run"
        for dag_id, slot in slots.items()
        if not context["ti"].get_dr_count(dag_id=dag_id, logical_dates=[slot])
    ]
    if missed:
        raise MissedSchedule(
            "; ".join(missed) + ": the DAG is paused or the scheduler was down; trigger it with its Params"
        )
    return f"on time: {', '.join(slots) or 'nothing is scheduled'}"


@task  # type: ignore[untyped-decorator]
def powerbi_refresh() -> str:
    """Have Power BI read the new gold; skip where ``POWERBI_DATASET_ID`` is not set."""
    with task_settings() as settings:
        if not settings.values.get("POWERBI_DATASET_ID"):
            raise NothingToDo("POWERBI_DATASET_ID is not set: there is no model to refresh")
        return str(import_module("workbench.powerbi.refresh").refresh(settings))
