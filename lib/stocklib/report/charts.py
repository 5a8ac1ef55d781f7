"""The candlesticks of every symbol in little room: integers and their differences, which the page draws on request.

The page holds a figure without bars for each resolution, and the bars of all symbols packed: a bar with its two lines
takes about 18 bytes, so 500 symbols of a year take 2.3 MB.
"""

import math
from typing import Any

import numpy as np
import pandas as pd

from stocklib import plots
from stocklib.indicators import ema, sma
from stocklib.report.facts import Facts
from stocklib.report.shell import packed, plain

_PRICES = ["open", "high", "low", "close"]
_LINES = ["SMA 20", "EMA 50"]
# Of more symbols than these, only the cards' have bars within the session.
_SESSIONS = 30
# Room for the bars, less a row of the table a symbol: it keeps the page under 8 MB.
_BYTES, _ROW = 2_600_000, 1_000
# The ticks of an axis have the same digits after the point, by their distance: 0.0001 and 700,000, not 100µ and 700k.
_TICKS = [
    {"dtickrange": [0.9 * 10.0**-digits, 0.9 * 10.0 ** (1 - digits) if digits else None], "value": f",.{digits}f"}
    for digits in range(7)
]


def compact(facts: Facts, cards: list[str]) -> str:
    """Return the bars of every symbol by symbol and resolution, packed; of very many symbols the last sessions only."""
    daily, session = facts.daily, facts.session
    lines = {"SMA 20": sma(facts.closes, 20), "EMA 50": ema(facts.closes, 50)}
    keys = pd.MultiIndex.from_frame(daily[["date", "symbol"]])
    daily = daily.assign(**{name: lines[name].stack().reindex(keys).to_numpy() for name in _LINES})
    if len(session) and len(facts.symbols) > _SESSIONS:
        session = session[session["symbol"].isin(cards)]
    room, sessions = _BYTES - _ROW * len(facts.symbols), len(facts.closes)
    made = packed(_by_symbol(daily, session, sessions))
    while len(made) > room and sessions > 1:
        sessions = max(1, int(0.97 * sessions * room / len(made)))
        made = packed(_by_symbol(daily, session, sessions))
    return made


def frames(facts: Facts) -> dict[str, Any]:
    """Return, by resolution, the times of all bars and a figure without bars."""
    return {name: _frame(bars, facts.currency) for name, bars in _resolutions(facts.daily, facts.session)}


def _resolutions(daily: pd.DataFrame, session: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(name, bars) for name, bars in (("daily", daily), ("session", session)) if len(bars)]


def _frame(bars: pd.DataFrame, unit: str) -> dict[str, Any]:
    empty = pd.DataFrame({_when(bars): _axis(bars), **dict.fromkeys(_PRICES, 1.0)})
    if bars["volume"].notna().any():
        empty["volume"] = 1.0
    lines = dict.fromkeys(_LINES, empty["close"]) if "date" in bars else None
    figure = plain(plots.candlestick(empty, overlays=lines, selector=False, unit=unit, height=480))
    # the labels of last values stand on the right
    figure["layout"]["yaxis"] |= {"side": "left", "tickformatstops": _TICKS}
    if "yaxis2" in figure["layout"]:
        figure["layout"]["yaxis2"]["side"] = "left"
    if lines is None:
        figure["layout"]["xaxis"]["title"] = {"text": "New York time"}
    times = figure["data"][0]["x"]
    for trace in figure["data"]:
        for key in ("x", "y", *_PRICES):
            trace.pop(key, None)
    return {"times": times, "figure": figure}


def _when(bars: pd.DataFrame) -> str:
    return "date" if "date" in bars else "time"


def _axis(bars: pd.DataFrame) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(bars[_when(bars)].unique()).sort_values()


def _by_symbol(daily: pd.DataFrame, session: pd.DataFrame, sessions: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, bars in _resolutions(daily, session):
        axis = _axis(bars)
        for symbol, rows in bars.groupby("symbol"):
            last = rows.tail(sessions) if name == "daily" else rows
            made.setdefault(str(symbol), {})[name] = _coded(last, axis)
    return made


def _coded(bars: pd.DataFrame, axis: pd.DatetimeIndex) -> dict[str, Any]:
    """Return a symbol's bars: ``digits`` of its prices after the point, and columns of differences.

    ``places`` are positions on the axis of times.
    """
    low, high = float(bars["low"].min()), float(bars["high"].max())
    # four digits that count, three of a narrow range, and no more than a double holds
    digits = 2 if low >= 1 else 3 - math.floor(math.log10(low))
    digits = max(digits, 2 - math.floor(math.log10(high - low)) if high > low else 0)
    digits = min(digits, math.floor(math.log10(2**53 / high)))
    coded = {name: _differences(bars[name] * 10.0**digits) for name in [*_PRICES, *_LINES] if name in bars}
    coded["volume"] = _differences(bars["volume"]) if bars["volume"].notna().any() else []
    return {"digits": digits, "places": _differences(axis.get_indexer(pd.Index(bars[_when(bars)]))), **coded}


def _differences(values: Any) -> list[int | None]:
    """Return each whole number less the known one before it; None where it is missing."""
    whole = np.asarray(values, dtype="float64").round()
    known = ~np.isnan(whole)
    steps = iter(np.diff(whole[known], prepend=0.0).tolist())
    return [int(next(steps)) if is_known else None for is_known in known]
