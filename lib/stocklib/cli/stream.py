"""What goes through Kafka: produce, consume."""

from collections.abc import Callable
from typing import Any

import click

from stocklib.cli.base import Lazy, main, progress, stop_signal


def _bounds(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options with which a running verb ends by itself."""
    command = click.option("--max-quotes", type=click.IntRange(1), help="Stop after this many.")(command)
    return click.option("--duration", type=float, help="Stop after this many seconds.")(command)


@main.command()
@_bounds
@click.option("--until-close", is_flag=True, help="Stop after the last round of today's session.")
@click.pass_obj
def produce(lazy: Lazy, duration: float | None, max_quotes: int | None, until_close: bool) -> None:
    """Poll Finnhub and publish every quote to Kafka."""
    from stocklib.pipeline.produce import produce

    with progress("quotes") as advance, stop_signal() as stop:
        result = produce(
            lazy.settings(),
            duration=duration,
            max_quotes=max_quotes,
            until_close=until_close,
            stop=stop,
            on_progress=advance,
        )
    click.echo(result)


@main.command()
@_bounds
@click.option("--until-idle", type=float, help="Stop when nothing came for this many seconds.")
@click.option("--until-close", is_flag=True, help="Stop when the last quotes of the session have landed.")
@click.pass_obj
def consume(
    lazy: Lazy, duration: float | None, max_quotes: int | None, until_idle: float | None, until_close: bool
) -> None:
    """Land Kafka's messages in the lake, in batches."""
    from stocklib.pipeline.landing import LandedBatch, land

    landed = 0

    with progress("messages") as advance, stop_signal() as stop:

        def show(batch: LandedBatch) -> None:
            nonlocal landed
            landed += batch.messages
            if advance:
                advance(landed, max_quotes, batch.dataset)

        result = land(
            lazy.settings(),
            duration=duration,
            max_quotes=max_quotes,
            until_idle=until_idle,
            until_close=until_close,
            stop=stop,
            on_batch=show,
        )
    click.echo(result)
