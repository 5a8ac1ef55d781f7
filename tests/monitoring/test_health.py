"""Health, with real processes: heartbeats, metrics on loopback, and the alarm of ``stocks status``."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import StartReplay
from outages import Proxy, wait_for
from prometheus_client.parser import text_string_to_metric_families

from stocklib.clocks import KeepAliveStop
from stocklib.errors import Interrupted, SettingsError, SourceUnavailable
from stocklib.finnhub import Finnhub
from stocklib.monitoring.health import examine
from stocklib.monitoring.heartbeat import Beat, Heartbeat, read_heartbeats
from stocklib.monitoring.heartbeat_checks import Moment, check_heartbeat
from stocklib.pipeline.ingest import produce, produce_trades
from stocklib.pipeline.landing import land
from stocklib.pipeline.transform.loader_loop import LoaderHealth
from stocklib.settings import Secret, Settings, read_settings
from stocklib.stream import Producer, create_topics
from workbench import doctor
from workbench.embedded.processes import is_free

STOCKS = Path(sys.executable).parent / "stocks"

Begin = Callable[..., subprocess.Popen[bytes]]


def environ_of(settings: Settings) -> dict[str, str]:
    """The settings of a test as another process is given them."""
    stated = {name: settings.values[name] for name, origin in settings.origins.items() if origin == "environment"}
    shown = {name: value.reveal() if isinstance(value, Secret) else f"{value}" for name, value in stated.items()}
    return {**os.environ, **shown, "STOCKS_HOME": str(settings.home), "STOCKS_LOG": "warning"}


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Start a verb in a process of its own; it ends with the test."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(settings: Settings, *arguments: str) -> subprocess.Popen[bytes]:
        begun.append(subprocess.Popen([STOCKS, *arguments], env=environ_of(settings)))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.wait()


def status(settings: Settings) -> tuple[int, dict[str, Any]]:
    """The exit status of ``stocks status --json``, and what it says."""
    told = subprocess.run([STOCKS, "status", "--json"], env=environ_of(settings), capture_output=True, check=False)
    said: dict[str, Any] = json.loads(told.stdout)
    return told.returncode, said


def new_york(hour: int, minute: int = 0, *, day: int = 14) -> datetime:
    """An instant of December 2012 by the clock of New York."""
    return datetime(2012, 12, day, hour + 5, minute, tzinfo=UTC)


def beat(settings: Settings, kind: str) -> Beat | None:
    return next((beat for beat in read_heartbeats(settings.home) if beat.kind == kind), None)


def has_said(settings: Settings, kind: str, *, messages: int) -> bool:
    found = beat(settings, kind)
    return found is not None and found.facts["messages"] >= messages


def free_port() -> int:
    """A port that is free, as are the nine after it, below those that the kernel gives to outgoing connections."""
    for port in random.sample(range(20_000, 32_000, 10), 100):
        if all(is_free(port + number) for number in range(10)):
            return port
    raise AssertionError("no ten free ports in a row")


def scrape(address: str) -> dict[str, float]:
    """Every sample, by its name and the labels but the role."""
    found = {}
    for family in text_string_to_metric_families(requests.get(address, timeout=5).text):
        for sample in family.samples:
            labels = [f"{value}" for name, value in sample.labels.items() if name != "role"]
            found[" ".join([sample.name, *labels])] = sample.value
    return found


@pytest.mark.stack
def test_a_producer_killed_in_a_session_is_an_alarm_until_it_is_started_again(
    replay: StartReplay, service_environ: dict[str, str], begin: Begin
) -> None:
    port = free_port()
    environ = {**service_environ, "POLL_SECONDS": "1", "METRICS_PORT": str(port)}
    settings = replay(start="2012-12-14T10:00:00", speed="2", environ=environ)
    create_topics(settings)
    producer, consumer = begin(settings, "produce"), begin(settings, "consume")
    wait_for(lambda: has_said(settings, "producer", messages=20) and has_said(settings, "consumer", messages=10))

    health = examine(settings)
    assert (health.alarms, health.market_open) == ([], True)
    assert new_york(10) < (health.source_now or new_york(9)) < new_york(11)
    one, other = health.processes
    for process in (one, other):
        assert process.is_alive
        assert process.age is not None
        assert process.age < 60
        assert process.per_second > 0
        assert new_york(10) < (process.last_event or new_york(9)) < new_york(11)
    assert (one.role, one.pid) == (f"consumer-{consumer.pid}", consumer.pid)
    assert (other.role, other.pid) == ("producer", producer.pid)
    assert one.lag is not None
    assert one.lag < 50

    landed, sent = scrape(one.metrics or ""), scrape(other.metrics or "")
    ports = {f"http://127.0.0.1:{number}/metrics" for number in range(port, port + 10)}
    assert {one.metrics, other.metrics} <= ports
    assert sent["stocks_quotes_published_total"] >= 20
    assert sent["stocks_messages_confirmed_total"] > 0
    assert sent["stocks_market_open"] == sent["stocks_up"] == 1
    assert sent["stocks_source_clock_timestamp_seconds"] - sent["stocks_last_event_timestamp_seconds"] < 30
    assert landed["stocks_messages_landed_total"] >= 10
    assert landed["stocks_consumer_partitions"] == 5
    assert {f"stocks_consumer_lag_messages {settings.kafka_topic}/{number}" for number in (0, 1)} <= landed.keys()
    assert landed["process_resident_memory_bytes"] > 1e6

    producer.send_signal(signal.SIGKILL)
    producer.wait()
    code, said = status(settings)
    assert code == 1
    assert len(said["alarms"]) == 1
    assert "ended without a last heartbeat" in said["alarms"][0]
    assert "in the session of 2012-12-14: start it again" in said["alarms"][0]

    again = begin(settings, "produce", "--max-quotes", "10")
    assert again.wait(timeout=60) == 0
    consumer.terminate()
    assert consumer.wait(timeout=60) == 0
    health = examine(settings)
    assert health.alarms == []
    assert {process.is_alive for process in health.processes} == {False}
    assert {process.state for process in health.processes} == {"10 quotes were asked for", "stopped as asked"}


@pytest.mark.stack
def test_a_producer_killed_on_a_sunday_is_a_remark_and_on_monday_an_alarm(
    replay: StartReplay, service_environ: dict[str, str], begin: Begin
) -> None:
    settings = replay(start="2012-12-16T12:00:00", speed="1", environ=service_environ)
    producer = begin(settings, "produce")
    wait_for(lambda: "waiting for the bell of Mon 2012-12-17" in (b.state if (b := beat(settings, "producer")) else ""))
    producer.send_signal(signal.SIGKILL)
    producer.wait()
    code, said = status(settings)
    assert (code, said["alarms"], said["market_open"]) == (0, [], False)
    assert "start it before Mon 2012-12-17 09:30:00 New York" in said["processes"][0]["remark"]
    with Finnhub(settings) as finnhub:
        finnhub.set_clock(new_york(9, 30, day=17))
    assert "the market is open now" in examine(settings).alarms[0]


@pytest.mark.stack
def test_in_a_stepping_replay_too_a_killed_producer_is_an_alarm(
    replay: StartReplay, service_environ: dict[str, str], begin: Begin
) -> None:
    settings = replay(start="2012-12-14T10:00:00", environ=service_environ)
    producer = begin(settings, "produce")
    wait_for(lambda: has_said(settings, "producer", messages=50))
    producer.send_signal(signal.SIGKILL)
    producer.wait()
    told = subprocess.run([STOCKS, "status"], env=environ_of(settings), capture_output=True, text=True, check=False)
    assert told.returncode == 1
    lines = told.stdout.splitlines()
    assert any(line.startswith("producer") and "last event Fri 2012-12-14 10:" in line for line in lines)
    assert lines[-1].startswith("ALARM  producer: ended without a last heartbeat")
    finding = doctor.examine(settings)[-1]
    assert (finding.system, finding.ok) == ("processes", False)
    assert "ended without a last heartbeat" in finding.text


@pytest.mark.stack
def test_a_consumer_says_that_it_waits_for_s3_and_what_it_holds(service_environ: dict[str, str]) -> None:
    scheme, _, at = service_environ["MINIO_ENDPOINT"].partition("://")
    with Proxy(at) as proxy, ThreadPoolExecutor(1) as beside:
        settings = read_settings(environ={**service_environ, "MINIO_ENDPOINT": f"{scheme}://{proxy.address}"})
        stop = threading.Event()
        landing = beside.submit(land, settings, stop=stop)
        try:
            wait_for(lambda: "landing" in (b.state if (b := beat(settings, "consumer")) else ""))
            proxy.cut()
            with Producer(settings, source="replay") as producer:
                for _ in range(7):
                    producer.publish(settings.kafka_topic, "AAPL", b"{}", timestamp=datetime.now(UTC))
            wait_for(lambda: bool((b := beat(settings, "consumer")) and b.facts["waiting_for_s3"]))
            waiting = examine(settings).processes[0]
            assert waiting.is_alive
            assert waiting.errors > 0
            assert "MINIO_ENDPOINT" in (waiting.remark or "")
            proxy.mend()
            wait_for(lambda: has_said(settings, "consumer", messages=7))
        finally:
            stop.set()
        assert landing.result(timeout=60).messages >= 7
    landed = beat(settings, "consumer")
    assert landed is not None
    assert (landed.ended, landed.facts["held"], landed.facts["trouble"]) == ("stopped", 0, None)


@pytest.mark.stack
def test_a_loader_says_what_fails_and_goes_on(settings: Settings) -> None:
    health = LoaderHealth(settings)
    health.state = "loading"
    health.failed(SettingsError("S3 is away"))
    health.beat(now=True)
    said = examine(settings)
    # half a minute of it is an alarm
    assert (said.alarms, said.processes[0].remark, said.processes[0].errors) == ([], "S3 is away", 1)
    loader = read_heartbeats(settings.home)[0]
    assert check_heartbeat(loader, [loader], Moment(now=None, wall=time.time() + 31))[0]
    health.published()
    health.end("done")
    assert examine(settings).alarms == []


@pytest.mark.stack
@pytest.mark.parametrize(("role", "feed"), [("producer", produce), ("trades", produce_trades)])
def test_a_feed_whose_source_is_away_has_its_line_from_the_beginning(
    role: str,
    feed: Callable[..., Any],
    service_environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = {"FINNHUB_API_KEY": "key", "FINNHUB_BASE_URL": "http://127.0.0.1:9/api/v1", "STOCKS_WATCHLIST": ""}
    settings = read_settings(environ={**service_environ, **away})
    monkeypatch.setattr(KeepAliveStop, "_EVERY_SECONDS", 0.1)
    stop = threading.Event()
    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(feed, settings, symbols=["AAPL"], stop=stop)
        try:
            wait_for(lambda: bool((b := beat(settings, role)) and b.facts["trouble"]))
            (line,) = examine(settings).processes
            assert (line.role, line.is_alive) == (role, True)
            assert "the source at 127.0.0.1 has not answered yet" in (line.remark or "")
            waiting = read_heartbeats(settings.home)[0]
            late = Moment(now=None, wall=time.time() + 31)
            assert "has tried for" in (check_heartbeat(waiting, [waiting], late)[0] or "")
        finally:
            stop.set()
        with pytest.raises(Interrupted):
            running.result(timeout=60)
    assert [(b.ended, b.state) for b in read_heartbeats(settings.home)] == [("stopped", "stopped as asked")]
    # and one that gives up says why
    monkeypatch.setattr("stocklib.pipeline.ingest.feed_run.Finnhub", partial(Finnhub, attempts=1))
    with pytest.raises(SourceUnavailable):
        feed(settings, symbols=["AAPL"])
    gone = next(b for b in read_heartbeats(settings.home) if b.role == role)
    assert gone.ended == "error"
    assert gone.state.startswith("ended by an error: ")
    alarm, _ = check_heartbeat(gone, [gone], Moment(now=new_york(12), wall=time.time()))
    assert "before it began, and the market is open: start it again" in (alarm or "")
    assert check_heartbeat(gone, [gone], Moment(now=new_york(12, day=16), wall=time.time()))[0] is None


@pytest.mark.stack
def test_ctrl_c_is_a_stop_and_leaves_no_alarm(replay: StartReplay, service_environ: dict[str, str]) -> None:
    settings = replay(start="2012-12-14T10:00:00", environ=service_environ)
    create_topics(settings)

    def interrupt(*told: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        produce(settings, on_progress=interrupt)
    with pytest.raises(KeyboardInterrupt):
        land(settings, on_batch=interrupt)
    health = examine(settings)
    assert health.alarms == []
    assert {(process.role.partition("-")[0], process.state) for process in health.processes} == {
        ("producer", "stopped as asked"),
        ("consumer", "stopped as asked"),
    }
    # when the session goes on without it, it is one
    assert examine_later(settings, seconds=121)


def examine_later(settings: Settings, *, seconds: float) -> list[str]:
    """The alarms of so many seconds later, while it is noon of a session at the source."""
    beats = read_heartbeats(settings.home)
    moment = Moment(now=new_york(12), wall=time.time() + seconds)
    return [alarm for one in beats if (alarm := check_heartbeat(one, beats, moment)[0])]


def test_a_port_that_is_taken_gives_way_to_the_next_and_ten_of_them_to_an_error(tmp_path: Path) -> None:
    port = free_port()
    heartbeats = [Heartbeat(tmp_path, role="loader", run_id="run-0", metrics_port=port)]
    try:
        for number in range(1, 10):
            heartbeats.append(Heartbeat(tmp_path, role="loader", run_id=f"run-{number}", metrics_port=port))
        for heartbeat in heartbeats:
            heartbeat.beat(lambda: {"state": "loading", "messages": 5, "loads": 1})
        addresses = [heartbeat.latest["metrics"] for heartbeat in heartbeats]
        for page in ({"Origin": "https://news.example"}, {"Host": "rebound.example"}, {"Sec-Fetch-Site": "cross-site"}):
            refused = requests.get(addresses[0], headers=page, timeout=5)
            assert (refused.status_code, "stocks_up" in refused.text) == (403, False)
        assert len(set(addresses)) == 10
        assert all(scrape(address)["stocks_lines_loaded_total"] == 5 for address in addresses)
        with pytest.raises(SettingsError, match="METRICS_PORT"):
            Heartbeat(tmp_path, role="loader", run_id="run-10", metrics_port=port)
    finally:
        for heartbeat in heartbeats:
            heartbeat.end(lambda: {"state": "ended"}, ended="done")
    with closing(socket.socket()) as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
