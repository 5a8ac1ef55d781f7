"""The guard against looking ahead: it catches those who do, and lets the honest pass."""

from collections.abc import Callable
from functools import partial

import pandas as pd
import pytest
from made_bars import SYMBOLS, market, walk

from stocklib.backtest import (
    buy_and_hold,
    check_no_look_ahead,
    donchian_breakout,
    ema_crossover,
    momentum_rotation,
    rsi_reversion,
    run,
    sma_crossover,
    volatility_target,
)
from stocklib.errors import InputError


@pytest.fixture
def prices() -> pd.DataFrame:
    return walk(4, 300)


def closes(prices: pd.DataFrame) -> pd.Series:
    return prices.set_index("date")["close"]


def held_where(said: pd.Series) -> pd.Series:
    return said.astype("float64")


def tomorrow(prices: pd.DataFrame) -> pd.Series:
    """A negative shift: the next close is known today."""
    return held_where(closes(prices).shift(-1) > closes(prices))


def against_the_whole(prices: pd.DataFrame) -> pd.Series:
    """A z-score with the mean and the deviation of the full sample."""
    series = closes(prices)
    return held_where((series - series.mean()) / series.std() < -0.5)


def centred(prices: pd.DataFrame) -> pd.Series:
    """A window with the bar in its middle."""
    series = closes(prices)
    return held_where(series < series.rolling(11, center=True, min_periods=1).mean())


def filled_from_behind(prices: pd.DataFrame) -> pd.Series:
    """A monthly figure that every day of the month is given."""
    series = closes(prices)
    month = series.index.to_period("M")
    return held_where(series.groupby(month).transform("last") > series.groupby(month).transform("first"))


def scaled_by_the_largest(prices: pd.DataFrame) -> pd.Series:
    """Weights that are divided by the largest one there will be."""
    momentum = closes(prices).pct_change(20).clip(lower=0).fillna(0)
    return momentum / momentum.max()


def upside_down(prices: pd.DataFrame) -> pd.Series:
    """An average over the series in reverse."""
    series = closes(prices)
    return held_where(series < series[::-1].ewm(span=10).mean()[::-1])


CHEATS = [tomorrow, against_the_whole, centred, filled_from_behind, scaled_by_the_largest, upside_down]


@pytest.mark.parametrize("cheat", CHEATS, ids=lambda cheat: cheat.__name__)
def test_a_strategy_that_looks_ahead_is_caught(cheat: Callable[..., pd.Series], prices: pd.DataFrame) -> None:
    with pytest.raises(InputError, match=r"looks ahead: with data up to 200\d-\d\d-\d\d it decided"):
        check_no_look_ahead(prices, cheat)


HONEST = [
    buy_and_hold,
    partial(sma_crossover, fast=5, slow=20),
    partial(ema_crossover, fast=5, slow=20),
    rsi_reversion,
    donchian_breakout,
    volatility_target,
    lambda prices: held_where(closes(prices) > closes(prices).shift(1)),
]


@pytest.mark.parametrize("strategy", HONEST, ids=range(len(HONEST)))
def test_an_honest_strategy_passes(strategy: Callable[..., pd.Series], prices: pd.DataFrame) -> None:
    check_no_look_ahead(prices, strategy)


def test_a_rotation_among_symbols_that_list_and_pause_passes_and_one_that_cheats_does_not() -> None:
    prices = market(3, gaps=0.2)
    check_no_look_ahead(prices, partial(momentum_rotation, window=5, hold=2))

    def winners_of_the_year(prices: pd.DataFrame) -> pd.DataFrame:
        panel = prices.pivot(index="date", columns="symbol", values="close").ffill()
        best = panel.iloc[-1] / panel.bfill().iloc[0] == (panel.iloc[-1] / panel.bfill().iloc[0]).max()
        return pd.DataFrame([best.astype("float64")] * len(panel), panel.index, SYMBOLS)

    with pytest.raises(InputError, match="looks ahead"):
        check_no_look_ahead(market(5), winners_of_the_year)


def test_a_few_bars_cannot_be_cut(prices: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="too few to cut"):
        check_no_look_ahead(prices.head(5), buy_and_hold)


def test_a_peek_that_seldom_decides_is_caught_as_well() -> None:
    prices = walk(9, 2_000)

    def before_the_big_days(prices: pd.DataFrame) -> pd.Series:
        return held_where(closes(prices).pct_change().shift(-1) > 0.045)

    assert 0 < before_the_big_days(prices).sum() < 40
    with pytest.raises(InputError, match="looks ahead"):
        check_no_look_ahead(prices, before_the_big_days)


def test_weights_without_dates_are_refused(prices: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="weights are a series or a frame by date, not ndarray"):
        check_no_look_ahead(prices, lambda bars: bars["close"].to_numpy())
    with pytest.raises(InputError, match="not ndarray"):
        run(prices, prices["close"].to_numpy())  # type: ignore[arg-type]
