"""Indicators say nothing before their window is full, never look ahead, and agree with their definitions and gold."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_bars import walk
from recorded_gold import SYMBOLS

from stocklib import indicators, market
from stocklib.errors import InputError
from stocklib.indicators import ema, sma
from stocklib.settings import Settings

values = st.lists(st.floats(0.5, 2000), min_size=1, max_size=60)
windows = st.integers(1, 20)


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


def test_a_window_holds_the_last_values_that_exist_unless_they_span_too_many() -> None:
    prices = pd.Series([1.0, 2.0, np.nan, 4.0, 5.0, 6.0])
    assert sma(prices, 2).tolist() == pytest.approx([math.nan, 1.5, math.nan, 3.0, 4.5, 5.5], nan_ok=True)
    wide = pd.Series([1.0, 2.0, np.nan, np.nan, 5.0, 6.0])
    assert sma(wide, 2).tolist() == pytest.approx([math.nan, 1.5, *[math.nan] * 3, 5.5], nan_ok=True)
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
        closes = market.prices(symbol, holes="nan", settings=gold).set_index("date")["close"]
        for window in (7, 30, 90):
            theirs = rows[f"ma_{window}day"].astype("float64")
            pd.testing.assert_series_equal(
                sma(closes, window)[closes.notna()],
                theirs,
                check_names=False,
                check_index_type=False,
                rtol=0,
                atol=1e-6,
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


# ── what has left a window, and what stands still ─────────────────────────────────────────────────────────────────────

OF_A_WINDOW = {
    "sma": lambda f: indicators.sma(f["close"], 20),
    "wma": lambda f: indicators.wma(f["close"], 20),
    "bollinger": lambda f: indicators.bollinger(f["close"], 20).upper,
    "zscore": lambda f: indicators.zscore(f["close"], 20),
    "vwap": lambda f: indicators.vwap(f["close"], f["volume"], window=20),
    "rolling_volatility": lambda f: indicators.rolling_volatility(f["close"], 30),
    "parkinson": lambda f: indicators.parkinson(f["high"], f["low"], 30),
    "garman_klass": lambda f: indicators.garman_klass(f["open"], f["high"], f["low"], f["close"], 30),
    "rolling_beta": lambda f: indicators.rolling_beta(f["close"].pct_change(), f["open"].pct_change(), 20),
    "rolling_correlation": lambda f: indicators.rolling_correlation(
        f["close"].pct_change(), f["open"].pct_change(), 20
    ),
    "stochastic": lambda f: indicators.stochastic(f["high"], f["low"], f["close"], window=20).k,
}


@pytest.mark.parametrize("name", OF_A_WINDOW)
@pytest.mark.parametrize("tick", [1e6, 1e15])
def test_one_huge_tick_leaves_nothing_behind_in_a_quiet_series(name: str, tick: float) -> None:
    quiet = walk(11, 400, deviation=1e-4).drop(columns="symbol").set_index("date")
    loud = quiet.copy()
    loud.iloc[50, :] *= tick
    ours, right = (OF_A_WINDOW[name](frame).iloc[-300:] for frame in (loud, quiet))
    pd.testing.assert_series_equal(ours, right, rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.integers(2, 20), st.integers(0, 9))
def test_a_window_s_mean_and_deviation_are_those_of_its_values(numbers: list[float], window: int, holes: int) -> None:
    series = pd.Series(numbers)
    series[series.index % 10 < holes // 3] = np.nan
    mean, z = indicators.sma(series, window), indicators.zscore(series, window)
    upper = indicators.bollinger(series, window, deviations=1).upper
    for end in range(len(series)):
        part = series.iloc[: end + 1].dropna().tail(window)
        span = end - part.index[0] + 1 if len(part) else 0
        if len(part) < window or np.isnan(series[end]) or span > window + math.ceil(window / 10):
            assert np.isnan([mean[end], upper[end], z[end]]).all()
            continue
        scale = max(1.0, part.abs().max())
        assert mean[end] == pytest.approx(part.mean(), abs=1e-9 * scale)
        assert upper[end] - mean[end] == pytest.approx(part.std(ddof=0), rel=1e-6, abs=1e-9 * scale)


@pytest.mark.parametrize("window", [2, 14])
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_the_rsi_of_a_price_that_stands_still_stays_where_it_was(window: int, scale: float) -> None:
    moved = [100.0, 101.0, 100.5, 102.0, 101.0, 103.0, 102.5, 104.0, 103.0, 105.0, 104.5, 106.0, 105.0, 107.0, 106.5]
    still = scale * pd.Series(moved + [106.5] * 30_000 + [106.6, 106.5])
    found = indicators.rsi(still, window)
    before = found.iloc[len(moved) : -2]
    assert before.tolist() == [before.iloc[0]] * 30_000
    assert 0 < before.iloc[0] < 100
    # after so long a rest one rise is all there is, and the fall after it weighs as in any other series
    assert found.iloc[-2] == pytest.approx(100)
    assert found.iloc[-1] == pytest.approx(100 * (window - 1) / (2 * window - 1), rel=1e-6)


def test_the_exponential_volatility_goes_on_after_a_hole() -> None:
    # returns of 10 %, -10 %, none over the hole, then 20 %: the bar after the hole has the volatility of that before it
    prices = pd.Series([100.0, 110.0, 99.0, np.nan, 150.0, 180.0])
    found = indicators.ewma_volatility(prices, decay=0.5, warm_up=1)
    squares = [0.01, 0.01, math.nan, 0.01, 0.5 * 0.01 + 0.5 * 0.04]
    assert found.tolist() == pytest.approx([math.nan, *(100 * math.sqrt(252 * s) for s in squares)], nan_ok=True)


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("atr", {"close": 150.0}, "has its close outside its low and high"),
        ("stochastic", {"close": 1.0}, "has its close outside its low and high"),
        ("garman_klass", {"open": 150.0}, "has its open outside its low and high"),
        ("garman_klass", {"close": 1.0}, "has its close outside its low and high"),
        ("parkinson", {"low": 150.0}, "has a high below its low"),
        ("atr", {"low": 150.0}, "has a high below its low"),
    ],
)
def test_a_bar_that_cannot_be_is_named(name: str, wrong: dict[str, float], said: str) -> None:
    frame = pd.DataFrame({"open": 100.0, "high": 101.0, "low": 99.0, "close": 100.0}, DAYS)
    for column, price in wrong.items():
        frame.loc[DAYS[20], column] = price
    names = {"parkinson": ["high", "low"], "garman_klass": ["open", "high", "low", "close"]}
    given = [frame[column] for column in names.get(name, ["high", "low", "close"])]
    with pytest.raises(InputError, match=f"the bar of 2012-01-30 00:00:00 {said}"):
        getattr(indicators, name)(*given)
    panels = [pd.DataFrame({"A": series.iloc[0], "B": series}) for series in given]
    with pytest.raises(InputError, match=f"the bar of B of 2012-01-30 00:00:00 {said}"):
        getattr(indicators, name)(*panels)


def test_what_rounding_does_to_a_price_is_no_bar_that_cannot_be() -> None:
    one = pd.Series(100.0, DAYS)
    assert indicators.atr(one, one, one + 1e-6, 3).iloc[-1] < 1e-5


def test_a_price_outside_its_bar_is_refused_where_the_bar_is_given() -> None:
    price, volume = pd.Series([10.0, 11.0]), pd.Series([1.0, 1.0])
    assert indicators.vwap(price, volume, high=price, low=price).tolist() == [10.0, 10.5]
    for high, low in ((price + 1, price + 0.1), (price - 0.1, price - 1)):
        with pytest.raises(InputError, match=r"the bar of 0 has its price outside its low and high"):
            indicators.vwap(price, volume, high=high, low=low)
    with pytest.raises(InputError, match="give both"):
        indicators.vwap(price, volume, high=price)


def test_a_bar_of_negative_prices_is_a_bar_too() -> None:
    """A future on oil closed at -37.63 once."""
    close = pd.Series([-37.0, -36.0, -37.63])
    assert indicators.atr(close, close, close, 1).iloc[-1] == pytest.approx(1.63)
    with pytest.raises(InputError, match="close outside"):
        indicators.atr(close, close, close + 0.01)


def test_a_market_that_stands_still_or_nothing_traded_is_nan_and_never_infinite() -> None:
    still = pd.Series(0.0, DAYS)
    moving = pd.Series(np.sin(np.arange(40.0)) / 100, DAYS)
    for market_of in (still, still + 0.01, still + 1e-17 * moving):
        assert indicators.rolling_beta(moving, market_of, 5).isna().all()
        assert indicators.rolling_correlation(moving, market_of, 5).isna().all()
    # what was traded long ago leaves no residue to divide by
    volume = pd.Series([1e18, 0.1, 0.3, *[0.0] * 37], DAYS)
    assert indicators.vwap(ONE, volume, window=5).iloc[7:].isna().all()
    with pytest.raises(InputError, match="one label a bar"):
        indicators.vwap(ONE, ONE, session=[1, 2])
