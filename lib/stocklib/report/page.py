"""The report's HTML: cards, a table, and figures as JSON, which the page's script draws when they come into view."""

from datetime import UTC, datetime
from typing import Any

from stocklib import plots
from stocklib.indicators import ema, sma
from stocklib.plots.house import day_text
from stocklib.report import cost_section, suspects
from stocklib.report.cards import card, text
from stocklib.report.delivery import section
from stocklib.report.facts import Facts
from stocklib.report.shell import as_json, page, plain
from stocklib.report.stale import left_out
from stocklib.sessions import NEW_YORK

# Symbols beyond this many bytes of candlesticks are left to the notebooks, which keeps the page under 8 MB.
_CHART_BYTES = 2_400_000
# … and figures that compare symbols show the largest ones.
_COMPARED, _BARS = 12, 30
_POLLED = "Bars within the session show what polling saw: a print between two polls is not in them."
_RECONSTRUCTED = "Within a replayed session the path is reconstructed from the day's open, high, low and close."


def render(facts: Facts, *, written_at: datetime) -> str:
    """Return the whole page."""
    charts, no_room = _charts(facts)
    figures = _panels(facts)
    rows: list[dict[str, Any]] = [{str(k): v for k, v in row.items()} for row in facts.symbols.to_dict("records")]
    parts = (suspects.section(facts.suspects), section(facts.delivery), cost_section.section(facts.costs))
    return page(
        "market.html",
        figures=figures,
        facts=facts,
        status=_status(facts),
        as_of_epoch="" if facts.is_replay else f"{facts.as_of.timestamp():.0f}",
        rows=[card(row, facts) for row in rows],
        panels=[panel for panel in _panel_texts(facts) if panel[0] in figures],
        options=[(symbol, _label(facts, symbol)) for symbol in charts],
        session_note="" if facts.session.empty else _RECONSTRUCTED if facts.is_replay else _POLLED,
        left_out=no_room,
        sections="".join(parts),
        written=f"{day_text(written_at.astimezone(UTC), '%B %Y, %H:%M')} UTC",
        charts=as_json(charts),
    )


def _panel_texts(facts: Facts) -> list[tuple[str, str, str]]:
    """Return (figure, title, how to read it) in the page's order."""
    there = facts.symbols.loc[~facts.symbols["is_stale"], "symbol"]
    first = facts.daily[facts.daily["symbol"].isin(there)].groupby("symbol")["date"].min()
    late = [f"{symbol} on {day_text(day)}" for symbol, day in first.items() if day > first.min()]
    begins = f" Begins later: {', '.join(late[:5])}{' …' if len(late) > 5 else ''}." if late else ""
    most = [f" The {limit} largest of {len(first)}." if len(first) > limit else "" for limit in (_COMPARED, _BARS)]
    gone = left_out(facts.symbols)
    ytd = "Since the last session of the year before, or the first session of a symbol; dividends are not counted."
    return [
        ("comparison", "Compared", f"Split-adjusted closes; {day_text(first.min())} is 100.{begins}{most[0]}"),
        (
            "treemap",
            "By sector",
            f"Size is market value, colour the change since the close before.{gone}",
        ),
        ("ytd", "Year to date", ytd + most[1]),
        ("volatility", "Volatility", f"Sample deviation of 30 daily returns × √252, in percent a year.{most[1]}"),
    ]


def _panels(facts: Facts) -> dict[str, Any]:
    """Return the figures with data."""
    there = facts.symbols[~facts.symbols["is_stale"]]
    symbols = there.sort_values(["market_cap", "symbol"], ascending=[False, True])
    compared = facts.daily[facts.daily["symbol"].isin(symbols["symbol"].head(_COMPARED))]
    drawn = {"comparison": plots.comparison(compared, height=400)}
    if (symbols["market_cap"] > 0).any():
        drawn["treemap"] = plots.treemap(symbols, unit=facts.currency, height=360)
    largest = symbols.head(_BARS)
    if largest["ytd_return_percent"].notna().any():
        drawn["ytd"] = plots.ytd_bars(largest)
    if largest["volatility_30day_percent"].notna().any():
        drawn["volatility"] = plots.volatility_bars(largest)
    return {name: plain(figure) for name, figure in drawn.items()}


def _charts(facts: Facts) -> tuple[dict[str, Any], list[str]]:
    """Return each symbol's candlesticks, by day and within the session, and the symbols without room."""
    charts: dict[str, Any] = {}
    symbols = list(facts.symbols["symbol"])
    size = 0
    for number, symbol in enumerate(symbols):
        drawn = {"daily": _daily_chart(facts, symbol)}
        if not facts.session.empty and (facts.session["symbol"] == symbol).any():
            bars = facts.session[facts.session["symbol"] == symbol]
            drawn["session"] = plain(plots.candlestick(bars, selector=False, unit=facts.currency, height=480))
        size += len(as_json(drawn))
        if size > _CHART_BYTES and charts:
            return charts, symbols[number:]
        charts[symbol] = drawn
    return charts, []


def _daily_chart(facts: Facts, symbol: str) -> dict[str, Any]:
    bars = facts.daily[facts.daily["symbol"] == symbol]
    lines = {"SMA 20": sma(bars["close"], 20).round(4), "EMA 50": ema(bars["close"], 50).round(4)}
    return plain(plots.candlestick(bars, overlays=lines, selector=False, unit=facts.currency, height=480))


def _status(facts: Facts) -> str:
    when = facts.as_of.astimezone(NEW_YORK)
    state = "session final" if facts.is_final else "session not final"
    return f"As of {when:%H:%M:%S} New York time, {day_text(when)} · {state} · {len(facts.symbols)} symbols"


def _label(facts: Facts, symbol: str) -> str:
    name = text(facts.symbols.set_index("symbol").loc[symbol, "company_name"])
    return f"{symbol} · {name}" if name != "–" else symbol
