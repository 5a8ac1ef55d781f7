"""Kafka: produce, consume."""

from typing import Any

import click

from stocklib.settings import Settings
from workbench.cli.base import progress, stop_signal, verb

_DURATION = click.option("--duration", type=float, help="Stop after this many seconds.")
_SOURCE = "Poll quotes, or listen to every trade on the websocket."
_COUNT = click.option(
    "--max-quotes", "--max-trades", "max_quotes", type=click.IntRange(1), help="Stop after this many."
)


@verb()
@_DURATION
@_COUNT
@click.option("--until-close", is_flag=True, help="Stop after the last round of today's session.")
@click.option("--source", type=click.Choice(["quotes", "trades"]), default="quotes", show_default=True, help=_SOURCE)
def produce(settings: Settings, duration: float | None, max_quotes: int | None, until_close: bool, source: str) -> None:
    """Publish Finnhub's quotes, or its trades, to Kafka."""
    from stocklib.pipeline.ingest import produce, produce_trades

    with progress(source) as advance, stop_signal() as stop:
        bounds: dict[str, Any] = {"duration": duration, "until_close": until_close, "stop": stop}
        if source == "trades":
            click.echo(produce_trades(settings, max_trades=max_quotes, on_progress=advance, **bounds))
        else:
            click.echo(produce(settings, max_quotes=max_quotes, on_progress=advance, **bounds))


@verb()
@_DURATION
@_COUNT
@click.option("--until-idle", type=float, help="Stop after this many seconds without a message.")
@click.option("--until-close", is_flag=True, help="Stop when the last quotes of the session have landed.")
def consume(
    settings: Settings, duration: float | None, max_quotes: int | None, until_idle: float | None, until_close: bool
) -> None:
    """Land Kafka's messages in the lake, in batches."""
    from stocklib.pipeline.landing import LandedBatch, land

    landed = 0

    with progress("messages") as advance, stop_signal() as stop:

        def show(batch: LandedBatch) -> None:
            nonlocal landed
            landed += batch.messages
            advance(landed, max_quotes, batch.dataset)

        result = land(
            settings,
            duration=duration,
            max_quotes=max_quotes,
            until_idle=until_idle,
            until_close=until_close,
            stop=stop,
            on_batch=show,
        )
    click.echo(result)
