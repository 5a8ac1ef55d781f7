"""Heartbeats: whole files, of processes that are told apart from those that took their pid, kept as long as needed."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from stocklib.monitoring.heartbeat import Beat, Heartbeat, name_run, read_heartbeats


def facts(**more: Any) -> dict[str, Any]:
    return {"state": "polling", "messages": 3, "errors": 0, **more}


def begun(home: Path, role: str = "producer", run_id: str | None = None, **more: Any) -> Heartbeat:
    heartbeat = Heartbeat(home, role=role, run_id=run_id or name_run(role))
    heartbeat.beat(lambda: facts(**more))
    return heartbeat


def only(beats: list[Beat]) -> Beat:
    assert len(beats) == 1
    return beats[0]


def killed_run(home: Path, role: str) -> Beat:
    """The beat of another process that was killed."""
    code = (
        "import os, signal, sys; from pathlib import Path;"
        "from stocklib.monitoring.heartbeat import Heartbeat, name_run;"
        "role = sys.argv[2]; beat = Heartbeat(Path(sys.argv[1]), role=role, run_id=name_run(role));"
        "beat.beat(lambda: {'state': 'polling', 'confirmed': {'AAPL': 7}}); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(home), role], check=False)
    assert killed.returncode == -signal.SIGKILL
    return next(beat for beat in read_heartbeats(home) if beat.role == role)


def test_a_run_is_alive_until_it_says_that_it_ended(tmp_path: Path) -> None:
    heartbeat = begun(tmp_path, confirmed={"AAPL": 3})
    beat = only(read_heartbeats(tmp_path))
    assert (beat.role, beat.pid, beat.state, beat.ended, beat.is_alive) == (
        "producer",
        os.getpid(),
        "polling",
        None,
        True,
    )
    assert 0 <= beat.age < 5
    assert beat.facts["confirmed"] == {"AAPL": 3}
    heartbeat.end(lambda: facts(state="stopped as asked"), ended="stopped")
    beat = only(read_heartbeats(tmp_path))
    assert (beat.ended, beat.is_alive, beat.state) == ("stopped", False, "stopped as asked")


def test_a_killed_process_is_dead_and_so_is_one_whose_pid_somebody_else_has(tmp_path: Path) -> None:
    beat = killed_run(tmp_path, "producer")
    assert not beat.is_alive
    assert beat.ended is None
    said = orjson.loads(beat.path.read_bytes())
    # our own pid, but of a process that began at another time
    beat.path.write_bytes(orjson.dumps({**said, "pid": os.getpid()}))
    assert not only(read_heartbeats(tmp_path)).is_alive


def test_a_process_on_another_machine_is_alive_as_long_as_it_beats(tmp_path: Path) -> None:
    heartbeat = begun(tmp_path)
    said = orjson.loads(heartbeat.path.read_bytes()) | {"host": "elsewhere", "pid": 1}
    heartbeat.path.write_bytes(orjson.dumps(said))
    assert only(read_heartbeats(tmp_path)).is_alive
    heartbeat.path.write_bytes(orjson.dumps(said | {"at": said["at"] - 60}))
    assert not only(read_heartbeats(tmp_path)).is_alive


def test_it_is_written_every_two_seconds_and_when_it_is_urgent(tmp_path: Path) -> None:
    heartbeat = begun(tmp_path, messages=1)
    heartbeat.beat(lambda: pytest.fail("asked for facts too soon"))
    assert only(read_heartbeats(tmp_path)).facts["messages"] == 1
    heartbeat.beat(lambda: facts(messages=2), now=True)
    assert only(read_heartbeats(tmp_path)).facts["messages"] == 2
    assert heartbeat.latest["per_second"] > 0


def test_it_notes_since_when_there_is_trouble(tmp_path: Path) -> None:
    heartbeat = begun(tmp_path)
    assert heartbeat.latest["trouble_since"] is None
    heartbeat.beat(lambda: facts(trouble="S3 is away"), now=True)
    since = heartbeat.latest["trouble_since"]
    assert since is not None
    heartbeat.beat(lambda: facts(trouble="S3 is still away"), now=True)
    assert heartbeat.latest["trouble_since"] == since
    heartbeat.beat(facts, now=True)
    assert heartbeat.latest["trouble_since"] is None


def test_the_run_before_is_kept_under_its_run_id(tmp_path: Path) -> None:
    before = killed_run(tmp_path, "producer")
    begun(tmp_path, run_id="run-2")
    assert only(read_heartbeats(tmp_path)).run_id == "run-2"
    kept = tmp_path / "heartbeats" / f"{before.run_id}.json"
    assert orjson.loads(kept.read_bytes())["confirmed"] == {"AAPL": 7}
    past = {beat.run_id: beat for beat in read_heartbeats(tmp_path, past=True)}
    assert past[before.run_id].is_past
    assert not past["run-2"].is_past


def test_two_living_producers_do_not_overwrite_each_other(tmp_path: Path) -> None:
    begun(tmp_path, run_id="run-1")
    second = begun(tmp_path, run_id="run-2")
    assert [beat.run_id for beat in read_heartbeats(tmp_path)] == ["run-1", "run-2"]
    assert second.path.name == "producer-run-2.json"
    assert [beat.is_past for beat in read_heartbeats(tmp_path)] == [False, False]


def test_a_new_consumer_takes_the_place_of_dead_ones_and_not_of_living_ones(tmp_path: Path) -> None:
    killed_run(tmp_path, "consumer-1")
    begun(tmp_path, "consumer-2", "run-2")
    begun(tmp_path, "consumer-3", "run-3")
    assert [beat.role for beat in read_heartbeats(tmp_path)] == ["consumer-2", "consumer-3"]
    assert {beat.kind for beat in read_heartbeats(tmp_path)} == {"consumer"}


def test_twenty_past_runs_are_kept_and_every_one_that_confirmed_a_quote(tmp_path: Path) -> None:
    for number in range(60):
        confirmed = {"AAPL": 1 if number < 30 else 0}
        begun(tmp_path, run_id=f"run-{number}", confirmed=confirmed).end(facts, ended="done")
        said = orjson.loads((tmp_path / "heartbeats" / "producer.json").read_bytes()) | {"confirmed": confirmed}
        (tmp_path / "heartbeats" / "producer.json").write_bytes(orjson.dumps(said | {"at": number}))
    begun(tmp_path, run_id="last")
    begun(tmp_path, "loader", "loader-1")
    kept = {beat.run_id for beat in read_heartbeats(tmp_path, past=True) if beat.is_past}
    assert kept == {f"run-{number}" for number in [*range(30), *range(40, 60)]}


def test_a_file_that_is_no_heartbeat_is_left_out(tmp_path: Path) -> None:
    begun(tmp_path)
    for name, content in (("a", b"{"), ("b", b"[]"), ("c", b'{"run_id": "x"}'), (".producer.1.tmp", b"{}")):
        (tmp_path / "heartbeats" / f"{name}.json").write_bytes(content)
    assert only(read_heartbeats(tmp_path)).role == "producer"
