"""The report's HTML: cards, a table, and figures as JSON, which the page's script draws when they come into view."""

from datetime import datetime
from typing import Any

from stocklib import plots
from stocklib.indicators import ema, sma
from stocklib.report.cards import card
from stocklib.report.facts import Facts
from stocklib.report.shell import as_json, page, plain
from stocklib.report.stale import left_out
from stocklib.sessions import NEW_YORK

# Symbols beyond this many bytes of candlesticks are left to the notebooks, which keeps the page under 8 MB.
_CHART_BYTES = 2_400_000
# … and figures that compare symbols show the largest ones.
_COMPARED, _BARS = 12, 30


def render(facts: Facts, *, written_at: datetime) -> str:
    """Return the whole page; ``written_at`` is in UTC."""
    charts, no_room = _charts(facts)
    compared = facts.symbols.loc[~facts.symbols["is_stale"], "symbol"]
    first = facts.daily[facts.daily["symbol"].isin(compared)].groupby("symbol")["date"].min()
    most = [f" The {limit} largest of {len(first)}." if len(first) > limit else "" for limit in (_COMPARED, _BARS)]
    return page(
        "market.html",
        figures=_panels(facts),
        facts=facts,
        as_of=facts.as_of.astimezone(NEW_YORK),
        rows=[card({str(k): v for k, v in row.items()}, facts) for row in facts.symbols.to_dict("records")],
        begin=first.min(),
        late=[(symbol, day) for symbol, day in first.items() if day > first.min()],
        most_compared=most[0],
        most_bars=most[1],
        stale=left_out(facts.symbols),
        has_session=not facts.session.empty,
        drawn=list(charts),
        no_room=no_room,
        written_at=written_at,
        charts=as_json(charts),
    )


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
