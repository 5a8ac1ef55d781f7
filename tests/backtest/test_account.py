"""The account, worked by hand: many symbols, short positions, schedules, fees, stops, leverage, ruin, missing bars."""

import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from stocklib.backtest import run, summary

DAYS = pd.bdate_range("2012-01-02", periods=60)


def bars(symbol: str, opens: list[float], closes: list[float] | None = None, **more: list[float]) -> pd.DataFrame:
    """Bars from 2 January 2012 on; a NaN open is a day without a bar."""
    frame = pd.DataFrame(
        {"symbol": symbol, "date": DAYS[: len(opens)], "open": opens, "close": closes or opens, **more}, dtype=object
    )
    frame = frame.astype({name: "float64" for name in frame if name not in ("symbol", "date")})
    return frame.astype({"date": DAYS.dtype, "symbol": "str"}).dropna(subset=["open"])


def signal(*values: float) -> pd.Series:
    return pd.Series(values, DAYS[: len(values)], dtype="float64")


def weights(**symbols: list[float]) -> pd.DataFrame:
    return pd.DataFrame(symbols, DAYS[: len(next(iter(symbols.values())))], dtype="float64")


def traded(*parts: pd.DataFrame, by: Any, **options: Any) -> Any:
    return run(pd.concat(parts), by, cash=1000, **options)


NONE = np.nan


def test_two_symbols_are_sold_before_they_are_bought() -> None:
    # bar 1 at 10: 500 is 50 A, 500 is 50 B. Bar 2: 50 A at 20 and 50 B at 5 are 1250; A goes for 1000, which is 200 B.
    a, b = bars("A", [10, 10, 20]), bars("B", [10, 10, 5])
    result = traded(a, b, by=weights(A=[0.5, 0, 0], B=[0.5, 1, 1]))
    assert result.shares["A"].tolist() == [0, 50, 0]
    assert result.shares["B"].tolist() == [0, 50, 250]
    assert result.equity.tolist() == [1000, 1000, 1250]
    assert result.cash.tolist() == [1000, 0, 0]
    assert result.fills[["symbol", "shares"]].to_numpy().tolist() == [["A", 50], ["B", 50], ["A", -50], ["B", 200]]


def test_purchases_that_cost_too_much_shrink_alike() -> None:
    # the change asks for 0.5 of A and of B, but half of the worth, 1000, is in C, which has no bar to be sold on
    a, b = bars("A", [10] * 4), bars("B", [20] * 4)
    c = bars("C", [10, 10, NONE, 10])
    result = traded(a, b, c, by=weights(A=[0, 0.5, 0.5, 0.5], B=[0, 0.5, 0.5, 0.5], C=[0.5, 0, 0, 0]))
    # 500 in cash for 1000 asked: 250 each. C goes on its next bar; its money stays cash, since A and B did not change.
    assert result.shares.iloc[2].tolist() == [25, 12.5, 50]
    assert result.shares.iloc[3].tolist() == [25, 12.5, 0]
    assert result.cash.tolist() == [1000, 500, 0, 500]


def test_a_short_position_pays_for_the_loan_each_bar() -> None:
    # 25.2 % a year is 0.1 % a bar. Sold 100 at 10: 2000 in cash. Bar 1: 1000 owed, 1 paid; bar 2 at 8: 800 owed, 0.80
    # paid: 1998.20 - 800. Bar 3: bought back at 8.
    result = traded(bars("A", [10, 10, 8, 8]), by=signal(-1, -1, 0, 0), borrow_percent=25.2)
    assert result.shares.tolist() == [0, -100, -100, 0]
    assert result.equity.tolist() == pytest.approx([1000, 999, 1198.2, 1198.2], abs=1e-9)
    assert result.cash.tolist() == pytest.approx([1000, 1999, 1998.2, 1198.2], abs=1e-9)
    trade = result.trades.iloc[0]
    assert (trade["side"], trade["entry_price"], trade["exit_price"], trade["shares"]) == ("short", 10, 8, 100)
    assert trade["profit"] == pytest.approx(198.2)
    assert trade["costs"] == pytest.approx(1.8)
    assert result.costs == pytest.approx(1.8)
    assert result.fills["borrow"].tolist() == pytest.approx([0, 1.8])


def test_a_short_position_that_is_still_open_has_paid_for_its_loan_too() -> None:
    result = traded(bars("A", [10, 10, 10]), by=signal(-1, -1, -1), borrow_percent=25.2)
    assert result.trades["profit"].tolist() == pytest.approx([-2])
    assert result.trades["costs"].tolist() == pytest.approx([2])
    assert result.costs == pytest.approx(2)


def test_a_weight_of_a_half_is_kept_at_a_half_each_bar() -> None:
    # 50 at 10. At 20 the worth is 1500, half of it 37.5 shares: 12.5 go for 250.
    result = traded(bars("A", [10, 10, 20]), by=signal(0.5, 0.5, 0.5), rebalance="bar")
    assert result.shares.tolist() == [0, 50, 37.5]
    assert result.cash.tolist() == [1000, 500, 750]


def test_a_weight_that_does_not_change_is_left_to_drift() -> None:
    assert traded(bars("A", [10, 10, 20]), by=signal(0.5, 0.5, 0.5)).shares.tolist() == [0, 50, 50]


@pytest.mark.parametrize(
    ("rebalance", "bars_traded"),
    [
        # 2012-01-02 is a Monday: the first order on Tuesday, then Mondays; then the first sessions of each month
        ("week", [1, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55]),
        ("month", [1, 22, 43]),
        ("quarter", [1]),
    ],
)
def test_a_schedule_trades_on_the_first_bar_of_each_period(rebalance: str, bars_traded: list[int]) -> None:
    rising = [10.0 + number for number in range(60)]
    result = traded(bars("A", rising), by=signal(*[0.5] * 60), rebalance=rebalance)
    assert result.fills["date"].tolist() == [DAYS[bar] for bar in bars_traded]


def test_a_symbol_without_a_bar_on_the_day_of_rebalancing_is_traded_on_its_next_one() -> None:
    # Monday the 9th is bar 5, on which B has no bar: it goes back to its half, of that Monday's decision, on Tuesday
    a = bars("A", [10] * 8)
    b = bars("B", [10, 10, 10, 10, 10, NONE, 10, 10])
    wanted = weights(A=[0.5] * 4 + [0, 0, 0, 0], B=[0.5] * 4 + [1, 0, 0, 0])
    result = traded(a, b, by=wanted, rebalance="week")
    assert result.shares["A"].tolist() == [0, 50, 50, 50, 50, 0, 0, 0]
    assert result.shares["B"].tolist() == [0, 50, 50, 50, 50, 50, 100, 100]
    assert result.equity.tolist() == [1000] * 8


def test_a_symbol_that_lists_later_is_bought_on_its_first_bar() -> None:
    # valued with its last close on the days that it misses
    a, b = bars("A", [10] * 5), bars("B", [NONE, NONE, 20, NONE, 30], [NONE, NONE, 25, NONE, 30])
    result = traded(a, b, by=weights(A=[0.5] * 5, B=[0.5] * 5))
    assert result.shares["B"].tolist() == [0, 0, 25, 25, 25]
    assert result.equity.tolist() == [1000, 1000, 1125, 1125, 1250]


def test_an_order_that_is_called_off_before_the_symbol_trades_is_not_made() -> None:
    a, b = bars("A", [10] * 5), bars("B", [10, NONE, NONE, 10, 10])
    result = traded(a, b, by=weights(A=[0] * 5, B=[1, 1, 0, 0, 0]))
    assert result.fills.empty


def test_a_minimum_fee_is_paid_out_of_what_is_spent() -> None:
    # (1000 - 10) / 10 = 99 shares; sold at 20 for 1980 - 10. 1 % of 990 is less than the 10.
    result = traded(bars("A", [10, 10, 20]), by=signal(1, 0, 0), minimum_fee=10, commission_bps=100)
    assert result.shares.tolist() == [0, 99, 0]
    # 1 % of 1980 is 19.80, more than the 10
    assert result.equity.tolist() == pytest.approx([1000, 990, 1960.2])
    assert result.costs == pytest.approx(29.8)


def test_what_a_minimum_fee_eats_whole_is_not_traded() -> None:
    # 1 % of the account is 10: less than the fee of 15
    assert traded(bars("A", [10, 10, 10]), by=signal(0.01, 0.01, 0), minimum_fee=15).fills.empty
    # 45.1 shares for 500; at 12 they are 541.20, the half of all is 520.60: the 20.60 too much bring less than the fee
    drifting = traded(bars("A", [10, 10, 12]), by=signal(0.5, 0.5, 0.5), minimum_fee=49, rebalance="bar")
    assert len(drifting.fills) == 1


def test_a_position_is_left_whatever_the_fee() -> None:
    # (1000 - 600) / 10 = 40 shares; 400 for them less the fee of 600 is more than there is
    result = traded(bars("A", [10, 10, 10]), by=signal(1, 0, 0), minimum_fee=600)
    assert result.cash.tolist() == [1000, 0, -200]
    assert result.ruined == DAYS[2]


def test_whole_shares_leave_the_rest_in_cash() -> None:
    result = traded(bars("A", [30, 30, 31, 31]), by=signal(1, 1, 0, 0), whole_shares=True)
    assert result.shares.tolist() == [0, 33, 33, 0]
    assert result.cash.tolist() == [1000, 10, 10, 1033]


def test_an_order_at_the_close_or_at_the_average_price_waits_for_the_next_bar_too() -> None:
    prices = bars("A", [10, 12, 16], [11, 20, 25], vwap=[10, 16, 20])
    at_close = traded(prices, by=signal(1, 0, 0), fill="close")
    assert at_close.shares.tolist() == [0, 50, 0]
    assert at_close.equity.tolist() == [1000, 1000, 1250]
    at_vwap = traded(prices, by=signal(1, 0, 0), fill="vwap")
    # 62.5 at 16, worth 20 at the close; sold at 20
    assert at_vwap.equity.tolist() == [1000, 1250, 1250]


def test_a_bar_without_an_average_price_fills_no_order() -> None:
    prices = bars("A", [10, 12, 16], [11, 20, 25], vwap=[10, NONE, 20])
    assert traded(prices, by=signal(1, 1, 1), fill="vwap").shares.tolist() == [0, 0, 50]


def test_leverage_borrows_the_money_without_interest() -> None:
    result = traded(bars("A", [10, 10, 12]), by=signal(2, 2, 2), leverage=2)
    assert result.shares.tolist() == [0, 200, 200]
    assert result.cash.tolist() == [1000, -1000, -1000]
    assert result.equity.tolist() == [1000, 1000, 1400]
    assert result.exposure.tolist() == pytest.approx([0, 2, 2400 / 1400])


def test_an_account_that_falls_to_nothing_is_closed_there() -> None:
    # 200 shares on 1000 borrowed: at 4.90 they are worth 980
    result = traded(bars("A", [10, 10, 4.9, 20], [10, 10, 4.9, 20]), by=signal(2, 2, 2, 2), leverage=2)
    assert result.ruined == DAYS[2]
    assert result.equity.tolist() == pytest.approx([1000, 1000, -20, -20])
    assert result.shares.tolist() == [0, 200, 0, 0]
    assert result.exposure.tolist() == [0, 2, 0, 0]
    trade = result.trades.iloc[0]
    assert (trade["exit_date"], trade["exit_price"], trade["ended_by"]) == (DAYS[2], 4.9, "ruin")
    assert trade["profit"] == pytest.approx(-1020)


def test_an_account_that_is_worth_nothing_when_it_should_trade_is_closed_at_that_price() -> None:
    # a short position of 100 at 10 opens at 25: 2000 - 2500. That it closes at 10 again is too late.
    result = traded(bars("A", [10, 10, 25, 10], [10, 10, 10, 10]), by=signal(-1, -1, -1, -1))
    assert result.ruined == DAYS[2]
    assert result.equity.tolist() == pytest.approx([1000, 1000, -500, -500])


def test_after_ruin_return_drawdown_and_turnover_agree() -> None:
    # worth 1000, then 1500 (short from 10 to 5), then ruined at 40: it owes 2000 - 4000
    prices = bars("A", [10, 10, 5, 40, 40, 40, 40, 40, 40, 40])
    result = traded(prices, by=signal(*[-1] * 10))
    assert result.equity.tolist() == [1000, 1000, 1500, *[-2000] * 7]
    figures = summary({"it": result})["it"]
    assert figures["total return %"] == figures["CAGR %"] == figures["max drawdown %"] == -100
    # sold for 1000 and bought back for 4000, in the four sessions until then, by twice a mean of 3500 / 4
    assert figures["turnover % a year"] == pytest.approx(100 * 5000 / 2 / (3500 / 4) / (4 / 252))
    # so a rest that follows the ruin changes nothing
    shorter = summary({"it": traded(prices.head(4), by=signal(-1, -1, -1, -1))})["it"]
    assert shorter.drop("time in market %").tolist() == pytest.approx(
        figures.drop("time in market %").tolist(), nan_ok=True
    )


def test_a_position_that_is_turned_around_ends_a_trade_and_begins_one() -> None:
    # 100 at 10; at 12 the worth is 1200: 200 sold, 100 of them short; at 6 that is 600 + 1200 - 600 = 1800 of worth:
    # 100 bought back and 300 more
    result = traded(bars("A", [10, 10, 12, 6, 6]), by=signal(1, -1, 1, 1, 1))
    assert result.shares.tolist() == [0, 100, -100, 300, 300]
    assert result.equity.tolist() == [1000, 1000, 1200, 1800, 1800]
    assert result.fills["shares"].tolist() == [100, -200, 400]
    assert result.trades["side"].tolist() == ["long", "short", "long"]
    assert result.trades["profit"].tolist() == pytest.approx([200, 600, 0])


def test_turning_from_short_to_long_with_costs_spends_all_there_is_and_no_more() -> None:
    result = traded(
        bars("A", [10, 10, 10, 10]), by=signal(-1, 1, 1, 1), commission_bps=100, slippage_bps=50, minimum_fee=1
    )
    assert result.shares.iloc[2] > 0
    assert result.cash.iloc[2] == pytest.approx(0, abs=1e-9)
    # sold 100 at 9.95, 1 % paid: 1000 + 995 - 9.95; all of it buys at 10.05 with 1 % on top
    assert result.shares.iloc[2] == pytest.approx((1985.05 / (10.05 * 1.01)) - 100)


def test_the_money_of_a_short_position_buys_nothing() -> None:
    # half short B; A may have half, not what B brought in. With B's bar missing, its debt counts at its last close.
    a, b = bars("A", [10, 10, 10, 10]), bars("B", [10, 10, NONE, 10])
    result = traded(a, b, by=weights(A=[0, 1, 1, 1], B=[-0.5, 0, 0, 0]))
    assert result.shares["B"].tolist() == [0, -50, -50, 0]
    assert result.shares["A"].tolist() == [0, 0, 100, 100]
    # 1000 + 500 - 1000; then 500 for the 50 of B
    assert result.cash.tolist() == [1000, 1500, 500, 0]


def test_buying_back_is_never_cut_short_for_a_purchase() -> None:
    # commission 10 %: the sale of B brought 450, buying it back takes 550; what is left of 1450 buys A, which asks more
    a, b = bars("A", [10, 10, 10]), bars("B", [10, 10, 10])
    result = traded(a, b, by=weights(A=[0, 1, 1], B=[-0.5, 0, 0]), commission_bps=1000)
    assert result.shares["B"].tolist() == [0, -50, 0]
    assert result.shares["A"].iloc[2] == pytest.approx((1450 - 550) / 11)
    assert result.cash.iloc[2] == pytest.approx(0, abs=1e-9)


def test_a_short_position_is_made_smaller_by_what_the_price_says() -> None:
    # 100 short at 10 and 2000 in cash; at 8 the worth is 1200: half of it is 75 short, so 25 are bought back for 200
    result = traded(bars("A", [10, 10, 8]), by=signal(-1, -0.5, -0.5))
    assert result.shares.tolist() == [0, -100, -75]
    assert result.cash.tolist() == [1000, 2000, 1800]


@pytest.mark.parametrize(
    ("bar", "price", "ended"),
    [
        # (open, high, low, close) of the bar after the purchase at 100; stop at 90, target at 120
        ((100, 105, 89, 95), 90, "stop loss"),
        ((100, 121, 99, 110), 120, "take profit"),
        ((100, 125, 85, 110), 90, "stop loss"),  # both: the stop is taken to have come first
        ((85, 95, 80, 90), 85, "stop loss"),  # a gap through the stop: its open
        ((130, 140, 125, 126), 130, "take profit"),  # a gap through the target: its open
        ((130, 140, 80, 90), 130, "take profit"),  # and that came before the low
        ((100, 120, 95, 110), 120, "take profit"),  # touched to the cent
        ((100, 110, 90, 95), 90, "stop loss"),
    ],
)
def test_a_stop_and_a_target_inside_a_bar(bar: tuple[float, ...], price: float, ended: str) -> None:
    first = (100, 100, 100, 100)
    columns = [list(column) for column in zip(first, first, bar, first, strict=True)]
    prices = bars("A", columns[0], columns[3], high=columns[1], low=columns[2])
    result = traded(prices, by=signal(1, 1, 1, 1), stop_loss_percent=10, take_profit_percent=20)
    assert result.trades["exit_price"].tolist() == pytest.approx([price])
    assert result.trades["ended_by"].tolist() == [ended]
    assert result.trades["exit_date"].tolist() == [DAYS[2]]
    # it stays out, since the target did not change
    assert result.shares.tolist() == [0, 10, 0, 0]


@pytest.mark.parametrize("percent", [3, 5, 7, 10, 15, 20, 30])
@pytest.mark.parametrize("entry", [10.0, 33.3, 70.0, 100.0])
def test_a_level_that_is_touched_to_the_last_digit_is_reached(entry: float, percent: float) -> None:
    high = float(f"{entry * (100 + percent) / 100:.6f}")
    prices = bars("A", [entry] * 3, [entry] * 3, high=[entry, entry, high], low=[entry] * 3)
    result = traded(prices, by=signal(1, 1, 1), take_profit_percent=percent)
    assert result.trades["ended_by"].tolist() == ["take profit"]


def test_a_short_position_is_stopped_above() -> None:
    # sold at 100: stop at 110, target at 80; the bar touches both
    prices = bars("A", [100, 100, 100], high=[100, 100, 111], low=[100, 100, 79])
    result = traded(prices, by=signal(-1, -1, -1), stop_loss_percent=10, take_profit_percent=20)
    assert result.trades["exit_price"].tolist() == pytest.approx([110])
    assert result.equity.iloc[-1] == pytest.approx(900)


def test_a_purchase_at_the_open_may_be_stopped_on_its_first_bar_and_one_at_the_close_not() -> None:
    prices = bars("A", [100, 100, 100], [100, 95, 100], high=[100] * 3, low=[100, 80, 100])
    at_open = traded(prices, by=signal(1, 1, 1), stop_loss_percent=10)
    assert at_open.trades["exit_date"].tolist() == [DAYS[1]]
    assert at_open.equity.tolist() == pytest.approx([1000, 900, 900])
    at_close = traded(prices, by=signal(1, 1, 1), stop_loss_percent=10, fill="close")
    assert at_close.trades["ended_by"].tolist() == [""]


def test_a_stopped_position_comes_back_when_its_target_changes() -> None:
    prices = bars("A", [100] * 7, high=[100] * 7, low=[100, 100, 80, 100, 100, 100, 100])
    changed = traded(prices, by=signal(1, 1, 1, 0, 1, 1, 1), stop_loss_percent=10)
    assert (changed.shares > 0).tolist() == [False, True, False, False, False, True, True]
    each_bar = traded(prices, by=signal(1, 1, 1, 1, 1, 1, 1), stop_loss_percent=10, rebalance="bar")
    assert (each_bar.shares > 0).tolist() == [False, True, False, True, True, True, True]


def test_a_stop_pays_costs_like_any_order() -> None:
    # bought at 101 with 1 % on top: 1000 / 102.01 shares; stopped 10 % below what was paid, less 1 % slippage, less 1 %
    prices = bars("A", [100, 100, 100], high=[100] * 3, low=[100, 100, 80])
    result = traded(prices, by=signal(1, 1, 1), stop_loss_percent=10, slippage_bps=100, commission_bps=100)
    assert result.equity.iloc[-1] == pytest.approx(1000 / 102.01 * 101 * 0.9 * 0.99 * 0.99)


def test_targets_that_differ_by_rounding_are_equal() -> None:
    same = signal(0.3, 0.1 * 3, 0.3, 0.1 + 0.2, 0.3)
    assert len(traded(bars("A", [10, 10, 20, 30, 40]), by=same).fills) == 1
    # and what rounding leaves of nothing is nothing
    gone = signal(1, 1, 1e-12, 1e-12, 1e-12)
    assert traded(bars("A", [10, 10, 20, 30, 40]), by=gone).shares.tolist() == [0, 100, 100, 0, 0]


def shown_figures(html: str) -> dict[str, str]:
    """The figures of a result's card, by name."""
    return dict(re.findall(r"<div style=[^>]*>([^<]*)</div><b>([^<]*)</b>", html))


def test_a_notebook_shows_a_result_as_a_card_of_its_main_figures() -> None:
    prices = bars("<b>&A", [10, 10, 20, 15, 18])
    prices.attrs = {"adjust": "split", "data_version": "7.<i>"}
    result = run(prices, signal(1, 1, 0, 1, 1), commission_bps=10)
    html = result._repr_html_()
    figures = result.summary()
    shown = shown_figures(html)
    assert shown["price return %"] == f"{figures['price return %']:,.2f}"
    assert shown["max drawdown %"] == f"{figures['max drawdown %']:,.2f}".replace("-", "−")
    assert (shown["trades"], shown["costs"]) == (f"{figures['trades']:.0f}", f"{result.costs:,.2f}")
    assert "2012-01-02 to 2012-01-06, 5 bars; data 7.&lt;i&gt;" in html
    assert f"&lt;b&gt;&amp;A: 10,000.00 became {result.equity.iloc[-1]:,.2f}" in html
    # a well-formed fragment, one point a bar, the highest value at the top
    points = ElementTree.fromstring(html).find(".//polyline").get("points").split()  # type: ignore[union-attr]
    heights = [float(point.split(",")[1]) for point in points]
    assert len(points) == 5
    assert heights.index(min(heights)) == result.equity.argmax()
    # the colours are those of the page: it is read on light and dark ones
    assert not re.findall(r"#[0-9a-f]{3,6}\b|background", html)


def test_a_card_says_when_the_account_was_ruined_and_a_dash_for_what_is_unknown() -> None:
    ruined = run(bars("A", [10, 10, 40, 40]), signal(-1, -1, -1, -1))
    html = ruined._repr_html_()
    assert f"; ruined on {ruined.ruined:%Y-%m-%d}" in html
    assert shown_figures(html)["Sharpe"] == "–"
    still = run(bars("A", [10, 10, 10]), signal(0, 0, 0))._repr_html_()
    assert ElementTree.fromstring(still).find(".//polyline") is not None
    nameless = pd.DataFrame({"open": [1.0, 2.0], "close": [1.0, 2.0]})
    assert "<b>10,000.00 became" in run(nameless, pd.Series([1.0, 1.0]))._repr_html_()


def test_a_long_history_and_many_symbols_keep_the_card_small() -> None:
    days = pd.bdate_range("1990-01-01", periods=3_000)
    many = pd.concat(
        pd.DataFrame({"symbol": f"S{n:02d}", "date": days, "open": 10.0, "close": 10.0}) for n in range(12)
    )
    html = run(many, pd.DataFrame(1 / 12, days, [f"S{n:02d}" for n in range(12)]))._repr_html_()
    assert "S07 and 4 more: " in html
    assert len(html) < 6_000
