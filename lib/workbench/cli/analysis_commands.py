"""Backtests from the command line: tearsheet."""

from pathlib import Path
from typing import Any

import click

from stocklib.settings import Settings
from workbench.cli.base import DATE, LISTED, PARAMETERS, verb


class _WithStrategies(click.Command):
    """A command whose help ends with the built-in strategies, which are imported for it alone."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from stocklib.report.strategies import described

        with formatter.section("Built-in strategies, with their parameters and defaults"):
            formatter.write_dl(described())


@verb(cls=_WithStrategies)
@click.argument("strategy")
@PARAMETERS
@click.option("--symbols", type=LISTED, metavar="A,B,C", help="Default: all with prices, each of an equal share.")
@click.option("--start", type=DATE, help="First trade date.")
@click.option("--end", type=DATE, help="Last trade date.")
@click.option("--benchmark", metavar="SYMBOL", help="Default: buying and holding the same symbols.")
@click.option("--commission-bps", type=float, default=5.0, show_default=True)
@click.option("--slippage-bps", type=float, default=5.0, show_default=True)
@click.option("--minimum-fee", type=float, default=0.0, show_default=True, help="For each fill.")
@click.option("--borrow-percent", type=float, default=0.0, show_default=True, help="A year.")
@click.option("--cash", type=float, default=10_000.0, show_default=True)
@click.option(
    "--fill", type=click.Choice(["open", "close"]), default="open", show_default=True, help="On the next bar."
)
@click.option(
    "--adjust",
    type=click.Choice(["split", "total", "none"]),
    default="split",
    show_default=True,
    help="total: dividends count, as if they were reinvested.",
)
@click.option("--rebalance", type=click.Choice(["change", "bar", "week", "month", "quarter"]))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Default: reports/<strategy>.html")
def tearsheet(settings: Settings, strategy: str, out: Path | None, **options: Any) -> None:
    """Backtest a strategy over gold and write its tear sheet: one self-contained HTML file.

    STRATEGY is one of those below, or a function of your own in a Python file, bars in and weights out:
    my_rules.py:dip. That file runs with your rights.
    """
    from stocklib.report import sheet
    from stocklib.report.replay import read_replay
    from stocklib.report.strategies import title_of, try_strategy

    trial = try_strategy(settings, strategy, **options)
    written = sheet.tearsheet(
        trial.result,
        out or settings.root / "reports" / f"{trial.name}.html",
        title=title_of(trial.name),
        benchmark=trial.benchmark,
        benchmark_name=trial.benchmark_name,
        prices=trial.prices,
        parameters=trial.parameters,
        replay=read_replay(settings),
    )
    click.echo(written)
