"""A metadata database of the session's own on SQLite, and a pipeline of the test's own for the DAGs to run on.

Everything here needs Airflow, which is in an environment of its own: ``make test-airflow``. Elsewhere these tests skip.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from conftest import names_of_its_own
from misbehaving import Server, serving
from small_finnhub import Market

from stocklib.settings import Settings, read_settings

ROOT = Path(__file__).resolve().parents[2]
IS_THERE = find_spec("airflow") is not None
HOME = Path(tempfile.mkdtemp(prefix="stocks-airflow-"))

if IS_THERE:
    # read by Airflow when it is imported
    os.environ |= {
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
    }


@pytest.fixture(scope="session", autouse=True)
def airflow_is_there() -> None:
    """Where it is not, nothing here is run."""
    if not IS_THERE:
        pytest.skip("Airflow is in an environment of its own: make test-airflow")


@pytest.fixture(scope="module")
def market() -> Market:
    """A Finnhub of AAPL and MSFT, with bars from 3 to 13 December 2012; it is the morning of the 14th there."""
    return Market()


@pytest.fixture(scope="module")
def finnhub(market: Market) -> Iterator[Server]:
    with serving(market) as running:
        yield running


@pytest.fixture(scope="module")
def pipeline_environ(
    stack: dict[str, str], finnhub: Server, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """A lake, a warehouse and a source of this file's own."""
    home = tmp_path_factory.mktemp("pipeline")
    watchlist = home / "two.json"
    watchlist.write_text('{"symbols": ["AAPL", "MSFT"]}')
    return (
        stack
        | names_of_its_own(home)
        | {
            "FINNHUB_API_KEY": "the-key-of-this-test",
            "FINNHUB_BASE_URL": f"{finnhub.url}/api/v1",
            "FINNHUB_CALLS_PER_MINUTE": "0",
            "FINNHUB_CALLS_PER_SECOND": "0",
            "CLOSE_SETTLE_SECONDS": "0",
            "STOCKS_WATCHLIST": str(watchlist),
            "ARTIFACTS_URL": "http://files.example/browser",
        }
    )


@pytest.fixture
def pipeline(pipeline_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The same, as this process and every task and kernel that it starts read it."""
    for name, value in pipeline_environ.items():
        monkeypatch.setenv(name, value)
    return read_settings()


@pytest.fixture(scope="session")
def database() -> Iterator[None]:
    """Airflow's metadata database, empty."""
    import shutil

    from airflow.utils.db import initdb

    initdb()
    yield
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def bag(database: None) -> Any:
    """The DAGs as Airflow reads them; what is to be tried again is tried at once."""
    from datetime import timedelta

    from airflow.dag_processing.dagbag import DagBag

    found = DagBag(str(ROOT / "dags"))
    assert not found.import_errors
    for dag in found.dags.values():
        for task in dag.tasks:
            (task.partial_kwargs if task.is_mapped else task.__dict__)["retry_delay"] = timedelta(seconds=0.1)
    return found


@pytest.fixture(scope="session")
def defaults() -> dict[str, dict[str, Any]]:
    """The Params of each DAG before its first run."""
    return {}


@pytest.fixture
def run(bag: Any, defaults: dict[str, dict[str, Any]], pipeline: Settings) -> Callable[..., "Outcome"]:
    """Run a DAG by its name, with Params and a logical date; the environment of the test's pipeline is the tasks'."""

    def run_dag(dag_id: str, *, at: Any = None, **params: Any) -> Outcome:
        dag = bag.dags[dag_id]
        # a run in this process leaves its Params behind: each states all of them
        defaults.setdefault(dag_id, dict(dag.params))
        return Outcome(dag.test(logical_date=at, run_conf={**defaults[dag_id], **params}))

    return run_dag


class Outcome:
    """How a run ended: its state, and by task (a mapped one with its index) the state and what it returned."""

    def __init__(self, dag_run: Any) -> None:
        self.state = str(dag_run.state)
        self.run_id = dag_run.run_id
        tasks = dag_run.get_task_instances()
        self.states = {self._name(ti): str(ti.state) for ti in tasks}
        self.tries = {self._name(ti): ti.try_number for ti in tasks}
        self._tasks = {self._name(ti): ti for ti in tasks}

    def xcom(self, task: str, key: str = "return_value") -> Any:
        """What a task left behind for others."""
        ti = self._tasks[task]
        return ti.xcom_pull(task_ids=ti.task_id, key=key, map_indexes=ti.map_index if ti.map_index >= 0 else None)

    @staticmethod
    def _name(ti: Any) -> str:
        return f"{ti.task_id}.{ti.map_index}" if ti.map_index >= 0 else str(ti.task_id)
