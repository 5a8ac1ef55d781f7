"""The account is that of backtesting.py and of vectorbt to the cent at every close, where their fill rules are ours.

Where they are not, and so not compared: backtesting.py trades whole shares only, takes its spread on the way in alone,
shrinks a short sale by its commission, lets a stop come first even in a bar that opens beyond the target, and refuses
a stop that is not below the last close before the order. vectorbt adds its fixed fee to the commission where ours is
the larger of the two, pays fees on top of target weights where ours pays them out of what is spent, spends what money
there is on one symbol after the other where ours shrinks all purchases alike, and measures stops from a close.
"""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from adjusted import split_adjusted

from stocklib.backtest import Result, momentum_rotation, run, sma_crossover

SYMBOLS = ["AAPL", "IBM", "MSFT"]
CENT = 0.005


@pytest.fixture(scope="module", params=SYMBOLS)
def prices(request: pytest.FixtureRequest) -> pd.DataFrame:
    return split_adjusted(request.param)


def crossover(prices: pd.DataFrame, fast: int = 20, slow: int = 50) -> pd.Series:
    """The signal, made without us."""
    close = prices.set_index("date")["close"]
    return (close.rolling(fast).mean() > close.rolling(slow).mean() * (1 + 1e-9)).astype("float64")


def test_the_signal_is_that_of_the_strategy(prices: pd.DataFrame) -> None:
    assert crossover(prices).tolist() == sma_crossover(prices, 20, 50).tolist()


def their_run(
    prices: pd.DataFrame, signal: pd.Series, *, stops: tuple[float, float] | None = None, **options: Any
) -> Any:
    """backtesting.py: an order at the market whenever the signal changes; ``stops`` are those of the next open."""
    backtesting = pytest.importorskip("backtesting", reason="backtesting.py is not installed; make test-peers does so")
    wanted, opens = signal.to_numpy(), prices["open"].to_numpy()

    class Follow(backtesting.Strategy):
        def init(self) -> None:
            pass

        def next(self) -> None:
            bar = len(self.data) - 1
            if wanted[bar] == wanted[bar - 1] or bar + 1 == len(wanted):
                return
            self.position.close()
            levels = {}
            if stops and wanted[bar]:
                levels = {"sl": opens[bar + 1] * (1 - stops[0]), "tp": opens[bar + 1] * (1 + stops[1])}
            if wanted[bar]:
                (self.buy if wanted[bar] > 0 else self.sell)(**levels)

    named = prices.set_index("date").rename(columns=str.capitalize)
    with warnings.catch_warnings():
        # trades that are still open at the end are ours to compare, too
        warnings.simplefilter("ignore")
        return backtesting.Backtest(named, Follow, cash=1_000_000, **options).run()


def assert_equal(result: Result, theirs: Any) -> None:
    equity = theirs["_equity_curve"]["Equity"]
    assert (result.equity - equity).abs().max() < CENT
    closed = result.trades.dropna(subset=["exit_date"])
    other = theirs["_trades"].sort_values(["EntryTime"])
    assert len(closed) == len(other) > 5
    assert closed["entry_date"].tolist() == other["EntryTime"].tolist()
    assert closed["exit_date"].tolist() == other["ExitTime"].tolist()
    for mine, name in (("entry_price", "EntryPrice"), ("exit_price", "ExitPrice"), ("profit", "PnL")):
        assert closed[mine].to_numpy() == pytest.approx(other[name].to_numpy(), abs=CENT)


@pytest.mark.parametrize("commission_bps", [0, 10, 75])
def test_a_crossover_in_whole_shares_is_that_of_backtesting_py(prices: pd.DataFrame, commission_bps: int) -> None:
    signal = crossover(prices)
    ours = run(prices, signal, whole_shares=True, commission_bps=commission_bps, cash=1_000_000)
    assert_equal(ours, their_run(prices, signal, commission=commission_bps / 10_000))


def test_long_and_short_in_turn_is_that_of_backtesting_py(prices: pd.DataFrame) -> None:
    # neither before the averages are there: its first decision is that of the second bar
    signal = (2 * crossover(prices) - 1).where(np.arange(len(prices)) >= 50, 0)
    ours = run(prices, signal, whole_shares=True, cash=1_000_000)
    assert (ours.trades["side"] == "short").sum() > 5
    assert_equal(ours, their_run(prices, signal))


@pytest.mark.parametrize(
    ("symbol", "loss", "gain"), [("AAPL", 0.15, 0.2), ("IBM", 0.05, 0.08), ("IBM", 0.1, 0.1), ("MSFT", 0.05, 0.08)]
)
def test_stops_inside_a_bar_are_those_of_backtesting_py(symbol: str, loss: float, gain: float) -> None:
    prices = split_adjusted(symbol)
    signal = crossover(prices, 10, 30)
    stops = {"stop_loss_percent": 100 * loss, "take_profit_percent": 100 * gain}
    ours = run(prices, signal, whole_shares=True, cash=1_000_000, **stops)
    assert {"order", "stop loss", "take profit"} <= set(ours.trades["ended_by"])
    assert_equal(ours, their_run(prices, signal, stops=(loss, gain)))


@pytest.fixture(scope="module")
def vectorbt() -> Any:
    return pytest.importorskip("vectorbt", reason="vectorbt is not installed; make test-peers installs it")


@pytest.mark.parametrize(
    ("fill", "costs"),
    [
        ("open", {}),
        ("open", {"commission_bps": 10, "slippage_bps": 5}),
        ("close", {"commission_bps": 10, "slippage_bps": 5}),
    ],
)
def test_a_crossover_in_fractional_shares_is_vectorbt_s(
    prices: pd.DataFrame, vectorbt: Any, fill: str, costs: dict[str, float]
) -> None:
    signal = crossover(prices)
    ours = run(prices, signal, fill=fill, **costs)
    # decided at a close, filled on the next bar: theirs fills where it is told to
    held = signal.shift(1, fill_value=0) > 0
    theirs = vectorbt.Portfolio.from_signals(
        prices.set_index("date")["close"],
        entries=held,
        exits=~held,
        price=prices.set_index("date")[fill],
        fees=costs.get("commission_bps", 0) / 10_000,
        slippage=costs.get("slippage_bps", 0) / 10_000,
        init_cash=10_000,
    )
    assert (ours.equity - theirs.value()).abs().max() < CENT
    records = theirs.trades.records_readable
    assert len(ours.trades) == len(records) > 5
    assert ours.trades["profit"].to_numpy() == pytest.approx(records["PnL"].to_numpy(), abs=CENT)


def orders(weights: pd.DataFrame, rebalance: str) -> Any:
    """What vectorbt is told: the weights that are due, a bar after they were decided; NaN is no order."""
    if rebalance == "change":
        due: Any = weights.diff().shift(1).fillna(0) != 0
    else:
        months = weights.index.to_period("M")
        due = np.r_[False, months[1:] != months[:-1]]
        # the first decision is traded at once
        due[1] = True
        due = pd.DataFrame(dict.fromkeys(weights, due), weights.index)
    return weights.shift(1).where(due).to_numpy()


@pytest.mark.parametrize("rebalance", ["change", "month"])
def test_target_weights_of_several_symbols_are_vectorbt_s(vectorbt: Any, rebalance: str) -> None:
    panel = pd.concat([split_adjusted(symbol) for symbol in SYMBOLS], ignore_index=True)
    opens, closes = (panel.pivot(index="date", columns="symbol", values=name) for name in ("open", "close"))
    if rebalance == "month":
        weights = momentum_rotation(panel, 60, hold=2)
    else:
        # so little of each that the money is never short: then theirs buys one after the other, ours a part of each
        weights = pd.concat({symbol: crossover(split_adjusted(symbol)) / 6 for symbol in SYMBOLS}, axis=1)
    ours = run(panel, weights, rebalance=rebalance, cash=100_000)
    theirs = vectorbt.Portfolio.from_orders(
        closes,
        size=orders(weights, rebalance),
        size_type="targetpercent",
        price=opens.to_numpy(),
        val_price=opens.to_numpy(),
        init_cash=100_000,
        cash_sharing=True,
        group_by=True,
        call_seq="auto",
    )
    assert len(ours.fills) > 200
    assert (ours.equity - theirs.value()).abs().max() < CENT
