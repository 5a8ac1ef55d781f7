"""``stocks …``: what a person, the Makefile and Airflow call. Each verb is a few lines around one function.

Nothing heavy is imported before a verb needs it. An error of ours is printed as its sentence, without a traceback; its
exit status is 1, and that of a wrong command line is 2.
"""

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import click

from stocklib import __version__
from stocklib.errors import StocksError
from stocklib.settings import Settings, read_settings

DATE = click.DateTime(formats=["%Y-%m-%d"])


class _Verbs(click.Group):
    """Verbs in the order of the pipeline, and our errors as sentences."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except StocksError as error:
            logging.getLogger(__name__).debug("the error in full", exc_info=True)
            raise click.ClickException(str(error)) from None
        except KeyboardInterrupt:
            click.echo("\nstopped", err=True)
            ctx.exit(130)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--demo", is_flag=True, help="Work on the demo's home, whatever .env and the environment say.")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@click.version_option(__version__, prog_name="stocks")
@click.pass_context
def main(ctx: click.Context, demo: bool, verbose: bool) -> None:
    """Market data in, numbers you can trust out.

    Where nothing is configured (no .env, no service in the environment) every verb works on the demo's home.
    """
    ctx.obj = _Lazy(demo=demo, verbose=verbose)


class _Lazy:
    """Settings are read when a verb asks for them, so that ``--help`` works where they are broken."""

    def __init__(self, *, demo: bool, verbose: bool) -> None:
        self.demo, self.verbose = demo, verbose

    def settings(self) -> Settings:
        settings = read_settings(demo=self.demo)
        level = "DEBUG" if self.verbose else settings.stocks_log
        logging.basicConfig(
            level=level,
            format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
            stream=sys.stderr,
        )
        if not self.verbose:
            for noisy in (
                "kafka",
                "botocore",
                "aiobotocore",
                "s3fs",
                "urllib3",
                "papermill",
                "asyncio",
                "dbt",
            ):
                logging.getLogger(noisy).setLevel(logging.CRITICAL if noisy == "kafka" else logging.WARNING)
        return settings


# ── everything at once ────────────────────────────────────────────────────────────────────────────────────────────────


@main.command()
@click.option(
    "--day",
    type=DATE,
    default="2012-12-14",
    show_default=True,
    help="The recorded session to replay.",
)
@click.pass_obj
def demo(lazy: _Lazy, day: Any) -> None:
    """Run the whole pipeline on the embedded stack over recorded market data, then write the report."""
    from stocklib.demo import run_demo

    lazy.demo = True
    lazy.settings()
    for_real = not lazy.verbose
    if for_real:
        logging.getLogger().setLevel(logging.WARNING)
    # a supervisor's SIGTERM stops the servers as Ctrl-C does
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run_demo(day=day.date(), say=click.echo)


@main.command()
@click.option("--port", type=int, default=8888, show_default=True)
@click.option("--no-browser", is_flag=True, help="Print the address only.")
@click.pass_obj
def lab(lazy: _Lazy, port: int, no_browser: bool) -> None:
    """Open JupyterLab on the notebooks, on loopback, with a token."""
    from stocklib.runner import open_lab

    sys.exit(open_lab(lazy.settings(), port=port, browser=not no_browser))


# ── the embedded stack ────────────────────────────────────────────────────────────────────────────────────────────────


@main.command()
@click.pass_obj
def up(lazy: _Lazy) -> None:
    """Start the embedded servers that the settings do not point elsewhere."""
    from stocklib import embedded

    embedded.up(lazy.settings(), on_progress=click.echo)
    _print_status(read_settings(demo=lazy.demo))


@main.command()
@click.pass_obj
def status(lazy: _Lazy) -> None:
    """What runs, where, and whether it answers."""
    _print_status(lazy.settings())


@main.command()
@click.pass_obj
def down(lazy: _Lazy) -> None:
    """Stop the embedded servers; their data stays."""
    from stocklib import embedded

    embedded.down(lazy.settings())
    click.echo("the embedded servers are down")


@main.command()
@click.pass_obj
def doctor(lazy: _Lazy) -> None:
    """Say for every system of the current settings whether it is reachable, and which setting is wrong."""
    from stocklib.doctor import examine

    findings = examine(lazy.settings())
    for finding in findings:
        mark = click.style("ok  ", fg="green") if finding.ok else click.style("FAIL", fg="red")
        click.echo(f"{mark}  {finding.system:<12} {finding.text}")
    sys.exit(0 if all(finding.ok for finding in findings) else 1)


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def replay(lazy: _Lazy, arguments: tuple[str, ...]) -> None:
    """Run the replay server alone: Finnhub's API over recorded bars (--help shows its options)."""
    from stocklib.embedded.replay.__main__ import main as serve

    settings = lazy.settings()
    own = [f"--data={settings.root / Path(settings.replay_data).expanduser()}"] if settings.replay_data else []
    sys.exit(serve([*own, *arguments]))


# ── the arrows ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _bounds(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options with which a running verb ends by itself."""
    command = click.option("--max-quotes", type=click.IntRange(1), help="Stop after this many.")(command)
    return click.option("--duration", type=float, help="Stop after this many seconds.")(command)


@main.command()
@_bounds
@click.option("--until-close", is_flag=True, help="Stop after the last round of today's session.")
@click.pass_obj
def produce(lazy: _Lazy, duration: float | None, max_quotes: int | None, until_close: bool) -> None:
    """Poll Finnhub and publish every quote to Kafka."""
    from stocklib.pipeline.produce import produce

    with _progress("quotes") as advance, _stop_signal() as stop:
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
    lazy: _Lazy, duration: float | None, max_quotes: int | None, until_idle: float | None, until_close: bool
) -> None:
    """Land Kafka's messages in the lake, in batches."""
    from stocklib.pipeline.landing import LandedBatch, land

    landed = 0

    with _progress("messages") as advance, _stop_signal() as stop:

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


def _symbols(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--symbols", help="AAPL,MSFT,…; default: the watchlist.")(command)


@main.command()
@_symbols
@click.option(
    "--from",
    "start",
    type=DATE,
    help="First trade date; default: the last session of the year before.",
)
@click.option("--to", "end", type=DATE, help="Last trade date; default: the last finished session.")
@click.pass_obj
def backfill(lazy: _Lazy, symbols: str | None, start: Any, end: Any) -> None:
    """Fetch the daily bars, splits and dividends that the warehouse does not have."""
    from stocklib.pipeline.history import backfill

    with _progress("symbols") as advance:
        result = backfill(
            lazy.settings(),
            symbols=_list(symbols),
            start=_day(start),
            end=_day(end),
            on_progress=advance,
        )
    click.echo(result)
    click.echo("next: stocks load && stocks transform")
    sys.exit(1 if result.failed else 0)


@main.command()
@_symbols
@click.option("--day", type=DATE, help="Trade date; default: the last finished session.")
@click.pass_obj
def daily(lazy: _Lazy, symbols: str | None, day: Any) -> None:
    """Fetch one trade date's bars; a weekend or a holiday is nothing to do."""
    from stocklib.pipeline.history import daily

    result = daily(lazy.settings(), _day(day), symbols=_list(symbols))
    click.echo(result)
    sys.exit(1 if result.failed else 0)


@main.command()
@click.option("--follow", is_flag=True, help="Load, transform and publish every LOAD_SECONDS until stopped.")
@click.pass_obj
def load(lazy: _Lazy, follow: bool) -> None:
    """Load what is new in the lake into the warehouse."""
    from stocklib.pipeline.loading import load
    from stocklib.pipeline.transform import transform

    settings = lazy.settings()
    if not follow:
        with _progress("objects") as advance:
            result = load(settings, on_progress=advance)
        click.echo(result)
        sys.exit(1 if result.corrupt else 0)
    with _stop_signal() as stop:
        while not stop.is_set():
            click.echo(load(settings))
            click.echo(transform(settings))
            stop.wait(settings.load_seconds)


@main.command()
@click.option("--select", help="dbt's selection; default: every model.")
@click.option("--full-refresh", is_flag=True, help="Build incremental models anew.")
@click.pass_obj
def transform(lazy: _Lazy, select: str | None, full_refresh: bool) -> None:
    """Build and test bronze, silver and gold with dbt; publish when the tests pass."""
    from stocklib.pipeline.transform import transform

    click.echo(transform(lazy.settings(), select=select, full_refresh=full_refresh))


@main.command()
@click.option("--without-corrupt", is_flag=True, help="Leave objects out that cannot be read.")
@click.pass_obj
def rebuild(lazy: _Lazy, without_corrupt: bool) -> None:
    """Make the whole warehouse again from the lake alone."""
    from stocklib.pipeline.transform import rebuild

    with _progress("objects") as advance:
        result = rebuild(lazy.settings(), without_corrupt=without_corrupt, on_progress=advance)
    click.echo(result)


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def dbt(lazy: _Lazy, arguments: tuple[str, ...]) -> None:
    """Pass anything on to dbt, with our profile: stocks dbt -- test --select silver."""
    from stocklib.pipeline.transform import run_dbt

    sys.exit(run_dbt(lazy.settings(), list(arguments)))


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────────


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
def query(lazy: _Lazy, sql: str, form: str) -> None:
    """Ask the published tables (schemas bronze, silver, gold) a question in SQL."""
    from stocklib.warehouse import open_warehouse

    if not sql.strip(" ;\n\t"):
        raise click.UsageError("there is no question in the SQL")
    frame = open_warehouse(lazy.settings()).query(sql)
    if form == "csv":
        click.echo(frame.to_csv(index=False), nl=False)
    elif form == "json":
        click.echo(frame.to_json(orient="records", date_format="iso", double_precision=6, indent=2))
    else:
        _print_table(frame)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(["parquet", "csv"]), default="parquet", show_default=True)
@click.pass_obj
def export(lazy: _Lazy, folder: Path, form: str) -> None:
    """Write every gold table to a folder, each file whole or not at all."""
    from stocklib.pipeline.transform import export

    for path in export(lazy.settings(), folder, format=form):
        click.echo(path)


@main.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Default: reports/market.html (the demo's: reports/demo.html)",
)
@click.pass_obj
def report(lazy: _Lazy, out: Path | None) -> None:
    """Write the market report: one HTML file that needs nothing else."""
    from stocklib.report import write_report

    click.echo(write_report(lazy.settings(), path=out))


@main.command(name="run")
@click.argument("name", required=False)
@click.option("-p", "given", multiple=True, metavar="KEY=VALUE", help="A parameter of the notebook.")
@click.pass_obj
def run_notebook(lazy: _Lazy, name: str | None, given: tuple[str, ...]) -> None:
    """Run a notebook headlessly; without a name, list them with their parameters."""
    from stocklib import runner

    settings = lazy.settings()
    if name is None:
        _print_notebooks(settings)
        return
    pairs = dict(_pair(text) for text in given)
    done = runner.run(settings, name, given=pairs, progress=sys.stderr.isatty())
    click.echo(done.result)
    click.echo(f"the executed copy: {done.path}")


@main.command(name="settings")
@click.pass_obj
def show_settings(lazy: _Lazy) -> None:
    """Every setting, its value and where it comes from; secrets masked."""
    settings = lazy.settings()
    click.echo(f"home: {settings.home}{'  (the demo)' if settings.demo else ''}")
    for name, value in settings.values.items():
        click.echo(f"{name:<28} {value!s:<40} {settings.origins[name]}")


# ── helpers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _stop_signal() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set: the verb finishes what it holds and returns. A second one ends it."""
    stop = threading.Event()

    def ask(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        click.echo("stopping: finishing what is under way (once more to end at once)", err=True)
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(unit: str) -> Iterator[Callable[..., None] | None]:
    """A progress bar on a terminal, and nothing elsewhere: (done, total or None, text)."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def advance(done: int, total: int | None = None, text: str = "") -> None:
            bar.update(task, completed=done, total=total, description=text)

        yield advance


def _print_status(settings: Settings) -> None:
    from stocklib import embedded

    for server in embedded.status(settings):
        click.echo(server)


def _print_notebooks(settings: Settings) -> None:
    from stocklib import runner

    for name, path in runner.notebooks(settings).items():
        click.echo(f"{name}  ({path.relative_to(settings.root)})")
        for parameter, facts in runner.parameters(settings, name).items():
            kind = facts["inferred_type_name"] or "str"
            click.echo(f"    -p {parameter}=…  {kind}, default {facts['default']}  {facts['help']}")


def _print_table(frame: Any) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*(escape(str(column)) for column in frame.columns), box=None, header_style="bold")
    for row in frame.astype(object).where(frame.notna(), None).itertuples(index=False):
        table.add_row(*("" if value is None else escape(str(value)) for value in row))
    console = Console() if sys.stdout.isatty() else Console(width=10_000)
    console.print(table)


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise click.UsageError(f"-p takes KEY=VALUE, not {text!r}")
    return name.strip(), value


def _list(text: str | None) -> list[str] | None:
    return [part.strip() for part in text.split(",") if part.strip()] if text else None


def _day(value: Any) -> date | None:
    return value.date() if value else None


if __name__ == "__main__":
    main()
