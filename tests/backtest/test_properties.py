"""What is true of every account, whatever the prices, the weights and the costs."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_bars import DAYS, SYMBOLS, market

from stocklib.backtest import (
    check_no_look_ahead,
    momentum_rotation,
    rsi_reversion,
    run,
    sma_crossover,
    sweep,
    walk_forward,
)
from stocklib.backtest.engine import REBALANCE
from stocklib.backtest.result import Result
from stocklib.errors import InputError
from stocklib.indicators import sma


def targets(seed: int, prices: pd.DataFrame, *, short: bool, leverage: float = 1.0) -> pd.DataFrame:
    """Weights that change now and then; their absolute values sum to the leverage at most."""
    rng = np.random.default_rng(seed + 1)
    drawn = rng.dirichlet(np.ones(4), len(DAYS))[:, :3] * leverage
    if short:
        drawn *= rng.choice([-1, 1], drawn.shape)
    drawn[rng.random(len(DAYS)) < 0.7] = np.nan
    drawn[0] = np.where(np.isnan(drawn[0]), 0, drawn[0])
    days = np.sort(prices["date"].unique())
    return pd.DataFrame(drawn, DAYS, SYMBOLS).ffill().reindex(days)


def worth_of_shares(result: Result, prices: pd.DataFrame) -> pd.Series:
    closes = prices.pivot(index="date", columns="symbol", values="close").ffill()
    return (result.shares * closes).fillna(0).sum(axis=1)


seeds = st.integers(0, 100_000)
costs = st.fixed_dictionaries(
    {},
    optional={
        "commission_bps": st.floats(0, 100),
        "slippage_bps": st.floats(0, 100),
        "minimum_fee": st.floats(0, 20),
        "borrow_percent": st.floats(0, 30),
        "whole_shares": st.booleans(),
        "stop_loss_percent": st.floats(1, 20),
        "take_profit_percent": st.floats(1, 20),
        "fill": st.sampled_from(["open", "close", "vwap"]),
        "rebalance": st.sampled_from(REBALANCE),
    },
)


@settings(max_examples=120, deadline=None)
@given(seed=seeds, options=costs, short=st.booleans(), leverage=st.sampled_from([1.0, 3.0]))
def test_the_books_balance(seed: int, options: dict[str, Any], short: bool, leverage: float) -> None:
    prices = market(seed, gaps=0.15)
    weights = targets(seed, prices, short=short, leverage=leverage)
    result = run(prices, weights, leverage=leverage, **options)
    # equity is cash and shares at the last close, at every bar
    expected = result.cash + worth_of_shares(result, prices)
    assert (result.equity - expected).abs().max() < 1e-6
    # every share held was bought, and is not yet sold
    bought = result.fills.pivot_table(index="date", columns="symbol", values="shares", aggfunc="sum")
    held = bought.reindex(index=weights.index, columns=SYMBOLS).fillna(0).cumsum()
    assert (held - result.shares).abs().to_numpy().max() < 1e-6
    # the trades account for all that was won and lost, and for all the costs
    assert result.trades["profit"].sum() == pytest.approx(result.equity.iloc[-1] - 10_000, abs=1e-6)
    assert result.trades["costs"].sum() == pytest.approx(result.costs, abs=1e-6)
    if options.get("whole_shares"):
        assert (result.fills["shares"] % 1 == 0).all()


@settings(max_examples=80, deadline=None)
@given(seed=seeds, options=costs)
def test_without_leverage_and_short_positions_cash_is_never_negative(seed: int, options: dict[str, Any]) -> None:
    prices = market(seed, gaps=0.15)
    # leaving a position may cost more than it brings, if there is a minimum
    result = run(prices, targets(seed, prices, short=False), **{**options, "minimum_fee": 0})
    assert result.cash.min() > -1e-6
    assert result.ruined is None


@settings(max_examples=80, deadline=None)
@given(seed=seeds, cut=st.integers(2, 38), options=costs, short=st.booleans())
def test_the_future_changes_nothing_before_it(seed: int, cut: int, options: dict[str, Any], short: bool) -> None:
    prices = market(seed)
    weights = targets(seed, prices, short=short)
    changed, other = prices.copy(), weights.copy()
    late = (prices["date"] >= DAYS[cut]).to_numpy()
    columns = ["open", "high", "low", "close", "vwap"]
    shuffled = np.random.default_rng(seed).permutation(late.sum())
    changed.loc[late, columns] = prices.loc[late, columns].to_numpy()[shuffled]
    other.iloc[cut:] = weights.iloc[cut:].to_numpy()[::-1]
    first, second = run(prices, weights, **options), run(changed, other, **options)
    assert first.equity.iloc[:cut].tolist() == second.equity.iloc[:cut].tolist()
    assert first.shares.iloc[:cut].equals(second.shares.iloc[:cut])
    # what is wanted at bar t is traded at t + 1: that order, too, is the same, but for its price
    before = [result.fills[result.fills["date"] < DAYS[cut]] for result in (first, second)]
    pd.testing.assert_frame_equal(*before)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, options=costs, factor=st.floats(0.01, 1000), short=st.booleans())
def test_an_account_of_another_size_does_the_same_in_its_size(
    seed: int, options: dict[str, Any], factor: float, short: bool
) -> None:
    prices = market(seed, gaps=0.1)
    weights = targets(seed, prices, short=short)
    # a minimum fee and whole shares are what size matters for
    kept = {name: value for name, value in options.items() if name not in ("minimum_fee", "whole_shares")}
    one, other = (run(prices, weights, cash=cash, **kept) for cash in (10_000, 10_000 * factor))
    assert other.equity.to_numpy() == pytest.approx(factor * one.equity.to_numpy(), rel=1e-9)
    assert other.costs == pytest.approx(factor * one.costs, rel=1e-9, abs=1e-9)
    assert len(other.trades) == len(one.trades)


@settings(max_examples=60, deadline=None)
@given(
    seed=seeds,
    name=st.sampled_from(["commission_bps", "slippage_bps", "borrow_percent", "minimum_fee"]),
    less=st.floats(0, 50),
    more=st.floats(0, 50),
    short=st.booleans(),
)
def test_costs_never_help(seed: int, name: str, less: float, more: float, short: bool) -> None:
    # one symbol, all in or out: a position that a fee makes smaller would have lost less
    prices = market(seed).query("symbol == 'A'")
    rng = np.random.default_rng(seed)
    signal = pd.Series(rng.choice([-1.0 if short else 0.0, 0.0, 1.0], len(DAYS)), DAYS)
    cheap, dear = (run(prices, signal, **{name: cost}) for cost in (less, less + more))
    assert (dear.equity <= cheap.equity * (1 + 1e-9)).all()


@settings(max_examples=40, deadline=None)
@given(seed=seeds, options=costs)
def test_symbols_do_not_disturb_one_another_when_there_is_money_enough(seed: int, options: dict[str, Any]) -> None:
    # an account of two symbols, each a quarter, left to drift, holds what two accounts of one symbol would
    prices = market(seed)
    kept = {k: v for k, v in options.items() if k not in ("rebalance", "whole_shares")}
    weights = pd.DataFrame(0.0, DAYS, ["A", "B"])
    weights.iloc[3:20] = 0.25
    both = run(prices[prices["symbol"] != "C"], weights, **kept)
    for symbol in ("A", "B"):
        alone = run(prices[prices["symbol"] == symbol], weights[symbol], **kept)
        assert both.shares[symbol].to_numpy() == pytest.approx(alone.shares.to_numpy(), rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, weight=st.floats(0.05, 1))
def test_rebalanced_each_bar_a_weight_is_what_it_says(seed: int, weight: float) -> None:
    prices = market(seed)
    weights = pd.DataFrame({symbol: [weight / 3] * len(DAYS) for symbol in SYMBOLS}, DAYS)
    result = run(prices, weights, fill="close", rebalance="bar")
    assert result.exposure.iloc[1:].to_numpy() == pytest.approx(weight, rel=1e-9)
    # without costs, the mean return of what is held is the account's
    closes = prices.pivot(index="date", columns="symbol", values="close")
    expected = 1 + (closes / closes.shift(1) - 1).mean(axis=1) * weight
    assert (result.equity / result.equity.shift(1)).iloc[2:].tolist() == pytest.approx(expected.iloc[2:].tolist())


@settings(max_examples=30, deadline=None)
@given(seed=seeds, options=costs, window=st.integers(2, 8))
def test_bars_with_their_dates_as_index_give_the_same_backtest(seed: int, options: dict[str, Any], window: int) -> None:
    prices = market(seed, gaps=0.15)
    indexed = prices.set_index("date")
    each, other = (run(frame, momentum_rotation(frame, window, hold=2), **options) for frame in (prices, indexed))
    assert_same(each, other)
    alone, its = prices[prices["symbol"] == SYMBOLS[0]], indexed[indexed["symbol"] == SYMBOLS[0]]
    assert_same(run(alone, rsi_reversion(alone, window), **options), run(its, rsi_reversion(its, window), **options))
    # a rule as one types it: its weights are on the bars' own dates
    above = (its["close"] > sma(its["close"], window)).astype(float)
    assert_same(run(alone, above, **options), run(its, above, **options))


def assert_same(one: Result, other: Result) -> None:
    pd.testing.assert_series_equal(one.equity, other.equity)
    pd.testing.assert_frame_equal(one.fills, other.fills)
    assert one.equity.attrs == other.equity.attrs


def test_searches_and_the_guard_take_bars_with_their_dates_as_index() -> None:
    prices = market(4)
    alone = prices[prices["symbol"] == SYMBOLS[0]]
    its = alone.set_index("date")
    grid = {"window": [2, 3, 4], "buy_below": [30, 45]}
    pd.testing.assert_frame_equal(sweep(alone, rsi_reversion, grid), sweep(its, rsi_reversion, grid))
    pairs = {"fast": [2, 3], "slow": [5, 8]}
    pd.testing.assert_frame_equal(sweep(alone, sma_crossover, pairs), sweep(its, sma_crossover, pairs))
    ahead, again = (walk_forward(frame, rsi_reversion, grid, train=20, test=10) for frame in (alone, its))
    pd.testing.assert_frame_equal(ahead.choices, again.choices)
    assert_same(ahead.result, again.result)
    check_no_look_ahead(its, lambda bars: (bars["close"] > sma(bars["close"], 3)).astype(float))
    with pytest.raises(InputError, match="looks ahead"):
        check_no_look_ahead(its, lambda bars: (bars["close"].shift(-1) > bars["close"]).astype(float))
