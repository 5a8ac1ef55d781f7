"""Reading, and notebooks: query, export, report, run, settings."""

import sys
from datetime import datetime
from pathlib import Path

import click

from stocklib.errors import InputError
from stocklib.logs import hide_secrets
from stocklib.settings import Settings
from workbench.cli.base import DATE, Lazy, day_of, main, print_table, read_pairs


@main.command()
@click.argument("sql")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
)
@click.pass_obj
def query(lazy: Lazy, sql: str, form: str) -> None:
    """Query the published tables (schemas bronze, silver, gold) in SQL."""
    from stocklib.warehouse import open_warehouse
    from stocklib.warehouse.spreadsheets import to_csv

    if not sql.strip(" ;\n\t"):
        raise click.UsageError("the SQL holds no statement")
    frame = open_warehouse(lazy.settings()).query(sql)
    if form == "csv":
        click.echo(to_csv(frame), nl=False)
    elif form == "json":
        click.echo(frame.to_json(orient="records", date_format="iso", double_precision=6, indent=2))
    else:
        print_table(frame)


@main.command()
@click.option(
    "--days", default=1, show_default=True, type=click.IntRange(1, 7), help="Number of days (UTC) up to today."
)
@click.pass_obj
def cost(lazy: Lazy, days: int) -> None:
    """Show the cost of the warehouse's statements by day, run and model: statements, bytes, seconds, credits."""
    from datetime import UTC, timedelta

    import pandas as pd

    from stocklib.warehouse import open_warehouse
    from stocklib.warehouse.cost import midnight

    settings = lazy.settings()
    since = midnight(datetime.now(UTC)) - timedelta(days=days - 1)
    found = open_warehouse(settings).costs(since=since)
    if not found:
        click.echo(
            "no statements with a cost: "
            + ("none was sent" if settings.warehouse == "snowflake" else "the local warehouse runs on this machine")
        )
        return
    costs = pd.DataFrame(found)
    costs["megabytes"] = costs["bytes"] / 1e6
    numbers = ["statements", "megabytes", "seconds", "credits"]
    for by in ("day", "run", "part"):
        print_table(costs.groupby(by, sort=by != "part")[numbers].sum().round(4).reset_index())
        click.echo()
    if costs["is_estimated"].any():
        click.echo("credits are estimated from when statements ran: docs/snowflake.md says how")
    if limit := settings.snowflake_credits_a_day:
        today = costs.loc[costs["day"] == datetime.now(UTC).date(), "credits"].sum()
        click.echo(f"today {today:.2f} of {limit:g} credits (SNOWFLAKE_CREDITS_A_DAY)")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["parquet", "csv"]), default="parquet", show_default=True)
@click.pass_obj
def export(lazy: Lazy, folder: Path, form: str) -> None:
    """Write every gold table, the symbols and the ledger to a folder, each file whole or not at all."""
    from stocklib.pipeline.exporting import export

    for path in export(lazy.settings(), folder, format=form):
        click.echo(path)


@main.command()
@click.option("--date", "day", type=DATE, help="An earlier session; kept as reports/market-<date>.html")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Default: reports/market.html (the demo's: reports/demo.html)",
)
@click.pass_obj
def report(lazy: Lazy, day: datetime | None, out: Path | None) -> None:
    """Write the market report: one self-contained HTML file."""
    from stocklib.report import write_report

    click.echo(write_report(lazy.settings(), day=day_of(day), path=out))


@main.command(name="run")
@click.argument("name", required=False)
@click.option("-p", "given", multiple=True, metavar="KEY=VALUE", help="A parameter of the notebook.")
@click.pass_obj
def run_notebook(lazy: Lazy, name: str | None, given: tuple[str, ...]) -> None:
    """Run a notebook headlessly; without a name, list them with their parameters."""
    from workbench import runner

    settings = lazy.settings()
    if name is None:
        _print_notebooks(settings)
        return
    pairs = read_pairs(given)
    done = runner.run(settings, name, given=pairs, progress=sys.stderr.isatty())
    click.echo(done.result)
    click.echo(f"the executed copy: {done.path}")


@main.command(name="settings")
@click.pass_obj
def show_settings(lazy: Lazy) -> None:
    """Show every setting, its value and its origin; secrets are masked."""
    settings = lazy.settings()
    click.echo(f"home: {settings.home}{'  (the demo)' if settings.demo else ''}")
    for name, value in settings.values.items():
        click.echo(f"{name:<28} {hide_secrets(str(value)):<40} {settings.origins[name]}")


def _print_notebooks(settings: Settings) -> None:
    from workbench import runner

    for name, path in runner.notebooks(settings).items():
        click.echo(f"{name}  ({path.relative_to(settings.root)})")
        try:
            takes = runner.parameters(settings, name)
        except InputError as error:
            click.echo(f"    cannot be run: {error}")
            continue
        for parameter, facts in takes.items():
            kind = facts["inferred_type_name"] or "str"
            click.echo(f"    -p {parameter}=…  {kind}, default {facts['default']}  {facts['help']}")
