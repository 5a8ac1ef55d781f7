"""The progress of a sweep: a bar on a terminal or in a notebook."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

# Called with the number of finished runs, and of all runs.
Progress = Callable[[int, int], None]

_QUIET_SECONDS = 2.0


@contextmanager
def shown(unit: str = "runs") -> Iterator[Progress]:
    """Show a bar from the first report after two seconds on, unless that is the last; remove it after the block."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    bar = Bar(
        BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn(), console=console, transient=True
    )
    since = time.monotonic()
    with ExitStack() as stack:

        def report(done: int, of: int) -> None:
            if not (bar.tasks or done == of or time.monotonic() - since < _QUIET_SECONDS):
                stack.enter_context(bar)
                bar.add_task("", total=of)
            for task in bar.tasks:
                bar.update(task.id, completed=done)

        yield report if console.is_terminal or console.is_jupyter else lambda done, of: None
