"""What one crossover backtest takes, against vectorbt and backtesting.py; the time to compile is apart.

    .venv-peers/bin/python benchmarks/backtest.py [--bars 2520] [--rounds 15]

From bars in memory to the account's value at every close and the number of trades: two moving averages, the signal, the
fills at the next open with commission. Ours from a frame, and from bars that were read once; the three must end with
the same money first. Each round takes all in turn; prints ratios of medians measured in one run. Compiling is measured
in processes of their own: with nothing on disk, and with what the first one left there.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import pandas as pd
from made_bars import walk

from stocklib.backtest import Bars, read_bars, run, sma_crossover

try:
    import vectorbt
    from backtesting import Backtest, Strategy
except ImportError as missing:
    raise SystemExit(f"{missing.name} is not installed: make bench installs what it compares with") from missing

FAST, SLOW, COMMISSION_BPS, CASH = 20, 50, 10, 1_000_000
FIRST_CALL = f"""
import sys, time
sys.path.insert(0, sys.argv[1])
from made_bars import walk
from stocklib.backtest import run, sma_crossover
bars = walk(1, 2520)
signal = sma_crossover(bars, {FAST}, {SLOW})
began = time.perf_counter()
run(bars, signal)
print(time.perf_counter() - began)
"""


def ours(prices: pd.DataFrame | Bars) -> tuple[float, int]:
    result = run(prices, sma_crossover(prices, FAST, SLOW), commission_bps=COMMISSION_BPS, cash=CASH)
    return float(result.equity.iloc[-1]), len(result.trades)


def theirs(opens: pd.Series, closes: pd.Series) -> tuple[float, int]:
    fast, slow = (vectorbt.MA.run(closes, window).ma for window in (FAST, SLOW))
    held = (fast > slow).shift(1, fill_value=False)
    account = vectorbt.Portfolio.from_signals(
        closes, entries=held, exits=~held, price=opens, fees=COMMISSION_BPS / 10_000, init_cash=CASH
    )
    return float(account.value().iloc[-1]), int(account.trades.count())


class Crossover(Strategy):
    """The same rule, as backtesting.py has it."""

    def init(self) -> None:
        closes = self.data.Close.s
        self.fast, self.slow = (self.I(lambda n=n: closes.rolling(n).mean()) for n in (FAST, SLOW))

    def next(self) -> None:
        above = self.fast[-1] > self.slow[-1]
        if above and not self.position:
            self.buy()
        elif not above and self.position:
            self.position.close()


def bar_by_bar(named: pd.DataFrame) -> tuple[float, int]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stats = Backtest(named, Crossover, cash=CASH, commission=COMMISSION_BPS / 10_000).run()
    return float(stats["_equity_curve"]["Equity"].iloc[-1]), int(stats["# Trades"])


def first_call(cache: str) -> float:
    """Seconds of the first backtest of a new process; compiled code is kept in ``cache``."""
    tests = Path(__file__).resolve().parents[1] / "tests"
    command = [sys.executable, "-c", FIRST_CALL, str(tests)]
    environ = os.environ | {"NUMBA_CACHE_DIR": cache}
    return float(subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", type=int, default=2520)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    # no progress bar of theirs
    os.environ["TQDM_DISABLE"] = "1"
    prices = walk(1, asked.bars)
    bars, dated = read_bars(prices), prices.set_index("date")
    named = dated.rename(columns=str.capitalize)
    works: dict[str, Callable[[], Any]] = {
        "ours, from bars": lambda: ours(bars),
        "ours, from a frame": lambda: ours(prices),
        "vectorbt": lambda: theirs(dated["open"], dated["close"]),
        "backtesting.py": lambda: bar_by_bar(named),
    }
    # this warms all of them up, too; backtesting.py trades whole shares, and does not count a trade that is still open
    answers = {name: work() for name, work in works.items()}
    (worth, trades), (their_worth, their_trades) = answers["ours, from a frame"], answers["vectorbt"]
    assert abs(worth - their_worth) < 0.005, answers
    assert trades == their_trades, answers
    assert 0 <= trades - answers["backtesting.py"][1] <= 1, answers
    assert abs(answers["backtesting.py"][0] / worth - 1) < 0.0005, answers
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(asked.rounds):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    base = medians["ours, from a frame"]
    print(f"one crossover of {asked.bars} bars, {trades} trades, medians of {asked.rounds} rounds")
    for name, taken in medians.items():
        print(f"{name:<22}{1000 * taken:9.2f} ms{taken / base:10.1f} × ours from a frame")
    with tempfile.TemporaryDirectory() as cache:
        compiled, cached = first_call(cache), first_call(cache)
    print(f"first run of a process: {compiled:.1f} s with nothing on disk, once; {cached:.2f} s from then on")


if __name__ == "__main__":
    main()
