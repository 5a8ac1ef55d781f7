"""The watchlist: symbols list, add, remove, search."""

import sys

import click

from stocklib.settings import Settings
from workbench.cli.base import main, print_table, progress, verb


@main.group()
def symbols() -> None:
    """Show, extend and shorten the watchlist that STOCKS_WATCHLIST chooses; search the source for symbols."""


_NAMES = click.argument("names", nargs=-1, required=True, metavar="SYMBOL...")


@verb("list", of=symbols)
@click.option("--json", "as_json", is_flag=True, help="As JSON, for machines.")
def list_symbols(settings: Settings, as_json: bool) -> None:
    """List the watchlist: company, sector, number of bars, first and last bar."""
    from stocklib.watchlists import watchlist_path
    from workbench.symbols import listed

    found, trouble = listed(settings)
    if as_json:
        click.echo(found.to_json(orient="records", indent=2))
    else:
        print_table(found)
        others = ", ".join(sorted(one.stem for one in (settings.root / "config" / "watchlists").glob("*.json")))
        path = watchlist_path(settings.root, settings.stocks_watchlist)
        click.echo(f"{len(found)} symbols of {path}; STOCKS_WATCHLIST in .env chooses a list: {others}")
    if trouble:
        click.echo(trouble, err=True)


@verb("search", of=symbols)
@click.argument("text")
def search_symbols(settings: Settings, text: str) -> None:
    """Search the source of history for a company's name or a symbol; exit status 1 when nothing matches."""
    from workbench import embedded
    from workbench.symbols import search

    with embedded.running(settings, only_for="replay") as ready:
        found = search(ready, text)
    if found.empty:
        click.echo(f"nothing matches {text!r}: try a part of the company's name", err=True)
        sys.exit(1)
    print_table(found)


@verb("add", of=symbols)
@_NAMES
@click.option("--sector", default="", help="Written to config/sectors.csv; default: the source's, where it names one.")
@click.option("--industry", default="", help="Likewise.")
@click.option("--no-backfill", is_flag=True, help="Do not fetch the bars of this year.")
def add_symbols(settings: Settings, names: tuple[str, ...], sector: str, industry: str, no_backfill: bool) -> None:
    """Check symbols with the source, add them to the watchlist, and fetch their daily bars.

    Safe to repeat. Exit status 1 when a symbol is unknown or its bars could not be fetched; the others are added.
    """
    from stocklib.pipeline.history import backfill
    from workbench import embedded
    from workbench.symbols import add, own_list

    own_list(settings)
    with embedded.running(settings) as ready:
        added, troubles = add(ready, names, sector=sector, industry=industry, say=click.echo)
        for trouble in troubles:
            click.echo(trouble, err=True)
        failed = bool(troubles)
        if added and not no_backfill:
            with progress("symbols") as advance:
                result = backfill(ready, symbols=added, on_progress=advance)
            click.echo(result)
            click.echo("next: stocks load && stocks transform; a running `stocks stream` follows them after a restart")
            failed = failed or bool(result.failed or result.unknown)
    sys.exit(1 if failed else 0)


@verb("remove", of=symbols)
@_NAMES
def remove_symbols(settings: Settings, names: tuple[str, ...]) -> None:
    """Remove symbols from the watchlist; their history stays."""
    from workbench.symbols import remove

    troubles = remove(settings, names, say=click.echo)
    for trouble in troubles:
        click.echo(trouble, err=True)
    sys.exit(1 if troubles else 0)
