"""``make rehearse``: the stack of docker-compose.yml on this machine without Docker, and the pipeline through Airflow.

The file is read as Docker's own program reads it, with the profile demo; its services run natively (staging.py), in the
order and on the conditions that it states. Then Airflow's REST API is asked for a backfill and a load; the transform
follows by itself; gold, the ledger, who may enter, what listens where and how much memory was held are looked at.
"""

import json
import re
import shutil
import signal
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from containers import ROOT, make_env, read_stack
from staging import NOT_REHEARSED, NotToBeHad, Stage, find_minio, tail

# Half an hour of the recorded session, sixty times as fast; schedules wait, so that what runs is what was asked for.
ASKED = {
    "REPLAY_START": "2012-12-14T15:30:00",
    "SCHEDULE_LOAD": "off",
    "SCHEDULE_DAILY": "off",
    "SCHEDULE_REPORTS": "off",
    "SCHEDULE_QUALITY": "off",
}
SYMBOLS = ["AAPL", "IBM"]
NOT_SHOWN = """\
not rehearsed: the builds of both images (no engine); Kafka UI (there is only its image); minio-volume and the users of
the containers; Docker's network, published ports, limits, restarts and log rotation; JupyterLab's bind mount; the
profiles docs and loader; PostgreSQL is the version of this machine, not that of the image."""


def say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {text}\n")
    sys.stdout.flush()


def main() -> int:
    # a request to end it ends the services too
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="rehearsal-"))
    folder.chmod(0o711)
    env = folder / ".env"
    make_env(env)
    env.write_text(env.read_text() + "".join(f"{name}={value}\n" for name, value in ASKED.items()))
    services = read_stack(env, ROOT / "docker" / "demo.env", profiles=["demo"])["services"]
    stage = Stage(folder, services)
    well = False
    try:
        if not find_minio():
            say("there is no Go to build MinIO: the embedded S3 server takes its place")
        for name in in_order(services):
            began = time.monotonic()
            staged = stage.start(name)
            how = "done" if name in stage.done else f"healthy at {staged.address}"
            say(f"{name} is {how}, {time.monotonic() - began:.0f} s")
        rehearse(stage)
        operate(stage, env)
        well = True
    except NotToBeHad as reason:
        say(str(reason))
    except AssertionError as error:
        say(f"FAILED: {error}")
        for staged in stage.running.values():
            say(f"the log of {staged.name} ends with:\n{tail(staged.log)[-800:]}")
    finally:
        for staged in stage.running.values():
            staged.look()
        for name in reversed(list(stage.running)):
            stop(stage, name)
        if well:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            say(f"everything is kept in {folder}")
    say(NOT_SHOWN)
    say("the rehearsal succeeded" if well else "the rehearsal FAILED")
    return 0 if well else 1


def in_order(services: dict[str, Any]) -> list[str]:
    """Each service after those it depends on; what makes and lands quotes before Airflow, which takes longest."""
    ordered: list[str] = []

    def put(name: str) -> None:
        if name in services and name not in ordered and name not in NOT_REHEARSED:
            for other in services[name].get("depends_on", {}):
                put(other)
            ordered.append(name)

    for name in ("kafka", "minio", "replay", "producer", "consumer", *services):
        put(name)
    return ordered


def rehearse(stage: Stage) -> None:
    """What users do and see, over the services' own addresses."""
    listens = stage.listening()
    # MinIO listens on localhost and on its address, in IPv6 too
    assert all(one.startswith(("127.", "::1:")) for found in listens.values() for one in found), listens
    say(f"{sum(map(len, listens.values()))} listeners, all of them on loopback")
    nobody_enters_without_a_secret(stage)
    airflow = Airflow(stage)
    airflow.wait_for_dags(7)
    airflow.run("setup_snowflake_schema", {})
    # before anything else loads them, however fast or slow the machine is
    wait(
        "the session's quotes in the lake", lambda: "landed" in (stage.running["consumer"].log.read_text()), seconds=300
    )
    airflow.run("minio_to_snowflake", {})
    say(f"the transform that the load's asset triggered: {airflow.wait_for_transform(1)}")
    airflow.run("backfill_ytd_historical", {"symbols": SYMBOLS})
    say(f"the transform that the backfill's asset triggered: {airflow.wait_for_transform(2)}")
    gold_is_right(stage)
    say("the ledger: " + stage.run("airflow-scheduler", "stocks", "ledger").strip().splitlines()[-1])


def nobody_enters_without_a_secret(stage: Stage) -> None:
    at = stage.addresses
    known = stage.services
    token = known["jupyter"]["environment"]["JUPYTER_TOKEN"]
    contents = f"http://{at['jupyter']}:8888/api/contents"
    assert status(contents) == 403
    assert status(contents, headers={"Authorization": f"token {token}"}) == 200
    assert status(f"http://{at['minio']}:9000/bronze-transactions") == 403
    dags = f"http://{at['airflow-apiserver']}:8080/api/v2/dags"
    assert status(dags) == 401
    wrong = {"username": "admin", "password": "admin"}
    assert status(f"http://{at['airflow-apiserver']}:8080/auth/token", body=wrong) == 401
    assert status(f"http://{at['replay']}:8600/api/v1/quote?symbol=AAPL&token=wrong") == 401
    say("JupyterLab, MinIO, Airflow and the replay refuse who has no secret, or a wrong one")


def gold_is_right(stage: Stage) -> None:
    import pandas as pd

    sql = "select symbol, quote_date::varchar as day, close_price, data_source from gold.fact_daily_stock_quotes"
    bars = pd.DataFrame(json.loads(stage.run("jupyter", "stocks", "query", "--format", "json", sql)))
    tape = pd.read_parquet(ROOT / "lib/finnhub_replay/data/us5_daily_2000_2013.parquet")
    tape = tape.assign(day=tape["date"].astype(str).str[:10])
    both = bars[bars["symbol"].isin(SYMBOLS)].merge(tape, on=["symbol", "day"])
    assert len(both) > 400, f"{len(bars)} bars in gold, {len(both)} of {SYMBOLS} on the tape"
    assert (both["close_price"] - both["close"]).abs().max() < 1e-6
    kpi = stage.run("jupyter", "stocks", "query", "--format", "csv", "select symbol, current_price from gold.gold_kpi")
    assert all(symbol in kpi for symbol in SYMBOLS), kpi
    count = "select count(*) as quotes from silver.stg_stock_quotes_cleaned"
    quotes = stage.run("jupyter", "stocks", "query", "--format", "csv", count)
    assert int(quotes.split()[-1]) > 0
    say(f"gold: {len(both)} bars are those of the tape, {quotes.split()[-1]} quotes came through Kafka")


def operate(stage: Stage, env: Path) -> None:
    """What docs/operations.md says to PostgreSQL, as it stands there: dump, restore, a new password."""
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    commands = re.findall(r"^dc exec -T postgres (sh -c .*?(?:\.env|\.dump))$", text, flags=re.MULTILINE | re.DOTALL)
    assert len(commands) == 3, commands
    for name in [name for name in stage.running if name.startswith("airflow")]:
        stage.running[name].look()
        stop(stage, name)
    (env.parent / "backup").mkdir()
    dump, restore, rotate = commands
    count = "PGPASSWORD=$POSTGRES_PASSWORD psql -U airflow -d airflow -Atc 'select count(*) from dag_run'"
    before = stage.run("postgres", "sh", "-c", count)
    stage.run("postgres", "sh", "-c", dump, cwd=env.parent)
    stage.run("postgres", "sh", "-c", count.replace("select count(*)", "delete"))
    stage.run("postgres", "sh", "-c", restore, cwd=env.parent)
    assert stage.run("postgres", "sh", "-c", count) == before
    say(f"Airflow's metadata was dumped and restored: {before.strip()} runs")
    make_env(env, rotate=["POSTGRES_PASSWORD"])
    stage.run("postgres", "sh", "-c", rotate, cwd=env.parent)
    new = re.findall("^POSTGRES_PASSWORD=(.*)$", env.read_text(), flags=re.MULTILINE)[0]
    stage.services["postgres"]["environment"]["POSTGRES_PASSWORD"] = new
    assert stage.run("postgres", "sh", "-c", count) == before
    say("PostgreSQL's password was rotated")


def stop(stage: Stage, name: str) -> None:
    held = stage.running[name].peak / 2**20
    limit = int(stage.services[name]["deploy"]["resources"]["limits"]["memory"]) / 2**20
    say(f"{name} stopped within {stage.stop(name):.1f} s; it held {held:.0f} MB of {limit:.0f}")


class Airflow:
    """Airflow's REST API, as a user with the password uses it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.at = f"http://{stage.addresses['airflow-apiserver']}:8080"
        password = stage.services["airflow-apiserver"]["environment"]["AIRFLOW_ADMIN_PASSWORD"]
        self.token = self._ask("/auth/token", {"username": "admin", "password": password})["access_token"]

    def wait_for_dags(self, count: int) -> None:
        wait(f"{count} DAGs", lambda: self._ask("/api/v2/dags")["total_entries"] == count)
        assert self._ask("/api/v2/importErrors")["total_entries"] == 0
        say(f"Airflow reads {count} DAGs without an error")

    def run(self, dag: str, conf: dict[str, Any]) -> None:
        began = time.monotonic()
        asked = self._ask(f"/api/v2/dags/{dag}/dagRuns", {"logical_date": None, "conf": conf})
        self._wait_for_run(dag, asked["dag_run_id"])
        say(f"{dag} succeeded, {time.monotonic() - began:.0f} s")

    def wait_for_transform(self, count: int) -> str:
        """The so-manieth run of the transform, which nobody asked for."""

        def runs() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = self._ask("/api/v2/dags/transform/dagRuns?order_by=id")["dag_runs"]
            return found

        wait(f"run {count} of transform", lambda: len(runs()) >= count)
        last = runs()[count - 1]
        assert last["run_type"] == "asset_triggered", last
        return self._wait_for_run("transform", last["dag_run_id"])

    def _wait_for_run(self, dag: str, run_id: str) -> str:
        def state() -> str:
            for staged in self.stage.running.values():
                staged.look()
            return str(self._ask(f"/api/v2/dags/{dag}/dagRuns/{run_id}")["state"])

        wait(f"{dag} to end", lambda: state() in ("success", "failed"), seconds=1800)
        tasks = self._ask(f"/api/v2/dags/{dag}/dagRuns/{run_id}/taskInstances")["task_instances"]
        assert state() == "success", f"{dag}: {[(task['task_id'], task['state']) for task in tasks]}"
        return run_id

    def _ask(self, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} if path != "/auth/token" else {}
        return json.loads(answer(self.at + path, body=body, headers=headers))


def answer(url: str, *, body: Any = None, headers: Mapping[str, str] = MappingProxyType({})) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=120) as got:
        found: bytes = got.read()
        return found


def status(url: str, *, body: Any = None, headers: Mapping[str, str] = MappingProxyType({})) -> int:
    try:
        answer(url, body=body, headers=headers)
    except urllib.error.HTTPError as error:
        return error.code
    return 200


def wait(what: str, truth: Callable[[], bool], *, seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(2)


if __name__ == "__main__":
    sys.exit(main())
