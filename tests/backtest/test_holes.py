"""A session without a bar: what is held stays held, and is worth its last close."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_bars import market, walk

from stocklib import backtest
from stocklib.backtest import read_bars, run
from stocklib.errors import InputError
from stocklib.report import strategies

DAYS = pd.bdate_range("2012-01-02", periods=40)
RULES: dict[str, dict[str, Any]] = {
    "sma_crossover": {"fast": 2, "slow": 5},
    "ema_crossover": {"fast": 2, "slow": 5},
    "rsi_reversion": {"window": 5, "buy_below": 60, "sell_above": 99.9},
    "donchian_breakout": {"entry": 5, "exit": 3},
    "volatility_target": {"target_percent": 200.0, "window": 5},
    "momentum_rotation": {"window": 5, "hold": 2},
    "buy_and_hold": {},
}


def rising(symbol: str) -> pd.DataFrame:
    """A line from 100 to 140 on which no rule ever says that one should sell."""
    up = np.linspace(100, 140, 40)
    columns = {"open": up, "high": up + 1, "low": up - 1, "close": up + 0.5}
    return pd.DataFrame({"symbol": symbol, "date": DAYS, **columns, "volume": 1.0})


# it never buys on a line that only rises
@pytest.mark.parametrize("name", [name for name in RULES if name != "rsi_reversion"])
@pytest.mark.parametrize("lost", [[20], [20, 21, 22], [18, 25]])
def test_a_symbol_is_held_through_a_session_without_a_bar(name: str, lost: list[int]) -> None:
    whole = pd.concat([rising("MISA"), rising("MISB")], ignore_index=True)
    holed = pd.concat([rising("MISA").drop(index=lost), rising("MISB")], ignore_index=True)
    right, got = (run(bars, strategies._weights(name, bars, RULES[name]), commission_bps=10) for bars in (whole, holed))
    assert len(got.fills) == len(right.fills) == 2
    assert got.fills["date"].tolist() == right.fills["date"].tolist()
    assert len(got.trades) == 2
    assert got.equity.iloc[-1] == pytest.approx(right.equity.iloc[-1])
    # in the hole it is worth its last close
    day = lost[0]
    assert got.equity.iloc[day] < right.equity.iloc[day]


@pytest.mark.parametrize("name", [name for name in RULES if name != "momentum_rotation"])
def test_a_row_without_prices_is_a_session_without_a_bar(name: str) -> None:
    bars = walk(6, 120)
    holed = bars.copy()
    holed.loc[[50, 51, 90], ["open", "high", "low", "close", "volume"]] = np.nan
    rule = getattr(backtest, name)
    said, known = rule(holed, **RULES[name]), rule(bars.drop(index=[50, 51, 90]), **RULES[name])
    # what was decided before goes on, and the windows are the last bars there are
    assert said.index.tolist() == bars["date"].tolist()
    assert said.tolist() == known.reindex(said.index).ffill().tolist()
    held = run(holed, said, commission_bps=5)
    without = run(bars.drop(index=[50, 51, 90]), known, commission_bps=5)
    assert held.equity[without.equity.index].tolist() == pytest.approx(without.equity.tolist())
    assert held.fills["date"].tolist() == without.fills["date"].tolist()
    row = (
        backtest.sweep(holed, rule, {key: [value] for key, value in RULES[name].items()}).iloc[0] if RULES[name] else {}
    )
    for figure in ("Sharpe", "trades") if len(row) else ():
        assert row[figure] == pytest.approx(backtest.summary({"it": run(holed, said)})["it"][figure], nan_ok=True)


def test_a_row_with_some_prices_is_no_hole() -> None:
    bars = rising("A")
    bars.loc[20, "close"] = np.nan
    with pytest.raises(InputError, match="of A of 2012-01-30 00:00:00 has a close price that is missing"):
        read_bars(bars)
    nothing = rising("A").assign(open=np.nan, high=np.nan, low=np.nan, close=np.nan)
    with pytest.raises(InputError, match="0 bars are too few"):
        read_bars(nothing)


def test_a_rotation_ranks_by_the_last_close() -> None:
    prices = market(3, gaps=0.2)
    panel = read_bars(prices).closes().ffill()
    rise = panel / panel.shift(5) - 1
    best = rise.where(rise > 1e-9).rank(axis=1, ascending=False, method="first") <= 2
    said = backtest.momentum_rotation(prices, 5, hold=2)
    pd.testing.assert_frame_equal(said, best.astype("float64") / 2, check_names=False)
