"""Sweeps give what single runs give, say when the best is luck, and choose without seeing what they are judged by."""

import multiprocessing
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_bars import market, walk

from stocklib.backtest import (
    donchian_breakout,
    ema_crossover,
    momentum_rotation,
    read_bars,
    rsi_reversion,
    run,
    sma_crossover,
    summary,
    sweep,
    walk_forward,
)
from stocklib.errors import InputError

PAIRS = {"fast": [1, 2, 5, 9], "slow": [2, 8, 20]}
COLUMNS = ["total return %", "CAGR %", "volatility %", "Sharpe", "max drawdown %", "trades", "time in market %"]


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    strategy=st.sampled_from([sma_crossover, ema_crossover]),
    options=st.fixed_dictionaries(
        {},
        optional={
            "commission_bps": st.floats(0, 100),
            "slippage_bps": st.floats(0, 100),
            "cash": st.floats(1, 1e9),
            "fill": st.sampled_from(["open", "close", "vwap"]),
        },
    ),
)
def test_a_row_of_the_compiled_sweep_is_that_run(seed: int, strategy: Any, options: dict[str, Any]) -> None:
    prices = walk(seed, 80)
    # now and then nothing is traded, so that there is no average price
    prices["vwap"] = prices["close"].where(np.random.default_rng(seed).random(80) > 0.1)
    table = sweep(prices, strategy, PAIRS, **options)
    assert len(table) == 8
    for _, row in table.iterrows():
        result = run(prices, strategy(prices, int(row["fast"]), int(row["slow"])), **options)
        expected = summary({"run": result})["run"][COLUMNS]
        assert row[COLUMNS].to_numpy(dtype=float) == pytest.approx(expected.to_numpy(), rel=1e-9, abs=1e-9, nan_ok=True)
        # to the cent, and far below it
        worth = options.get("cash", 10_000) * (1 + row["total return %"] / 100)
        assert worth == pytest.approx(result.equity.iloc[-1], rel=1e-9)


def test_a_pair_that_the_strategy_refuses_is_left_out_however_it_is_run() -> None:
    prices = walk(1, 60)
    grid = {"fast": [-1, 0, 5, 9], "slow": [5, 10]}
    compiled = sweep(prices, sma_crossover, grid)
    by_hand = sweep(prices, sma_crossover, grid, whole_shares=True, workers=1)
    expected = [(5, 10), (9, 10)]
    for table in (compiled, by_hand):
        assert list(zip(table["fast"], table["slow"], strict=True)) == expected
    # a window of half a bar is none
    with pytest.raises(InputError, match="refused every combination"):
        sweep(prices, sma_crossover, {"fast": [2.5], "slow": [10]})


@pytest.mark.parametrize("wrong", [{"commission_bps": -1}, {"slippage_bps": 10_000}, {"cash": 0}, {"fill": "mid"}])
def test_a_sweep_refuses_the_costs_that_a_run_refuses(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        sweep(walk(1, 60), sma_crossover, PAIRS, **wrong)


def test_an_option_that_says_the_default_changes_nothing() -> None:
    prices = walk(2, 100)
    plain, said = (sweep(prices, ema_crossover, PAIRS, **more) for more in ({}, {"rebalance": "change", "leverage": 1}))
    pd.testing.assert_frame_equal(plain, said)


def test_a_crossover_of_several_symbols_is_each_by_itself() -> None:
    prices = market(7, gaps=0.1)
    table = sweep(prices, sma_crossover, {"fast": [2, 3], "slow": [5, 8]})
    assert table["symbol"].tolist() == ["A"] * 4 + ["B"] * 4 + ["C"] * 4
    for symbol, rows in table.groupby("symbol"):
        alone = sweep(prices[prices["symbol"] == symbol], sma_crossover, {"fast": [2, 3], "slow": [5, 8]})
        pd.testing.assert_frame_equal(rows.drop(columns="symbol").reset_index(drop=True), alone)


def test_any_strategy_runs_in_a_pool_of_processes_and_gives_what_one_process_gives() -> None:
    prices = walk(3, 120)
    grid = {"entry": [5, 10, 15, 20, 25, 30, 35, 40], "exit": [2, 4, 6, 8, 10]}
    seen: list[tuple[int, int]] = []
    pooled = sweep(prices, donchian_breakout, grid, workers=2, on_progress=lambda n, of: seen.append((n, of)))
    alone = sweep(prices, donchian_breakout, grid, workers=1)
    pd.testing.assert_frame_equal(pooled, alone)
    assert seen == [(number, 40) for number in range(1, 41)]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="a lambda cannot be sent elsewhere")
def test_a_strategy_of_a_notebook_runs_in_the_pool_too() -> None:
    prices = walk(3, 60)
    table = sweep(prices, lambda bars, level: rsi_reversion(bars, 5, buy_below=level), {"level": range(5, 45)})
    assert len(table) == 40


def test_a_rotation_is_swept_over_the_panel() -> None:
    table = sweep(market(1), momentum_rotation, {"window": [3, 5], "hold": [1, 2]}, rebalance="week")
    assert len(table) == 4


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_ends_the_sweep_and_its_processes(workers: int) -> None:
    def interrupt(done: int, of: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    # the traceback is kept, as a notebook does
    with pytest.raises(KeyboardInterrupt) as kept:
        sweep(
            walk(3, 120),
            rsi_reversion,
            {"window": range(2, 12), "buy_below": range(10, 50, 2)},
            workers=workers,
            on_progress=interrupt,
        )
    assert kept.traceback
    assert not multiprocessing.active_children()


def test_progress_of_a_compiled_sweep_is_told_in_pieces() -> None:
    seen: list[tuple[int, int]] = []
    grid = {"fast": range(2, 52), "slow": range(60, 120)}
    sweep(walk(1, 150), sma_crossover, grid, on_progress=lambda done, of: seen.append((done, of)))
    assert seen == [(2000, 3000), (3000, 3000)]


def test_a_sweep_that_takes_a_while_shows_a_bar_on_a_terminal_and_nothing_elsewhere() -> None:
    program = """
import time
from made_bars import walk
from stocklib.backtest import rsi_reversion, sweep

def slow(bars, window):
    time.sleep(0.3)
    return rsi_reversion(bars, window)

print(len(sweep(walk(1, 60), slow, {"window": range(2, 14)}, workers=1)))
"""
    environ = {**os.environ, "TERM": "xterm", "PYTHONPATH": str(Path(__file__).parents[1])}
    terminal, theirs = pty.openpty()
    for stderr in (theirs, subprocess.PIPE):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environ,
            timeout=100,
            check=True,
        )
        assert done.stdout.strip() == b"12"
        assert "runs" not in (done.stderr or b"").decode()
    os.close(theirs)
    drawn = b""
    with suppress(OSError):  # a terminal that nobody has any more is at its end
        while piece := os.read(terminal, 4096):
            drawn += piece
    os.close(terminal)
    assert b"/12" in drawn


def test_a_combination_that_ruins_the_account_is_a_row_and_never_the_best() -> None:
    # a price that only rises: sold short with three times the money, it takes all
    prices = walk(1, 60, drift=0.02, deviation=0.001)

    def always(bars: pd.DataFrame, weight: float) -> pd.Series:
        return pd.Series(weight, read_bars(bars).times)

    table = sweep(prices, always, {"weight": [-3.0, 1.0]}, leverage=3)
    assert table["total return %"].iloc[0] <= -100
    assert table[["CAGR %", "max drawdown %"]].iloc[0].tolist() == [-100, -100]
    assert np.isnan(table["Sharpe"].iloc[0])
    walked = walk_forward(prices, always, {"weight": [-3.0, 1.0]}, train=40, test=10, leverage=3)
    assert walked.choices["weight"].tolist() == [1.0, 1.0]


def test_the_best_of_a_sweep_over_noise_is_called_luck() -> None:
    grid = {"fast": range(2, 30, 3), "slow": range(31, 90, 6)}
    warned = [bool(sweep(walk(seed, 1000), sma_crossover, grid).attrs["warning"]) for seed in range(40)]
    # at 95 % a few of forty may pass by chance
    assert sum(warned) >= 35


def test_a_planted_edge_is_not_called_luck() -> None:
    # returns that keep their direction for twenty bars: what a crossover of short averages lives from
    rng = np.random.default_rng(2)
    direction = np.repeat(rng.choice([-1, 1], 75), 20)
    prices = walk(2, 1500, deviation=0.01)
    factor = np.exp(np.cumsum(direction * 0.004))
    for column in ("open", "high", "low", "close"):
        prices[column] *= factor
    table = sweep(prices, sma_crossover, {"fast": range(1, 6), "slow": range(6, 20)})
    assert table.attrs["warning"] == ""


def test_one_try_is_no_luck_of_many() -> None:
    assert sweep(walk(1, 100), sma_crossover, {"fast": [3], "slow": [9]}).attrs["warning"] == ""


GRID = {"fast": [2, 3, 5], "slow": [8, 13, 21]}


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), shuffle=st.integers(0, 1000), stretch=st.integers(0, 3))
def test_walking_forward_never_chooses_with_what_it_is_judged_by(seed: int, shuffle: int, stretch: int) -> None:
    prices = walk(seed, 200)
    first = walk_forward(prices, sma_crossover, GRID, train=100, test=25)
    begin = 100 + 25 * stretch
    order = np.random.default_rng(shuffle).permutation(np.arange(begin, 200))
    other = prices.copy()
    columns = ["open", "high", "low", "close"]
    other.loc[begin:, columns] = prices.loc[order, columns].to_numpy()
    second = walk_forward(other, sma_crossover, GRID, train=100, test=25)
    # every choice up to that of the shuffled stretch itself is the same, and so is the account before it
    known = slice(0, stretch + 1)
    chosen = ["from", "fast", "slow", "Sharpe in sample"]
    pd.testing.assert_frame_equal(first.choices[chosen].iloc[known], second.choices[chosen].iloc[known])
    before = prices["date"][begin - 1]
    assert first.result.equity[:before].tolist() == second.result.equity[:before].tolist()


def test_walking_forward_is_the_stretches_of_its_choices_in_one_account() -> None:
    prices = walk(11, 160)
    walked = walk_forward(prices, sma_crossover, GRID, train=100, test=30, commission_bps=5)
    assert walked.choices["from"].tolist() == [prices["date"][at] for at in (100, 130)]
    assert walked.choices["to"].tolist() == [prices["date"][at] for at in (129, 159)]
    # the account begins with the last bar that was learned from, and multiplies the stretches' returns
    assert walked.result.equity.index[0] == prices["date"][99]
    total = np.prod(1 + walked.choices["return %"] / 100)
    assert walked.result.equity.iloc[-1] == pytest.approx(10_000 * total)
    # by hand: the weights that each choice would have given, on all bars so far
    weights = pd.Series(0.0, prices["date"])
    for begin, choice in zip((100, 130), walked.choices.itertuples(), strict=True):
        decided = sma_crossover(prices.iloc[: begin + 30], choice.fast, choice.slow)
        weights.iloc[begin - 1 : begin + 29] = decided.iloc[begin - 1 : begin + 29]
    by_hand = run(prices.iloc[99:], weights.iloc[99:], commission_bps=5)
    assert walked.result.equity.tolist() == by_hand.equity.tolist()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"train": 300}, "too few"), ({"test": 0}, "test=0 is not possible"), ({"by": "luck"}, "by='luck'")],
)
def test_walking_forward_says_what_it_lacks(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        walk_forward(walk(1, 200), sma_crossover, GRID, **wrong)


def test_an_empty_grid_is_refused() -> None:
    with pytest.raises(InputError, match="grid is empty"):
        sweep(walk(1, 50), sma_crossover, {"fast": [], "slow": [5]})
