"""Every figure that two places show, compared: gold's tables, ``prices``, the report's facts, Power BI's values."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from stocklib import market
from stocklib.report.facts import gather
from stocklib.settings import Settings
from stocklib.warehouse import Warehouse, open_warehouse
from workbench.powerbi.expected import expected_values

Figures = Mapping[Any, float]


def disagreements(settings: Settings) -> list[str]:
    """What two places show differently: figure, symbol, and who says what; nothing is right."""
    said: dict[tuple[str, str], dict[str, float]] = {}
    for figure, place, values in _figures(settings):
        for symbol, value in values.items():
            said.setdefault((figure, str(symbol)), {})[place] = math.nan if pd.isna(value) else float(value)
    alone = {figure for figure, _ in said} - {figure for (figure, _), by_place in said.items() if len(by_place) > 1}
    assert not alone, f"shown in one place only: {alone}"
    return [f"{figure} of {symbol}: {by_place}" for (figure, symbol), by_place in said.items() if not _agree(by_place)]


def _agree(by_place: dict[str, float]) -> bool:
    values = list(by_place.values())
    if any(math.isnan(value) for value in values):
        return all(math.isnan(value) for value in values)
    # six digits after the point, or what a double holds of a larger number
    return max(values) - min(values) <= max(1.1e-6, 1e-12 * max(map(abs, values)))


def _figures(settings: Settings) -> Iterator[tuple[str, str, Figures]]:
    """(figure, place, value by symbol)."""
    warehouse = open_warehouse(settings)
    ask = {name: _last(warehouse.query(sql)) for name, sql in _LAST.items()}
    kpi, fact, tree, performance, candle = (ask[n] for n in ("kpi", "fact", "tree", "performance", "candle"))
    facts = gather(settings).symbols.set_index("symbol")
    split, traded = (
        _last(market.prices(adjust=adjust, settings=settings).sort_values(["symbol", "date"]))
        for adjust in ("split", "none")
    )
    for place, frame, column in (
        ("gold_kpi", kpi, "current_price"),
        ("fact_daily_stock_quotes", fact, "close_price"),
        ("gold_candlestick", candle, "candle_close"),
        ("prices", traded, "close"),
        ("report", facts, "current_price"),
    ):
        yield "last price", place, frame[column]
    yield "adjusted close", "fact_stock_performance", performance["adj_close_price"]
    yield "adjusted close", "prices", split["close"]
    own = kpi[kpi["change_basis"] == "close"].index
    yield "change of a close", "gold_kpi", kpi.loc[own, "change_percent"]
    yield "change of a close", "fact_daily_stock_quotes", fact.loc[own, "daily_return_percent"]
    # the report shows no change of a symbol without a bar for long, and no return of another year
    fresh, of_year = (
        facts[~facts["is_stale"]].index,
        facts[facts["last_bar"].dt.year == facts["last_bar"].max().year].index,
    )
    for place, frame in (("gold_kpi", kpi), ("gold_treechart", tree), ("report", facts)):
        yield "change", place, frame.loc[fresh, "change_percent"]
    yield "change in money", "gold_kpi", kpi.loc[fresh, "change_amount"]
    yield "change in money", "report", facts.loc[fresh, "change_amount"]
    for place, frame in (("gold_kpi", kpi), ("fact_stock_performance", performance), ("report", facts)):
        yield "year to date", place, frame.loc[of_year, "ytd_return_percent"]
    for place, frame in (("gold_treechart", tree), ("fact_stock_performance", performance), ("report", facts)):
        yield "volatility", place, frame["volatility_30day_percent"]
    for column in ("momentum_30day_percent", "drawdown_percent"):
        yield column, "fact_stock_performance", performance[column]
        yield column, "report", facts[column]
    for place, frame in (("gold_treechart", tree), ("report", facts)):
        yield "market value", place, frame["market_cap"]
    yield "market value", "shares × price", ask["symbols"]["shares_outstanding"] * kpi["current_price"]
    for place, frame in (("fact_daily_stock_quotes", fact), ("gold_candlestick", candle), ("report", facts)):
        yield "volume", place, frame["volume"]
    yield from _of_the_market(settings, warehouse)
    yield from _of_powerbi(settings, {"kpi": kpi, "performance": performance, "candle": candle, "tree": tree})


_LAST = {
    "kpi": "select * from gold.gold_kpi",
    "tree": "select * from gold.gold_treechart",
    "symbols": "select * from silver.dim_stock_symbols where last_quote_date is not null",
    "fact": "select * from gold.fact_daily_stock_quotes order by symbol, quote_date",
    "performance": "select * from gold.fact_stock_performance order by symbol, quote_date",
    "candle": "select * from gold.gold_candlestick where resolution = '1d' order by symbol, candle_time",
}


def _of_the_market(settings: Settings, warehouse: Warehouse) -> Iterator[tuple[str, str, Figures]]:
    """What the report computes from bars, next to the same in SQL."""
    facts = gather(settings)
    ours, theirs = facts.symbols.set_index("symbol"), warehouse.query(_MARKET).set_index("symbol")
    there = ours[ours["last_bar"] == ours["last_bar"].max()].index
    for column in ("return_1w_percent", "range_low", "range_high", "is_above_50", "relative_volume"):
        yield column, "report", ours.loc[there, column]
        yield column, "SQL", theirs.loc[there, column]
    counted = warehouse.query(_COUNTED).loc[0]
    yield "advancers", "report", {"all": facts.breadth.advancers}
    yield "advancers", "SQL", {"all": counted["advancers"]}
    yield "decliners", "report", {"all": facts.breadth.decliners}
    yield "decliners", "SQL", {"all": counted["decliners"]}
    yield "equal weight", "report", {"all": facts.benchmark_returns["1d"]}
    yield "equal weight", "SQL", {"all": counted["mean"]}
    yield "drawdown_percent", "report's figure", facts.drawdowns.ffill().iloc[-1]


_MARKET = """
with bars as (
    select symbol, quote_date, cast(close_price as double) / split_factor as close,
        cast(high_price as double) / split_factor as high, cast(low_price as double) / split_factor as low,
        volume * split_factor as volume
    from gold.fact_daily_stock_quotes
),
ended as (select max(quote_date) as day from bars)
select symbol,
    100 * (arg_max(close, quote_date) / arg_max(close, quote_date) filter (quote_date <= day - 7) - 1)
        as return_1w_percent,
    min(low) filter (quote_date > day - 364) as range_low, max(high) filter (quote_date > day - 364) as range_high,
    case when count(*) >= 50 then
        cast(arg_max(close, quote_date) > list_avg(max_by(close, quote_date, 50)) as integer) end as is_above_50,
    case when count(*) > 20 then
        list(volume order by quote_date desc)[1] / list_avg(list(volume order by quote_date desc)[2:21]) end
        as relative_volume
from bars, ended group by symbol, day
"""
_COUNTED = """
select count(*) filter (change_percent > 0) as advancers, count(*) filter (change_percent < 0) as decliners,
    (select avg(daily_return_percent) from gold.fact_daily_stock_quotes
        where quote_date = (select max(quote_date) from gold.fact_daily_stock_quotes)) as mean
from gold.gold_kpi where last_bar_date = (select max(last_bar_date) from gold.gold_kpi)
"""


def _last(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.groupby("symbol").tail(1).set_index("symbol")


def _of_powerbi(settings: Settings, gold: dict[str, pd.DataFrame]) -> Iterator[tuple[str, str, Figures]]:
    """The values that measures should show of all dates, next to gold's."""
    columns = {
        "Last price": gold["kpi"]["current_price"],
        "Change": gold["kpi"]["change_amount"],
        "Change %": gold["kpi"]["change_percent"],
        "YTD %": gold["performance"]["ytd_return_percent"],
        "Volatility 30 %": gold["performance"]["volatility_30day_percent"],
        "Drawdown %": gold["performance"]["drawdown_percent"],
        "Average 30": gold["performance"]["ma_30day"],
        "Candle volume": gold["candle"]["volume"],
        "SMA 20": gold["candle"]["trend_line"],
    }
    last = gold["candle"]["candle_time"].dt.date
    for one in expected_values(open_warehouse(settings)):
        if one.symbol and one.measure in columns and one.last in (None, last.get(one.symbol)):
            yield f"Power BI {one.measure}", "Power BI", {one.symbol: float(one.value or "nan")}
            yield f"Power BI {one.measure}", "gold", {one.symbol: columns[one.measure][one.symbol]}
        if one.measure == "Market cap":
            yield "Power BI market cap", "Power BI", {"all": float(one.value)}
            yield "Power BI market cap", "gold", {"all": gold["tree"]["market_cap"].sum()}
