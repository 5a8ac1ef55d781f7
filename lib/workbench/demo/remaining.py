"""How far the demo is: its steps, the time that they took, and about how long the rest takes on this machine.

Lines that stay are printed as a step begins and ends. On a terminal one more line, with a bar, is rewritten under them.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Say = Callable[[str], None]
# Seconds of each step on two cores that do nothing else: servers, backfill, stream, load, notebooks, ledger, report.
_USUAL = (3.0, 13.0, 22.0, 9.0, 6.0, 2.0, 2.0)
# How many usual seconds weigh as much as what was measured in this run.
_PRIOR = 20.0


class Steps:
    """The steps of one run in their order; ``say`` prints a line."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.text = ""
        self._began = time.monotonic()
        self._number = 0
        self._usual = list(_USUAL)
        # the usual seconds of what is done, and when that was
        self._done = self._at = 0.0

    @contextmanager
    def step(self, text: str) -> Iterator[Callable[[float], None]]:
        """Print that the next step begins, and how long it took; call what it yields with the share that is done."""
        before, usual, began = sum(self._usual[: self._number]), self._usual[self._number], time.monotonic()
        self._number += 1
        self.text = f"[{self._number}/{len(self._usual)}] {text}"
        self.say(f"{self.text} … ({self.times})")

        def advance(share: float) -> None:
            self._done, self._at = before + usual * share, self.seconds

        yield advance
        advance(1.0)
        self.say(f"    {time.monotonic() - began:.1f} s")

    def skip(self, text: str) -> None:
        """Print why the next step has nothing to do."""
        self._usual[self._number] = 0.0
        self._number += 1
        self.say(f"[{self._number}/{len(self._usual)}] {text}")

    @property
    def seconds(self) -> float:
        """The seconds since the first step began."""
        return time.monotonic() - self._began

    @property
    def seconds_left(self) -> float:
        """About how long the rest takes, at the pace of this run so far."""
        pace = (self._at + _PRIOR) / (self._done + _PRIOR)
        later = sum(self._usual[self._number :])
        return max(pace * (sum(self._usual) - self._done) - (self.seconds - self._at), pace * later)

    @property
    def share(self) -> float:
        """The share of the run's time that is over."""
        return self.seconds / (self.seconds + self.seconds_left)

    @property
    def times(self) -> str:
        """The time so far, and the time left."""
        return f"{self.seconds:.0f} s so far, about {self.seconds_left:.0f} s left"


@contextmanager
def shown_steps(say: Say) -> Iterator[Steps]:
    """Yield the steps; on a terminal their bar is the last line until the block ends."""
    if not sys.stdout.isatty():
        yield Steps(say)
        return
    from rich.console import Console
    from rich.live import Live
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    console = Console()
    steps = Steps(lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True))

    def draw() -> Table:
        line = Table.grid(padding=(0, 1))
        line.add_row(
            ProgressBar(total=1.0, completed=steps.share, width=24),
            Text(f"{steps.times}  {steps.text}", no_wrap=True, overflow="ellipsis"),
        )
        return line

    with Live(get_renderable=draw, console=console, refresh_per_second=2, transient=True):
        yield steps
