"""``stocks stream``: everything at once; what dies is started again, and nothing outlives the supervisor."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from outages import kill, wait_for

from stocklib import embedded
from stocklib.pipeline.heartbeat import read_heartbeats
from stocklib.settings import Settings, read_settings
from stocklib.warehouse import open_warehouse

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

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
            [sys.executable, "-m", "stocklib.cli", "stream", *options],
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


def published(settings: Settings) -> int:
    warehouse = open_warehouse(settings)
    if warehouse.published_build() is None:
        return 0
    return int(warehouse.query("select count(*) as n from silver.int_quote_events")["n"].iloc[0])


def pid_of(settings: Settings, kind: str) -> int:
    wait_for(lambda: any(beat.kind == kind and beat.is_alive for beat in read_heartbeats(settings.home)))
    return next(beat.pid for beat in read_heartbeats(settings.home) if beat.kind == kind and beat.is_alive)


def confirmed(settings: Settings) -> set[tuple[str, str, int]]:
    """Every event that a producer said is safe."""
    beats = [beat for beat in read_heartbeats(settings.home, past=True) if beat.kind == "producer"]
    assert beats
    return {
        (beat.run_id, symbol, seq)
        for beat in beats
        for symbol, last in beat.facts["confirmed"].items()
        for seq in range(1, last + 1)
    }


def events(settings: Settings) -> list[tuple[str, str, int]]:
    frame = open_warehouse(settings).query("select run_id, symbol, seq from silver.int_quote_events")
    return [(run, symbol, int(seq)) for run, symbol, seq in frame.itertuples(index=False)]


def test_what_dies_is_started_again_and_the_end_is_in_order(stream: Start, environ: dict[str, str], home: Path) -> None:
    running = stream("--symbols", "AAPL,IBM")
    wait_for(lambda: published(settings_of(environ)) > 0, seconds=90)
    settings = settings_of(environ)
    for kind in ("producer", "loader", "consumer"):
        victim = pid_of(settings, kind)
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: pid_of(settings, kind) != victim)  # noqa: B023
    # the broker goes with the S3 server beneath it, and both come back
    kill(home, "s3")
    wait_for(lambda: all(embedded.is_alive(settings, name) for name in ("s3", "kafka")), seconds=60)
    before = published(settings)
    wait_for(lambda: published(settings) > before, seconds=90)

    asked = time.monotonic()
    running.terminate()
    said, logged = running.communicate(timeout=90)
    took = time.monotonic() - asked
    assert running.returncode == 0, logged
    assert took < 45, logged
    assert "restarts" in said
    # everything that was confirmed is published, each event once
    there = events(settings)
    assert len(there) == len(set(there))
    assert confirmed(settings) <= set(there)
    assert len({run for run, _, _ in there}) == 2
    assert {symbol for _, symbol, _ in there} == {"AAPL", "IBM"}
    # the servers were down before, and are down again
    assert not processes_of(str(home))


def test_nothing_outlives_a_supervisor_that_is_killed(stream: Start, environ: dict[str, str], home: Path) -> None:
    running = stream()
    settings = settings_of(environ)
    for kind in ("producer", "loader", "consumer"):
        pid_of(settings, kind)
    assert len(processes_of(str(home))) >= 7
    running.kill()
    wait_for(lambda: not processes_of(str(home)), seconds=90)


def test_a_part_that_cannot_go_on_ends_the_stream_with_its_reason(
    stream: Start, replay: Callable[..., Settings]
) -> None:
    elsewhere = replay()
    running = stream(FINNHUB_BASE_URL=elsewhere.finnhub_base_url, FINNHUB_API_KEY="wrong")
    said, logged = running.communicate(timeout=90)
    assert running.returncode == 1, said
    assert "refused the key" in logged
