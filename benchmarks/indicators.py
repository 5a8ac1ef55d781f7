"""What five indicators take on 500 symbols × 10 years, against TA-Lib called once a symbol.

    .venv-peers/bin/python benchmarks/indicators.py [--symbols 500] [--sessions 2520] [--rounds 9]

A panel in, a panel out, both ways: ours takes it whole; the other loops over its columns, as arrays (the quickest way
that TA-Lib has) and as series (the usual one), and sets the answers side by side. The answers are compared first. Each
round takes all ways in turn; prints ratios of medians measured in one run.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import talib
from record import record

from stocklib import indicators

Panels = dict[str, pd.DataFrame]


def panels(symbols: int, sessions: int) -> Panels:
    """Random walks: high, low, close, sessions × symbols."""
    rng = np.random.default_rng(7)
    days = pd.bdate_range("2003-01-02", periods=sessions)
    names = [f"S{number:05d}" for number in range(symbols)]
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, (sessions, symbols)), axis=0))
    spread = np.exp(np.abs(rng.normal(0, 0.01, close.shape)))
    arrays = {"high": close * spread, "low": close / spread, "close": close}
    return {name: pd.DataFrame(array, days, names) for name, array in arrays.items()}


def per_symbol(work: Callable[..., Any], *inputs: pd.DataFrame, as_series: bool) -> list[pd.DataFrame]:
    """TA-Lib's function, column by column; one panel for each of its answers."""
    first, found = inputs[0], []
    for symbol in first:
        columns = [panel[symbol] for panel in inputs]
        answer = work(*(columns if as_series else [column.to_numpy() for column in columns]))
        found.append(answer if isinstance(answer, tuple) else (answer,))
    parts = zip(*found, strict=True)
    return [pd.DataFrame(dict(zip(first, part, strict=True)), index=first.index) for part in parts]


WORKS: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[str, ...]]] = {
    "sma(20)": (lambda c: indicators.sma(c, 20), lambda c: talib.SMA(c, 20), ("close",)),
    "ema(20)": (lambda c: indicators.ema(c, 20), lambda c: talib.EMA(c, 20), ("close",)),
    "rsi(14)": (lambda c: indicators.rsi(c, 14), lambda c: talib.RSI(c, 14), ("close",)),
    "bollinger(20)": (lambda c: indicators.bollinger(c, 20), lambda c: talib.BBANDS(c, 20), ("close",)),
    "atr(14)": (
        lambda *hlc: indicators.atr(*hlc, window=14),
        lambda *hlc: talib.ATR(*hlc, 14),
        ("high", "low", "close"),
    ),
}


def ours(found: Any) -> list[pd.DataFrame]:
    # TA-Lib answers the upper band first
    return [found] if isinstance(found, pd.DataFrame) else [found.upper, found.middle, found.lower]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--sessions", type=int, default=2520)
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    made = panels(asked.symbols, asked.sessions)
    ways: dict[str, dict[str, Callable[[], Any]]] = {}
    for name, (our_work, their_work, columns) in WORKS.items():
        inputs = [made[column] for column in columns]
        ways[name] = {
            "ours": lambda work=our_work, given=inputs: work(*given),
            "arrays": lambda work=their_work, given=inputs: per_symbol(work, *given, as_series=False),
            "series": lambda work=their_work, given=inputs: per_symbol(work, *given, as_series=True),
        }
        for mine, other in zip(ours(ways[name]["ours"]()), ways[name]["arrays"](), strict=True):
            pd.testing.assert_frame_equal(mine, other, rtol=1e-7, atol=1e-7)
    times: dict[tuple[str, str], list[float]] = {(name, way): [] for name in ways for way in ways[name]}
    for _ in range(asked.rounds):
        for name, way in times:
            began = time.perf_counter()
            ways[name][way]()
            times[name, way].append(time.perf_counter() - began)
    medians = {key: statistics.median(taken) for key, taken in times.items()}
    print(f"{asked.symbols} symbols × {asked.sessions} sessions, medians of {asked.rounds} rounds")
    print(f"{'':<16}{'ours':>10}{'TA-Lib, arrays':>18}{'TA-Lib, series':>18}")
    rows = {name: [medians[name, way] for way in ways[name]] for name in ways}
    rows["all five"] = [sum(column) for column in zip(*rows.values(), strict=True)]
    for name, (mine, arrays, series) in rows.items():
        print(f"{name:<16}{1000 * mine:7.1f} ms{arrays / mine:11.2f} × ours{series / mine:11.2f} × ours")
    mine, arrays, series = rows["all five"]
    record(
        {
            "five indicators: TA-Lib on arrays / ours": arrays / mine,
            "five indicators: TA-Lib on series / ours": series / mine,
        }
    )


if __name__ == "__main__":
    main()
