"""``stocks symbols``: the watchlist with what the warehouse holds, searching the source, adding and removing symbols.

A symbol is added when the source of history knows it; nothing is deleted when one is removed.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path

import pandas as pd

from stocklib.errors import BadAnswer, PlanRefused, SettingsError, SymbolError, WarehouseError, did_you_mean
from stocklib.market.renamed import same_company
from stocklib.pipeline.history import open_history
from stocklib.pipeline.history.symbol_history import HistorySource
from stocklib.quotes import SymbolMatch, check_symbol
from stocklib.reference_data import read_sectors, read_symbol_changes, write_sector
from stocklib.settings import Settings
from stocklib.warehouse import open_warehouse
from stocklib.watchlists import add_symbol, read_symbols, read_watchlist, remove_symbol, watchlist_path

Say = Callable[[str], None]

# Errors of one symbol, after which the next one is tried; any other is the source's own.
_OF_A_SYMBOL = (SymbolError, BadAnswer, PlanRefused)
_HELD = """
    select d.symbol, d.company_name as company, d.sector, count(f.quote_date) as bars,
        cast(min(f.quote_date) as varchar) as first_bar, cast(max(f.quote_date) as varchar) as last_bar
    from silver.dim_stock_symbols as d
    left join gold.fact_daily_stock_quotes as f on d.symbol = f.symbol
    group by d.symbol, d.company_name, d.sector
"""


def listed(settings: Settings) -> tuple[pd.DataFrame, str]:
    """Return the watchlist in use, in its order, and why the warehouse could not be read, if it could not.

    Columns: symbol, company, sector, bars, first_bar, last_bar (trade dates as text); nulls for what is not published.
    """
    try:
        held, trouble = open_warehouse(settings).query(_HELD), ""
    except WarehouseError as error:
        held, trouble = (
            pd.DataFrame(columns=["symbol", "company", "sector", "bars", "first_bar", "last_bar"]),
            str(error),
        )
    changes = read_symbol_changes(settings.root)
    names = [same_company(symbol, set(held["symbol"]), changes) or symbol for symbol in settings.symbols]
    found = held.set_index("symbol").reindex(names).reset_index(drop=True)
    found.insert(0, "symbol", settings.symbols)
    stated = found["symbol"].map({symbol: sector for symbol, (sector, _) in read_sectors(settings.root).items()})
    return found.assign(sector=found["sector"].fillna(stated), bars=found["bars"].fillna(0).astype(int)), trouble


def search(settings: Settings, text: str) -> pd.DataFrame:
    """Return the matches for a company's name or a symbol at the source of history, the best first.

    Columns: symbol, name, kind, sector, industry (without those that the source never names), followed.
    """
    with open_history(settings) as source:
        found = pd.DataFrame(source.search(text), columns=[field.name for field in fields(SymbolMatch)])
    followed = found["symbol"].isin(settings.symbols).map({True: "yes", False: ""})
    return found.loc[:, (found != "").any()].assign(followed=followed)


def add(
    settings: Settings, names: Iterable[str], *, sector: str = "", industry: str = "", say: Say
) -> tuple[list[str], list[str]]:
    """Add the symbols that the source knows to the watchlist, with their sectors; return them, and what went wrong.

    ``sector`` and ``industry`` win over the source's. One bad symbol does not stop the others.
    """
    path, stated = own_list(settings), read_sectors(settings.root)
    added, troubles = [], []
    with open_history(settings) as source:
        for name in names:
            try:
                found = _find(settings, source, name)
            except _OF_A_SYMBOL as error:
                troubles.append(str(error))
                continue
            verb = "is added to" if add_symbol(path, found.symbol) else "is already in"
            say(f"{_named(found)} {verb} {_shown(settings, path)}")
            say(_add_sector(settings, found, sector, industry, stated.get(found.symbol)))
            added.append(found.symbol)
    return added, troubles


def remove(settings: Settings, names: Iterable[str], *, say: Say) -> list[str]:
    """Remove symbols from the watchlist; return what went wrong. Their history stays in lake and warehouse."""
    path = own_list(settings)
    troubles = []
    for name in names:
        try:
            symbol = check_symbol(name)
            if not remove_symbol(path, symbol):
                hint = did_you_mean(symbol, read_symbols(path))
                raise SymbolError(f"{symbol} is not in {_shown(settings, path)}{hint}")
        except (SymbolError, SettingsError) as error:
            troubles.append(str(error))
            continue
        say(f"{symbol} is removed from {_shown(settings, path)}; its history stays, in the lake and in the warehouse")
    return troubles


def _find(settings: Settings, source: HistorySource, name: str) -> SymbolMatch:
    """Return what the source lists as a symbol; ``SymbolError`` with suggestions for an unknown one."""
    symbol = check_symbol(name)
    found = source.search(symbol)
    # BRK-B and BRK.B are one share class
    dotted = symbol.replace("-", ".")
    for one in sorted(found, key=lambda one: one.symbol != symbol):
        if one.symbol.replace("-", ".") == dotted:
            return one
    if source.is_priced(symbol):
        return SymbolMatch(symbol)
    near = (found or source.search(re.split(r"[.:=_-]", symbol.lstrip("^"))[0]))[:3]
    hint = f". Did you mean {' or '.join(map(_named, near))}?" if near else ""
    hint = hint or did_you_mean(symbol, settings.symbols) or did_you_mean(symbol, read_sectors(settings.root))
    raise SymbolError(f"{source.source} knows no symbol {symbol}{hint}")


def _add_sector(
    settings: Settings, found: SymbolMatch, sector: str, industry: str, stated: tuple[str, str] | None
) -> str:
    """Write the sector that is given, else the source's where none is ``stated``; return a sentence about it."""
    new = (sector or found.sector, industry or found.industry)
    if any(new) and (stated is None or sector or industry):
        write_sector(settings.root, found.symbol, *new)
        return f"    sector: {' / '.join(filter(None, new))}, written to config/sectors.csv"
    if stated:
        return f"    sector: {' / '.join(filter(None, stated))}, of config/sectors.csv"
    return "    sector: Unknown, unless its profile names an industry; --sector and --industry name them"


def own_list(settings: Settings) -> Path:
    """Return the file of the watchlist in use; ``SettingsError`` where it is malformed, or a replay made it."""
    if settings.demo:
        raise SettingsError(
            "the demo follows the symbols of the bars that it replays, and reads no list of yours: put your key into "
            ".env (README, Live data), or bars of your own into REPLAY_DATA (README, Use your own bars)"
        )
    if settings.origins["STOCKS_WATCHLIST"] == "embedded.env":
        raise SettingsError(
            f"the list in use is that of the bars that the replay serves ({', '.join(settings.symbols[:10])}): add "
            "the symbol's bars to the file of REPLAY_DATA and run `stocks up`, or set STOCKS_WATCHLIST in .env to one"
        )
    read_watchlist(settings.root, settings.stocks_watchlist)
    return watchlist_path(settings.root, settings.stocks_watchlist)


def _named(found: SymbolMatch) -> str:
    return f"{found.symbol} ({found.name})" if found.name else found.symbol


def _shown(settings: Settings, path: Path) -> str:
    return str(path.relative_to(settings.root) if path.is_relative_to(settings.root) else path)
