"""The DAGs are quick to read, ask nobody, and say of themselves what an operator wants to know."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from stocklib.errors import SettingsError, StateError
from stocklib.sessions import NEW_YORK
from stocklib.settings import read_settings

# Airflow alone takes seconds to import, on a busy machine minutes
pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).resolve().parents[2]

# Reads every DAG after Airflow itself, and says how much of the processor each took and what else it did.
READ = """
import importlib, pathlib, sys, time, threading
base = time.process_time()
from airflow.sdk import Asset, BaseOperator, BaseOperatorLink, CronTriggerTimetable, Param, dag, task
base = time.process_time() - base
did = []
watched = ("socket.connect", "subprocess.Popen", "os.mkdir", "os.remove", "os.rename")
def watch(event, arguments):
    is_write = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if event in watched or (is_write and "__pycache__" not in str(arguments[0])):
        did.append(f"{event} {arguments}")
sys.addaudithook(watch)
sys.path.insert(0, "dags")
seconds = {}
for path in sorted(pathlib.Path("dags").glob("*.py")):
    began = time.process_time()
    importlib.import_module(path.stem)
    seconds[path.stem] = time.process_time() - began
heavy = [name for name in ("pandas", "duckdb", "dbt", "papermill", "s3fs", "requests", "plotly") if name in sys.modules]
import json
print(json.dumps({"base": base, "seconds": seconds, "did": did, "heavy": heavy, "threads": threading.active_count()}))
"""


def test_every_dag_is_read_in_two_seconds_and_without_a_side_effect(tmp_path: Path) -> None:
    environ = {"AIRFLOW_HOME": str(tmp_path), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", READ], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    told = orjson.loads(done.stdout.splitlines()[-1])
    print(told)
    assert len(told["seconds"]) == 7
    assert max(told["seconds"].values()) < 2
    assert (told["did"], told["heavy"], told["threads"]) == ([], [], 1)


def test_every_dag_says_what_it_is_and_is_bounded(bag: Any) -> None:
    assert len(bag.dags) == 7
    for dag in bag.dags.values():
        assert dag.doc_md
        assert dag.max_active_runs == 1
        assert dag.dagrun_timeout
        for task in dag.tasks:
            assert task.retries >= 1
            assert task.retry_exponential_backoff
            assert task.execution_timeout < dag.dagrun_timeout
            assert task.on_failure_callback


def test_what_asks_the_source_or_writes_to_the_warehouse_has_a_pool_of_one(bag: Any) -> None:
    slots = {
        name: pool["slots"]
        for name, pool in orjson.loads((ROOT / "config" / "airflow_pools.json").read_bytes()).items()
    }
    assert slots == {"stocks_source": 1, "stocks_warehouse": 1}
    pools = {f"{dag.dag_id}.{task.task_id}": task.pool for dag in bag.dags.values() for task in dag.tasks}
    assert {name for name, pool in pools.items() if pool == "stocks_warehouse"} == {
        "setup_snowflake_schema.initialise",
        "backfill_ytd_historical.load",
        "daily_historical_load.load",
        "minio_to_snowflake.new_objects",
        "minio_to_snowflake.load",
        "transform.build",
        "quality.check_ledger",
        "quality.check_freshness",
    }
    assert {name for name, pool in pools.items() if pool == "stocks_source"} >= {
        "backfill_ytd_historical.fetch",
        "daily_historical_load.fetch",
    }


def due(bag: Any, dag_id: str, after: datetime, count: int) -> list[datetime]:
    """When the scheduler runs a DAG next, so many times."""
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import TimeRestriction

    timetable = coerce_to_core_timetable(bag.dags[dag_id].timetable)
    restriction = TimeRestriction(earliest=after, latest=None, catchup=True)
    found: list[Any] = []
    for _ in range(count):
        found.append(
            timetable.next_dagrun_info(
                last_automated_data_interval=found[-1].data_interval if found else None, restriction=restriction
            )
        )
    return [info.run_after for info in found]


@pytest.mark.parametrize(
    ("after", "hours"),
    [
        # the Fridays and Mondays around the two changes of the clocks of 2026
        (datetime(2026, 3, 6, 12, tzinfo=UTC), [23, 22]),
        (datetime(2026, 10, 30, 12, tzinfo=UTC), [22, 23]),
    ],
)
def test_eighteen_hundred_in_new_york_is_that_on_both_sides_of_a_change_of_the_clocks(
    bag: Any, after: datetime, hours: list[int]
) -> None:
    found = due(bag, "daily_historical_load", after, 2)
    assert [instant.hour for instant in found] == hours
    assert {f"{instant.astimezone(NEW_YORK):%H:%M}" for instant in found} == {"18:00"}
    assert [instant.astimezone(NEW_YORK).weekday() for instant in found] == [4, 0]


def test_weekends_are_no_trading_days_and_loads_span_the_session(bag: Any) -> None:
    week = due(bag, "minio_to_snowflake", datetime(2026, 11, 20, 12, tzinfo=UTC), 110)
    local = [instant.astimezone(NEW_YORK) for instant in week]
    assert {moment.weekday() for moment in local} == {4, 0}
    assert (f"{min(m.time() for m in local)}", f"{max(m.time() for m in local)}") == ("09:00:00", "17:55:00")
    assert local[1] - local[0] == timedelta(minutes=5)


@pytest.mark.parametrize(
    ("instant", "reason"),
    [
        (datetime(2026, 11, 26, 23, tzinfo=UTC), "2026-11-26 (Thanksgiving)"),
        (datetime(2012, 10, 29, 22, tzinfo=UTC), "2012-10-29 (Exchange closed)"),
        (datetime(2026, 11, 28, 23, tzinfo=UTC), "2026-11-28 (a weekend)"),
    ],
)
def test_a_day_without_a_session_has_its_reason(instant: datetime, reason: str) -> None:
    from workbench.airflow.days import closed, day_of

    assert reason in closed(day_of(instant))


@pytest.mark.parametrize(
    ("at", "about"),
    [
        # SCHEDULE_DAILY="0 1 * * 2-6": each run is about the evening before
        ("2026-11-17 01:00", "2026-11-16"),
        ("2026-11-20 01:00", "2026-11-19"),
        ("2026-11-21 01:00", "2026-11-20"),
        ("2026-11-20 18:00", "2026-11-20"),
        # the whole weekend up to Monday's bell, and Saturday's own evening
        ("2026-11-21 15:59", "2026-11-20"),
        ("2026-11-22 01:00", "2026-11-20"),
        ("2026-11-23 15:59", "2026-11-20"),
        ("2026-11-23 16:00", "2026-11-23"),
        ("2026-11-21 16:00", "2026-11-21"),
        # Thanksgiving, the half day after it, and the Saturday after that
        ("2026-11-26 01:00", "2026-11-25"),
        ("2026-11-26 18:00", "2026-11-26"),
        ("2026-11-27 01:00", "2026-11-25"),
        ("2026-11-27 12:59", "2026-11-25"),
        ("2026-11-27 13:00", "2026-11-27"),
        ("2026-11-28 01:00", "2026-11-27"),
        # Good Friday, then the weekend, then Monday before the bell
        ("2026-04-03 00:30", "2026-04-02"),
        ("2026-04-04 01:00", "2026-04-02"),
        ("2026-04-06 01:00", "2026-04-02"),
        # the nights of the changes of the clocks, and a year's first night
        ("2026-03-08 03:00", "2026-03-06"),
        ("2026-11-01 01:30", "2026-10-30"),
        ("2027-01-01 01:00", "2026-12-31"),
        # Hurricane Sandy
        ("2012-10-30 01:00", "2012-10-26"),
    ],
)
def test_a_run_up_to_the_closing_bell_is_about_the_last_finished_session(at: str, about: str) -> None:
    from workbench.airflow.days import day_of

    instant = datetime.fromisoformat(at).replace(tzinfo=NEW_YORK)
    assert f"{day_of(instant)}" == f"{day_of(instant.astimezone(UTC))}" == about


def test_no_session_of_a_year_is_left_out_by_a_schedule_of_evenings_or_nights() -> None:
    from stocklib.sessions import session, sessions
    from workbench.airflow.days import day_of

    wanted = {found.session_date for found in sessions(date(2026, 1, 5), date(2026, 12, 30))}
    days = [date(2026, 1, 5) + timedelta(days=step) for step in range(361)]
    # the hour, and the first weekday of five: Monday to Friday, Tuesday to Saturday
    for hour, first in ((18, 0), (23, 0), (0, 1), (1, 1), (9, 1), (12, 1)):
        at = [datetime(day.year, day.month, day.day, hour, tzinfo=NEW_YORK) for day in days]
        found = {day_of(instant) for instant in at if first <= instant.weekday() < first + 5}
        assert {day for day in found if session(day)} >= wanted, hour


def test_a_schedule_of_afternoons_passes_over_the_session_before_a_half_day_alone() -> None:
    from stocklib.sessions import previous_session, session, sessions
    from workbench.airflow.days import day_of

    settle = timedelta(minutes=20)
    wanted = {found.session_date for found in sessions(date(2024, 1, 3), date(2028, 12, 28))}
    days = [date(2024, 1, 3) + timedelta(days=step) for step in range(5 * 365)]
    for minutes in range(12 * 60, 17 * 60, 10):
        at = [datetime(d.year, d.month, d.day, *divmod(minutes, 60), tzinfo=NEW_YORK) for d in days]
        about = {day_of(instant, settle=settle) for instant in at if instant.weekday() < 5}
        found = {day for day in about if session(day)}
        passed_over = wanted - found
        assert found | {previous_session(day).session_date for day in found} >= wanted, minutes
        assert bool(passed_over) == (13 * 60 + 20 <= minutes < 16 * 60 + 20), (minutes, passed_over)


@pytest.mark.parametrize(
    ("at", "about"),
    [
        ("2026-11-20 16:00", "2026-11-19"),
        ("2026-11-20 16:19", "2026-11-19"),
        ("2026-11-20 16:20", "2026-11-20"),
        ("2026-11-26 16:10", "2026-11-25"),
        ("2026-11-26 16:20", "2026-11-26"),
        ("2026-11-27 13:19", "2026-11-25"),
        ("2026-11-27 13:20", "2026-11-27"),
    ],
)
def test_a_run_is_about_a_session_that_has_settled(at: str, about: str) -> None:
    from workbench.airflow.days import day_of

    instant = datetime.fromisoformat(at).replace(tzinfo=NEW_YORK)
    assert f"{day_of(instant, settle=timedelta(minutes=20))}" == about


@pytest.mark.parametrize(
    ("cron", "evening", "due"),
    [
        ("0 18 * * 1-5", "2026-11-20 20:30", "2026-11-20"),
        # what is fetched after midnight is not missing the evening before
        ("0 1 * * 2-6", "2026-11-20 20:30", "2026-11-19"),
        ("0 1 * * 2-6", "2026-11-23 20:30", "2026-11-20"),
        ("0 1 * * 2-6", "2026-11-24 20:30", "2026-11-23"),
        ("off", "2026-11-20 20:30", "2026-11-20"),
    ],
)
def test_the_evening_asks_for_the_session_whose_load_was_due(cron: str, evening: str, due: str) -> None:
    from stocklib.sessions import last_finished_session
    from workbench.airflow.watching import last_daily

    settings = read_settings(environ={"FINNHUB_API_KEY": "k", "SCHEDULE_DAILY": cron})
    at = datetime.fromisoformat(evening).replace(tzinfo=NEW_YORK).astimezone(UTC)
    assert f"{last_finished_session(last_daily(settings, at)).session_date}" == due


def test_a_schedule_that_is_no_cron_expression_is_refused_by_name() -> None:
    for wrong in ("18:00", "0 18 * *", "0 18 * * 1-5; rm"):
        with pytest.raises(SettingsError, match="SCHEDULE_DAILY"):
            read_settings(environ={"FINNHUB_API_KEY": "k", "SCHEDULE_DAILY": wrong})
    assert read_settings(environ={"FINNHUB_API_KEY": "k", "SCHEDULE_DAILY": "OFF"}).schedule_daily == "off"


@pytest.mark.parametrize(
    ("now", "slot"),
    [
        # a Monday's morning looks back to Friday, over the change of the clocks too
        (datetime(2026, 11, 2, 14, tzinfo=UTC), datetime(2026, 10, 30, 22, tzinfo=UTC)),
        (datetime(2026, 11, 2, 23, 30, tzinfo=UTC), datetime(2026, 11, 2, 23, tzinfo=UTC)),
    ],
)
def test_the_slot_that_was_due_last_is_known(now: datetime, slot: datetime) -> None:
    from workbench.airflow.watching import last_slots

    settings = read_settings(environ={"FINNHUB_API_KEY": "k", "SCHEDULE_REPORTS": "off"})
    assert last_slots(settings, now)["daily_historical_load"] == slot
    assert "reports" not in last_slots(settings, now)


def test_what_a_connection_states_is_a_setting() -> None:
    from airflow.sdk import Connection

    from workbench.airflow.environment import settings_of

    minio = Connection(
        conn_id="minio", conn_type="aws", login="me", password="s", extra='{"endpoint_url": "http://m:9000"}'
    )
    assert settings_of("minio", minio) == {
        "MINIO_ENDPOINT": "http://m:9000",
        "MINIO_ACCESS_KEY": "me",
        "MINIO_SECRET_KEY": "s",
    }
    snowflake = Connection(
        conn_id="snowflake", conn_type="snowflake", login="me", extra='{"account": "a", "role": "r"}'
    )
    assert settings_of("snowflake", snowflake) == {
        "SNOWFLAKE_ACCOUNT": "a",
        "SNOWFLAKE_ROLE": "r",
        "SNOWFLAKE_USER": "me",
    }
    finnhub = Connection(conn_id="finnhub", conn_type="http", schema="http", host="h", port=8600, password="k")
    assert settings_of("finnhub", finnhub) == {"FINNHUB_API_KEY": "k", "FINNHUB_BASE_URL": "http://h:8600"}


@pytest.mark.parametrize("content", [b"", b'{"fernet": "ab', bytes(40), b'["another"]', b'{"fernet": 7}'])
@pytest.mark.parametrize("name", ["keys.json", "passwords.json"])
def test_damaged_keys_of_the_local_airflow_are_named(name: str, content: bytes, tmp_path: Path) -> None:
    from workbench.airflow import local_airflow

    keys = local_airflow._keys(tmp_path)
    assert keys == local_airflow._keys(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StateError, match=f"{name} .*delete it"):
        local_airflow._keys(tmp_path)
