"""``stocks stream``: everything at once; what dies is started again, and nothing outlives the supervisor."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from outages import wait_for
from soak import soak

from stocklib.monitoring.heartbeat import read_heartbeats
from stocklib.settings import Settings, read_settings

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def home(tmp_path: Path, guard: Callable[[Path], None]) -> Path:
    home = tmp_path / "home"
    guard(home)
    return home


@pytest.fixture
def environ(home: Path) -> dict[str, str]:
    """A home of its own in which everything is embedded, at the market's own pace."""
    return {
        "STOCKS_HOME": str(home),
        "REPLAY_SPEED": "1",
        "REPLAY_START": "2012-12-14T15:30:00",
        "POLL_SECONDS": "1",
        "KAFKA_SESSION_TIMEOUT_MS": "2000",
    }


@pytest.fixture
def stream(environ: dict[str, str]) -> Iterator[Start]:
    started = []

    def start(*options: str, **more: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "workbench.cli", "stream", *options],
            env={"PATH": os.environ["PATH"], **environ, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    wait_for(lambda: not processes_of(environ["STOCKS_HOME"]), seconds=60)


def processes_of(home: str) -> list[psutil.Process]:
    """Every process that was started for this home: the stream, its parts, and the embedded servers."""
    found = []
    for process in psutil.process_iter():
        try:
            told = process.environ()
        except psutil.Error:
            continue
        ours = told.get("STOCKS_HOME") == home or told.get("HOME", "").startswith(home)
        if ours and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def settings_of(environ: dict[str, str]) -> Settings:
    return read_settings(environ=environ)


def pid_of(settings: Settings, kind: str) -> int:
    wait_for(lambda: any(beat.kind == kind and beat.is_alive for beat in read_heartbeats(settings.home)))
    return next(beat.pid for beat in read_heartbeats(settings.home) if beat.kind == kind and beat.is_alive)


def end_in_order(settings: Settings, kind: str) -> None:
    """End a part of the stream by SIGTERM, and wait until another process does its work."""
    before = pid_of(settings, kind)
    os.kill(before, signal.SIGTERM)
    wait_for(lambda: pid_of(settings, kind) != before, seconds=60)


def test_kills_with_faults_lose_nothing_and_double_nothing(home: Path, tmp_path: Path) -> None:
    """The short form of ``make soak``: each victim once, one of the kills between an upload and its commit."""
    found = soak(home, kills=7, between=1, seed=3, log=tmp_path / "soak.jsonl", is_short=True)
    assert found.kills >= 7
    assert set(found.victims) == {"producer", "consumer", "loader", "kafka", "s3", "between"}
    assert found.confirmed > 100
    assert sum(found.faults.values()) > 0
    assert (found.lost, found.doubled, found.strangers) == (0, 0, 0)
    assert found.ledger_balanced, found.ledger_problems
    kills = [json.loads(line) for line in (tmp_path / "soak.jsonl").read_text().splitlines()]
    assert all(kill["at"] and kill["pid"] and kill["victim"] for kill in kills)
    assert not processes_of(str(home))


def test_nothing_outlives_the_supervisor_however_it_ends(stream: Start, environ: dict[str, str], home: Path) -> None:
    settings = settings_of(environ)
    for end in (signal.SIGTERM, signal.SIGKILL):
        running = stream("--symbols", "AAPL,IBM")
        for kind in ("producer", "loader", "consumer"):
            pid_of(settings, kind)
        # with the servers: they were down, and are down again afterwards
        assert len(processes_of(str(home))) >= 7
        if end is signal.SIGKILL:
            # a part that another program ends in order is started again
            end_in_order(settings, "loader")
        running.send_signal(end)
        said, logged = running.communicate(timeout=300)
        wait_for(lambda: not processes_of(str(home)), seconds=90)
        if end is signal.SIGTERM:
            assert running.returncode == 0, logged
            # everything that was confirmed is published
            confirmed = [b.facts["confirmed"] for b in read_heartbeats(home, past=True) if b.kind == "producer"]
            assert f"{sum(sum(each.values()) for each in confirmed)} published" in said


def test_a_part_that_cannot_go_on_ends_the_stream_with_its_reason(
    stream: Start, replay: Callable[..., Settings]
) -> None:
    elsewhere = replay()
    running = stream(FINNHUB_BASE_URL=elsewhere.finnhub_base_url, FINNHUB_API_KEY="wrong")
    said, logged = running.communicate(timeout=90)
    assert running.returncode == 1, said
    assert "refused the key" in logged
