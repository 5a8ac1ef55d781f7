"""Sweeps over many parameters, and a test of whether the best result is luck.

``sweep`` runs a strategy for every combination of a grid; ``walk_forward`` chooses on one stretch and trades the next.
Moving-average crossovers take a compiled path over all cores; any other strategy runs in a pool of processes.
"""

import logging
import math
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from stocklib import metrics
from stocklib.backtest.bar_arrays import Bars, read_bars
from stocklib.backtest.engine import run
from stocklib.backtest.grids import FIGURES, Strategy, figures_of, try_all
from stocklib.backtest.progress import Progress, shown
from stocklib.backtest.result import Result
from stocklib.errors import InputError
from stocklib.indicators.columns import check_window
from stocklib.indicators.times import session_days

log = logging.getLogger(__name__)


def sweep(
    prices: pd.DataFrame | Bars,
    strategy: Strategy,
    grid: Mapping[str, Iterable[Any]],
    *,
    workers: int | None = None,
    on_progress: Progress | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Run a strategy for every combination of the grid's values; return a row each, parameters and figures.

    ``options`` are those of ``run``. A combination that the strategy refuses (``InputError``, such as a fast window
    above the slow one) is left out. ``attrs["warning"]`` is a sentence when the best Sharpe ratio is no better than
    luck would give in so many tries; it is logged too. Without ``on_progress`` a sweep of more than two seconds shows a
    progress bar, on a terminal and in a notebook.
    """
    with nullcontext(on_progress) if on_progress else shown() as report:
        table = try_all(prices, strategy, grid, workers=workers, on_progress=report, options=options)
    table.attrs["warning"] = luck_warning(table, session_days(read_bars(prices).times).nunique())
    if table.attrs["warning"]:
        log.warning("%s", table.attrs["warning"])
    return table


def luck_warning(table: pd.DataFrame, bars: int) -> str:
    """Return why the best Sharpe ratio of a sweep may be luck; an empty text when luck does not explain it.

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
    """``result``: the account over the stretches that were out of sample when their parameters were chosen.

    ``choices`` has one row a stretch: its dates, the parameters, and their figures in and out of sample.
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
    """Choose the best parameters on ``train`` bars, trade them on the next ``test`` bars, and so on; one account.

    The best is that of the highest ``by`` (a column of ``sweep``) in sample. The weights of a stretch are computed on
    all bars up to its end, so that its windows are full. ``options`` are those of ``run``.
    """
    if not isinstance(prices, pd.DataFrame):
        raise InputError(f"walk_forward cuts a frame of bars, not {type(prices).__name__}")
    bars = read_bars(prices)
    times, figures_there = bars.one().index, figures_of(bars)
    if not isinstance(by, str) or by not in (*FIGURES, *figures_there):
        raise InputError(f"by={by!r} is not possible; it is one of {', '.join(figures_there)}")
    by = figures_there[0] if by == FIGURES[0] else by
    check_window(train, name="train", at_least=2)
    check_window(test, name="test")
    if len(times) <= train:
        raise InputError(f"{len(times)} bars are too few for {train} to learn from and {test} to trade")
    weights = pd.Series(0.0, times, name="signal")
    choices = []
    for begin in range(train, len(times), test):
        end = min(begin + test, len(times))
        seen = try_all(prices.iloc[begin - train : begin], strategy, grid, options=options)
        figures = seen[by].to_numpy(dtype="float64")
        best = int(np.where(np.isnan(figures), -np.inf, figures).argmax())
        chosen = {name: seen[name].tolist()[best] for name in grid}
        decided = strategy(prices.iloc[:end], **chosen)
        # a weight is traded a bar later: the last training bar decides for the first test bar
        weights.iloc[begin - 1 : end - 1] = decided.iloc[begin - 1 : end - 1].to_numpy()
        choices.append({"from": times[begin], "to": times[end - 1], **chosen, f"{by} in sample": figures[best]})
    result = run(prices.iloc[train - 1 :], weights.iloc[train - 1 :], **options)
    table = pd.DataFrame(choices)
    worth = result.equity.to_numpy()
    before, after = (result.equity.index.get_indexer(pd.Index(table[name])) for name in ("from", "to"))
    table["return %"] = 100 * (worth[after] / worth[before - 1] - 1)
    return WalkForward(result, table)
