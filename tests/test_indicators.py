"""Indicators say nothing before their window is full, never look ahead, and agree with their definitions and gold."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_gold import SYMBOLS, published

from stocklib import indicators, market
from stocklib.errors import InputError
from stocklib.indicators import ema, sma
from stocklib.settings import Settings

values = st.lists(st.floats(0.5, 2000), min_size=1, max_size=60)
windows = st.integers(1, 20)


@pytest.fixture(scope="session")
def gold(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return published(tmp_path_factory.getbasetemp() / "recorded-gold")


@settings(max_examples=80, deadline=None)
@given(values, windows)
def test_the_simple_average_is_the_mean_of_its_window(prices: list[float], window: int) -> None:
    answer = sma(pd.Series(prices), window)
    expected = [
        sum(prices[t - window + 1 : t + 1]) / window if t >= window - 1 else math.nan for t in range(len(prices))
    ]
    assert answer.tolist() == pytest.approx(expected, nan_ok=True)


@settings(max_examples=80, deadline=None)
@given(values, windows)
def test_the_exponential_average_follows_its_recursion(prices: list[float], window: int) -> None:
    answer = ema(pd.Series(prices), window).tolist()
    alpha, last = 2 / (window + 1), math.nan
    for t, price in enumerate(prices):
        if t == window - 1:
            last = sum(prices[:window]) / window
        elif t >= window:
            last = alpha * price + (1 - alpha) * last
        assert answer[t] == pytest.approx(last, nan_ok=True)


@pytest.mark.parametrize("indicator", [sma, ema])
def test_a_panel_is_its_columns(indicator) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(1)
    panel = pd.DataFrame(rng.uniform(1, 9, (50, 3)), columns=["AAPL", "FB", "IBM"])
    panel.loc[:19, "FB"] = np.nan  # listed later
    panel.loc[30, "IBM"] = np.nan  # a missing day
    together = indicator(panel, 7)
    for symbol in panel:
        pd.testing.assert_series_equal(together[symbol], indicator(panel[symbol], 7))
    assert together["FB"].first_valid_index() == 26


def test_a_missing_value_empties_the_windows_that_hold_it() -> None:
    prices = pd.Series([1.0, 2.0, np.nan, 4.0, 5.0, 6.0])
    assert sma(prices, 2).isna().tolist() == [True, False, True, True, False, False]
    # the exponential average goes on from what it knew
    assert ema(prices, 2).isna().tolist() == [True, False, True, False, False, False]
    assert ema(prices, 2).dropna().tolist() == pytest.approx(ema(prices.dropna(), 2).dropna().tolist())


@pytest.mark.parametrize("indicator", [sma, ema])
def test_a_window_longer_than_the_data_is_never_full(indicator) -> None:  # type: ignore[no-untyped-def]
    assert indicator(pd.Series([1.0, 2.0]), 3).isna().all()
    assert indicator(pd.Series([], dtype="float64"), 3).empty


@pytest.mark.parametrize("indicator", [sma, ema])
@pytest.mark.parametrize("window", [0, -3, 2.5, "20", None, True])
def test_a_window_is_a_whole_number_of_bars(indicator, window) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match="whole number"):
        indicator(pd.Series([1.0, 2.0]), window)


@settings(max_examples=40, deadline=None)
@given(values, windows, st.lists(st.floats(0.5, 2000), min_size=1, max_size=20))
def test_the_future_changes_nothing(prices: list[float], window: int, future: list[float]) -> None:
    for indicator in (sma, ema):
        now = indicator(pd.Series(prices), window).tolist()
        later = indicator(pd.Series(prices + future), window).tolist()[: len(prices)]
        assert now == pytest.approx(later, nan_ok=True, rel=0, abs=0)


def test_the_averages_of_gold_are_the_same(gold: Settings) -> None:
    performance = market.table("fact_stock_performance", settings=gold)
    for symbol in SYMBOLS:
        rows = performance[performance["symbol"] == symbol].set_index("quote_date").sort_index()
        closes = market.prices(symbol, settings=gold).set_index("date")["close"]
        for window in (7, 30, 90):
            theirs = rows[f"ma_{window}day"].astype("float64")
            pd.testing.assert_series_equal(
                sma(closes, window), theirs, check_names=False, check_index_type=False, rtol=0, atol=1e-6
            )


DAYS = pd.bdate_range("2012-01-02", periods=40)
ONE = pd.Series(np.linspace(100.0, 120.0, 40), DAYS)
OF_TIME = {
    "sma": lambda values: indicators.sma(values, 3),
    "rsi": lambda values: indicators.rsi(values, 3),
    "rolling_volatility": lambda values: indicators.rolling_volatility(values, 3),
    "ewma_volatility": indicators.ewma_volatility,
    "drawdown": indicators.drawdown,
    "zscore": lambda values: indicators.zscore(values, 3),
    "parkinson": lambda values: indicators.parkinson(values, values, 3),
    "obv": lambda values: indicators.obv(values, values),
    "rolling_beta": lambda values: indicators.rolling_beta(values, values, 3),
}


@pytest.mark.parametrize("name", OF_TIME)
def test_dates_out_of_order_or_twice_there_are_refused(name: str) -> None:
    OF_TIME[name](ONE)
    for values in (ONE[::-1], pd.concat([ONE, ONE.tail(1)])):
        with pytest.raises(InputError, match="in order of time, one a date"):
            OF_TIME[name](values)
    stacked = ONE.set_axis(pd.MultiIndex.from_product([["A", "B"], DAYS[:20]]))
    with pytest.raises(InputError, match="several symbols in one column"):
        OF_TIME[name](stacked)


def test_rows_that_were_sorted_by_date_keep_their_own_places() -> None:
    shuffled = ONE.set_axis(range(40, 0, -1))
    assert sma(shuffled, 3).tolist() == pytest.approx(sma(ONE, 3).tolist(), nan_ok=True)


@pytest.mark.parametrize("price", [0.0, -5.0])
@pytest.mark.parametrize("name", ["rolling_volatility", "ewma_volatility", "drawdown", "parkinson"])
def test_a_price_without_a_return_is_refused(name: str, price: float) -> None:
    bad = ONE.where(ONE.index != DAYS[20], price)
    with pytest.raises(InputError, match=r"the price of 2012-01-30 00:00:00 is zero or negative"):
        OF_TIME[name](bad)


def test_an_infinite_price_and_a_negative_volume_are_refused() -> None:
    with pytest.raises(InputError, match="infinite"):
        indicators.rolling_volatility(ONE.where(ONE.index != DAYS[20], math.inf), 3)
    with pytest.raises(InputError, match="volume is negative"):
        indicators.obv(ONE, -ONE)


def test_a_window_longer_than_any_that_is_computed_is_refused() -> None:
    assert indicators.rsi(ONE, 100_000).isna().all()
    with pytest.raises(InputError, match="100,000 bars at most"):
        indicators.rsi(ONE, 100_001)
