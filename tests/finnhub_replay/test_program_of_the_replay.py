"""``python -m finnhub_replay``: what it says, and with which status it ends."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from finnhub_replay.__main__ import main
from finnhub_replay.clock import read_speed

COMMAND = [sys.executable, "-m", "finnhub_replay"]


def test_help_says_what_can_be_set(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for option in ("--port", "--host", "--start", "--speed", "--data", "--key", "--free-plan", "--calls-per-minute"):
        assert option in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0(tmp_path: Path, number: signal.Signals) -> None:
    bars = tmp_path / "own.csv"
    bars.write_text("symbol,date,open,high,low,close,volume\nZZZ,2012-12-13,10,12,9,11,500\n")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [*COMMAND, "--port", str(port), "--data", str(bars)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout
        ready = f"replaying ZZZ at http://127.0.0.1:{port}/api/v1; Ctrl-C ends it\n"
        assert server.stdout.readline() == ready
        # a client that stays connected does not hold it up
        with socket.create_connection(("127.0.0.1", port)):
            server.send_signal(number)
            said, complained = server.communicate(timeout=20)
    assert (server.returncode, said, complained) == (0, "", "")


def test_a_port_in_use_is_one_error_and_status_1(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        with pytest.raises(SystemExit) as ended:
            main(["--port", str(port)])
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"Error: port {port} is in use: stop what listens there, or choose another with --port\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--start", "tomorrow"], "'tomorrow' is not an instant like 2012-12-14T09:30 (New York time)"),
        (["--start", "1999-12-31"], "1999-12-31 is not in the trading calendar"),
        (["--speed", "0"], "'0' is not a speed: step, or a factor from 1 to 3600"),
        (["--speed", "nan"], "'nan' is not a speed"),
        (["--speed", "fast"], "'fast' is not a speed"),
        (["--data", "nothing-here.csv"], "nothing-here.csv cannot be read as bars"),
        (["--host", "192.0.2.1", "--key", "a"], "the replay cannot listen on 192.0.2.1:8600"),
        (["--host", "0.0.0.0"], "without a key they move its clock: put one into STOCKS_REPLAY_KEY"),
    ],
)
def test_what_it_cannot_do_is_one_error_and_status_1(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 1
    complained = capsys.readouterr().err
    assert complained.startswith("Error: ")
    assert said in complained
    assert complained.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--port", "70000"], ["--calls-per-minute", "-1"], ["--port", "x"]])
def test_numbers_that_make_no_sense_are_usage_errors(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_a_speed_is_step_or_a_factor() -> None:
    assert [read_speed(text) for text in ("step", "1", "60.5", "3600")] == [None, 1, 60.5, 3600]
