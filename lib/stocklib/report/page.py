"""The report's HTML: breadth, cards, a table, and figures as JSON, which the page's script draws in view."""

from datetime import datetime
from typing import Any

import pandas as pd

from stocklib import indicators, plots
from stocklib.plots.house import pen, text
from stocklib.report import cards, charts
from stocklib.report.facts import Facts
from stocklib.report.shell import as_json, packed, page, plain
from stocklib.report.stale import left_out
from stocklib.sessions import NEW_YORK, XNYS
from stocklib.warehouse.spreadsheets import to_csv

# Figures that compare symbols show the chosen ones, else the largest; drawdowns fewer, since they cross.
_COMPARED, _FALLS = 12, 5
# Returns of a correlation: a month, a quarter, a year.
_CORRELATED = {21: "1 month", 63: "3 months", XNYS.periods_a_year: "1 year"}
# The benchmark's violet, which no symbol has.
_BENCHMARK = "#8b6fe0"
# The height of both, which stand next to each other.
_PAIR = 420
# Columns of the symbols that the table for download leaves out.
_NOT_DOWNLOADED = ["fetched_at", "is_stale", "change_basis"]


def render(facts: Facts, *, written_at: datetime) -> str:
    """Return the whole page; ``written_at`` is in UTC."""
    by_symbol = {row["symbol"]: row for row in cards.rows(facts)}
    movers = cards.movers(facts)
    carded = {"Chosen": facts.chosen} if facts.chosen else movers
    on_cards = [symbol for symbols in carded.values() for symbol in symbols]
    compared = sorted(_largest(facts)[:_COMPARED])
    first = facts.daily[facts.daily["symbol"].isin(compared)].groupby("symbol")["date"].min()
    falls = _largest(facts)[:_FALLS]
    figures = _figures(facts, compared, falls)
    return page(
        "market.html",
        scripts=["market.js"],
        figures=figures,
        facts=facts,
        as_of=facts.as_of.astimezone(NEW_YORK),
        by_symbol=by_symbol,
        known={name for name in facts.symbols if facts.symbols[name].notna().any()},
        carded=carded,
        movers=movers if facts.chosen else {},
        sparklines={symbol: cards.sparkline(facts, symbol) for symbol in on_cards},
        begin=first.min(),
        most_fallen=_which(facts, len(falls)),
        late=[(symbol, day) for symbol, day in first.items() if day > first.min()],
        compared=compared,
        most_compared=_which(facts, len(compared)),
        correlations={f"correlation-{n}": label for n, label in _CORRELATED.items() if f"correlation-{n}" in figures},
        stale=left_out(facts.symbols),
        has_session=not facts.session.empty,
        written_at=written_at,
        charts=charts.compact(facts, on_cards),
        csv=packed(_csv(facts)),
        market=as_json({"frames": charts.frames(facts), "name": f"market-{facts.session_date}.csv"}),
    )


def _largest(facts: Facts) -> list[str]:
    """Return the symbols of the figures that compare: those that the reader chose, else all, the largest first."""
    there = facts.symbols[~facts.symbols["is_stale"]]
    largest = there.sort_values(["market_cap", "symbol"], ascending=[False, True])["symbol"]
    chosen = [symbol for symbol in facts.chosen if symbol in set(there["symbol"])]
    return chosen or list(largest)


def _which(facts: Facts, count: int) -> str:
    """Return a sentence that names the symbols of a figure that draws so many; empty where those are all."""
    if not facts.chosen:
        return "" if count == len(facts.symbols) else f" The {count} largest of {len(facts.symbols)}."
    return " The chosen symbols." if count == len(_largest(facts)) else f" The first {count} chosen symbols."


def _figures(facts: Facts, compared: list[str], falls: list[str]) -> dict[str, Any]:
    """Return the figures with data, without its version, which the page prints once."""
    rows = facts.symbols.set_index("symbol", drop=False).loc[compared]
    there = facts.symbols[~facts.symbols["is_stale"]]
    drawn = {"comparison": _comparison(facts, compared), "drawdown": _drawdown(facts, falls)}
    # a symbol has one colour on the page; the labels of last values stand on the right
    benchmark = {text(facts.benchmark.name): {"color": _BENCHMARK, "dash": "solid", "width": 3}}
    pens = benchmark | {text(symbol): pen(number) for number, symbol in enumerate(compared)}
    for figure in drawn.values():
        figure.for_each_trace(lambda trace: trace.update(line=pens[trace.name])).update_yaxes(side="left")
    if (there["market_cap"] > 0).any():
        drawn["treemap"] = plots.treemap(there, unit=facts.currency, height=300 if len(there) <= 40 else 620)
    if rows["ytd_return_percent"].notna().any():
        drawn["ytd"] = plots.ytd_bars(rows.reset_index(drop=True))
    if rows["volatility_30day_percent"].notna().any():
        drawn["volatility"] = plots.volatility_bars(rows.reset_index(drop=True))
    closes = facts.closes[compared]
    for window in _CORRELATED:
        if len(compared) > 1 and len(closes) > window:
            drawn[f"correlation-{window}"] = plots.correlation_matrix(closes.tail(window + 1), height=_PAIR)
    return {name: plain(figure) for name, figure in drawn.items()}


def _comparison(facts: Facts, compared: list[str]) -> Any:
    """Return the closes from 100, with the benchmark as a broad line unless it is one of them."""
    bars = facts.daily.loc[facts.daily["symbol"].isin(compared), ["symbol", "date", "close"]]
    name = str(facts.benchmark.name)
    if name not in compared:
        line = facts.benchmark.dropna().rename("close").rename_axis("date").reset_index().assign(symbol=name)
        bars = pd.concat([bars, line], ignore_index=True)
    bars.attrs = {}
    return plots.comparison(bars, height=440)


def _drawdown(facts: Facts, compared: list[str]) -> Any:
    name = str(facts.benchmark.name)
    # of a symbol gold has it
    index = {} if name in facts.drawdowns else {name: indicators.drawdown(facts.benchmark)}
    symbols = {name, *compared} - index.keys()
    falls = index | {symbol: facts.drawdowns[symbol].reindex(facts.benchmark.index) for symbol in symbols}
    return plots.lines(pd.DataFrame(falls).sort_index(axis=1), unit="% below the high", height=_PAIR)


def _csv(facts: Facts) -> str:
    table = facts.symbols.drop(columns=_NOT_DOWNLOADED).rename(columns={"as_of": "as_of_utc"})
    table["as_of_utc"] = table["as_of_utc"].dt.tz_localize(None)
    flags = [name for name in map(str, table) if name.startswith(("is_above_", "is_new_"))]
    counts = ["market_cap", "volume"]
    table = table.astype(dict.fromkeys(flags, "boolean") | dict.fromkeys(counts, "float64"))
    table[counts] = table[counts].round().astype("Int64")
    # as many digits as the page's own numbers have
    numbers = table.select_dtypes("float64")
    table[numbers.columns] = numbers.map(lambda value: float(f"{value:.9g}"))
    return to_csv(table)
