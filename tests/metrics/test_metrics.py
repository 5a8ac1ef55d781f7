"""Metrics agree with arithmetic done by hand and with gold, and refuse what has no answer."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from recorded_gold import SYMBOLS

from stocklib import market, metrics
from stocklib.errors import InputError
from stocklib.settings import Settings

EVERY = [metrics.returns, metrics.total_return, metrics.cagr, metrics.volatility, metrics.sharpe, metrics.max_drawdown]


def test_the_volatility_of_gold_is_this_one(gold: Settings) -> None:
    performance = market.table("fact_stock_performance", settings=gold)
    for symbol in SYMBOLS:
        rows = performance[performance["symbol"] == symbol].set_index("quote_date").sort_index()
        closes = market.prices(symbol, holes="nan", settings=gold).set_index("date")["close"]
        ours = metrics.rolling_volatility(closes)[closes.notna()]
        theirs = rows["volatility_30day_percent"].astype("float64")
        assert ours.isna().tolist() == theirs.isna().tolist()
        assert (ours - theirs).abs().max() < 1e-5
        assert metrics.volatility(closes) == pytest.approx(ours.iloc[-1])


def test_the_drawdown_of_gold_is_this_one(gold: Settings) -> None:
    performance = market.table("fact_stock_performance", settings=gold)
    rows = performance[performance["symbol"] == "MSFT"].set_index("quote_date").sort_index()
    closes = market.prices("MSFT", settings=gold).set_index("date")["close"]
    assert (metrics.drawdown(closes) - rows["drawdown_percent"].astype("float64")).abs().max() < 1e-5


def test_a_drawdown_that_was_not_made_good_has_no_recovery() -> None:
    days = pd.date_range("2012-01-02", periods=5)
    worst = metrics.max_drawdown(pd.Series([50.0, 100.0, 60.0, 90.0, 70.0], days))
    assert (worst.percent, worst.peak, worst.trough, worst.recovered) == (-40.0, days[1], days[2], None)


def test_prices_that_only_rise_have_no_drawdown() -> None:
    worst = metrics.max_drawdown(pd.Series([1.0, 2.0, 3.0]))
    assert (worst.percent, worst.peak, worst.trough, worst.recovered) == (0.0, 0, 0, 0)


def test_the_worst_drawdowns_are_listed_deepest_first_with_their_dates_and_lengths() -> None:
    # Tuesday to Thursday of the next week but one; two falls made good, a level high between them, one that is open
    days = pd.bdate_range("2012-01-03", periods=12)
    prices = pd.Series([100.0, 90, 95, 100, 100, 60, 80, 120, 108, 119, 114, 96], days)
    fell = metrics.worst_drawdowns(prices)
    assert [round(one.percent, 10) for one in fell] == [-40, -20, -10]
    assert [one.peak for one in fell] == [days[4], days[7], days[0]]
    assert [one.trough for one in fell] == [days[5], days[11], days[1]]
    assert [one.recovered for one in fell] == [days[7], None, days[3]]
    assert [one.sessions for one in fell] == [3, 4, 3]
    assert metrics.worst_drawdowns(prices, 2) == fell[:2]
    assert metrics.max_drawdown(prices) == fell[0]
    assert metrics.worst_drawdowns(pd.Series([1.0, 2.0, 3.0])) == []


def test_a_drawdown_counts_sessions_with_a_price_and_not_the_bars_within_a_day() -> None:
    days = pd.bdate_range("2012-01-03", periods=5)
    holed = pd.Series([100.0, 80.0, np.nan, np.nan, 100.0], days)
    # with and without rows for the missing ones
    assert metrics.max_drawdown(holed).sessions == metrics.max_drawdown(holed.dropna()).sessions == 2
    hours = pd.to_datetime(["2012-01-03 15:00", "2012-01-03 16:00", "2012-01-03 17:00", "2012-01-04 15:00"], utc=True)
    assert metrics.max_drawdown(pd.Series([100.0, 90.0, 80.0, 100.0], hours)).sessions == 1


def test_the_band_of_the_sharpe_ratio_is_that_of_mertens_by_hand() -> None:
    # returns of 0, 0, 0 and 4 %: mean 1, deviation 2 (sample) and √3; skewness 2/√3, kurtosis 7/3; s is 1/2
    prices = pd.Series([100.0, 100.0, 100.0, 100.0, 104.0])
    error = math.sqrt(252 * (1 - 2 / math.sqrt(3) / 2 + (7 / 3 - 1) / 4 / 4) / 3)
    band = metrics.sharpe_band(prices)
    assert (band.high + band.low) / 2 == pytest.approx(metrics.sharpe(prices))
    assert band.high - metrics.sharpe(prices) == pytest.approx(1.959964 * error, rel=1e-6)
    half = metrics.sharpe_band(prices, level=0.5)
    assert half.high - metrics.sharpe(prices) == pytest.approx(0.6744898 * error, rel=1e-6)


def test_the_band_covers_the_true_ratio_as_often_as_it_says() -> None:
    # fat tails and large losses: exponential returns turned around, with mean 0.1 and deviation 1 (%) a session
    random, covered = np.random.default_rng(4), 0
    for _ in range(400):
        returns = (1.1 - random.exponential(1.0, 500)) / 100
        band = metrics.sharpe_band(pd.Series(np.cumprod(np.append(1.0, 1 + returns))))
        covered += band.low < math.sqrt(252) * 0.1 < band.high
    assert 0.92 <= covered / 400 <= 0.98


def test_what_does_not_vary_or_never_fell_has_neither_a_band_nor_a_profit_factor() -> None:
    for prices in (pd.Series([5.0] * 10), pd.Series([5.0, 6.0])):
        assert math.isnan(metrics.sharpe_band(prices).low)
        assert math.isnan(metrics.profit_factor(prices))
        assert math.isnan(metrics.average_loss(prices))
        assert metrics.ulcer_index(prices) == 0


def test_sharpe_is_net_of_the_risk_free_rate() -> None:
    # returns of 1 % and 3 %: mean 2 %, deviation √2 %; at 252 % a year a session's rate is 1 %
    prices = pd.Series([100.0, 101.0, 104.03])
    assert metrics.sharpe(prices) == pytest.approx(math.sqrt(252) * 2 / math.sqrt(2))
    assert metrics.sharpe(prices, risk_free_percent=252) == pytest.approx(math.sqrt(252) * 1 / math.sqrt(2))


def test_what_does_not_vary_has_no_sharpe_ratio() -> None:
    assert math.isnan(metrics.sharpe(pd.Series([5.0] * 10)))


def test_fewer_returns_than_the_window_have_no_volatility() -> None:
    prices = pd.Series(np.linspace(1, 2, 30))
    assert math.isnan(metrics.volatility(prices))
    assert metrics.rolling_volatility(prices).isna().all()
    assert metrics.volatility(prices, window=None) > 0


def test_a_year_that_doubles_grows_a_hundred_percent() -> None:
    prices = pd.Series(np.geomspace(10, 20, 253))
    assert metrics.cagr(prices) == pytest.approx(100)
    assert metrics.total_return(prices) == pytest.approx(100)


@pytest.mark.parametrize("metric", EVERY)
@pytest.mark.parametrize(
    ("prices", "said"),
    [
        ([], "too few"),
        ([1.0, 0.0, 2.0], "value of 1 is"),
        ([1.0, -1.0, 2.0], "zero, negative or infinite"),
        ([1.0, np.inf, 2.0], "zero, negative or infinite"),
    ],
)
def test_what_has_no_answer_is_refused(metric: Callable[[pd.Series], object], prices: list[float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        metric(pd.Series(prices, dtype="float64"))


@pytest.mark.parametrize("metric", EVERY)
@pytest.mark.parametrize("order", [[2, 1, 0], [0, 0, 1]])
def test_values_out_of_order_are_refused(metric: Callable[[pd.Series], object], order: list[int]) -> None:
    with pytest.raises(InputError, match="in order of time"):
        metric(pd.Series([1.0, 2.0, 3.0], index=order))


def test_a_session_without_a_price_has_no_return_and_no_other_figure_counts_it() -> None:
    days = pd.bdate_range("2012-01-02", periods=7)
    prices = pd.Series([100.0, 110.0, 121.0, np.nan, 60.5, 66.55, np.nan], days)
    assert metrics.returns(prices).tolist() == pytest.approx([0.1, 0.1, *[math.nan] * 2, 0.1, math.nan], nan_ok=True)
    # five sessions from the first price to the last
    assert metrics.total_return(prices) == pytest.approx(-33.45)
    assert metrics.cagr(prices) == pytest.approx(100 * (0.6655 ** (252 / 5) - 1))
    assert metrics.hit_rate(prices) == 100
    assert [metrics.value_at_risk(prices), metrics.cvar(prices)] == pytest.approx([10, 10])
    assert metrics.volatility(prices, window=None) == pytest.approx(0, abs=1e-9)
    worst = metrics.max_drawdown(prices)
    assert (worst.percent, worst.peak, worst.trough) == (-50, days[2], days[4])
    # only the sessions on which both have a return: +10 % and +10 % against +10 % and -10 %
    benchmark = pd.Series([50.0, 55.0, np.nan, 70.0, 77.0, 69.3, 90.0], days)
    active = pd.Series([0.0, 0.2])
    assert metrics.information_ratio(prices, benchmark) == pytest.approx(math.sqrt(252) * active.mean() / active.std())
    with pytest.raises(InputError, match="no two consecutive values"):
        metrics.value_at_risk(pd.Series([100.0, np.nan, 110.0, np.nan]))


def test_fewer_returns_than_nine_tenths_of_a_window_have_no_volatility() -> None:
    prices = pd.Series(np.linspace(1, 2, 40) ** 2)
    for missing, is_known in ((1, True), (2, False)):
        holed = prices.where(~prices.index.isin([*range(20, 20 + missing * 2, 2)]))
        assert metrics.volatility(holed) == pytest.approx(metrics.rolling_volatility(holed).iloc[-1], nan_ok=True)
        # each missing bar costs two returns of thirty, and three may be missing
        assert math.isnan(metrics.volatility(holed)) != is_known


def test_the_band_of_returns_with_two_values_has_no_width() -> None:
    band = metrics.sharpe_band(pd.Series([100.0, 98.70034017147789, 97.41757149965451, 95.17729874195514]))
    assert band.low == pytest.approx(band.high)
