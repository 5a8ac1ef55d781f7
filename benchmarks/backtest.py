"""What one crossover backtest takes, against vectorbt and backtesting.py; the time to compile is apart.

    .venv-peers/bin/python benchmarks/backtest.py [--bars 2520] [--rounds 60]

From bars in memory to the account's value at every close: two moving averages, the signal, the fills at the next open
with commission; and the same with the table of trades. Ours from bars that were read and checked before, as the peers'
are, and from a tidy frame. All must end with the same money and the same trades first. Each round takes all in turn;
prints ratios of the quickest rounds, which others on the machine disturb least, measured in one run. Compiling is
measured in processes of their own: with nothing on disk, and with what the first one left.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import pandas as pd
from made_bars import walk
from record import record

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


def ours(bars: Bars, *, trades: bool = False) -> tuple[float, int]:
    result = run(bars, sma_crossover(bars, FAST, SLOW), commission_bps=COMMISSION_BPS, cash=CASH)
    return float(result.equity.iloc[-1]), len(result.trades) if trades else 0


def theirs(opens: pd.Series, closes: pd.Series, *, trades: bool = False) -> tuple[float, int]:
    fast, slow = (vectorbt.MA.run(closes, window).ma for window in (FAST, SLOW))
    held = (fast > slow).shift(1, fill_value=False)
    account = vectorbt.Portfolio.from_signals(
        closes, entries=held, exits=~held, price=opens, fees=COMMISSION_BPS / 10_000, init_cash=CASH
    )
    return float(account.value().iloc[-1]), len(account.trades.records_readable) if trades else 0


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
    parser.add_argument("--rounds", type=int, default=60)
    asked = parser.parse_args()
    # no progress bar of theirs
    os.environ["TQDM_DISABLE"] = "1"
    prices = walk(1, asked.bars)
    bars, dated = read_bars(prices), prices.set_index("date")
    named = dated.rename(columns=str.capitalize)
    works: dict[str, Callable[..., tuple[float, int]]] = {
        "ours": lambda **more: ours(bars, **more),
        "ours, from a frame": lambda **more: ours(read_bars(prices), **more),
        "vectorbt": lambda **more: theirs(dated["open"], dated["close"], **more),
        # it always makes its table of trades
        "backtesting.py": lambda **more: bar_by_bar(named),
    }
    # this warms all of them up, too; backtesting.py trades whole shares, and does not count a trade that is still open
    answers = {name: work(trades=True) for name, work in works.items()}
    (worth, trades), (their_worth, their_trades) = answers["ours"], answers["vectorbt"]
    assert abs(worth - their_worth) < 0.005, answers
    assert trades == their_trades, answers
    assert 0 <= trades - answers["backtesting.py"][1] <= 1, answers
    assert abs(answers["backtesting.py"][0] / worth - 1) < 0.0005, answers
    print(f"one crossover of {asked.bars} bars, {trades} trades, the quickest of {asked.rounds} rounds")
    ratios = measure(works, asked.rounds, trades=False) | measure(works, asked.rounds, trades=True)
    with tempfile.TemporaryDirectory() as cache:
        compiled, cached = first_call(cache), first_call(cache)
    print(f"first run of a process: {compiled:.1f} s with nothing on disk, once; {cached:.2f} s from then on")
    record(ratios)


def measure(works: dict[str, Callable[..., tuple[float, int]]], rounds: int, *, trades: bool) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            began = time.perf_counter()
            work(trades=trades)
            times[name].append(time.perf_counter() - began)
    quickest = {name: min(taken) for name, taken in times.items()}
    what = "value and table of trades" if trades else "value at every close"
    print(what)
    for name, taken in quickest.items():
        print(f"  {name:<22}{1000 * taken:9.2f} ms{taken / quickest['ours']:8.1f} × ours")
    peers = ("vectorbt", "backtesting.py")
    return {f"{what}: {peer} / ours": quickest[peer] / quickest["ours"] for peer in peers}


if __name__ == "__main__":
    main()
