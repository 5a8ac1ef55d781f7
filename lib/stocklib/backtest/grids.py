"""Every combination of a grid, run: moving-average crossovers in a compiled loop over all cores, the rest by processes.

The figures are the same either way; combinations that a strategy refuses (``InputError``) are left out.
"""

import inspect
import math
import multiprocessing
import pickle
import signal
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from stocklib import metrics
from stocklib.backtest.bar_arrays import Bars, read_bars
from stocklib.backtest.built_in import ema_crossover, sma_crossover
from stocklib.backtest.crossovers import crossovers
from stocklib.backtest.engine import amount, fraction, run
from stocklib.backtest.progress import Progress
from stocklib.backtest.result import TOTAL_RETURN, return_name, summary
from stocklib.errors import InputError
from stocklib.indicators import ema, sma
from stocklib.indicators.columns import check_type
from stocklib.indicators.times import session_days

Strategy = Callable[..., Any]
Combinations = Sequence[dict[str, Any]]

FIGURES = (TOTAL_RETURN, "CAGR %", "volatility %", "Sharpe", "max drawdown %", "trades", "time in market %")
# Below so many runs a pool of processes costs more than it saves.
_FEW = 32
# Runs between two reports of progress, which also check for Ctrl-C.
_CHUNK = 2_000
_COMPILED = {sma_crossover: sma, ema_crossover: ema}
_DEFAULTS = {name: given.default for name, given in inspect.signature(run).parameters.items()}


class Job(NamedTuple):
    """The inputs of every combination."""

    prices: pd.DataFrame | Bars
    strategy: Strategy
    options: dict[str, Any]


# Each process of a pool gets it once, when it starts.
_jobs: list[Job] = []


def try_all(
    prices: pd.DataFrame | Bars,
    strategy: Strategy,
    grid: Mapping[str, Iterable[Any]],
    *,
    options: Mapping[str, Any],
    workers: int | None = None,
    on_progress: Progress | None = None,
) -> pd.DataFrame:
    """Return a row a combination: its parameters and ``figures_of`` the bars; crossovers have one a symbol too."""
    check_type("the grid", grid, Mapping, expected='values by parameter, such as {"fast": [5, 10]}')
    for name, values in grid.items():
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise InputError(f"the grid's {name} must be a list of values, not {type(values).__name__}")
    check_type("the strategy", strategy, Callable, expected="a function of bars and parameters")
    names = list(grid)
    combinations = [dict(zip(names, values, strict=True)) for values in product(*(list(grid[name]) for name in names))]
    if not combinations:
        raise InputError("the grid is empty: every parameter needs at least one value")
    report = on_progress or (lambda done, of: None)
    asked = {name: value for name, value in options.items() if name not in _DEFAULTS or value != _DEFAULTS[name]}
    compiled = strategy in _COMPILED and set(names) == {"fast", "slow"} and _are_windows(combinations)
    bars = read_bars(prices)
    # the compiled code counts every bar as a session, and needs a bar on each
    compiled = compiled and session_days(bars.times).is_unique
    compiled = compiled and (len(bars.symbols) > 1 or not np.isnan(bars.close).any())
    if compiled and set(asked) <= {"commission_bps", "slippage_bps", "cash", "fill"}:
        table = _crossed(bars, _COMPILED[strategy], combinations, report, **asked)
    else:
        rows = []
        # closed at once in any case: else a traceback would keep the processes
        with closing(_runs(Job(prices, strategy, dict(options)), combinations, workers)) as done:
            for number, row in enumerate(done, 1):
                rows.append(row)
                report(number, len(combinations))
        table = pd.DataFrame([row for row in rows if row is not None])
    if table.empty:
        raise InputError("the strategy refused every combination of the grid")
    return table


def _runs(job: Job, combinations: Combinations, workers: int | None) -> Generator[dict[str, Any] | None]:
    if len(combinations) < _FEW or workers == 1:
        for combination in combinations:
            yield _figures(job, combination)
        return
    # a forked process inherits the job; others receive it
    fork = "fork" in multiprocessing.get_all_start_methods()
    if not fork:
        _check_sendable(job)
    context = multiprocessing.get_context("fork" if fork else None)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(job,)) as pool:
        try:
            yield from pool.map(_one, combinations, chunksize=4)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _begin(job: Job) -> None:
    _jobs[:] = [job]
    # Ctrl-C reaches the caller, which ends the pool
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _one(combination: dict[str, Any]) -> dict[str, Any] | None:
    return _figures(_jobs[0], combination)


def _check_sendable(job: Job) -> None:
    try:
        pickle.dumps(job)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(
            f"this strategy cannot be sent to other processes ({error}): define it in a module, or pass workers=1"
        ) from error


def _figures(job: Job, combination: dict[str, Any]) -> dict[str, Any] | None:
    try:
        weights = job.strategy(job.prices, **combination)
    except InputError:
        return None
    found = summary({"run": run(job.prices, weights, **job.options)})["run"]
    return {**combination, **{name: found[name] for name in figures_of(read_bars(job.prices))}}


def figures_of(bars: Bars) -> tuple[str, ...]:
    """Return ``FIGURES`` with the right name of the return."""
    return (return_name(bars.attrs), *FIGURES[1:])


def _are_windows(combinations: Combinations) -> bool:
    values = {value for combination in combinations for value in combination.values()}
    return all(isinstance(value, int | np.integer) and not isinstance(value, bool) for value in values)


def _crossed(
    bars: Bars,
    average: Callable[..., Any],
    combinations: Combinations,
    report: Progress,
    *,
    commission_bps: float = 0.0,
    slippage_bps: float = 0.0,
    cash: float = 10_000.0,
    fill: str = "open",
) -> pd.DataFrame:
    costs = (fraction("commission_bps", commission_bps), fraction("slippage_bps", slippage_bps))
    money, fills = amount("cash", cash, positive=True), bars.fills(fill)
    grid = np.array([(each["fast"], each["slow"]) for each in combinations], dtype=int)
    grid = grid[(grid[:, 0] > 0) & (grid[:, 0] < grid[:, 1])]
    if not len(grid):
        return pd.DataFrame()
    windows = np.unique(grid)
    pairs = np.searchsorted(windows, grid)
    tables, total = [], len(grid) * len(bars.symbols)
    for number, symbol in enumerate(bars.symbols):
        there = ~np.isnan(bars.close[:, number])
        ends, starts = bars.close[there, number], fills[there, number]
        series = pd.Series(ends)
        averages = np.vstack([average(series, int(window)).to_numpy() for window in windows])
        parts = []
        for begin in range(0, len(pairs), _CHUNK):
            parts.append(crossovers(averages, ends, starts, pairs[begin : begin + _CHUNK], money, *costs))
            report(number * len(grid) + min(begin + _CHUNK, len(grid)), total)
        table = _table(grid, np.vstack(parts), money, len(ends), figures_of(bars))
        if len(bars.symbols) > 1:
            table.insert(0, "symbol", symbol)
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]


def _table(grid: Any, found: Any, money: float, bars: int, names: tuple[str, ...]) -> pd.DataFrame:
    year = metrics.SESSIONS_A_YEAR
    growth, mean, deviation, drawdown, trades, held = found.T
    with np.errstate(invalid="ignore", divide="ignore"):
        sharpe = np.where(deviation > metrics.NO_DEVIATION, math.sqrt(year) * mean / deviation, np.nan)
    growth = growth / money
    figures = (
        100 * (growth - 1),
        100 * (growth ** (year / max(bars - 1, 1)) - 1),
        100 * math.sqrt(year) * deviation,
        sharpe,
        100 * drawdown,
        trades.astype(int),
        100 * held,
    )
    return pd.DataFrame({"fast": grid[:, 0], "slow": grid[:, 1]} | dict(zip(names, figures, strict=True)))
