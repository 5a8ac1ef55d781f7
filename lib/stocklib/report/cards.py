"""The report's cards and table rows: one symbol's figures as text, escaped, with a dash for what is not known."""

import math
from datetime import datetime
from html import escape
from typing import Any

import pandas as pd

from stocklib.report.facts import Facts
from stocklib.report.stale import day_of
from stocklib.sessions import NEW_YORK


def card(row: dict[str, Any], facts: Facts) -> str:
    """A symbol's card: price, change, the last sixty closes; and a word when it has not been quoted since."""
    symbol = row["symbol"]
    closes = facts.daily.loc[facts.daily["symbol"] == symbol, "close"].tail(60).tolist()
    as_of = row["as_of"].astimezone(NEW_YORK)
    stale = f'<span class="stale">{_since(row, as_of)}</span>' if as_of.date() < facts.session_date else ""
    return f"""<a class="card kpi" href="#candles" data-symbol="{escape(symbol)}">
<span class="symbol">{escape(symbol)}</span><span class="name">{escape(text(row["company_name"]))}</span>
<span class="price">{number(row["current_price"], 2)}</span>
<span class="{direction(row["change_percent"])}">{_change(row)}</span>
{_sparkline(closes)}
<span class="small">Year to date {number(row["ytd_return_percent"], 1, sign=True)} %</span>{stale}</a>"""


def table_row(row: dict[str, Any]) -> str:
    """A symbol's row in the table of all figures."""
    as_of, mark = row["as_of"].astimezone(NEW_YORK), ' class="stale-row"' if row["is_stale"] else ""
    signed = ("change_percent", "ytd_return_percent", "momentum_30day_percent")
    cells = [
        f'<th scope="row">{escape(row["symbol"])}<span class="name">{escape(text(row["company_name"]))}</span></th>',
        f"<td>{number(row['current_price'], 2)}</td>",
        *(f'<td class="{direction(row[name])}">{number(row[name], 2, sign=True)}</td>' for name in signed),
        f"<td>{number(row['volatility_30day_percent'], 1)}</td>",
        f"<td>{number(row['drawdown_percent'], 1)}</td>",
        f"<td>{number(row['volume'], 0)}</td>",
        f'<td class="left">{escape(text(row["sector"]))}</td>',
        f"<td>{as_of:%-d %b %Y}</td>" if row["is_stale"] else f"<td>{as_of:%-d %b %H:%M}</td>",
    ]
    return f"<tr{mark}>{''.join(cells)}</tr>"


def _since(row: dict[str, Any], as_of: datetime) -> str:
    """How old a symbol's price is: no bar for many sessions, or not quoted in this one."""
    return f"no bar since {day_of(row)}" if row["is_stale"] else f"last price {as_of:%-d %b %Y}"


def _change(row: dict[str, Any]) -> str:
    amount, percent = (number(row[name], 2, sign=True) for name in ("change_amount", "change_percent"))
    return f"{_arrow(row['change_percent'])} {amount} ({percent} %)"


def _sparkline(values: list[float]) -> str:
    """The last sixty closes as a line without numbers."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    reach = (high - low) or 1.0
    points = " ".join(
        f"{200 * n / (len(values) - 1):.1f},{36 - 32 * (value - low) / reach:.1f}" for n, value in enumerate(values)
    )
    return (
        '<svg class="spark" viewBox="0 0 200 40" preserveAspectRatio="none" role="img" aria-label="last 60 closes">'
        f'<polyline points="{points}"/></svg>'
    )


def _missing(value: Any) -> bool:
    return value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def number(value: Any, digits: int, *, sign: bool = False) -> str:
    """A number with thousands apart and a true minus, or a dash."""
    if _missing(value):
        return "–"
    return f"{float(value):{'+' if sign else ''},.{digits}f}".replace("-", "−")


def text(value: Any) -> str:
    """A text, or a dash; not yet escaped."""
    return "–" if _missing(value) or not str(value).strip() else str(value)


def direction(value: Any) -> str:
    """The class of a change: up, down, level."""
    return "level" if _missing(value) or value == 0 else "up" if value > 0 else "down"


def _arrow(value: Any) -> str:
    return {"up": "▲", "down": "▼", "level": "■"}[direction(value)]


def day_text(value: Any) -> str:
    """14 December 2012."""
    return f"{value:%-d %B %Y}"
