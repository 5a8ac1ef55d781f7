"""The watchlist: symbols list, add, remove, search."""

import dataclasses
import sys

import click

from stocklib.settings import Settings
from workbench.cli.base import main, print_table, progress, verb


@main.group()
def symbols() -> None:
    """Show, extend and shorten the watchlist; search the source for symbols."""


_NAMES = click.argument("names", nargs=-1, required=True, metavar="SYMBOL...")
_WATCHLIST = click.option("--watchlist", metavar="NAME", help="A name under config/watchlists/, or a path.")


@verb("list", of=symbols)
@_WATCHLIST
@click.option("--json", "as_json", is_flag=True, help="As JSON, for machines.")
def list_symbols(settings: Settings, watchlist: str | None, as_json: bool) -> None:
    """List the watchlist in use: company, sector, first and last bar, number of bars."""
    from stocklib.watchlists import watchlist_path
    from workbench.symbols import listed

    settings = _on_list(settings, watchlist)
    found, trouble = listed(settings)
    if as_json:
        click.echo(found.to_json(orient="records", date_format="iso", date_unit="s", indent=2))
    else:
        print_table(found)
        path = watchlist_path(settings.root, settings.stocks_watchlist)
        others = sorted(set((settings.root / "config" / "watchlists").glob("*.json")) - {path})
        click.echo(f"{len(found)} symbols of {path}")
        click.echo(f"other lists: {', '.join(one.stem for one in others)} (--watchlist, or STOCKS_WATCHLIST in .env)")
    if trouble:
        click.echo(trouble, err=True)


@verb("search", of=symbols)
@click.argument("text")
def search_symbols(settings: Settings, text: str) -> None:
    """Search the source of history for a company's name or a symbol; exit status 1 when nothing matches."""
    import pandas as pd

    from workbench.symbols import search

    found = search(settings, text)
    if not found:
        click.echo(f"nothing matches {text!r}: try a part of the company's name", err=True)
        sys.exit(1)
    table = pd.DataFrame(map(dataclasses.asdict, found))
    print_table(table.loc[:, (table != "").any()].assign(followed=table["symbol"].isin(settings.symbols).map(_MARK)))


@verb("add", of=symbols)
@_NAMES
@_WATCHLIST
@click.option("--sector", default="", help="Written to config/sectors.csv; default: the source's, where it names one.")
@click.option("--industry", default="", help="Likewise.")
@click.option("--no-backfill", is_flag=True, help="Do not fetch the bars of this year.")
def add_symbols(
    settings: Settings, names: tuple[str, ...], watchlist: str | None, sector: str, industry: str, no_backfill: bool
) -> None:
    """Check symbols with the source, add them to the watchlist, and fetch their daily bars.

    Safe to repeat. Exit status 1 when a symbol is unknown or its bars could not be fetched; the others are added.
    """
    from stocklib.pipeline.history import backfill
    from workbench.symbols import add

    added, troubles = add(_on_list(settings, watchlist), names, sector=sector, industry=industry, say=click.echo)
    for trouble in troubles:
        click.echo(trouble, err=True)
    failed = bool(troubles)
    if added and not no_backfill:
        with progress("symbols") as advance:
            result = backfill(settings, symbols=added, on_progress=advance)
        click.echo(result)
        click.echo("next: stocks load && stocks transform; a running `stocks stream` follows them after a restart")
        failed = failed or bool(result.failed or result.unknown)
    sys.exit(1 if failed else 0)


@verb("remove", of=symbols)
@_NAMES
@_WATCHLIST
def remove_symbols(settings: Settings, names: tuple[str, ...], watchlist: str | None) -> None:
    """Remove symbols from the watchlist; their history stays."""
    from workbench.symbols import remove

    troubles = remove(_on_list(settings, watchlist), names, say=click.echo)
    for trouble in troubles:
        click.echo(trouble, err=True)
    sys.exit(1 if troubles else 0)


def _on_list(settings: Settings, watchlist: str | None) -> Settings:
    """Return the settings with another watchlist in use."""
    if watchlist is None:
        return settings
    origins = {**settings.origins, "STOCKS_WATCHLIST": "the command line"}
    return dataclasses.replace(settings, stocks_watchlist=watchlist, origins=origins)


_MARK = {True: "yes", False: ""}
