"""Reading, and notebooks: query, tables, export, report, run, runs, settings."""

import json
import sys
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click

from stocklib.errors import InputError
from stocklib.logs import hide_secrets
from stocklib.settings import Settings
from workbench.cli.base import DATE, LISTED, PARAMETERS, print_table, progress, verb


@verb()
@click.argument("sql")
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json"]), help="What is printed.  [default: table]"
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.{csv,parquet,xlsx}",
    help="Write a file instead; its ending is the format.",
)
def query(settings: Settings, sql: str, form: str | None, out: Path | None) -> None:
    """Query the published tables (schemas bronze, silver, gold, ops) in SQL.

    Instants are UTC, trade dates are New York's; `stocks tables NAME` has the meaning of each column.
    """
    from stocklib.warehouse import open_warehouse
    from stocklib.warehouse.spreadsheets import to_csv

    if not sql.strip(" ;\n\t"):
        raise click.UsageError("the SQL holds no statement")
    if out and form:
        raise click.UsageError("--format is what is printed; with --out the file's ending is the format: leave one out")
    if out:
        from stocklib.pipeline.exporting import export_answer

        click.echo(export_answer(settings, sql, out))
        return
    frame = open_warehouse(settings).query(sql)
    if form == "csv":
        click.echo(to_csv(frame), nl=False)
    elif form == "json":
        click.echo(frame.to_json(orient="records", date_format="iso", double_precision=6, indent=2))
    else:
        print_table(frame)


@verb()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON, for machines.")
def tables(settings: Settings, name: str | None, as_json: bool) -> None:
    """List the published tables with what they hold and their rows; with NAME, its columns and their meanings."""
    import orjson
    import pandas as pd

    from stocklib.warehouse import open_warehouse
    from stocklib.warehouse.published import published_tables, row_counts, select_tables

    with open_warehouse(settings).reading() as look:
        published = published_tables(look)
        chosen = select_tables(published, [name]) if name else list(published)
        counts = row_counts(look, chosen)
    listed = pd.DataFrame(
        [(one, published[one].layer, counts[one], published[one].description) for one in chosen],
        columns=["table", "layer", "rows", "description"],
    )
    columns = [
        {"column": one.name, "type": one.data_type, "unit": one.unit, "meaning": one.meaning}
        for one in published[chosen[0]].columns
    ]
    if as_json:
        rows = listed.to_dict("records")
        found = {**rows[0], "columns": columns} if name else rows
        click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    elif name:
        click.echo(f"{chosen[0]}, {counts[chosen[0]]:,} rows: {published[chosen[0]].description}\n")
        print_table(pd.DataFrame(columns))
    else:
        print_table(listed.assign(rows=listed["rows"].map("{:,}".format)))


@verb()
@click.option(
    "--days", default=1, show_default=True, type=click.IntRange(1, 7), help="Number of days (UTC) up to today."
)
def cost(settings: Settings, days: int) -> None:
    """Show the cost of the warehouse's statements by day, run and model: statements, bytes, seconds, credits."""
    import pandas as pd

    from stocklib.warehouse import open_warehouse
    from stocklib.warehouse.cost import midnight

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


@verb()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["parquet", "csv", "xlsx"]), default="parquet", show_default=True)
@click.option("--tables", type=LISTED, metavar="A,B,C", help="Default: every table of gold, the symbols, the ledger.")
def export(settings: Settings, folder: Path, form: str, tables: list[str] | None) -> None:
    """Write gold to a folder, each file whole or not at all: a file a table, or gold.xlsx with a sheet a table."""
    from stocklib.pipeline.exporting import export

    with progress("rows") as say:
        written = export(settings, folder, format=form, tables=tables, progress=say)
    for path in written:
        click.echo(path)


@verb()
@click.option("--date", "day", type=DATE, help="An earlier session; kept as reports/market-<date>.html")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Default: reports/market.html (the demo's: reports/demo.html)",
)
@click.option("--symbols", type=LISTED, metavar="A,B,C", help="Up to ten for cards. Default: those that moved most.")
@click.option("--benchmark", metavar="SYMBOL", help="Default: all symbols with equal weights.")
def report(
    settings: Settings, day: date | None, out: Path | None, symbols: list[str] | None, benchmark: str | None
) -> None:
    """Write the market report: one self-contained HTML file."""
    from stocklib.report import write_report

    click.echo(write_report(settings, day=day, path=out, symbols=symbols or (), benchmark=benchmark))


@verb("run")
@click.argument("name", required=False, metavar="[NOTEBOOK]")
@PARAMETERS
@click.option("--html", "as_page", is_flag=True, help="Also write the executed copy as one HTML file to send.")
def run_notebook(settings: Settings, name: str | None, given: dict[str, str], as_page: bool) -> None:
    """Run a notebook headlessly: a name, my/NAME or a path; without one, list them with their parameters."""
    from stocklib.report.replay import read_replay
    from workbench import executed, runner

    if name is None:
        _print_notebooks(settings)
        return
    done = runner.run(settings, name, given=given, progress=sys.stderr.isatty())
    click.echo(done.result)
    click.echo(f"the executed copy: {done.path}")
    if as_page:
        click.echo(f"the page: {executed.write_page(done.path, replay=read_replay(settings))}")


@verb("runs")
@click.argument("name", required=False, metavar="[NOTEBOOK]")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="As JSON, for machines.")
def list_runs(settings: Settings, name: str | None, limit: int, as_json: bool) -> None:
    """List the executed notebooks, the latest first: when, how long, parameters, result, copy."""
    from workbench import executed

    runs = executed.past_runs(settings, notebook=name, limit=limit)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in runs], indent=2, default=str))
        return
    for one in runs:
        click.echo(one)
    if not runs:
        click.echo("no notebook was run yet: stocks run lists them")


@verb("settings")
def show_settings(settings: Settings) -> None:
    """Show every setting, its value and its origin; secrets are masked."""
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
