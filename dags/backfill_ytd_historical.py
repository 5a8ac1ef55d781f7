"""Fetch missing daily bars, splits and dividends, one task a symbol, then load them; the transform follows.

Triggered by hand, with `symbols` (empty: the watchlist), `from` (empty: the last session of the year before) and `to`
(empty: the last finished session on the source's clock). It fetches one symbol at a time to keep the rate limit. A
second run fetches what is still missing. It has no schedule, so it catches nothing up.
"""

from datetime import timedelta

from airflow.sdk import Param, dag

from workbench.airflow import DEFAULTS, SOURCE_POOL, NotebookOperator, load_new
from workbench.airflow.steps import choose_symbols


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    dagrun_timeout=timedelta(hours=12),
    default_args=DEFAULTS,
    params={
        "symbols": Param([], type="array", items={"type": "string", "minLength": 1}, description="AAPL, MSFT, …"),
        "from": Param(None, type=["null", "string"], format="date", description="First trade date"),
        "to": Param(None, type=["null", "string"], format="date", description="Last trade date"),
    },
    doc_md=__doc__,
    tags=["stocks", "by hand"],
)
def backfill_ytd_historical() -> None:
    chosen = choose_symbols()
    fetch = NotebookOperator.partial(task_id="fetch", notebook="backfill_ytd", pool=SOURCE_POOL)
    fetch.expand(parameters=chosen) >> load_new()


backfill_ytd_historical()
