"""The parts that verbs share: the group with its options, settings read late, stopping, progress, tables."""

import errno
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

import click

from stocklib import __version__
from stocklib.errors import StocksError
from stocklib.host import explained
from stocklib.logs import write_log
from stocklib.settings import Settings, read_settings


def _listed(text: str) -> list[str] | None:
    return [part.strip() for part in text.split(",") if part.strip()] if text else None


def _read_pairs(ctx: click.Context, param: click.Parameter, given: Iterable[str]) -> dict[str, str]:
    """Return the pairs of all ``-p KEY=VALUE`` options."""
    pairs = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign:
            raise click.UsageError(f"-p takes KEY=VALUE, not {text!r}")
        pairs[name.strip()] = value
    return pairs


DATE, LISTED = click.DateTime(formats=["%Y-%m-%d"]), click.types.FuncParamType(_listed)
SYMBOLS = click.option("--symbols", type=LISTED, metavar="A,B,C", help="Default: the watchlist.")
PARAMETERS = click.option(
    "-p", "given", multiple=True, metavar="KEY=VALUE", callback=_read_pairs, help="A parameter, as often as needed."
)

# From one line of progress to the next, where there is no terminal.
_LINE_SECONDS = 10.0

# Errors of this machine, and what to do about them. Any other system error is a defect: its traceback is shown.
_ROOM = "make room there, or set STOCKS_HOME to a folder on another disk"
_RIGHTS = "make it yours and writable (chown, chmod; umask says what new folders allow), or set STOCKS_HOME to another"
_MACHINE = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: f"{_ROOM} (ulimit -f bounds a file)",
    errno.EROFS: _RIGHTS,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EMFILE: "raise the number of files that may be open (ulimit -n)",
    errno.ENFILE: "raise the number of files that may be open on this machine",
    errno.EIO: "see the system's log about that disk",
}


def _explain(error: OSError) -> str:
    """Return the error of the system, the file, and what to do."""
    where = error.filename2 or error.filename
    return f"{where or 'a file'} cannot be used ({error.strerror or error}): {_MACHINE[error.errno or 0]}"


# The verbs by what a person is about to do.
SECTIONS = {
    "Begin": ("demo", "lab", "symbols", "doctor", "settings"),
    "Analyse": ("query", "tables", "export", "report", "tearsheet", "run", "runs", "powerbi", "powerbi-refresh"),
    "Every day": ("day", "schedule", "backfill", "daily", "load", "transform", "rebuild", "dbt", "init"),
    "Live": ("stream", "produce", "consume"),
    "Servers on this machine": ("up", "status", "down", "replay"),
    "Check": ("ledger", "dlq", "cost"),
}


class _Group(click.Group):
    """A group whose help has a whole sentence a command."""

    def sections(self) -> Mapping[str, Iterable[str]]:
        """Return the commands' names by the title of their section."""
        return {"Commands": sorted(self.commands)}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for names in self.sections().values() for name in names]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in self.sections().items():
            with formatter.section(title):
                texts = ((name, self.commands[name].help or "") for name in names)
                formatter.write_dl([(name, " ".join(text.partition("\n\n")[0].split())) for name, text in texts])


class _Verbs(_Group):
    """Verbs in sections, and our errors as sentences."""

    group_class = _Group

    def sections(self) -> Mapping[str, Iterable[str]]:
        return SECTIONS

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except StocksError as error:
            logging.getLogger(__name__).debug("the error in full", exc_info=True)
            raise click.ClickException(explained(error)) from None
        except OSError as error:
            if error.errno not in _MACHINE:
                raise
            logging.getLogger(__name__).debug("the error in full", exc_info=True)
            raise click.ClickException(_explain(error)) from None
        except KeyboardInterrupt:
            click.echo("\nstopped", err=True)
            ctx.exit(130)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--demo", is_flag=True, help="Work on the demo's home, ignoring .env and the environment.")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
@click.version_option(__version__, prog_name="stocks")
@click.pass_context
def main(ctx: click.Context, demo: bool, verbose: bool) -> None:
    """Market data in, numbers you can trust out.

    Where nothing is configured (no .env, no service in the environment) every verb works on the demo's home.
    """
    ctx.obj = Lazy(demo=demo, verbose=verbose)


class Lazy:
    """Reads the settings when a verb needs them, so that ``--help`` works where they are broken."""

    def __init__(self, *, demo: bool, verbose: bool) -> None:
        self.demo, self.verbose = demo, verbose

    def settings(self) -> Settings:
        settings = read_settings(demo=self.demo)
        level = "DEBUG" if self.verbose else settings.stocks_log
        write_log(sys.stderr, level=level, secrets=settings.secrets())
        return settings


def verb(
    name: str | None = None, *, of: click.Group = main, **options: Any
) -> Callable[[Callable[..., Any]], click.Command]:
    """Return a decorator that makes a function a verb; its first argument is the settings, read when it runs."""

    def register(work: Callable[..., Any]) -> click.Command:
        @wraps(work)
        @click.pass_obj
        def run(lazy: Lazy, /, **given: Any) -> Any:
            dated = {name: value.date() if isinstance(value, datetime) else value for name, value in given.items()}
            return work(lazy.settings(), **dated)

        return of.command(name, **options)(run)

    return register


@contextmanager
def stop_signal() -> Iterator[threading.Event]:
    """Yield an event that SIGINT and SIGTERM set, so that the verb finishes its work; a second signal ends it."""
    stop = threading.Event()

    def ask(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        click.echo("stopping after the current work (press Ctrl-C again to end at once)", err=True)
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def progress(unit: str) -> Iterator[Callable[..., None]]:
    """Yield a progress callback (done, total or None, text): a bar on a terminal, else a line now and then."""
    if not sys.stderr.isatty():
        yield _lines(unit)
        return
    from rich import progress as rich
    from rich.console import Console

    counts = (rich.TextColumn("{task.description}"), rich.BarColumn(), rich.MofNCompleteColumn(), rich.TextColumn(unit))
    times = (rich.TimeElapsedColumn(), rich.TextColumn("so far,"), rich.TimeRemainingColumn(), rich.TextColumn("left"))
    with rich.Progress(*counts, *times, console=Console(stderr=True), transient=True) as bar, _logging_above():
        task = bar.add_task("", total=None, visible=False)

        def advance(done: int, total: int | None = None, text: str = "") -> None:
            bar.update(task, completed=done, total=total, description=text, visible=done != total)

        yield advance


@contextmanager
def _logging_above() -> Iterator[None]:
    """Log in the block to the stderr of the bar, which prints above it; that of before prints into it."""
    before = [(one, one.stream) for one in logging.getLogger().handlers if type(one) is logging.StreamHandler]
    try:
        for handler, _ in before:
            handler.setStream(sys.stderr)
        yield
    finally:
        for handler, stream in before:
            handler.setStream(stream)


def _lines(unit: str) -> Callable[..., None]:
    """Return a progress callback that prints a line every so many seconds where the total is known."""
    began = printed = time.monotonic()

    def advance(done: int, total: int | None = None, text: str = "") -> None:
        nonlocal printed
        now = time.monotonic()
        if total and done and now - printed >= _LINE_SECONDS:
            printed = now
            left = timedelta(seconds=round((now - began) / done * (total - done)))
            click.echo(f"{done:,} of {total:,} {unit}, about {left} left", err=True)

    return advance


def print_table(frame: Any) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*(escape(str(column)) for column in frame.columns), box=None, header_style="bold")
    for row in frame.astype(object).where(frame.notna(), None).itertuples(index=False):
        table.add_row(*("" if value is None else escape(str(value)) for value in row))
    console = Console() if sys.stdout.isatty() else Console(width=10_000)
    console.print(table)
