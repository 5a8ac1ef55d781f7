"""The main job, end to end: what ``make demo`` leaves behind is what was recorded, once and only once.

The demo runs as a user runs it, as its own process, in a copy of the project whose ``.env`` and environment are full of
other people's services: it must touch none of them.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd
import psutil
import pytest
from mirrors import ROOT

from finnhub_replay import recorded_bars
from workbench.demo import ANALYSES

DAY = date(2012, 12, 14)
BIN = Path(sys.executable).parent
GOLD = [
    *("dim_date", "dim_time", "dim_corporate_action", "fact_daily_stock_quotes", "fact_stock_performance"),
    *("gold_candlestick", "gold_kpi", "gold_treechart"),
]

TIMEOUT = 480

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


class Trap:
    """A listening socket that nobody should ever connect to."""

    def __init__(self) -> None:
        self.visits: list[object] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, address = self._socket.accept()
            except OSError:
                return
            self.visits.append(address)
            connection.close()

    def close(self) -> None:
        self._socket.close()


@dataclass
class Demo:
    """One project in which the demo ran, and what it said."""

    project: Path
    environ: dict[str, str]
    trap: Trap
    said: list[str] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.project / ".stocks" / "demo"

    def run(self) -> str:
        environ = {**self.environ, "PYTHONFAULTHANDLER": "1"}
        with subprocess.Popen(
            [BIN / "stocks", "demo"],
            cwd=self.project,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as demo:
            try:
                said, logged = demo.communicate(timeout=TIMEOUT)
            except subprocess.TimeoutExpired:
                # says where each of its threads is
                demo.send_signal(signal.SIGABRT)
                said, logged = demo.communicate()
        assert demo.returncode == 0, said + logged
        self.said.append(said)
        return said

    def ask(self, sql: str) -> pd.DataFrame:
        with duckdb.connect(str(self.home / "warehouse" / "published.duckdb"), read_only=True) as connection:
            return connection.execute(sql).df()

    def hashes(self) -> dict[str, str]:
        found = {}
        for table in GOLD:
            frame = self.ask(f"select * from gold.{table} order by all")
            found[table] = hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest()
        return found

    def counts(self) -> dict[str, int]:
        tables = self.ask(
            "select table_schema as s, table_name as t from information_schema.tables "
            "where table_schema in ('raw', 'silver', 'gold')"
        )
        return {f"{s}.{t}": int(self.ask(f'select count(*) as n from {s}."{t}"')["n"][0]) for s, t in tables.values}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    project = tmp_path_factory.mktemp("somebody's project")
    for folder in ("config", "dbt_stocks", "notebooks"):
        shutil.copytree(ROOT / folder, project / folder, ignore=shutil.ignore_patterns("target", "logs", ".*"))
    trap = Trap()
    services = {
        "FINNHUB_API_KEY": "livekey0123456789",
        "FINNHUB_BASE_URL": f"http://127.0.0.1:{trap.port}/api/v1",
        "KAFKA_BROKER": f"127.0.0.1:{trap.port}",
        "MINIO_ENDPOINT": f"http://127.0.0.1:{trap.port}",
        "MINIO_ACCESS_KEY": "live",
        "MINIO_SECRET_KEY": "livesecret0123456789",
        "SNOWFLAKE_ACCOUNT": "live-account",
        "SNOWFLAKE_PASSWORD": "livesecret0123456789",
        "STOCKS_WAREHOUSE": "snowflake",
        "STOCKS_HOME": str(project / "live"),
        "HISTORY_SOURCE": "yfinance",
    }
    (project / ".env").write_text("".join(f"{name}={value}\n" for name, value in services.items()))
    environ = {**os.environ, **services, "HOME": str(project / "home")}
    (project / "home").mkdir()
    demo = Demo(project, environ, trap)
    demo.run()
    yield demo
    subprocess.run([BIN / "stocks", "--demo", "down"], cwd=project, env=environ, check=False, capture_output=True)
    trap.close()


def recorded(first: date, last: date) -> pd.DataFrame:
    bars = recorded_bars()
    bars = bars.assign(quote_date=pd.to_datetime(bars["date"]).dt.date)
    return bars[(bars["quote_date"] >= first) & (bars["quote_date"] <= last)].sort_values(["symbol", "quote_date"])


def test_the_streamed_day_is_the_recorded_bar_exactly(demo: Demo) -> None:
    want = recorded(DAY, DAY)
    for table, prefix, when in (
        ("fact_daily_stock_quotes", "", "quote_date"),
        ("gold_candlestick", "candle_", "candle_time::date"),
    ):
        names = [f"{prefix}{name}" for name in ("open", "high", "low", "close")]
        columns = names if prefix else [f"{name}_price" for name in ("open", "high", "low", "close")]
        only = "" if not prefix else "and resolution = '1d'"
        got = demo.ask(
            f"select symbol, {', '.join(columns)}, is_final, data_source from gold.{table} "
            f"where {when} = date '{DAY}' {only} order by symbol"
        )
        assert list(got["symbol"]) == list(want["symbol"])
        assert got["is_final"].all()
        assert set(got["data_source"]) == {"quotes"}
        for column, name in zip(columns, ("open", "high", "low", "close"), strict=True):
            assert [float(value) for value in got[column]] == list(want[name])


def test_backfilled_days_are_the_recorded_bars_volume_included(demo: Demo) -> None:
    want = recorded(date(2011, 12, 30), date(2012, 12, 13))
    got = demo.ask(
        "select symbol, quote_date, open_price, high_price, low_price, close_price, volume, data_source "
        f"from gold.fact_daily_stock_quotes where quote_date < date '{DAY}' order by symbol, quote_date"
    )
    assert len(got) == len(want)
    assert list(pd.to_datetime(got["quote_date"]).dt.date) == list(want["quote_date"])
    assert set(got.pop("data_source")) == {"replay"}
    for column, name in zip(got.columns[2:], ("open", "high", "low", "close", "volume"), strict=True):
        assert [float(value) for value in got[column]] == [float(value) for value in want[name]]


def test_closed_days_are_absent_and_facebook_starts_at_its_ipo(demo: Demo) -> None:
    got = demo.ask(
        "select count(*) filter (where quote_date in (date '2012-10-29', date '2012-10-30')) as closed, "
        "min(quote_date) filter (where symbol = 'FB') as ipo from gold.fact_daily_stock_quotes"
    )
    assert int(got["closed"][0]) == 0
    assert pd.Timestamp(got["ipo"][0]).date() == date(2012, 5, 18)


def test_every_minute_of_the_session_was_seen(demo: Demo) -> None:
    got = demo.ask("select symbol, count(*) as bars from gold.gold_candlestick where resolution = '1m' group by 1")
    assert len(got) == 5
    assert set(got["bars"]) == {390}


def test_every_quote_is_there_once(demo: Demo) -> None:
    got = demo.ask(
        "select count(*) as n, count(distinct (record->>'$.topic_id', record->>'$.partition', record->>'$.offset')) as "
        "messages from raw.stock_quotes"
    )
    assert int(got["n"][0]) == int(got["messages"][0]) > 20_000


def test_it_says_how_far_it_is_and_names_the_notebooks_as_they_end(demo: Demo) -> None:
    lines = demo.said[0].splitlines()
    begun = [
        match for line in lines if (match := re.match(r"\[(\d)/7\] .*… \((\d+) s so far, about (\d+) s left\)$", line))
    ]
    assert [match[1] for match in begun] == list("1234567")
    done = [int(match[2]) for match in begun]
    assert done == sorted(done)
    assert int(begun[0][3]) > 40 > int(begun[-1][3])
    named = [line.split() for line in lines if re.match(r"    \w+  \(\d of 4\)", line)]
    assert {name for name, *_ in named} == set(ANALYSES)
    assert [place for _, place, *_ in named] == ["(1", "(2", "(3", "(4"]
    # a log shows lines only
    assert not {"\r", "\x1b"} & set(demo.said[0])


def test_an_interrupt_while_notebooks_run_ends_their_kernels(demo: Demo) -> None:
    program = (
        "from workbench.demo import _execute_analyses; from stocklib.settings import read_settings;"
        "_execute_analyses(read_settings(demo=True), print, lambda share: None)"
    )
    environ = {**demo.environ, "STOCKS_DEMO_HOME": str(demo.home)}
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=demo.project, env=environ, stderr=subprocess.PIPE, text=True
    ) as running:
        while not (kernels := psutil.Process(running.pid).children()):
            assert running.poll() is None
            time.sleep(0.05)
        began = time.time()
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert "papermill" not in said.replace("papermill.py", "")
    assert not any(kernel.is_running() for kernel in kernels)
    copies = [path for path in (demo.home / "runs").rglob("*.ipynb") if path.stat().st_mtime > began]
    for copy in copies:
        last = [cell for cell in json.loads(copy.read_text())["cells"] if cell["cell_type"] == "code"][-1]
        assert last["execution_count"] is None


def test_the_ledger_balances_and_the_demo_says_so(demo: Demo) -> None:
    last = demo.said[0].strip().splitlines()[-1]
    assert last.startswith("And the ledger balances: ")
    got = demo.ask("select sum(in_silver) as silver, sum(lost) as lost, sum(waiting) as waiting from ops.ledger")
    confirmed = demo.ask("select sum(confirmed) as n from ops.ledger_runs")["n"][0]
    assert (int(got["lost"][0]), int(got["waiting"][0])) == (0, 0)
    assert int(got["silver"][0]) == int(confirmed) > 20_000
    assert f"{int(confirmed):,} quotes and trades confirmed" in last


def test_a_second_run_changes_no_number_and_adds_no_row(demo: Demo) -> None:
    hashes, counts = demo.hashes(), demo.counts()
    # the analyses change no table, and nbval executes them once more: here they end after their parameters
    texts = {path: path.read_text() for path in (demo.project / "notebooks" / "analysis").glob("*.ipynb")}
    for path, text in texts.items():
        notebook = json.loads(text)
        path.write_text(json.dumps({**notebook, "cells": notebook["cells"][:3]}))
    try:
        assert "already final" in demo.run()
    finally:
        for path, text in texts.items():
            path.write_text(text)
    assert demo.hashes() == hashes
    assert demo.counts() == counts


def test_no_other_service_was_touched_and_nothing_was_written_elsewhere(demo: Demo) -> None:
    assert demo.trap.visits == []
    assert not (demo.project / "live").exists()
    assert sorted(path.name for path in demo.project.iterdir()) == sorted(
        [".env", ".stocks", "config", "dbt_stocks", "home", "notebooks", "reports"]
    )
    assert not [path for path in (demo.project / "home").rglob("*") if path.is_file() and "stocks" in str(path).lower()]


def test_no_secret_is_in_anything_it_wrote(demo: Demo) -> None:
    embedded = (demo.home / "embedded.env").read_text() if (demo.home / "embedded.env").exists() else ""
    secrets = [
        line.split("=", 1)[1].strip("'\"") for line in embedded.splitlines() if "SECRET" in line or "API_KEY" in line
    ]
    secrets = [value for value in secrets if len(value) >= 12] + ["livesecret0123456789", "livekey0123456789"]
    places = [
        *(demo.home / "runs").rglob("*.ipynb"),
        *(demo.home / "logs").rglob("*"),
        *(demo.project / "reports").iterdir(),
    ]
    texts = [path.read_text(errors="replace") for path in places if path.is_file()] + demo.said
    assert len(texts) > 5
    assert not [secret for secret in secrets for text in texts if secret in text]


def test_it_leaves_no_process_behind(demo: Demo) -> None:
    mine = str(demo.project)
    left = []
    for folder in Path("/proc").glob("[0-9]*") if Path("/proc").is_dir() else []:
        try:
            if mine in (folder / "cmdline").read_bytes().decode(errors="replace").replace("\0", " "):
                left.append(folder.name)
        except OSError:
            continue
    assert left == []


NOTEBOOKS = ["notebooks/analysis", "notebooks/start_here.ipynb"]


def test_the_analysis_notebooks_hold_under_nbval(demo: Demo) -> None:
    environ = {**demo.environ, "STOCKS_DEMO": "1", "STOCKS_DEMO_HOME": str(demo.home)}
    # a model of some hundred rows: with two threads, half of the processor's time is waiting for each other
    environ["OMP_NUM_THREADS"] = "1"
    done = subprocess.run(
        [BIN / "pytest", "--nbval-lax", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *NOTEBOOKS],
        cwd=demo.project,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]


def test_query_prints_the_published_tables(demo: Demo) -> None:
    done = subprocess.run(
        [BIN / "stocks", "--demo", "query", "select symbol from gold.gold_kpi order by 1", "--format", "json"],
        cwd=demo.project,
        env=demo.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [row["symbol"] for row in json.loads(done.stdout)] == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
