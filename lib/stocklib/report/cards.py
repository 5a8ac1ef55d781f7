"""Figures of the report as text, with a dash for an unknown one; the templates escape them."""

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from stocklib.plots.house import day_text, number
from stocklib.report.stale import day_of
from stocklib.sessions import NEW_YORK

if TYPE_CHECKING:
    from stocklib.report.facts import Facts

# The most cards, and the most of those that rose or fell.
CARDS, MOVERS = 10, 5


def rows(facts: "Facts") -> list[dict[str, Any]]:
    """Return each symbol's row with ``quoted``, the time of its price in New York, and ``age``.

    ``age`` says how old that price is: no bar for many sessions, not quoted in this session, or nothing.
    """
    return [_row({str(name): value for name, value in row.items()}, facts) for row in facts.symbols.to_dict("records")]


def _row(row: dict[str, Any], facts: "Facts") -> dict[str, Any]:
    as_of, age = row["as_of"].astimezone(NEW_YORK), ""
    if as_of.date() < facts.session_date:
        age = f"no bar since {day_of(row)}" if row["is_stale"] else f"last price {day_text(as_of, '%b %Y')}"
    quoted = day_text(as_of, "%b %Y" if row["is_stale"] else "%b %H:%M")
    return {**row, "quoted": quoted, "age": age}


def movers(facts: "Facts") -> dict[str, list[str]]:
    """Return the symbols that rose and fell most in the session, by heading; all of them, where they fit on cards."""
    ranked = facts.symbols.dropna(subset=["change_percent"]).sort_values(["change_percent", "symbol"])
    ranked = ranked[ranked["last_bar"] == pd.Timestamp(facts.session_date)]
    most = CARDS if len(facts.symbols) <= CARDS else MOVERS
    fell, rose = (
        list(ranked.loc[side, "symbol"]) for side in (ranked["change_percent"] < 0, ranked["change_percent"] > 0)
    )
    found = {"Rose most": rose[::-1][:most], "Fell most": fell[:most]}
    if most == CARDS:
        found["Without a change"] = sorted({*facts.symbols["symbol"]} - {*rose, *fell})
    return {heading: symbols for heading, symbols in found.items() if symbols}


def sparkline(facts: "Facts", symbol: str) -> str:
    """Return the points of a line of a symbol's closes since the base of its year to date, 200 wide and 40 high."""
    (base,) = facts.symbols.loc[facts.symbols["symbol"] == symbol, "ytd_base_date"]
    values = facts.closes.loc[facts.closes.index >= base, symbol].dropna().tolist() if symbol in facts.closes else []
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    reach = (high - low) or 1.0
    return " ".join(
        f"{200 * n / (len(values) - 1):.1f},{36 - 32 * (value - low) / reach:.1f}" for n, value in enumerate(values)
    )


def _missing(value: Any) -> bool:
    return value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def price(value: Any, of: Any = None, *, sign: bool = False) -> str:
    """A price, or a change of the price ``of``, with two digits after the point, below 1 with more; or a dash."""
    return number(value, digits_of(value if of is None else of), sign=sign)


def digits_of(value: Any) -> int:
    """Return how many digits after the point a price shows: four that count, and from two to six.

    >>> [digits_of(value) for value in (700_000, 1, 0.5, 0.0001)]
    [2, 2, 4, 6]
    """
    if _missing(value) or not 0 < value < 1:
        return 2
    return min(6, 3 - math.floor(math.log10(value)))


def text(value: Any) -> str:
    """A text, or a dash."""
    return "–" if _missing(value) or not str(value).strip() else str(value)


def direction(value: Any) -> str:
    """The class of a change: up, down, level."""
    return "level" if _missing(value) or value == 0 else "up" if value > 0 else "down"
