"""The tear sheet of a backtest against a benchmark, as one self-contained HTML page."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from stocklib import backtest, metrics, plots
from stocklib.backtest.result import by_session
from stocklib.errors import InputError
from stocklib.indicators.columns import check_type
from stocklib.indicators.times import session_days
from stocklib.plots.house import day_text
from stocklib.report.shell import page, plain, write_page

# More candles or trades than these are left to the notebooks, which keeps the page under 8 MB and quick on a phone.
_CANDLES, _TRADES = 2_600, 250
_ROLLING = 63
_TILES = ("CAGR %", "volatility %", "Sharpe", "max drawdown %", "costs")


def tearsheet(
    result: backtest.Result,
    path: Path | str,
    *,
    title: str = "Strategy",
    benchmark: backtest.Result | None = None,
    benchmark_name: str = "Benchmark",
    prices: pd.DataFrame | None = None,
    parameters: Mapping[str, Any] | None = None,
    unit: str = "USD",
) -> Path:
    """Write what a backtest did, whole or not at all; returns where it is.

    Figures, metrics against a ``benchmark`` (another result over the same sessions), trades, costs, ``parameters`` and
    the data's version. With the ``prices`` of one symbol its trades are drawn on the candles.
    """
    check_type("the result", result, backtest.Result, expected="what `backtest.run` returns")
    if prices is not None:
        check_type("the prices", prices, pd.DataFrame, expected="the frame of bars that were traded")
    if benchmark is not None:
        check_type("the benchmark", benchmark, backtest.Result, expected="what `backtest.run` returns")
        _check_sessions(result, benchmark)
    if benchmark is not None and title == benchmark_name:
        raise InputError(f"the strategy and its benchmark are both called {title!r}: give one another name")
    results = {title: result} | ({} if benchmark is None else {benchmark_name: benchmark})
    days, table = session_days(result.equity.index).unique(), _table(results)
    made = page(
        "tearsheet.html",
        figures=_figures(results, prices, unit),
        result=result,
        title=title,
        symbols=_symbols(result, prices),
        period=f"{day_text(days[0])} to {day_text(days[-1])}, {len(days):,} sessions",
        tiles=[*(name for name in table.index if name.endswith(" return %")), *_TILES],
        rolling=_ROLLING,
        metrics=table,
        trades=result.trades.tail(_TRADES).to_dict("records"),
        parameters=parameters or {},
        unit=unit,
        written_at=datetime.now(UTC),
    )
    return write_page(Path(path), made)


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


def _symbols(result: backtest.Result, prices: pd.DataFrame | None) -> str:
    if prices is not None and "symbol" in prices:
        names = [str(name) for name in prices["symbol"].unique()]
    else:
        names = sorted(set(result.trades["symbol"]))
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
