"""What 10,000 crossovers take, against vectorbt and backtesting.py; and 10,000 symbols × 10 years, time and memory.

    .venv-peers/bin/python benchmarks/sweep.py [--bars 2520] [--rounds 2] [--symbols 10000]

The sweep: 100 fast × 100 slow averages on one symbol, figures of each run. vectorbt takes the same pairs 1,000 columns
at a time, which is quicker for it than all at once, and is asked for return, Sharpe ratio, drawdown and the number of
trades. backtesting.py runs a few of them, and the rest is reckoned: its runs do not share anything, so that all cores
are at best that many times as fast, and it is given that. Compiling is not in it: each is run once before. Ratios are
of the quickest rounds, which others on the machine disturb least.

The symbols: a frame of random walks, six pairs each, in a process of its own for each size; the memory is the process's
highest (resident), and what it holds before the frame is made is taken off.
"""

import argparse
import logging
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
import pandas as pd
from made_bars import walk
from record import record

from stocklib.backtest import sma_crossover, sweep

FASTS, SLOWS = range(2, 102), range(102, 202)
COMMISSION_BPS, CASH, COLUMNS = 10, 1_000_000, 1_000
MANY = {"fast": [10, 20], "slow": [50, 100, 200]}


def theirs(opens: pd.Series, closes: pd.Series) -> pd.DataFrame:
    """vectorbt's figures of every pair."""
    import vectorbt

    pairs = [(fast, slow) for fast in FASTS for slow in SLOWS]
    averages = vectorbt.MA.run(closes, [*FASTS, *SLOWS]).ma.to_numpy()
    places = {window: place for place, window in enumerate([*FASTS, *SLOWS])}
    tables = []
    for begin in range(0, len(pairs), COLUMNS):
        part = pairs[begin : begin + COLUMNS]
        fast, slow = (averages[:, [places[pair[side]] for pair in part]] for side in (0, 1))
        held = np.zeros(fast.shape, dtype=bool)
        held[1:] = (fast > slow)[:-1]
        columns = pd.MultiIndex.from_tuples(part, names=["fast", "slow"])
        account = vectorbt.Portfolio.from_signals(
            pd.DataFrame(np.broadcast_to(closes.to_numpy()[:, None], held.shape), closes.index, columns),
            entries=held,
            exits=~held,
            price=opens.to_numpy()[:, None],
            fees=COMMISSION_BPS / 10_000,
            init_cash=CASH,
            freq="D",
        )
        figures = {
            "return": account.total_return(),
            "Sharpe": account.sharpe_ratio(),
            "drawdown": account.max_drawdown(),
            "trades": account.trades.count(),
        }
        tables.append(pd.DataFrame(figures))
    return pd.concat(tables)


def one_by_one(prices: pd.DataFrame, pairs: list[tuple[int, int]]) -> float:
    """Seconds that backtesting.py takes for a run."""
    from backtesting import Backtest, Strategy

    class Crossover(Strategy):
        fast = slow = 0

        def init(self) -> None:
            closes = self.data.Close.s
            self.first, self.second = (self.I(lambda n=n: closes.rolling(n).mean()) for n in (self.fast, self.slow))

        def next(self) -> None:
            above = self.first[-1] > self.second[-1]
            if above and not self.position:
                self.buy()
            elif not above and self.position:
                self.position.close()

    test = Backtest(prices, Crossover, cash=CASH, commission=COMMISSION_BPS / 10_000)
    times = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for fast, slow in pairs:
            began = time.perf_counter()
            test.run(fast=fast, slow=slow)
            times.append(time.perf_counter() - began)
    return min(times)


def compare(bars: int, rounds: int) -> None:
    try:
        import backtesting  # noqa: F401
        import vectorbt  # noqa: F401
    except ImportError as missing:
        raise SystemExit(f"{missing.name} is not installed: make bench installs what it compares with") from missing
    prices = walk(1, bars)
    dated = prices.set_index("date")
    grid = {"fast": FASTS, "slow": SLOWS}
    mine, other = [], []
    # that of the first round compiles, and is never the quickest
    for _ in range(rounds + 1):
        for _ in range(5):
            began = time.perf_counter()
            found = sweep(prices, sma_crossover, grid, commission_bps=COMMISSION_BPS, cash=CASH)
            mine.append(time.perf_counter() - began)
        began = time.perf_counter()
        expected = theirs(dated["open"], dated["close"])
        other.append(time.perf_counter() - began)
    assert len(found) == len(expected) == 10_000
    assert np.abs(found["total return %"].to_numpy() - 100 * expected["return"].to_numpy()).max() < 1e-6
    assert (found["trades"].to_numpy() == expected["trades"].to_numpy()).all()
    single = one_by_one(dated.rename(columns=str.capitalize), [(5 * n + 2, 5 * n + 102) for n in range(8)])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    ours, vectorbt_took, reckoned = min(mine), min(other), 10_000 * single / cores
    print(f"10,000 crossovers of {bars} bars, the quickest of {rounds} rounds, {cores} cores")
    print(f"ours            {ours:10.2f} s")
    print(f"vectorbt        {vectorbt_took:10.2f} s {vectorbt_took / ours:10.0f} × ours")
    print(
        f"backtesting.py  {reckoned:10.0f} s {reckoned / ours:10.0f} × ours   (reckoned: {1000 * single:.0f} ms a run)"
    )
    record(
        {
            "10,000 crossovers: vectorbt / ours": vectorbt_took / ours,
            "10,000 crossovers: backtesting.py, reckoned / ours": reckoned / ours,
        }
    )


def peak() -> float:
    """The highest resident memory of this process so far, in MB."""
    import resource

    status = Path("/proc/self/status")
    if status.exists():
        # what getrusage says on Linux begins with the highest of the process that started this one
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def panel(symbols: int, bars: int) -> pd.DataFrame:
    """As ``prices()`` answers: tidy, symbol by symbol."""
    rng = np.random.default_rng(3)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, (symbols, bars)), axis=1)).ravel()
    names = pd.Series([f"S{number:05d}" for number in range(symbols)], dtype="str")
    days = pd.bdate_range("2003-01-02", periods=bars).to_numpy()
    frame = pd.DataFrame({"symbol": names.repeat(bars).reset_index(drop=True), "date": np.tile(days, symbols)})
    frame["open"] = close * 1.001
    frame["close"] = close
    return frame


def many(symbols: int, bars: int) -> None:
    """Print the seconds and the memory of a sweep over so many symbols."""
    sweep(panel(2, bars), sma_crossover, MANY)
    empty = peak()
    frame = panel(symbols, bars)
    made = peak()
    began = time.perf_counter()
    table = sweep(frame, sma_crossover, MANY, commission_bps=COMMISSION_BPS)
    took = time.perf_counter() - began
    assert len(table) == symbols * 6
    print(took, frame.memory_usage(deep=True).sum() / 1e6, made - empty, peak() - empty)


def grow(symbols: int, bars: int) -> None:
    print(f"\nsymbols × {bars} days, six crossovers each, from a tidy frame")
    for count in (symbols // 8, symbols // 4, symbols // 2, symbols):
        command = [sys.executable, __file__, "--one", str(count), "--bars", str(bars)]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        took, frame, _, highest = map(float, out.split())
        print(
            f"{count:>7} symbols {took:8.2f} s {1e6 * took / count:8.0f} µs a symbol"
            f" {highest:9.0f} MB at most {1000 * highest / count:7.0f} kB a symbol ({highest / frame:.1f} × the frame)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", type=int, default=2520)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--symbols", type=int, default=10_000, help="0: the sweep alone")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    # no progress bar of theirs, and no warning of ours: these are random walks
    os.environ["TQDM_DISABLE"] = "1"
    logging.disable(logging.WARNING)
    if asked.one:
        many(asked.one, asked.bars)
        return
    compare(asked.bars, asked.rounds)
    if asked.symbols:
        grow(asked.symbols, asked.bars)


if __name__ == "__main__":
    main()
