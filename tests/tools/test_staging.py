"""Services of docker-compose.yml run natively, each by itself: what `make rehearse` does with all of them."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import ROOT, make_env, read_stack
from rehearse import in_order, operate, status
from staging import _POSTGRES, NOT_REHEARSED, Stage


@pytest.fixture
def env() -> Iterator[Path]:
    """Outside of pytest's own folders, which no other user may enter: root starts PostgreSQL as another."""
    with tempfile.TemporaryDirectory(prefix="staging-") as folder:
        Path(folder).chmod(0o711)
        make_env(Path(folder) / ".env")
        yield Path(folder) / ".env"


@pytest.fixture
def stage(env: Path) -> Iterator[Stage]:
    made = Stage(env.parent, read_stack(env, ROOT / "docker" / "demo.env", profiles=["demo"])["services"])
    yield made
    for name in list(made.running):
        made.stop(name)


def test_every_service_of_the_demo_is_rehearsed_after_those_it_needs(stage: Stage) -> None:
    order = in_order(stage.services)
    assert set(order) == set(stage.services) - set(NOT_REHEARSED)
    for name in order:
        needed = set(stage.services[name].get("depends_on", {})) - set(NOT_REHEARSED)
        assert needed <= set(order[: order.index(name)]), name


def test_what_the_file_says_is_turned_to_loopback_and_to_folders_of_the_rehearsal(stage: Stage) -> None:
    told = stage._environ("airflow-scheduler")
    at = stage.addresses
    assert told["KAFKA_BROKER"] == f"{at['kafka']}:19092"
    assert told["MINIO_ENDPOINT"] == f"http://{at['minio']}:9000"
    assert f"@{at['postgres']}:5432/airflow" in told["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    assert told["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == f"http://{at['airflow-apiserver']}:8080/execution/"
    assert told["STOCKS_HOME"] == str(stage.folder / "volumes" / "stocks-home")
    assert told["AIRFLOW__CORE__DAGS_FOLDER"] == str(stage.folder / "app" / "dags")
    # neither the developer's environment nor a name or a wildcard is left
    assert not [name for name in stage.services for value in stage._environ(name).values() if "0.0.0.0" in value]
    assert set(told) - set(os.environ) >= {"KAFKA_BROKER", "STOCKS_HOME"}


def test_the_replay_runs_as_the_file_says_and_takes_its_generated_key_alone(stage: Stage) -> None:
    replay = stage.start("replay")
    assert all(one.startswith(replay.address) for found in stage.listening().values() for one in found)
    quote = f"http://{replay.address}:8600/api/v1/quote?symbol=AAPL&token="
    assert status(quote + stage.services["replay"]["environment"]["STOCKS_REPLAY_KEY"]) == 200
    assert status(quote + "wrong") == 401
    # others know it by its name; the clock is theirs too, and nobody's without the key
    clock, named = f"http://{replay.address}:8600/replay/clock", {"Host": "replay:8600"}
    key = {"X-Finnhub-Token": stage.services["replay"]["environment"]["STOCKS_REPLAY_KEY"]}
    assert status(clock, headers=named | key) == 200
    assert status(clock, headers=named) == 401
    assert status(clock, headers={"Host": "another:8600"} | key) == 403
    stage.stop("replay")
    assert replay.process.poll() is not None


@pytest.mark.skipif(not _POSTGRES, reason="PostgreSQL is not there: apt-get install postgresql")
def test_postgresql_takes_the_generated_password_and_the_commands_of_the_operations_page(
    stage: Stage, env: Path
) -> None:
    stage.start("postgres")
    assert stage.listening()["postgres"] == {f"{stage.addresses['postgres']}:5432"}
    ask = "psql -v ON_ERROR_STOP=1 -U airflow -d airflow -Atc"
    with pytest.raises(AssertionError, match="password authentication failed"):
        stage.run("postgres", "sh", "-c", f"PGPASSWORD=airflow {ask} 'select 1'")
    made = "create table dag_run as select * from generate_series(1, 3)"
    stage.run("postgres", "sh", "-c", f"PGPASSWORD=$POSTGRES_PASSWORD {ask} '{made}'")
    operate(stage, env)
