"""A real scheduler: ``make airflow`` from its start to Ctrl-C, with loads over REST and the transform that follows."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from stocklib.settings import Settings
from stocklib.warehouse import open_warehouse

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
NEW = "2012-12-10"


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def airflow(pipeline: Settings, port: int) -> Iterator["subprocess.Popen[str]"]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench.airflow", "--port", str(port)],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait(60)


class Api:
    """Airflow's REST API, signed in with the generated password."""

    def __init__(self, port: int, home: Path) -> None:
        self._url = f"http://127.0.0.1:{port}"
        password = json.loads((home / "airflow" / "passwords.json").read_text())["admin"]
        self._token = self._ask("/auth/token", {"username": "admin", "password": password})["access_token"]

    def get(self, path: str) -> Any:
        return self._ask(f"/api/v2{path}", None)

    def post(self, path: str, body: Any) -> Any:
        return self._ask(f"/api/v2{path}", body)

    def _ask(self, path: str, body: Any) -> Any:
        headers = {"Content-Type": "application/json"}
        if hasattr(self, "_token"):
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(self._url + path, data, headers), timeout=30) as answer:
            return json.load(answer)


def wait(told: Callable[[], Any], *, seconds: float = 400) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := told():
            return found
        time.sleep(0.5)
    raise AssertionError("it did not come to pass")


def listeners(pids: set[int]) -> set[str]:
    """The addresses on which these processes listen."""
    inodes = set()
    for pid in pids:
        for handle in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                inodes.add(str(handle.readlink()))
            except OSError:
                continue  # closed by now
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            part = line.split()
            if part[3] == "0A" and f"socket:[{part[9]}]" in inodes:
                found.add(part[1].split(":")[0])
    return found


def of_session(leader: int) -> set[int]:
    """The processes that a process started, and theirs."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue  # ended by now
        parents[int(stat.parent.name)] = int(text.rpartition(")")[2].split()[1])
    found = {leader}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def test_a_load_announces_itself_and_the_transform_follows_and_ctrl_c_ends_everything(
    airflow: "subprocess.Popen[str]", pipeline: Settings, port: int
) -> None:
    assert airflow.stdout is not None
    said = iter(airflow.stdout.readline, "")
    line = next(text for text in said if f"http://127.0.0.1:{port}" in text)
    passwords = pipeline.home / "airflow" / "passwords.json"
    assert str(passwords) in line
    assert passwords.stat().st_mode & 0o077 == 0
    assert json.loads(passwords.read_text())["admin"] not in line
    everyone = of_session(airflow.pid)
    assert listeners(everyone) == {"0100007F"}
    api = Api(port, pipeline.home)
    wait(lambda: api.get("/dags")["total_entries"] == 7)
    assert api.get("/importErrors")["total_entries"] == 0
    assert {pool["name"]: pool["slots"] for pool in api.get("/pools")["pools"]}["stocks_warehouse"] == 1
    # twice at once: the second waits for the first
    asked = {"logical_date": None, "conf": {"from": NEW, "to": NEW}}
    runs = [api.post("/dags/backfill_ytd_historical/dagRuns", asked)["dag_run_id"] for _ in range(2)]
    done = [
        wait(lambda run=run: ended(api, f"/dags/backfill_ytd_historical/dagRuns/{run}"))  # type: ignore[misc]
        for run in runs
    ]
    assert [run["state"] for run in done] == ["success", "success"]
    spans = sorted((run["start_date"], run["end_date"]) for run in done)
    assert spans[0][1] <= spans[1][0]
    followed = wait(lambda: [one for one in api.get("/dags/transform/dagRuns")["dag_runs"] if one["end_date"]])
    assert (followed[0]["run_type"], followed[0]["state"]) == ("asset_triggered", "success")
    dates = open_warehouse(pipeline).query("select distinct quote_date from gold.fact_daily_stock_quotes")["quote_date"]
    assert [f"{day:%Y-%m-%d}" for day in dates] == [NEW]
    everyone |= of_session(airflow.pid)
    airflow.send_signal(signal.SIGINT)
    assert airflow.wait(60) == 0
    # a kernel notices within seconds that nobody is left
    wait(lambda: not [pid for pid in everyone if is_running(pid)], seconds=20)


def ended(api: Api, path: str) -> Any:
    run = api.get(path)
    return run if run["state"] in ("success", "failed") else None


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
