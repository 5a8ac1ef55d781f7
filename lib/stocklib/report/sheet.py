"""The tear sheet of a backtest against a benchmark, as one self-contained HTML page."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from stocklib import backtest, metrics, plots
from stocklib.backtest.result import by_session
from stocklib.errors import InputError
from stocklib.indicators.columns import check_type
from stocklib.indicators.times import session_days
from stocklib.plots.house import day_text
from stocklib.report.cards import number
from stocklib.report.shell import page, plain

# More candles or trades than these are left to the notebooks, which keeps the page under 8 MB and quick on a phone.
_CANDLES, _TRADES = 2_600, 250
_ROLLING = 63
_TILES = ("CAGR %", "volatility %", "Sharpe", "max drawdown %", "costs")


def render_sheet(
    result: backtest.Result,
    *,
    title: str,
    benchmark: backtest.Result | None,
    benchmark_name: str,
    prices: pd.DataFrame | None,
    parameters: Mapping[str, Any],
    unit: str,
    written_at: datetime,
) -> str:
    """Return the whole page. ``prices`` are the traded bars; with one symbol its candles show the trades."""
    check_type("the result", result, backtest.Result, expected="what `backtest.run` returns")
    if prices is not None:
        check_type("the prices", prices, pd.DataFrame, expected="the frame of bars that were traded")
    if benchmark is not None:
        check_type("the benchmark", benchmark, backtest.Result, expected="what `backtest.run` returns")
        _check_sessions(result, benchmark)
    if benchmark is not None and title == benchmark_name:
        raise InputError(f"the strategy and its benchmark are both called {title!r}: give one another name")
    results = {title: result} | ({} if benchmark is None else {benchmark_name: benchmark})
    figures = _figures(results, prices, unit)
    days, table = session_days(result.equity.index).unique(), _table(results)
    returns = [name for name in table.index if name.endswith(" return %")]
    panels = _PANELS | {"candles": ("Trades", f"{_CANDLES_OF[_adjusted(result)]}; where round trips began and ended.")}
    return page(
        "tearsheet.html",
        figures=figures,
        result=result,
        title=title,
        symbols=_symbols(result, prices),
        period=f"{day_text(days[0])} to {day_text(days[-1])}, {len(days):,} sessions",
        tiles=[_tile(name, table, unit) for name in (*returns, *_TILES)],
        panels=[(name, *panels[name]) for name in figures],
        metrics=table,
        trades=[_trade(row) for row in result.trades.tail(_TRADES).to_dict("records")],
        trades_note=_trades_note(result),
        parameters=parameters,
        costs=_costs(result, unit),
        unit=unit,
        basis=_RETURNS_OF[_adjusted(result)],
        version=result.equity.attrs.get("data_version", "not said"),
        written=f"{day_text(written_at.astimezone(UTC), '%B %Y, %H:%M')} UTC",
    )


_PANELS = {
    "equity": ("Value of the account", "At each close, and how far below its own high."),
    "months": ("Month by month", "Percent; the last column is the year."),
    "returns": ("Daily returns", "Against a normal distribution; historical VaR and CVaR at 95 %."),
    "rolling": (f"Over {_ROLLING} sessions", "Volatility, Sharpe ratio and beta to the benchmark, as they stood."),
    "exposure": ("Exposure", "The value of what was held by the account's, short positions counted as positive."),
}


# By the bars' ``attrs["adjust"]``: the caption of the candles, and the kind of return.
_CANDLES_OF = {
    "none": "Bars as traded",
    "split": "Split-adjusted bars",
    "total": "Bars adjusted for splits and dividends",
    "": "The bars as they were given",
}
_RETURNS_OF = {
    "none": "prices as traded: a return counts neither splits nor dividends.",
    "split": "prices split-adjusted: returns are price returns, without dividends (--adjust total counts them).",
    "total": "prices adjusted for splits and dividends: returns are total returns, every dividend reinvested.",
    "": "prices as they were given: whether returns count dividends is for their source to say.",
}


def _adjusted(result: backtest.Result) -> str:
    adjust = str(result.bars.attrs.get("adjust", ""))
    return adjust if adjust in _RETURNS_OF else ""


def _check_sessions(result: backtest.Result, benchmark: backtest.Result) -> None:
    mine, theirs = result.equity.index, benchmark.equity.index
    if mine.equals(theirs):
        return
    apart = mine.symmetric_difference(theirs)
    first = f"; the first that is in one of them only is {apart[0]:%Y-%m-%d}" if len(apart) else ""
    raise InputError(
        f"the benchmark must be run on the same sessions as the strategy ({len(theirs):,} and {len(mine):,}{first}): "
        "give it a row for each of them, without prices where it has no bar"
    )


def _figures(results: Mapping[str, backtest.Result], prices: pd.DataFrame | None, unit: str) -> dict[str, Any]:
    first = next(iter(results.values()))
    curves = {name: result.equity for name, result in results.items()}
    drawn = {"equity": plots.equity_curve(curves, unit=unit, height=440)}
    if prices is not None and len(first.bars.symbols) == 1 and len(prices) <= _CANDLES:
        drawn["candles"] = plots.candlestick(prices, trades=first.trades, unit=unit, height=460)
    if first.ruined is None:
        daily = {name: by_session(curve) for name, curve in curves.items()}
        values, *benchmarks = daily.values()
        drawn["months"] = plots.monthly_heatmap(values)
        drawn["returns"] = plots.return_distribution(values, height=340)
        if len(values) > 2 * _ROLLING:
            market_of = benchmarks[0] if benchmarks else None
            drawn["rolling"] = plots.rolling_metrics(daily, window=_ROLLING, benchmark=market_of, height=460)
    drawn["exposure"] = plots.exposure(first.exposure)
    return {name: plain(figure) for name, figure in drawn.items()}


def _table(results: Mapping[str, backtest.Result]) -> pd.DataFrame:
    benchmark = list(results.values())[1].equity if len(results) > 1 else None
    table = backtest.summary(results, benchmark if all(r.ruined is None for r in results.values()) else None)
    more = {name: _more(result) for name, result in results.items()}
    return pd.concat([table, pd.DataFrame(more)])


def _more(result: backtest.Result) -> dict[str, float]:
    """Return the figures that ``backtest.summary`` leaves out."""
    if result.ruined is not None:
        return {}
    equity, profits = by_session(result.equity), result.trades["profit"].to_numpy(dtype="float64")
    return {
        "CVaR 95 %": metrics.cvar(equity),
        "skew": metrics.skew(equity),
        "excess kurtosis": metrics.kurtosis(equity),
        "sessions that rose %": metrics.hit_rate(equity),
        "trades that gained %": 100 * float((profits > 0).mean()) if len(profits) else math.nan,
    }


def _tile(name: str, table: pd.DataFrame, unit: str) -> tuple[str, float, float | None]:
    """A figure's label, its value, and the benchmark's where there is one."""
    value, *others = table.T[name].tolist()
    return f"{name}, {unit}" if name == "costs" else name, value, others[0] if others else None


def _trade(row: dict[Any, Any]) -> dict[Any, Any]:
    return row | {"left": "open" if pd.isna(row["exit_date"]) else row["exit_date"].date()}


def _trades_note(result: backtest.Result) -> str:
    count = len(result.trades)
    if not count:
        return "It never traded."
    shown = f"The last {_TRADES} of {count:,} round trips" if count > _TRADES else f"All {count:,} round trips"
    return f"{shown}, prices averaged; one without an exit is valued at the last close."


def _costs(result: backtest.Result, unit: str) -> str:
    fees, slipped = float(result.fills["fee"].sum()), float(result.fills["slippage"].sum())
    return (
        f"{len(result.fills):,} fills cost {number(fees, 2)} {unit} in commissions and {number(slipped, 2)} in "
        f"slippage, at a turnover of {number(result.turnover_percent, 0)} % a year."
    )


def _symbols(result: backtest.Result, prices: pd.DataFrame | None) -> str:
    if prices is not None and "symbol" in prices:
        names = [str(name) for name in prices["symbol"].unique()]
    else:
        names = sorted(set(result.trades["symbol"]))
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
