"""Many parameters at once, and whether the best of them means anything.

``sweep`` runs a strategy for every combination of a grid; ``walk_forward`` chooses on one stretch and trades the next.
Moving-average crossovers take a compiled path over all cores; any other strategy runs in a pool of processes.
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from stocklib import metrics
from stocklib.backtest import kernel
from stocklib.backtest.bars import by_time, read_bars
from stocklib.backtest.engine import run
from stocklib.backtest.result import Result
from stocklib.backtest.strategies import ema_crossover, sma_crossover
from stocklib.errors import InputError
from stocklib.indicators import ema, sma

log = logging.getLogger(__name__)

Strategy = Callable[..., Any]
Progress = Callable[[int, int], None]

FIGURES = ("total return %", "CAGR %", "volatility %", "Sharpe", "max drawdown %", "trades", "time in market %")
# Below so many runs a pool of processes costs more than it brings.
_FEW = 32
_COMPILED_COSTS = {"commission_bps", "slippage_bps", "cash", "fill"}
_CHUNK = 2_000


def sweep(
    prices: pd.DataFrame,
    strategy: Strategy,
    grid: Mapping[str, Iterable[Any]],
    *,
    workers: int | None = None,
    on_progress: Progress | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Run a strategy for every combination of the grid's values; one row each, the parameters and the figures.

    ``options`` are those of ``run``. A combination that the strategy refuses (``InputError``, such as a fast window
    above the slow one) is left out. ``attrs["warning"]`` says in a sentence when the best Sharpe ratio is no better
    than the best of so many tries would be by luck alone; it is logged, too.
    """
    table = _sweep(prices, strategy, grid, workers, on_progress, options)
    table.attrs["warning"] = luck(table, len(read_bars(prices).times))
    if table.attrs["warning"]:
        log.warning("%s", table.attrs["warning"])
    return table


def _sweep(
    prices: pd.DataFrame,
    strategy: Strategy,
    grid: Mapping[str, Iterable[Any]],
    workers: int | None,
    on_progress: Progress | None,
    options: dict[str, Any],
) -> pd.DataFrame:
    names = list(grid)
    combinations = [dict(zip(names, values, strict=True)) for values in product(*(list(grid[name]) for name in names))]
    if not combinations:
        raise InputError("the grid is empty: every parameter needs at least one value")
    if (
        strategy in (sma_crossover, ema_crossover)
        and set(names) == {"fast", "slow"}
        and set(options) <= _COMPILED_COSTS
    ):
        table = _crossovers(prices, strategy, combinations, on_progress, **options)
    else:
        table = _runs(prices, strategy, combinations, workers, on_progress, options)
    if table.empty:
        raise InputError("the strategy refused every combination of the grid")
    return table


def luck(table: pd.DataFrame, bars: int) -> str:
    """Why the best Sharpe ratio of a sweep may be luck; empty when it is not explained by it.

    The best of n independent tries of no skill is expected at σ ((1 - γ) Φ⁻¹(1 - 1/n) + γ Φ⁻¹(1 - 1/(n e))), σ the
    deviation of the tries' Sharpe ratios and γ = 0.5772, Euler's constant. The best is compared with that, given the
    error with which so many bars measure it (a ratio of one bar: √((1 + S²/2) / (bars - 1))), at 95 %.
    Source: D. H. Bailey, M. López de Prado, The Deflated Sharpe Ratio, Journal of Portfolio Management (2014).
    """
    ratios = table["Sharpe"].dropna() / math.sqrt(metrics.SESSIONS_A_YEAR)
    tries = len(ratios)
    if tries < 2:
        return ""
    normal, gamma = NormalDist(), 0.5772156649015329
    expected = float(ratios.std(ddof=1)) * (
        (1 - gamma) * normal.inv_cdf(1 - 1 / tries) + gamma * normal.inv_cdf(1 - 1 / (tries * math.e))
    )
    best = float(ratios.max())
    error = math.sqrt((1 + best**2 / 2) / max(bars - 1, 1))
    confidence = normal.cdf((best - expected) / error)
    if confidence >= 0.95:
        return ""
    year = math.sqrt(metrics.SESSIONS_A_YEAR)
    return (
        f"the best Sharpe ratio of {tries:,} tries, {best * year:.2f}, is likely luck: the best of as many tries "
        f"without skill is expected at {expected * year:.2f}, and {bars:,} bars tell the two apart with "
        f"{confidence:.0%} only"
    )


@dataclass(frozen=True)
class WalkForward:
    """``result``: the account over the stretches that were not seen when their parameters were chosen.

    ``choices`` has one row a stretch: its dates, the parameters, their figure in sample, and what came of them.
    """

    result: Result
    choices: pd.DataFrame


def walk_forward(
    prices: pd.DataFrame,
    strategy: Strategy,
    grid: Mapping[str, Iterable[Any]],
    *,
    train: int = 504,
    test: int = 126,
    by: str = "Sharpe",
    **options: Any,
) -> WalkForward:
    """Choose the best parameters on ``train`` bars, trade them on the next ``test`` bars, move on; one account.

    The best is that of the highest ``by`` (a column of ``sweep``) in sample. The weights of a stretch are computed on
    all bars up to it, so that its windows are full. ``options`` are those of ``run``.
    """
    bars = by_time(prices)
    if by not in FIGURES:
        raise InputError(f"by={by!r} is not possible; it is one of {', '.join(FIGURES)}")
    if train < 2 or test < 1 or len(bars) <= train:
        raise InputError(f"{len(bars)} bars are too few for {train} to learn from and {test} to trade")
    tidy = bars.reset_index()
    weights = pd.Series(0.0, bars.index, name="signal")
    choices = []
    for begin in range(train, len(bars), test):
        end = min(begin + test, len(bars))
        seen = _sweep(tidy.iloc[begin - train : begin], strategy, grid, None, None, options)
        best = seen.iloc[int(np.nan_to_num(seen[by].to_numpy(), nan=-np.inf).argmax())]
        chosen = {name: _plain(best[name]) for name in grid}
        decided = strategy(tidy.iloc[:end], **chosen)
        # a weight is traded a bar later: the last bar that was learned from decides for the first one that was not
        weights.iloc[begin - 1 : end - 1] = decided.iloc[begin - 1 : end - 1]
        choices.append({"from": bars.index[begin], "to": bars.index[end - 1], **chosen, f"{by} in sample": best[by]})
    weights.iloc[-1] = weights.iloc[-2]
    result = run(tidy.iloc[train - 1 :], weights.iloc[train - 1 :], **options)
    table = pd.DataFrame(choices)
    worth = result.equity.to_numpy()
    before, after = (result.equity.index.get_indexer(pd.Index(table[name])) for name in ("from", "to"))
    table["return %"] = 100 * (worth[after] / worth[before - 1] - 1)
    return WalkForward(result, table)


def _runs(
    prices: pd.DataFrame,
    strategy: Strategy,
    combinations: Sequence[dict[str, Any]],
    workers: int | None,
    on_progress: Progress | None,
    options: dict[str, Any],
) -> pd.DataFrame:
    one = partial(_figures, prices, strategy, options)
    rows: list[dict[str, Any] | None] = []
    if len(combinations) < _FEW or workers == 1:
        for number, combination in enumerate(combinations, 1):
            rows.append(one(combination))
            if on_progress:
                on_progress(number, len(combinations))
    else:
        with ProcessPoolExecutor(workers) as pool:
            for number, row in enumerate(pool.map(one, combinations, chunksize=8), 1):
                rows.append(row)
                if on_progress:
                    on_progress(number, len(combinations))
    return pd.DataFrame([row for row in rows if row is not None])


def _figures(
    prices: pd.DataFrame, strategy: Strategy, options: dict[str, Any], combination: dict[str, Any]
) -> dict[str, Any] | None:
    try:
        weights = strategy(prices, **combination)
    except InputError:
        return None
    result = run(prices, weights, **options)
    equity = result.equity
    return {
        **combination,
        "total return %": metrics.total_return(equity),
        "CAGR %": metrics.cagr(equity),
        "volatility %": metrics.volatility(equity, window=None),
        "Sharpe": metrics.sharpe(equity),
        "max drawdown %": metrics.max_drawdown(equity).percent,
        "trades": len(result.trades),
        "time in market %": 100 * float((result.exposure > 0).mean()),
    }


def _crossovers(
    prices: pd.DataFrame,
    strategy: Strategy,
    combinations: Sequence[dict[str, Any]],
    on_progress: Progress | None,
    *,
    commission_bps: float = 0.0,
    slippage_bps: float = 0.0,
    cash: float = 10_000.0,
    fill: str = "open",
) -> pd.DataFrame:
    series = by_time(prices)["close"].astype("float64")
    bars = read_bars(prices)
    table = pd.DataFrame(combinations)
    table = table[(table["fast"] > 0) & (table["fast"] < table["slow"])].reset_index(drop=True)
    if table.empty:
        return table
    windows = np.unique(table[["fast", "slow"]].to_numpy())
    average = sma if strategy is sma_crossover else ema
    averages = np.vstack([average(series, int(window)).to_numpy() for window in windows])
    pairs = np.searchsorted(windows, table[["fast", "slow"]].to_numpy())
    fills, ends = np.ascontiguousarray(bars.fills(fill)[:, 0]), np.ascontiguousarray(bars.close[:, 0])
    parts = []
    # in pieces, so that whoever watches sees progress and Ctrl-C is heard
    for begin in range(0, len(pairs), _CHUNK):
        piece = np.ascontiguousarray(pairs[begin : begin + _CHUNK])
        parts.append(
            kernel.crossovers(averages, ends, fills, piece, cash, commission_bps / 10_000, slippage_bps / 10_000)
        )
        if on_progress:
            on_progress(min(begin + _CHUNK, len(pairs)), len(pairs))
    found = np.vstack(parts)
    years = (len(series) - 1) / metrics.SESSIONS_A_YEAR
    growth = found[:, 0] / cash
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(found[:, 2] > 1e-15, math.sqrt(metrics.SESSIONS_A_YEAR) * found[:, 1] / found[:, 2], np.nan)
    table["total return %"] = 100 * (growth - 1)
    table["CAGR %"] = 100 * (growth ** (1 / years) - 1)
    table["volatility %"] = 100 * math.sqrt(metrics.SESSIONS_A_YEAR) * found[:, 2]
    table["Sharpe"] = ratio
    table["max drawdown %"] = 100 * found[:, 3]
    table["trades"] = found[:, 4].astype(int)
    table["time in market %"] = 100 * found[:, 5]
    return table


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else getattr(value, "item", lambda: value)()
