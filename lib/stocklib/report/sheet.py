"""The tear sheet of a backtest against a benchmark, as one self-contained HTML page."""

from collections.abc import Mapping, Sequence
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
from stocklib.report.replay import Replay
from stocklib.report.sheet_tables import Results, gains_table, metrics_table, sessions_table, years_table
from stocklib.report.shell import page, plain, write_page

# More candles or trades than these are left to the notebooks, which keeps the page under 8 MB and quick on a phone.
_CANDLES, _TRADES = 2_600, 250
# More trades than these scroll within their card.
_WHOLE_TRADES = 100
# A shallower drawdown is noise, in percent.
_DRAWDOWN = -0.1
_ROLLING, _YEARS = 63, 3
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
    replay: Replay | None = None,
) -> Path:
    """Write what a backtest did, whole or not at all; returns where it is.

    Figures, metrics against a ``benchmark`` (another result over the same sessions), trades, costs, ``parameters`` and
    the data's version. With the ``prices`` of one symbol its trades are drawn on the candles. Of the prices of a
    ``replay`` the page says so.
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
    days, table = session_days(result.equity.index).unique(), metrics_table(results)
    # an account of 0 has no returns, and one that never traded none to show
    alive = {name: one for name, one in results.items() if one.ruined is None}
    has_returns = title in alive and len(result.fills) > 0
    made = page(
        "tearsheet.html",
        figures=_figures(results, alive if has_returns else {}, prices, unit),
        result=result,
        title=title,
        symbols=_symbols(result.bars.symbols),
        benchmark_name="" if benchmark is None else benchmark_name,
        compared=len(alive) > 1,
        benchmark_symbols="" if benchmark is None else _symbols(benchmark.bars.symbols),
        bought=None if benchmark is None else _bought(benchmark.fills),
        years=years_table(alive) if has_returns else [],
        drawdowns=_deep(metrics.worst_drawdowns(result.equity)) if has_returns else [],
        shallow=-_DRAWDOWN,
        sessions=sessions_table(alive) if has_returns else {},
        gains=gains_table(alive) if has_returns else pd.DataFrame(),
        period=f"{day_text(days[0])} to {day_text(days[-1])}, {len(days):,} sessions",
        tiles=[name for name in table.index if name.endswith(" return %") or name in _TILES],
        rolling=_ROLLING,
        metrics=table,
        band=metrics.sharpe_band(by_session(result.equity)) if title in alive else None,
        trades=result.trades.tail(_TRADES).to_dict("records"),
        whole_trades=_WHOLE_TRADES,
        still_open=result.trades[result.trades["exit_date"].isna()],
        left_out=_CANDLES if prices is not None and len(prices) > _CANDLES else 0,
        parameters=parameters or {},
        unit=unit,
        replay=replay,
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


def _figures(results: Results, alive: Results, prices: pd.DataFrame | None, unit: str) -> dict[str, Any]:
    first = next(iter(results.values()))
    curves = {name: result.equity for name, result in results.items()}
    drawn = {"equity": plots.equity_curve(curves, unit=unit, height=440)}
    if prices is not None and len(first.bars.symbols) == 1 and len(prices) <= _CANDLES:
        drawn["candles"] = plots.candlestick(prices, trades=first.trades, unit=unit, height=460)
    if alive:
        daily = {name: by_session(result.equity) for name, result in alive.items()}
        values, *benchmarks = daily.values()
        if len(years := plots.yearly_returns(daily)) >= _YEARS:
            drawn["years"] = plots.bars(years, unit="%", height=260)
        drawn["months"] = plots.monthly_heatmap(values)
        drawn["returns"] = plots.return_distribution(values, height=340)
        if len(values) > 2 * _ROLLING:
            market_of = benchmarks[0] if benchmarks else None
            drawn["rolling"] = plots.rolling_metrics(daily, window=_ROLLING, benchmark=market_of, height=460)
    if len(first.fills):
        drawn["exposure"] = plots.exposure(first.exposure)
    return {name: plain(figure) for name, figure in drawn.items()}


def _deep(found: list[metrics.Drawdown]) -> list[metrics.Drawdown]:
    """Return the drawdowns without the shallow ones; an account that has only those keeps them."""
    return [one for one in found if one.percent <= _DRAWDOWN] or found


def _bought(fills: pd.DataFrame) -> pd.Series | None:
    """Return when each of several symbols was bought, where each was bought once and none was sold."""
    several = len(fills) > 1 and fills["symbol"].is_unique and (fills["shares"] > 0).all()
    return fills.set_index("symbol")["date"] if several else None


def _symbols(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
