"""Stale symbols, without a bar for a while: marked with the date of their last one, never called delisted.

The reason is unknown here: a symbol may be halted, renamed, taken over, or removed from the watchlist. The report says
since when, and figures that compare current symbols leave it out.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

import pandas as pd

from stocklib.errors import DateRangeError
from stocklib.plots.house import day_text
from stocklib.sessions import sessions

# A halt or a hole in a source lasts some sessions; a longer gap is marked.
MANY_SESSIONS = 5


def mark(symbols: pd.DataFrame, last_bars: "pd.Series", *, session_date: date) -> pd.DataFrame:
    """Return the rows with ``last_bar``, the date of each symbol's last bar, and ``is_stale``: none for many sessions.

    ``last_bars`` are dates by symbol. A stale symbol has no change of this session, and one whose last bar is of
    another year has no return of this one.
    """
    last = pd.to_datetime(symbols["symbol"].map(last_bars))
    missed = {day: _missed(day, session_date) for day in last.dropna().unique()}
    marked = symbols.assign(last_bar=last, is_stale=last.map(missed).fillna(0) > MANY_SESSIONS)
    another_year = last.dt.year < session_date.year
    for column, where in (
        ("change_amount", marked["is_stale"]),
        ("change_percent", marked["is_stale"]),
        ("ytd_return_percent", another_year),
        ("ytd_base_date", another_year),
    ):
        marked[column] = marked[column].mask(where)
    return marked


def left_out(symbols: pd.DataFrame) -> str:
    """Return a sentence that names the first stale symbols; empty where there is none."""
    stale = symbols[symbols["is_stale"]].to_dict("records")
    if not stale:
        return ""
    named = ", ".join(f"{row['symbol']} since {day_of(row)}" for row in stale[:5])
    return f" Left out, without a bar: {named}{' …' if len(stale) > 5 else ''}."


def day_of(row: Mapping[Any, Any]) -> str:
    """Return the date of a symbol's last bar, with its year."""
    return day_text(row["last_bar"], "%b %Y")


def _missed(last: pd.Timestamp, session_date: date) -> int:
    """Return how many sessions there were after a date, up to that of the report."""
    if last.date() >= session_date:
        return 0
    try:
        return len([found for found in sessions(last.date(), session_date) if found.session_date > last.date()])
    except DateRangeError:
        return len(pd.bdate_range(last + pd.Timedelta(days=1), session_date))
