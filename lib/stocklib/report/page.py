"""The report's HTML: cards, a table, and the figures as JSON that the page's own script draws when they are seen."""

import json
import math
import re
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from typing import Any

import pandas as pd

from stocklib import plots
from stocklib.indicators import ema, sma
from stocklib.report.facts import Facts
from stocklib.sessions import NEW_YORK

# Symbols beyond this many bytes of candlesticks are left to the notebooks, which keeps the page under 8 MB.
_CHART_BYTES = 2_400_000
# … and figures that set symbols side by side show the largest ones.
_COMPARED, _BARS = 12, 30
_POLLED = "Bars within the session show what polling saw: a print between two polls is not in them."
_RECONSTRUCTED = "Within a replayed session the path is reconstructed from the day's open, high, low and close."
_TERMS = (
    "The recorded bars that ship with the workbench are public domain (Quandl WIKI). Finnhub's free plan and Yahoo's "
    "data are for personal use: ask before you redistribute a report made from them. Nothing here is advice to buy or sell."
)


def render(facts: Facts, *, written_at: datetime) -> str:
    """The whole page."""
    charts, left_out = _charts(facts)
    rows: list[dict[str, Any]] = [{str(k): v for k, v in row.items()} for row in facts.symbols.to_dict("records")]
    figures = _panels(facts)
    parts = {
        "title": f"Market report, {_day(facts.session_date)}",
        "date": _day(facts.session_date),
        "status": _status(facts),
        "banner": _banner(facts),
        "cards": "\n".join(_card(row, facts) for row in rows),
        "panels": "\n".join(_panel(name, title, note) for name, title, note in _panel_texts(facts) if name in figures),
        "options": "".join(f'<option value="{escape(s)}">{escape(_label(facts, s))}</option>' for s in charts),
        "left_out": escape(f"No room on this page for {', '.join(left_out)}.") if left_out else "",
        "session_note": "" if facts.session.empty else escape(_RECONSTRUCTED if facts.is_replay else _POLLED),
        "intraday": "" if facts.session.empty else " has-session",
        "rows": "\n".join(_row(row) for row in rows),
        "unit": escape(facts.currency),
        "terms": escape(_TERMS),
        "version": escape(facts.data_version),
        "written": f"{written_at.astimezone(UTC):%-d %B %Y, %H:%M} UTC",
        "as_of_epoch": "" if facts.is_replay else f"{facts.as_of.timestamp():.0f}",
        "figures": _json(figures),
        "charts": _json(charts),
        "templates": _json({name: _plain(plots.template(dark=name == "dark")) for name in ("light", "dark")}),
        "plotly": plots.library().replace("</script", "<\\/script"),
    }
    template = (files("stocklib.report") / "template.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found.group(1)], template)


def _panel_texts(facts: Facts) -> list[tuple[str, str, str]]:
    """(figure, title, how to read it) in the page's order."""
    first = facts.daily.groupby("symbol")["date"].min()
    late = [f"{symbol} on {_day(day)}" for symbol, day in first.items() if day > first.min()]
    begins = f" Begins later: {', '.join(late[:5])}{' …' if len(late) > 5 else ''}." if late else ""
    most = [f" The {limit} largest of {len(first)}." if len(first) > limit else "" for limit in (_COMPARED, _BARS)]
    ytd = "Since the last session of the year before, or the first session of a symbol."
    return [
        ("comparison", "Compared", f"Split-adjusted closes; {_day(first.min())} is 100.{begins}{most[0]}"),
        ("treemap", "By sector", "Size is market value, colour the change since the close before."),
        ("ytd", "Year to date", ytd + most[1]),
        ("volatility", "Volatility", f"Sample deviation of 30 daily returns × √252, in percent a year.{most[1]}"),
    ]


def _panels(facts: Facts) -> dict[str, Any]:
    """The figures that have something to show."""
    symbols = facts.symbols.sort_values(["market_cap", "symbol"], ascending=[False, True])
    compared = facts.daily[facts.daily["symbol"].isin(symbols["symbol"].head(_COMPARED))]
    drawn = {"comparison": plots.comparison(compared, height=400)}
    if (symbols["market_cap"] > 0).any():
        drawn["treemap"] = plots.treemap(symbols, unit=facts.currency, height=360)
    largest = symbols.head(_BARS)
    if largest["ytd_return_percent"].notna().any():
        drawn["ytd"] = plots.ytd_bars(largest)
    if largest["volatility_30day_percent"].notna().any():
        drawn["volatility"] = plots.volatility_bars(largest)
    return {name: _plain(figure) for name, figure in drawn.items()}


def _charts(facts: Facts) -> tuple[dict[str, Any], list[str]]:
    """Each symbol's candlesticks, by day and within the session, and the symbols there was no room for."""
    charts: dict[str, Any] = {}
    symbols = list(facts.symbols["symbol"])
    size = 0
    for number, symbol in enumerate(symbols):
        drawn = {"daily": _daily_chart(facts, symbol)}
        if not facts.session.empty and (facts.session["symbol"] == symbol).any():
            bars = facts.session[facts.session["symbol"] == symbol]
            drawn["session"] = _plain(plots.candlestick(bars, unit=facts.currency, height=480))
        size += len(_json(drawn))
        if size > _CHART_BYTES and charts:
            return charts, symbols[number:]
        charts[symbol] = drawn
    return charts, []


def _daily_chart(facts: Facts, symbol: str) -> dict[str, Any]:
    bars = facts.daily[facts.daily["symbol"] == symbol]
    lines = {"SMA 20": sma(bars["close"], 20).round(4), "EMA 50": ema(bars["close"], 50).round(4)}
    return _plain(plots.candlestick(bars, overlays=lines, unit=facts.currency, height=480))


def _status(facts: Facts) -> str:
    when = facts.as_of.astimezone(NEW_YORK)
    state = "session final" if facts.is_final else "session still running"
    return f"As of {when:%H:%M:%S} New York time, {when:%-d %B %Y} · {state} · {len(facts.symbols)} symbols"


def _banner(facts: Facts) -> str:
    if not facts.is_replay:
        return ""
    return (
        f'<p class="banner"><strong>Replayed market data: {_day(facts.session_date)}.</strong> '
        f"Recorded prices ({facts.daily['date'].min():%-d %B %Y} to {facts.daily['date'].max():%-d %B %Y}), "
        "streamed again as if it were that day. Nothing here is about today's market.</p>"
    )


def _card(row: dict[str, Any], facts: Facts) -> str:
    symbol = row["symbol"]
    closes = facts.daily.loc[facts.daily["symbol"] == symbol, "close"].tail(60).tolist()
    as_of = row["as_of"].astimezone(NEW_YORK)
    old = as_of.date() < facts.session_date
    stale = f'<span class="stale">last price {as_of:%-d %b}</span>' if old else ""
    return f"""<a class="card kpi" href="#candles" data-symbol="{escape(symbol)}">
<span class="symbol">{escape(symbol)}</span><span class="name">{escape(_text(row["company_name"]))}</span>
<span class="price">{_number(row["current_price"], 2)}</span>
<span class="{_sign(row["change_percent"])}">{_change(row)}</span>
{_sparkline(closes)}
<span class="small">Year to date {_number(row["ytd_return_percent"], 1, sign=True)} %</span>{stale}</a>"""


def _change(row: dict[str, Any]) -> str:
    amount, percent = (_number(row[name], 2, sign=True) for name in ("change_amount", "change_percent"))
    return f"{_arrow(row['change_percent'])} {amount} ({percent} %)"


def _panel(name: str, title: str, note: str) -> str:
    wide = " wide" if name in ("comparison", "treemap") else ""
    return f"""<section class="card{wide}" id="{name}"><h2>{title}</h2><p class="note">{escape(note)}</p>
<div class="figure" data-figure="{name}"></div></section>"""


def _row(row: dict[str, Any]) -> str:
    signed = ("change_percent", "ytd_return_percent", "momentum_30day_percent")
    cells = [
        f'<th scope="row">{escape(row["symbol"])}<span class="name">{escape(_text(row["company_name"]))}</span></th>',
        f"<td>{_number(row['current_price'], 2)}</td>",
        *(f'<td class="{_sign(row[name])}">{_number(row[name], 2, sign=True)}</td>' for name in signed),
        f"<td>{_number(row['volatility_30day_percent'], 1)}</td>",
        f"<td>{_number(row['drawdown_percent'], 1)}</td>",
        f"<td>{_number(row['volume'], 0)}</td>",
        f'<td class="left">{escape(_text(row["sector"]))}</td>',
        f"<td>{row['as_of'].astimezone(NEW_YORK):%-d %b %H:%M}</td>",
    ]
    return f"<tr>{''.join(cells)}</tr>"


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


def _label(facts: Facts, symbol: str) -> str:
    name = _text(facts.symbols.set_index("symbol").loc[symbol, "company_name"])
    return f"{symbol} · {name}" if name != "–" else symbol


def _plain(figure: Any) -> dict[str, Any]:
    """A figure or template as JSON, without the template that the page adds itself."""
    made: dict[str, Any] = json.loads(figure.to_json()) if hasattr(figure, "to_json") else figure.to_plotly_json()
    made.get("layout", {}).pop("template", None) if "data" in made else None
    return made


def _json(value: Any) -> str:
    """JSON that may stand inside a script element, whatever text it holds."""
    made = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return made.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _missing(value: Any) -> bool:
    return value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def _number(value: Any, digits: int, *, sign: bool = False) -> str:
    if _missing(value):
        return "–"
    return f"{float(value):{'+' if sign else ''},.{digits}f}".replace("-", "−")


def _text(value: Any) -> str:
    return "–" if _missing(value) or not str(value).strip() else str(value)


def _sign(value: Any) -> str:
    return "level" if _missing(value) or value == 0 else "up" if value > 0 else "down"


def _arrow(value: Any) -> str:
    return {"up": "▲", "down": "▼", "level": "■"}[_sign(value)]


def _day(value: Any) -> str:
    return f"{value:%-d %B %Y}"
