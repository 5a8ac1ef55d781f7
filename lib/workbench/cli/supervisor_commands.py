"""Everything that a live market needs, in one command: stream."""

import logging
import shutil
import sys
import time
from typing import Any

import click

from stocklib.settings import Settings
from workbench.cli.base import SYMBOLS, stop_signal, verb

log = logging.getLogger(__name__)

_LOG_SECONDS = 30.0


@verb()
@click.option(
    "--source",
    type=click.Choice(["quotes", "trades", "both"]),
    default="quotes",
    show_default=True,
    help="Poll quotes, listen to trades on the websocket, or both.",
)
@SYMBOLS
@click.option("--until-close", is_flag=True, help="Stop when the last prices of today's session are published.")
@click.option("--duration", type=click.FloatRange(0), help="Stop after this many seconds.")
@click.option("--land-seconds", type=click.FloatRange(0.1), help="A lake object is closed after this long (2).")
@click.option("--load-seconds", type=click.FloatRange(0), help="A micro-batch begins at most this often (3).")
def stream(
    settings: Settings,
    source: str,
    symbols: list[str] | None,
    until_close: bool,
    duration: float | None,
    land_seconds: float | None,
    load_seconds: float | None,
) -> None:
    """Start a producer, a consumer and a loader, and restart those that die: quotes are in gold seconds later.

    The producer publishes quotes to Kafka, the consumer lands them in the lake, the loader loads, builds, tests and
    publishes gold; each is a process. It also starts embedded servers that are down. Ctrl-C publishes what was fetched
    and ends; a second Ctrl-C ends at once.
    """
    from workbench.supervisor import Plan, run_stream
    from workbench.supervisor.plan import choose_seconds

    plan = Plan(
        source=source,
        symbols=symbols,
        until_close=until_close,
        duration=duration,
        land_seconds=choose_seconds(settings, "BATCH_MAX_SECONDS", given=land_seconds),
        load_seconds=choose_seconds(settings, "LOAD_SECONDS", given=load_seconds),
    )
    show = _on_one_line if sys.stderr.isatty() else _Logged()
    with stop_signal() as stop:
        done = run_stream(settings, plan, stop=stop, say=lambda text: click.echo(text, err=True), on_status=show)
    click.echo(done)


def _on_one_line(status: Any) -> None:
    # the line is left at its beginning: whatever is written next takes its place
    click.echo("\x1b[K" + str(status)[: shutil.get_terminal_size().columns - 1] + "\r", nl=False, err=True)


class _Logged:
    """The status as a line of the log, now and then."""

    def __init__(self) -> None:
        self._at = time.monotonic()

    def __call__(self, status: Any) -> None:
        if time.monotonic() - self._at >= _LOG_SECONDS:
            self._at = time.monotonic()
            log.info("%s", status)
