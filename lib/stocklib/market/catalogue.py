"""The content of gold: symbols, tables, ranges, the published version; and the sentences that name them."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from stocklib.errors import SymbolError, WarehouseError, did_you_mean
from stocklib.market.renamed import same_company
from stocklib.quotes import check_symbol
from stocklib.reference_data import SymbolChange
from stocklib.warehouse import Reader


class Symbols(list[str]):
    """Symbols in alphabetical order, each an attribute too, so that TAB completes it: ``stocklib.symbols().AAPL``.

    A character that a Python name cannot have becomes an underscore: ``BRK_B`` is ``"BRK.B"``.

    >>> there = Symbols(["AAPL", "BRK.B"])
    >>> there.BRK_B, there
    ('BRK.B', ['AAPL', 'BRK.B'])
    """

    def __getattr__(self, name: str) -> str:
        for symbol in self:
            if _attribute(symbol) == name:
                return symbol
        raise AttributeError(f"there is no symbol {name}{did_you_mean(name.upper(), self, most=3)}")

    def __dir__(self) -> list[str]:
        return [*map(_attribute, self), *super().__dir__()]


def _attribute(symbol: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in symbol)


def known_symbols(look: Reader, asked: str | Iterable[str] | None, changes: Sequence[SymbolChange]) -> dict[str, str]:
    """Return the requested names, in order, each with gold's symbol of its company."""
    there = _traded(look)
    if not there:
        raise WarehouseError("gold holds no prices yet: run `stocks run backfill_ytd`, or `make demo`")
    if asked is None:
        return {symbol: symbol for symbol in there}
    if not isinstance(asked, Iterable):
        raise SymbolError(f"{asked!r} is not a symbol: pass a text, or a list of texts")
    listed = [check_symbol(one) for one in ([asked] if isinstance(asked, str) else asked)]
    if not listed:
        raise SymbolError("the list of symbols is empty; leave it out to get all: " + ", ".join(there))
    found = {}
    for name in sorted(set(listed)):
        symbol = same_company(name, there, changes)
        if symbol is None:
            shown = ", ".join(there[:20]) + (f" and {len(there) - 20} more" if len(there) > 20 else "")
            raise SymbolError(f"there are no prices of {name}; there are {shown}{did_you_mean(name, there)}")
        found[name] = symbol
    return found


def all_symbols(look: Reader, *, like: str = "") -> Symbols:
    """Return every symbol with daily prices, or those whose symbol or company name holds a text."""
    there = Symbols(_traded(look))
    if not like.strip():
        return there
    text = like.strip().lower()
    names = look.query("select symbol, lower(company_name) as name from silver.dim_stock_symbols")
    named = {str(row.symbol) for row in names.itertuples() if text in str(row.name)}
    return Symbols(symbol for symbol in there if text in symbol.lower() or symbol in named)


def tables(look: Reader) -> set[tuple[str, str]]:
    """Return (schema, name) of every published table and view, in lower case."""
    frame = look.query(
        """
        select lower(table_schema) as schema_name, lower(table_name) as table_name
        from information_schema.tables
        where lower(table_schema) in ('bronze', 'silver', 'gold', 'ops')
        """
    )
    return set(zip(frame["schema_name"], frame["table_name"], strict=True))


def version(look: Reader) -> str:
    """Return the name of the published version."""
    build = look.published_build()
    return build.version if build else "unpublished"


def nothing_there(
    look: Reader, wanted: Sequence[str], first: date | None, last: date | None, *, resolution: str
) -> str:
    """Return a sentence about a range without bars, which names the existing ranges."""
    where, params = where_clause("candle_time", wanted, None, None)
    found = look.query(
        f"""
        select symbol, min(candle_time) as first_time, max(candle_time) as last_time
        from gold.gold_candlestick
        where resolution = ? and {where}
        group by symbol
        order by symbol
        """,  # noqa: S608 - placeholders only
        (resolution, *params),
    )
    ranges = [f"{row.symbol} {row.first_time:%Y-%m-%d} to {row.last_time:%Y-%m-%d}" for row in found.itertuples()]
    asked = f"{first or 'the beginning'} to {last or 'the end'}"
    return f"there are no {resolution} prices from {asked}; there are: {', '.join(ranges) or f'none at {resolution}'}"


def where_clause(column: str, wanted: Sequence[str], lower: object, upper: object) -> tuple[str, tuple[Any, ...]]:
    """Return the SQL condition for some symbols within bounds, both included, and its parameters."""
    parts, params = [f"symbol in ({', '.join('?' * len(wanted))})"], [*wanted]
    for sign, bound in ((">=", lower), ("<=", upper)):
        if bound is not None:
            parts.append(f"{column} {sign} ?")
            params.append(bound)  # type: ignore[arg-type]
    return " and ".join(parts), tuple(params)


def _traded(look: Reader) -> list[str]:
    frame = look.query("select distinct symbol from gold.fact_daily_stock_quotes order by symbol")
    return [str(symbol) for symbol in frame["symbol"]]
