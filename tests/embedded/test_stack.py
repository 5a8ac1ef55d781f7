"""The embedded stack: started once, completed when a part died, durable, and gone when it is down."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import psutil
import pytest

from stocklib.errors import EmbeddedError, StateError
from stocklib.lake import Lake
from stocklib.settings import Settings, read_settings
from stocklib.stream import Consumer, Producer
from workbench import embedded
from workbench.embedded import kafka, processes, s3
from workbench.embedded.home import Keys

Read = Callable[[], Settings]


@pytest.fixture
def own(tmp_path: Path, guard: Callable[[Path], None]) -> Iterator[Read]:
    """The settings of a home of the test's own, as they are when read; its servers are stopped afterwards."""
    home = tmp_path / "a home"
    guard(home)

    def read() -> Settings:
        environ = {"STOCKS_HOME": str(home), "FINNHUB_API_KEY": "not-a-key", "KAFKA_SESSION_TIMEOUT_MS": "2000"}
        return read_settings(environ=environ)

    yield read
    embedded.down(read())


def put(settings: Settings, count: int) -> str:
    """Messages into Kafka, an object into the lake; its key."""
    with Producer(settings, source="replay") as producer:
        for n in range(count):
            producer.publish(settings.kafka_topic, "AAPL", b"%d" % n, timestamp=datetime(2012, 12, 14, tzinfo=UTC))
    return Lake(settings).write("stock_quotes", "q+0+1-1", [b"{}"], landed=datetime(2026, 1, 1, tzinfo=UTC))


def get(settings: Settings, count: int) -> list[bytes]:
    """What Kafka holds, and is committed."""
    values: list[bytes] = []
    consumer = Consumer(settings, [settings.kafka_topic])
    deadline = time.monotonic() + 20
    while len(values) < count and time.monotonic() < deadline:
        for partition, messages in consumer.poll(0.2).items():
            values += [message.value or b"" for message in messages]
            consumer.commit({partition: messages[-1].offset + 1})
    consumer.close()
    return values


def pids(settings: Settings) -> dict[str, int | None]:
    return {server.name: server.pid for server in embedded.status(settings)}


@pytest.mark.stack
def test_a_stack_is_started_once_and_completed_and_keeps_what_it_held(own: Read) -> None:
    said: list[str] = []
    embedded.up(own(), on_progress=said.append)
    assert any(line.startswith("S3: answers at 127.0.0.1:") for line in said)
    first = own()
    before = pids(first)
    assert [server.answering for server in embedded.status(first)] == [True, True, False]
    key = put(first, 500)
    assert get(first, 500) == [b"%d" % n for n in range(500)]

    # up again is nothing to do
    said.clear()
    embedded.up(own(), on_progress=said.append)
    assert said == []
    assert pids(own()) == before

    # both servers killed: they come back at the same addresses, with their data
    for name in ("s3", "kafka"):
        os.kill(before[name] or 0, signal.SIGKILL)
    wait_for(lambda: not any(server.alive for server in embedded.status(own())))
    embedded.up(own())
    assert (own().kafka_broker, own().minio_endpoint) == (first.kafka_broker, first.minio_endpoint)
    assert own().minio_secret_key == first.minio_secret_key
    assert Lake(own()).read(key) == b"{}\n"
    put(own(), 1)
    # what was committed is not read again
    assert get(own(), 1) == [b"0"]

    # half of it killed: the other half stays
    standing = pids(own())
    os.kill(standing["kafka"] or 0, signal.SIGKILL)
    wait_for(lambda: not embedded.status(own())[1].alive)
    embedded.up(own())
    assert pids(own())["s3"] == standing["s3"]
    assert pids(own())["kafka"] != standing["kafka"]
    assert all(server.answering for server in embedded.status(own())[:2])

    # a server that an older release started has other doors open: it is not taken over
    record = own().home / "embedded" / "s3" / "server.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"flavour": ""}))
    said.clear()
    embedded.up(own(), on_progress=said.append)
    assert "another release started it" in said[0]
    assert pids(own())["s3"] != standing["s3"]
    assert Lake(own()).read(key) == b"{}\n"


@pytest.mark.stack
def test_a_port_that_somebody_took_is_named_and_another_one_is_used(own: Read) -> None:
    embedded.up(own())
    key = put(own(), 10)
    ports = {name: processes.recall(own().home / "embedded" / name).ports for name in ("s3", "kafka")}  # type: ignore[union-attr]
    embedded.down(own())
    taken = [ports["s3"]["s3"], ports["s3"]["master"], ports["kafka"]["kafka"]]
    listen = "import socket, sys; s = [socket.create_server(('127.0.0.1', int(port))) for port in sys.argv[1:]]"
    listen += "; print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", listen, *map(str, taken)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as stranger:
        assert stranger.stdout
        assert stranger.stdout.readline() == b"ready\n"
        remark = embedded.status(own())[1].remark
        assert f"port {taken[2]} is held by python" in remark
        assert f"(pid {stranger.pid})" in remark
        assert "stocks up starts it on another port" in remark
        said: list[str] = []
        embedded.up(own(), on_progress=said.append)
        named = [line for line in said if f"(pid {stranger.pid})" in line]
        assert [port for port in taken if any(str(port) in line for line in named)] == taken
        # the stranger is left alone, and the data is there at the new address
        assert stranger.poll() is None
        assert own().kafka_broker != f"127.0.0.1:{taken[2]}"
        assert Lake(own()).read(key) == b"{}\n"
        assert len(get(own(), 10)) == 10
        stranger.communicate()


@pytest.mark.stack
def test_two_ups_make_one_stack_and_down_leaves_nothing_behind(
    own: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "somebody"
    theirs.mkdir()
    monkeypatch.setenv("HOME", str(theirs))
    monkeypatch.setenv("TMPDIR", str(theirs))
    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda _: embedded.up(own()), range(2)))
    settings = own()
    assert sorted(process.info["name"] for process in working_in(settings.home)) == ["tansu", "weed"]
    running = [processes.recall(settings.home / "embedded" / name) for name in ("s3", "kafka")]
    ports = [port for daemon in running if daemon for port in daemon.ports.values()]
    assert stat.S_IMODE(settings.embedded_env.stat().st_mode) == 0o600
    for secret in ("keys.json", "s3/keys.json"):
        assert stat.S_IMODE((settings.home / "embedded" / secret).stat().st_mode) == 0o600

    embedded.down(settings)
    assert working_in(settings.home) == []
    assert not any(daemon.is_alive() for daemon in running if daemon)
    assert all(processes.is_free(port) for port in ports)
    assert not [sock for port in ports for sock in Path("/tmp").glob(f"seaweedfs-*{port}.sock")]
    assert not [sock for port in ports for sock in Path("/tmp").glob(f"seaweedfs-*{port + 10_000}.sock")]
    assert list(theirs.iterdir()) == []
    # a stopped stack's addresses lead nowhere, so that nobody who takes the port later is talked to
    assert own().kafka_broker == "127.0.0.1:1"
    assert not any(server.alive or server.answering for server in embedded.status(own()))
    embedded.down(own())


def test_a_home_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file, not a folder")
    settings = read_settings(environ={"STOCKS_HOME": str(tmp_path / "home")})
    with pytest.raises(EmbeddedError, match=r"cannot write to .*STOCKS_HOME"):
        embedded.up(settings)
    embedded.down(settings)


def test_servers_that_the_user_has_are_not_started(tmp_path: Path) -> None:
    environ = {
        "STOCKS_HOME": str(tmp_path / "home"),
        "KAFKA_BROKER": "broker.example.org:9092",
        "MINIO_ENDPOINT": "https://s3.example.org",
        "FINNHUB_API_KEY": "not-a-key",
    }
    servers = embedded.up(read_settings(environ=environ))
    assert [server.alive for server in servers] == [False, False, False]
    assert "KAFKA_BROKER is set in the environment" in servers[1].remark
    assert read_settings(environ=environ).kafka_broker == "broker.example.org:9092"


def test_the_replay_runs_as_asked_and_is_started_anew_when_it_is_asked_for_otherwise(
    tmp_path: Path, guard: Callable[[Path], None]
) -> None:
    home = tmp_path / "home"
    guard(home)
    elsewhere = {"KAFKA_BROKER": "broker.example.org:9092", "MINIO_ENDPOINT": "https://s3.example.org"}

    def read(speed: str = "step") -> Settings:
        return read_settings(environ={"STOCKS_HOME": str(home), "REPLAY_SPEED": speed, **elsewhere})

    def ask_clock() -> dict[str, object]:
        clock = read().finnhub_base_url.replace("/api/v1", "/replay/clock")
        with urllib.request.urlopen(f"{clock}?token={read().finnhub_api_key.reveal()}", timeout=5) as answer:
            return dict(json.load(answer))

    embedded.up(read())
    assert ask_clock()["mode"] == "step"
    assert read().symbols == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
    first, address = pids(read())["replay"], read().finnhub_base_url
    # the key is asked for, and everybody on the machine may read a command line
    for asked in (f"{address}/quote?symbol=AAPL", address.replace("/api/v1", "/replay/clock")):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(asked, timeout=5)
    assert read().finnhub_api_key.reveal() not in " ".join(psutil.Process(first).cmdline())
    embedded.up(read())
    assert pids(read())["replay"] == first
    embedded.up(read("60"))
    assert ask_clock()["speed"] == 60
    assert pids(read())["replay"] != first
    assert read().finnhub_base_url == address
    # what is elsewhere is neither started nor given a key of ours
    assert "MINIO" not in read().embedded_env.read_text()
    embedded.down(read())
    assert read().finnhub_base_url == "http://127.0.0.1:1/api/v1"


def test_a_server_whose_start_was_killed_before_it_was_remembered_is_found(
    tmp_path: Path, guard: Callable[[Path], None]
) -> None:
    environ = {
        "STOCKS_HOME": str(tmp_path / "a home"),
        "KAFKA_BROKER": "broker.example.org:9092",
        "MINIO_ENDPOINT": "https://s3.example.org",
    }
    settings = read_settings(environ=environ)
    guard(settings.home)
    program = f"""
import os, signal
from workbench import embedded
from workbench.embedded import processes
from stocklib.settings import read_settings
processes._remember = lambda daemon: os.kill(os.getpid(), signal.SIGKILL)
embedded.up(read_settings(environ={environ!r}))
"""

    def kill_a_start() -> psutil.Process:
        killed = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False)
        assert killed.returncode == -signal.SIGKILL
        (left,) = working_in(settings.home)
        return left

    stray = kill_a_start()
    embedded.up(settings)
    assert not stray.is_running()
    assert [p.pid for p in working_in(settings.home)] == [pids(settings)["replay"]]
    embedded.down(settings)
    kill_a_start()
    # a shell whose folder is there is no server
    with subprocess.Popen(["sleep", "60"], cwd=settings.home / "embedded" / "replay") as visitor:
        embedded.down(settings)
        assert [p.pid for p in working_in(settings.home)] == [visitor.pid]
        visitor.kill()


def test_a_platform_without_the_servers_is_told_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALF_TANSU_BIN", str(tmp_path / "nowhere"))
    with pytest.raises(EmbeddedError, match="set KAFKA_BROKER"):
        kafka.find_binary(tmp_path)
    monkeypatch.setattr(metadata, "files", lambda name: [])
    with pytest.raises(EmbeddedError, match="set MINIO_ENDPOINT"):
        s3.find_binary()


def test_a_server_that_does_not_come_up_says_why_and_is_stopped(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no such data'); raise SystemExit(3)"]
    daemon = processes.start("S3", command, folder=tmp_path, ports={}, environ={})
    with pytest.raises(EmbeddedError, match=r"ended at once.*no such data"):
        processes.wait_until(daemon, lambda: "mute", seconds=10)
    mute = processes.start("Kafka", ["sleep", "60"], folder=tmp_path, ports={}, environ={})
    with pytest.raises(EmbeddedError, match=r"did not answer within 0 s \(mute\)"):
        processes.wait_until(mute, lambda: "mute", seconds=0.1)
    assert not mute.is_alive()


def test_another_process_with_a_remembered_pid_is_not_taken_for_the_server(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        record = {"name": "Kafka", "pid": stranger.pid, "started": time.time() - 900, "ports": {}, "flavour": ""}
        (tmp_path / "server.json").write_text(json.dumps(record))
        remembered = processes.recall(tmp_path)
        assert remembered
        assert not remembered.is_alive()
        processes.stop(remembered, grace=1)
        assert stranger.poll() is None
        stranger.kill()


def test_a_zombie_counts_as_dead(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        started = psutil.Process(child.pid).create_time()
        daemon = processes.Daemon("Kafka", child.pid, started, {}, "", tmp_path)
        assert daemon.is_alive()
        child.kill()
        # nobody has waited for it yet
        wait_for(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
        assert not daemon.is_alive()


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text("{")
    with pytest.raises(StateError, match=r"server\.json is torn, or not JSON.*delete it and run `stocks up`"):
        processes.recall(tmp_path)


def test_free_ports_are_free_with_their_twins_and_the_wanted_ones_where_possible() -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        taken = somebody.getsockname()[1]
        ports = processes.free_ports(["a", "b"], wanted={"a": taken})
        assert ports["a"] != taken
        assert str(os.getpid()) in processes.holder(taken)
    assert all(
        port < 55_000 and processes.is_free(port) and processes.is_free(port + 10_000) for port in ports.values()
    )
    assert processes.free_ports(["b", "a"], wanted=ports) == ports


@pytest.mark.stack
def test_a_signature_by_other_keys_is_refused(stack: dict[str, str]) -> None:
    port = int(stack["MINIO_ENDPOINT"].rsplit(":", 1)[1])
    daemon = processes.Daemon("S3", 0, 0.0, {"s3": port}, "", Path())
    assert s3.complaint(daemon, Keys(stack["MINIO_ACCESS_KEY"], stack["MINIO_SECRET_KEY"])) is None
    assert "403" in (s3.complaint(daemon, Keys(stack["MINIO_ACCESS_KEY"], "another")) or "")


def working_in(folder: Path) -> list[psutil.Process]:
    """The processes whose working directory lies in a folder; one that ends by then is left out."""
    return [p for p in psutil.process_iter(["name", "cwd"]) if str(folder) in (p.info["cwd"] or "")]


def wait_for(truth: Callable[[], bool], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)
