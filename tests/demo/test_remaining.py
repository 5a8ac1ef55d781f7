"""How far the demo is: the time that is left follows the pace of the run, and a terminal's line is rewritten."""

import os
import pty
import subprocess
import sys
from contextlib import suppress
from itertools import pairwise

import pytest

from workbench.demo import remaining
from workbench.demo.remaining import Steps

USUAL = sum(remaining._USUAL)


class Clock:
    """The seconds of the machine, moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(remaining, "time", found)
    return found


def run_at(clock: Clock, pace: float) -> list[float]:
    """The seconds left at the beginning of each step of a run that takes ``pace`` times as long as usual."""
    steps, left = Steps(lambda text: None), []
    for usual in remaining._USUAL:
        left.append(steps.seconds_left)
        with steps.step("a step") as advance:
            for share in (0.25, 0.5):
                clock.now += usual * pace / 4
                advance(share)
            clock.now += usual * pace / 2
    assert steps.seconds == pytest.approx(USUAL * pace)
    assert (steps.seconds_left, steps.share) == (0, 1)
    return left


def test_at_the_usual_pace_what_is_left_is_known_at_once(clock: Clock) -> None:
    assert run_at(clock, 1.0) == pytest.approx(
        [sum(remaining._USUAL[place:]) for place in range(len(remaining._USUAL))]
    )


def test_on_a_slow_machine_the_estimate_grows_towards_the_truth(clock: Clock) -> None:
    left = run_at(clock, 3.0)
    told = [estimate / (3 * sum(remaining._USUAL[place:])) for place, estimate in enumerate(left)]
    assert told[0] == pytest.approx(1 / 3)
    assert all(before < after <= 1 for before, after in pairwise(told))
    assert told[-1] > 0.8


def test_a_step_that_takes_longer_leaves_the_others_and_a_skipped_one_nothing(clock: Clock) -> None:
    said: list[str] = []
    steps = Steps(said.append)
    with steps.step("servers"):
        clock.now += remaining._USUAL[0]
    with steps.step("backfill"):
        clock.now += 1000
        assert steps.seconds_left == pytest.approx(sum(remaining._USUAL[2:]))
    before = steps.seconds_left
    steps.skip("nothing to stream")
    assert steps.seconds_left < before
    assert said[-1] == "[3/7] nothing to stream"


def test_on_a_terminal_one_line_is_rewritten_under_the_others() -> None:
    program = (
        "import time; from workbench.demo.remaining import shown_steps\n"
        "with shown_steps(print) as steps, steps.step('a [bold] step'):\n"
        "    time.sleep(0.6); steps.say('/a/path/' + 'long/' * 40)"
    )
    terminal, end = pty.openpty()
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    with subprocess.Popen([sys.executable, "-c", program], stdout=end, env=environ) as running:
        os.close(end)
        shown = b""
        # a terminal whose program ended is an error on Linux, and empty elsewhere
        with suppress(OSError):
            while read := os.read(terminal, 65536):
                shown += read
    os.close(terminal)
    assert running.returncode == 0
    text = shown.decode()
    assert "[1/7] a [bold] step … (0 s so far" in text
    # a path can be copied: no line break is put into it
    assert "/a/path/" + "long/" * 40 in text
    assert text.count("s so far, about") >= 2
    assert "\x1b[2K" in text
    assert text.rstrip().endswith("\x1b[2K")
