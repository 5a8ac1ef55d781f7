"""History and the warehouse: day, schedule, init, backfill, daily, load, transform, rebuild, dbt."""

import sys
from datetime import UTC, datetime, time
from typing import Any

import click

from stocklib.settings import Settings
from workbench.cli.base import DATE, SYMBOLS, progress, stop_signal, verb


@verb()
@click.option("--dry-run", is_flag=True, help="Only print the SQL for an administrator.")
def init(settings: Settings, dry_run: bool) -> None:
    """Set the warehouse up once: on Snowflake databases, roles with their grants, a monitor."""
    from stocklib.warehouse import open_warehouse

    if settings.warehouse == "snowflake" or dry_run:
        from stocklib.warehouse.snowflake.setup import script, set_up

        if dry_run:
            click.echo(script(settings), nl=False)
            return
        taken, refused = set_up(settings)
        click.echo(f"{taken} statements executed")
        for one in refused:
            click.echo(f"refused: {one.statement};\n  {one.reason}", err=True)
        if refused:
            click.echo(f"{len(refused)} need an administrator: stocks init --dry-run", err=True)
            sys.exit(1)
    open_warehouse(settings).initialise()
    click.echo("the tables exist")


@verb()
@SYMBOLS
@click.option("--from", "start", type=DATE, help="First trade date; default: the last session of the year before.")
@click.option("--to", "end", type=DATE, help="Last trade date; default: the last finished session.")
def backfill(settings: Settings, symbols: list[str] | None, start: Any, end: Any) -> None:
    """Fetch the daily bars, splits and dividends that the warehouse lacks."""
    from stocklib.pipeline.history import backfill

    with progress("symbols") as advance:
        result = backfill(settings, symbols=symbols, start=start, end=end, on_progress=advance)
    click.echo(result)
    click.echo("next: stocks load && stocks transform")
    sys.exit(1 if result.failed else 0)


@verb()
@SYMBOLS
@click.option("--day", type=DATE, help="Trade date; default: the last session that is final.")
def daily(settings: Settings, symbols: list[str] | None, day: Any) -> None:
    """Fetch one trade date's bars; on a weekend or a holiday there is nothing to do."""
    from stocklib.pipeline.history import daily

    with progress("symbols") as advance:
        result = daily(settings, day, symbols=symbols, on_progress=advance)
    click.echo(result)
    sys.exit(1 if result.failed else 0)


@verb()
@click.option("--day", type=DATE, help="Trade date; default: the last session that is final.")
@click.option("--no-wait", is_flag=True, help="In a session: take the one before, do not wait for the close.")
def day(settings: Settings, day: Any, no_wait: bool) -> None:
    """Do a trading day: wait for the close, fetch what is missing, load, transform, write the report.

    Safe to repeat, and after days on which it did not run. Exit status 1 when a symbol or an object failed.
    """
    from workbench.day import run_day

    with stop_signal() as stop, progress("symbols") as advance:
        troubles = run_day(settings, day=day, wait=not no_wait, stop=stop, say=click.echo, on_progress=advance)
    sys.exit(1 if troubles else 0)


@verb()
@click.argument("scheduler", type=click.Choice(["cron", "systemd", "launchd"]))
@click.option(
    "--at", default="18:15", show_default=True, type=time.fromisoformat, metavar="HH:MM", help="New York's time."
)
def schedule(settings: Settings, scheduler: str, at: time) -> None:
    """Print what makes cron, systemd or launchd run `stocks day` on each weekday; install it yourself."""
    from workbench import day

    entry = day.schedule(
        scheduler, root=settings.root, home=settings.home, demo=settings.demo, at=at, now=datetime.now(UTC)
    )
    click.echo(entry, nl=False)
    if stated := [name for name, origin in settings.origins.items() if origin == "environment" and not settings.demo]:
        click.echo(f"the entry does not see the environment: put {', '.join(stated)} into .env", err=True)


@verb()
@click.option("--follow", is_flag=True, help="Load, transform and publish every LOAD_SECONDS until stopped.")
def load(settings: Settings, follow: bool) -> None:
    """Load new objects of the lake into the warehouse."""
    from stocklib.pipeline.loading import load
    from stocklib.pipeline.transform import loader_loop

    if not follow:
        with progress("objects") as advance:
            result = load(settings, on_progress=advance)
        click.echo(result)
        sys.exit(1 if result.corrupt else 0)
    with stop_signal() as stop:
        loader_loop.follow(settings, stop=stop, on_batch=click.echo)


@verb()
@click.option("--select", help="dbt's selection; default: every model.")
@click.option("--full-refresh", is_flag=True, help="Rebuild incremental models from scratch.")
def transform(settings: Settings, select: str | None, full_refresh: bool) -> None:
    """Build and test bronze, silver and gold with dbt; publish when the tests pass."""
    from stocklib.pipeline.transform import transform

    click.echo(transform(settings, select=select, full_refresh=full_refresh))


@verb()
@click.option("--without-corrupt", is_flag=True, help="Leave out unreadable objects; later loads try again.")
def rebuild(settings: Settings, without_corrupt: bool) -> None:
    """Rebuild the whole warehouse from the lake; starts the embedded servers for it where the lake is theirs."""
    from stocklib.pipeline.transform import rebuild
    from workbench import embedded

    lake = embedded.running(settings, only_for="s3", on_progress=click.echo)
    with lake as ready, progress("objects") as advance:
        result = rebuild(ready, without_corrupt=without_corrupt, on_progress=advance)
    click.echo(result)


@verb(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def dbt(settings: Settings, arguments: tuple[str, ...]) -> None:
    """Run dbt with our profile: stocks dbt -- test --select silver."""
    from stocklib.pipeline.transform import run_dbt

    sys.exit(run_dbt(settings, list(arguments)))
