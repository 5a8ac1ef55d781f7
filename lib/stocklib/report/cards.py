"""Figures of the report as text, with a dash for an unknown one; the templates escape them."""

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from stocklib.plots.house import day_text
from stocklib.report.stale import day_of
from stocklib.sessions import NEW_YORK

if TYPE_CHECKING:
    from stocklib.report.facts import Facts


def card(row: dict[str, Any], facts: "Facts") -> dict[str, Any]:
    """Return a symbol's row with the texts that its card adds.

    ``sparkline`` is the line of the last sixty closes, ``quoted`` the time of its price in New York, and ``age`` says
    how old that price is: no bar for many sessions, not quoted in this session, or nothing.
    """
    closes = facts.daily.loc[facts.daily["symbol"] == row["symbol"], "close"].tail(60).tolist()
    as_of, age = row["as_of"].astimezone(NEW_YORK), ""
    if as_of.date() < facts.session_date:
        age = f"no bar since {day_of(row)}" if row["is_stale"] else f"last price {day_text(as_of, '%b %Y')}"
    quoted = day_text(as_of, "%b %Y" if row["is_stale"] else "%b %H:%M")
    return {**row, "sparkline": _sparkline(closes), "quoted": quoted, "age": age}


def _sparkline(values: list[float]) -> str:
    """The points of a line of closes 200 wide and 40 high."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    reach = (high - low) or 1.0
    return " ".join(
        f"{200 * n / (len(values) - 1):.1f},{36 - 32 * (value - low) / reach:.1f}" for n, value in enumerate(values)
    )


def _missing(value: Any) -> bool:
    return value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def number(value: Any, digits: int, *, sign: bool = False) -> str:
    """A number with thousands apart and a true minus, or a dash."""
    if _missing(value):
        return "–"
    return f"{float(value):{'+' if sign else ''},.{digits}f}".replace("-", "−")


def text(value: Any) -> str:
    """A text, or a dash."""
    return "–" if _missing(value) or not str(value).strip() else str(value)


def direction(value: Any) -> str:
    """The class of a change: up, down, level."""
    return "level" if _missing(value) or value == 0 else "up" if value > 0 else "down"
