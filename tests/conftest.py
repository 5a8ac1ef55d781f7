"""What every test may ask for: the embedded pair (one for the session), settings of its own on it, a replay server.

``stack``            the addresses and keys of one embedded S3 and one embedded Kafka, started when first asked for
``service_environ``  these, plus a bucket, topics, a group and a STOCKS_HOME of the test's own
``settings``         the same, read
``spare``            settings of the test's own on a second pair, whose servers may be killed
``project``          a folder for a process of its own
``gold``             settings that read gold over recorded bars, made once for all processes of a run
``replay``           starts a replay server and returns settings that point at it
"""

import gc
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import apache_kafka
import pytest
from xdist.scheduler import LoadScopeScheduling

import stocklib.settings
from stocklib.settings import Settings, describe, project_root, read_settings
from workbench import embedded
from workbench.embedded import processes, replay_server
from workbench.embedded.home import Keys

ROOT = Path(__file__).resolve().parents[1]


class StartReplay(Protocol):
    """Start a replay server: New York start, ``step`` or a factor, more options of its command line, more settings."""

    def __call__(
        self,
        *,
        start: str = ...,
        speed: str = ...,
        options: Sequence[str] = ...,
        environ: Mapping[str, str] = ...,
    ) -> Settings: ...


# Which Kafka the tests run against: the embedded broker, Apache's own ("apache"), or the one at an address.
KAFKA = os.environ.get("STOCKS_TEST_KAFKA", "")

# What is built once for several files: these run in one process, one file after the other.
GROUPS = {
    "year": ("test_contracts.py", "test_descriptions.py", "test_oracle.py"),
}


# The files of more than half a minute, the longest first: a run with several processes begins with them.
LONG = (
    *("test_demo.py", "test_ledger.py", "test_transform.py", "test_microbatch.py", "test_landing.py"),
    *("test_supervisor.py", "test_renames.py", "test_splits.py", "test_trades.py", "test_faults.py"),
    *("test_exactly_once.py", "test_oracle.py", "test_stream.py", "test_health.py", "test_history.py"),
    *("test_stack.py", "test_retractions.py", "test_outages.py", "test_ends.py", "test_readmit.py"),
    *("test_sweeps.py", "test_properties.py", "test_loading.py", "test_publish.py", "test_spool.py"),
)


def pytest_configure() -> None:
    """Look for garbage less often: modules, dbt's project and tables stay, and searching them took a tenth of a run."""
    gc.set_threshold(50_000, 20, 20)


def pytest_collection_finish() -> None:
    """Leave the tests and their modules out of every later search for garbage."""
    gc.freeze()


def pytest_unconfigure() -> None:
    """Have the interpreter's end find what was left out."""
    gc.unfreeze()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """After the shuffle."""
    order = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.name, len(LONG)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """With several processes, a file's tests stay together, and so do those of a group."""
    config.option.loadscopereorder = False
    return ByFile(config, log)


class ByFile(LoadScopeScheduling):
    """Hands out whole files, or groups of them."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        return next((name for name, files in GROUPS.items() if Path(file).name in files), file)


@pytest.fixture(autouse=True)
def only_on_its_kafka(request: pytest.FixtureRequest) -> None:
    """A test of one Kafka is skipped on another."""
    if request.node.get_closest_marker("apache") and KAFKA != "apache":
        pytest.skip("needs Apache Kafka: make test-kafka")
    if request.node.get_closest_marker("embedded_kafka") and KAFKA:
        pytest.skip("is about the embedded broker")


@pytest.fixture(autouse=True)
def no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the environment nor the checkout's .env reaches a test."""
    for name in [*(name for name, _, _ in describe()), "STOCKS_DEMO", "STOCKS_DEMO_HOME", "AWS_PROFILE"]:
        monkeypatch.delenv(name, raising=False)
    read = stocklib.settings._read_env_file
    theirs = project_root() / ".env"
    monkeypatch.setattr(
        stocklib.settings, "_read_env_file", lambda path: {} if path == theirs == ROOT / ".env" else read(path)
    )


@pytest.fixture(scope="session")
def guard() -> Iterator[Callable[[Path], None]]:
    """Call it with a home before starting servers there: they end with the session, however that ends."""
    with guarding() as guard_home:
        yield guard_home


@contextmanager
def guarding() -> Iterator[Callable[[Path], None]]:
    """A function that takes note of a home: the servers there end with the block, even by a kill -9 of this process."""
    guardian = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "guardian.py")], stdin=subprocess.PIPE, text=True, start_new_session=True
    )
    assert guardian.stdin is not None
    stdin = guardian.stdin

    def guard_home(home: Path) -> None:
        stdin.write(f"{home}\n")
        stdin.flush()

    try:
        yield guard_home
    finally:
        stdin.close()
        guardian.wait(timeout=30)


@contextmanager
def pair_of_its_own() -> Iterator[dict[str, str]]:
    """A fresh embedded S3 and Kafka, for a benchmark: where they are, and names, as settings."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, guarding() as guard_home:
        guard_home(Path(folder))
        yield start_again(Path(folder)) | names_of_its_own(Path(folder))


@pytest.fixture(scope="session")
def stack(guard: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where the session's embedded S3 and Kafka are, as settings."""
    home = tmp_path_factory.mktemp("stack")
    guard(home)
    return start_again(home)


@pytest.fixture
def service_environ(stack: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Kafka and S3 with names that no other test uses."""
    return stack | names_of_its_own(tmp_path)


@pytest.fixture
def settings(service_environ: dict[str, str]) -> Settings:
    """Settings of the test's own on the session's embedded pair."""
    return read_settings(environ=service_environ)


@pytest.fixture(scope="session")
def spare_home(guard: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the pair that tests may kill."""
    if KAFKA not in ("", "apache"):
        pytest.skip(f"the Kafka at {KAFKA} is another's, and not ours to kill")
    home = tmp_path_factory.mktemp("spare")
    guard(home)
    return home


@pytest.fixture
def spare(spare_home: Path, tmp_path: Path) -> Settings:
    """Settings of the test's own on a pair whose servers it may kill; ``start_again`` completes it."""
    return read_settings(environ=start_again(spare_home) | names_of_its_own(tmp_path))


def start_again(home: Path) -> dict[str, str]:
    """Start what does not run of the embedded pair of a home, and return where it is, as settings."""
    # a key of one's own says that no replay server is wanted
    environ = {"STOCKS_HOME": str(home), "FINNHUB_API_KEY": "not-a-key"}
    if KAFKA:
        environ["KAFKA_BROKER"] = run_apache_kafka(home) if KAFKA == "apache" else KAFKA
    embedded.up(read_settings(environ=environ))
    running = read_settings(environ=environ)
    return {
        "KAFKA_BROKER": running.kafka_broker,
        "MINIO_ENDPOINT": running.minio_endpoint,
        "MINIO_ACCESS_KEY": running.minio_access_key,
        "MINIO_SECRET_KEY": running.minio_secret_key.reveal(),
    }


def run_apache_kafka(home: Path) -> str:
    """The address of an Apache Kafka in place of a home's embedded broker; the test is skipped where none can run."""
    try:
        return apache_kafka.run(home / "embedded" / "kafka")
    except apache_kafka.NotToBeHad as error:
        pytest.skip(str(error))


def names_of_its_own(tmp_path: Path) -> dict[str, str]:
    """A bucket, topics, a group and a home that no other test uses."""
    own = uuid.uuid4().hex[:12]
    return {
        "STOCKS_HOME": str(tmp_path / "home"),
        "MINIO_BUCKET": f"lake-{own}",
        "MINIO_ARTIFACTS_BUCKET": f"artifacts-{own}",
        "KAFKA_TOPIC": f"quotes-{own}",
        "KAFKA_TRADES_TOPIC": f"trades-{own}",
        "KAFKA_DLQ_TOPIC": f"dlq-{own}",
        "KAFKA_GROUP": f"group-{own}",
        "KAFKA_PARTITIONS": "2",
        # the embedded broker takes half of it for a join
        "KAFKA_SESSION_TIMEOUT_MS": "2000",
        "BATCH_MAX_SECONDS": "1",
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder that passes for a checkout, so that a subprocess finds no .env of the developer's."""
    (tmp_path / "checkout" / "dbt_stocks").mkdir(parents=True)
    (tmp_path / "checkout" / "dbt_stocks" / "dbt_project.yml").touch()
    return tmp_path / "checkout"


@pytest.fixture(scope="session")
def gold(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """What reads the recorded gold of this test run; a test that changes it takes a ``recorded_gold.copy``."""
    # dbt, which few processes need
    from recorded_gold import shared

    return shared(tmp_path_factory.getbasetemp())


@pytest.fixture
def replay(guard: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartReplay]:
    """A function that starts a replay server on a free port; each ends with the test."""
    started = []

    def start_replay(
        *,
        start: str = "2012-12-14T09:29:00",
        speed: str = "step",
        options: Sequence[str] = (),
        environ: Mapping[str, str] = {},
    ) -> Settings:
        home = tmp_path_factory.mktemp("replay")
        guard(home)
        asked = {"STOCKS_HOME": str(home), "REPLAY_START": start, "REPLAY_SPEED": speed}
        keys = Keys("", "", "replay-key")
        daemon = replay_server.start(read_settings(environ=asked), keys, wanted={}, options=options)
        started.append(daemon)
        processes.wait_until(daemon, lambda: replay_server.complaint(daemon, keys), seconds=60)
        at = f"127.0.0.1:{daemon.ports['replay']}"
        return read_settings(
            environ={
                **asked,
                "FINNHUB_BASE_URL": f"http://{at}/api/v1",
                "FINNHUB_WS_URL": f"ws://{at}",
                "FINNHUB_API_KEY": "replay-key",
                "FINNHUB_CALLS_PER_MINUTE": "0",
                "FINNHUB_CALLS_PER_SECOND": "0",
                "POLL_SECONDS": "0",
                "CLOSE_SETTLE_SECONDS": "0",
                "STOCKS_WATCHLIST": str(replay_server.SYMBOLS),
                **environ,
            }
        )

    yield start_replay
    for daemon in started:
        replay_server.stop(daemon)
