"""The account: worked by hand, blind to the future, and plain about what it cannot trade."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_bars import walk as random_bars

from stocklib import metrics, plots
from stocklib.backtest import (
    buy_and_hold,
    check_no_look_ahead,
    donchian_breakout,
    momentum_rotation,
    read_bars,
    run,
    sma_crossover,
    summary,
    sweep,
    volatility_target,
    walk_forward,
)
from stocklib.errors import InputError

DAYS = pd.date_range("2012-01-02", periods=6, freq="D")


def bars(opens: list[float], closes: list[float]) -> pd.DataFrame:
    days = pd.date_range("2012-01-02", periods=len(opens), freq="D")
    return pd.DataFrame({"symbol": "AAPL", "date": days, "open": opens, "close": closes})


def test_an_account_worked_by_hand_bar_by_bar() -> None:
    # in after bar 0: bought at bar 1's open, 20: 50 shares. Out after bar 2: sold at bar 3's open, 30: 1500.
    # in again after bar 4: bought at bar 5's open, 15: 100 shares, worth 1400 at the close of 14.
    prices = bars([10, 20, 24, 30, 18, 15], [11, 22, 26, 28, 16, 14])
    signal = pd.Series([1, 1, 0, 0, 1, 0], DAYS)
    result = run(prices, signal, cash=1000)
    assert result.shares.tolist() == [0, 50, 50, 0, 0, 100]
    assert result.equity.tolist() == [1000, 1100, 1300, 1500, 1500, 1400]
    trades = result.trades
    assert trades["entry_date"].tolist() == [DAYS[1], DAYS[5]]
    assert trades["exit_date"].iloc[0] == DAYS[3]
    assert pd.isna(trades["exit_date"].iloc[1])
    assert trades["entry_price"].tolist() == [20, 15]
    assert trades["exit_price"].tolist() == [30, 14]
    assert trades["profit"].tolist() == [500, -100]
    assert trades["return_percent"].round(9).tolist() == [50, -6.666666667]
    assert result.costs == 0


def test_costs_worked_by_hand() -> None:
    # 1 % slippage and 1 % commission. Bought at 20 × 1.01 = 20.20; 1000 / (20.20 × 1.01) shares. Sold at 30 × 0.99.
    prices = bars([10, 20, 24, 30], [11, 22, 26, 28])
    result = run(prices, pd.Series([1, 1, 0, 0], DAYS[:4]), commission_bps=100, slippage_bps=100, cash=1000)
    shares = 1000 / 20.402
    assert result.shares.tolist() == pytest.approx([0, shares, shares, 0])
    assert result.equity.iloc[-1] == pytest.approx(shares * 29.7 * 0.99)
    slippage, commission = shares * (0.20 + 0.30), shares * (0.202 + 0.297)
    assert result.costs == pytest.approx(slippage + commission)
    # what the trade brought without costs, at the same number of shares, less the costs, is what it brought
    assert result.trades["profit"].iloc[0] == pytest.approx(shares * 10 - result.costs)


def test_buy_and_hold_pays_once_and_follows_the_closes() -> None:
    prices = bars([10, 20, 24, 30], [11, 22, 26, 28])
    result = run(prices, buy_and_hold(prices), commission_bps=50, cash=1000)
    shares = 1000 / (20 * 1.005)
    assert result.equity.tolist() == pytest.approx([1000, shares * 22, shares * 26, shares * 28])
    assert len(result.trades) == 1
    assert result.costs == pytest.approx(shares * 20 * 0.005)


def test_a_signal_of_the_last_bar_is_never_traded() -> None:
    prices = bars([10, 20], [11, 22])
    assert run(prices, pd.Series([0, 1], DAYS[:2])).trades.empty


def walk(seed: int, count: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    closes = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, count)))
    return bars(list(closes * np.exp(rng.normal(0, 0.005, count))), list(closes))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(2, 58), shuffle=st.integers(0, 10_000))
def test_shuffling_the_future_changes_nothing_before_it(seed: int, cut: int, shuffle: int) -> None:
    prices = walk(seed, 60)
    order = np.random.default_rng(shuffle).permutation(np.arange(cut, 60))
    other = prices.copy()
    other.loc[cut:, ["open", "close"]] = prices.loc[order, ["open", "close"]].to_numpy()
    first, second = (run(each, sma_crossover(each, 3, 8), commission_bps=5) for each in (prices, other))
    assert first.equity.iloc[:cut].tolist() == second.equity.iloc[:cut].tolist()
    # what is held at the first shuffled bar was decided before it, too
    assert first.shares.gt(0).iloc[: cut + 1].tolist() == second.shares.gt(0).iloc[: cut + 1].tolist()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), commission=st.floats(0, 200), slippage=st.floats(0, 200))
def test_costs_never_help_and_the_trades_account_for_the_money(seed: int, commission: float, slippage: float) -> None:
    prices = walk(seed, 50)
    signal = sma_crossover(prices, 2, 5)
    free = run(prices, signal)
    paid = run(prices, signal, commission_bps=commission, slippage_bps=slippage)
    assert paid.equity.iloc[-1] <= free.equity.iloc[-1] * (1 + 1e-12)
    assert paid.equity.iloc[-1] == pytest.approx(10_000 + paid.trades["profit"].sum())


def test_a_crossover_holds_while_the_fast_average_is_above() -> None:
    prices = bars([1] * 6, [10, 10, 10, 16, 10, 1])
    # SMA 2: -, 10, 10, 13, 13, 5.5; SMA 3: -, -, 10, 12, 12, 9
    assert sma_crossover(prices, 2, 3).tolist() == [0, 0, 0, 1, 1, 0]


def test_equal_prices_never_cross() -> None:
    closes = [0.1 + 0.2] * 3 + [0.3] * 20
    assert sma_crossover(bars([1] * 23, closes), 3, 7).sum() == 0


@pytest.mark.parametrize(("fast", "slow"), [(0, 5), (5, 5), (9, 5), (-1, 3)])
def test_a_crossover_needs_a_fast_and_a_slow_window(fast: int, slow: int) -> None:
    with pytest.raises(InputError, match="fast="):
        sma_crossover(walk(1, 30), fast, slow)


def test_a_window_longer_than_the_data_never_holds() -> None:
    assert sma_crossover(walk(1, 10), 5, 50).sum() == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.iloc[::-1], "in order of time"),
        (lambda f: pd.concat([f, f.tail(1)]), "in order of time"),
        (lambda f: f.assign(open=f["open"].where(f.index != 3)), "2012-01-05"),
        (lambda f: f.assign(close=f["close"].where(f.index != 3, 0.0)), "2012-01-05"),
        (lambda f: f.assign(close=-f["close"]), "zero or negative"),
        (lambda f: f.head(1), "too few"),
        (lambda f: f.head(0), "too few"),
        (lambda f: f.drop(columns="open"), "lack open"),
        (lambda f: f.assign(symbol=["AAPL", *["FB"] * (len(f) - 1)]), "several symbols"),
    ],
)
def test_bars_that_cannot_be_traded_are_refused(change, said) -> None:  # type: ignore[no-untyped-def]
    frame = change(walk(1, 8))
    with pytest.raises(InputError, match=said):
        run(frame, pd.Series(1.0, index=frame["date"]))


@pytest.mark.parametrize("value", [np.nan, 2, -1.5, np.inf])
def test_a_weight_is_a_number_within_the_leverage(value: float) -> None:
    prices = walk(1, 6)
    signal = buy_and_hold(prices)
    signal.iloc[3] = value
    with pytest.raises(InputError, match="2012-01-05"):
        run(prices, signal)


def test_a_signal_of_other_dates_is_refused() -> None:
    prices = walk(1, 6)
    with pytest.raises(InputError, match="own dates"):
        run(prices, buy_and_hold(prices).iloc[1:])


def test_a_signal_by_row_is_refused_with_the_form_of_bars_that_keeps_dates() -> None:
    prices = walk(1, 12)

    def rule(bars: pd.DataFrame) -> pd.Series:
        return (bars["close"] > bars["close"].rolling(2).mean()).astype(float)

    for call in (lambda: run(prices, rule(prices)), lambda: check_no_look_ahead(prices, rule)):
        with pytest.raises(InputError, match=r"numbered by row, not on the bars' own dates: .*prices\(…, index=True\)"):
            call()
    assert len(run(prices.set_index("date"), rule(prices.set_index("date"))).equity) == 12


@pytest.mark.parametrize("wrong", [{"cash": 0}, {"commission_bps": -1}, {"slippage_bps": 10_000}, {"cash": np.nan}])
def test_nonsense_costs_are_refused(wrong: dict[str, float]) -> None:
    prices = walk(1, 6)
    with pytest.raises(InputError, match=next(iter(wrong))):
        run(prices, buy_and_hold(prices), **wrong)


def test_a_summary_sets_results_side_by_side() -> None:
    prices = walk(3, 260)
    table = summary({"crossover": run(prices, sma_crossover(prices, 5, 20)), "hold": run(prices, buy_and_hold(prices))})
    assert list(table.columns) == ["crossover", "hold"]
    assert table.loc["trades", "hold"] == 1
    assert table.loc["max drawdown %", "hold"] <= 0
    assert table.notna().all().all()


def test_every_table_of_a_result_says_which_data_it_was_and_none_is_made_before_it_is_asked_for() -> None:
    prices = walk(3, 60)
    prices.attrs["data_version"] = "load 7"
    signal = sma_crossover(prices, 2, 5)
    tables = ("equity", "cash", "shares", "exposure", "trades", "fills")
    for bars_ in (prices, read_bars(prices)):
        result = run(bars_, signal)
        assert not set(tables) & set(vars(result))
        assert [getattr(result, name).attrs for name in tables] == [{"data_version": "load 7"}] * len(tables)
    panel = pd.concat([prices, prices.assign(symbol="FB")])
    panel.attrs = prices.attrs
    assert run(panel, buy_and_hold(panel)).shares.attrs == {"data_version": "load 7"}


def test_a_trade_within_the_day_that_is_still_open_keeps_the_time_zone() -> None:
    minutes = pd.date_range("2012-12-14 14:30", periods=5, freq="min", tz="UTC")
    prices = pd.DataFrame({"time": minutes, "open": 10.0, "close": [10.0, 11.0, 12.0, 13.0, 14.0]})
    trades = run(prices, buy_and_hold(prices)).trades
    assert trades["entry_date"].tolist() == [minutes[1]]
    assert trades["exit_date"].isna().all()
    assert trades["exit_date"].dtype == trades["entry_date"].dtype == minutes.dtype


def sessions(*days: list[float]) -> pd.DataFrame:
    """Bars of an hour from 9:30 in New York on, a list of closes a session."""
    dates = pd.bdate_range("2012-12-10", periods=len(days), tz="America/New_York")
    times = [
        day + pd.Timedelta(hours=9.5 + n) for day, closes in zip(dates, days, strict=True) for n in range(len(closes))
    ]
    close = pd.Series([price for closes in days for price in closes])
    return pd.DataFrame({"time": pd.DatetimeIndex(times).tz_convert("UTC"), "open": close, "close": close})


def test_a_fall_within_a_session_is_a_drawdown_everywhere() -> None:
    prices = sessions([100, 100, 101], [102, 81, 103], [103, 104, 105], [105, 106, 107])
    result = run(prices, buy_and_hold(prices))
    figures = summary({"it": result})["it"]
    deepest = 100 * (81 / 102 - 1)
    assert figures["max drawdown %"] == pytest.approx(deepest)
    assert figures["Calmar"] == pytest.approx(figures["CAGR %"] / -deepest)
    swept = sweep(prices, sma_crossover, {"fast": [1], "slow": [2]}).iloc[0]
    crossed = run(prices, sma_crossover(prices, 1, 2))
    assert swept["max drawdown %"] == pytest.approx(metrics.max_drawdown(crossed.equity).percent)
    assert swept["max drawdown %"] < -5
    assert min(plots.equity_curve({"it": result.equity}).data[1].y) == pytest.approx(deepest)


def test_months_and_weeks_are_new_york_s() -> None:
    # 20:00 in New York on 30 November is 1 December in UTC
    times = pd.DatetimeIndex(
        ["2012-11-29 15:30", "2012-11-30 15:30", "2012-11-30 20:00", "2012-12-03 09:30", "2012-12-03 10:30"]
    )
    times = times.tz_localize("America/New_York").tz_convert("UTC")
    prices = pd.DataFrame({"time": times, "open": [10.0, 10.0, 12.0, 14.0, 16.0], "close": 15.0})
    half = pd.Series(0.5, times)
    for rebalance in ("month", "week"):
        traded = run(prices, half, rebalance=rebalance, cash=1000).fills["date"]
        assert traded.tolist() == [times[1], times[3]]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"open": 150.0}, "has its open outside its low and high"),
        ({"close": 5.0}, "has its close outside its low and high"),
        ({"low": 150.0, "high": 149.0}, "has its open outside|has a high below its low"),
        ({"high": 50.0}, "outside its low and high"),
    ],
)
def test_a_bar_that_cannot_be_is_refused(wrong: dict[str, float], said: str) -> None:
    prices = pd.DataFrame({"symbol": "X", "date": DAYS, "open": 100.0, "high": 101.0, "low": 99.0, "close": 100.0})
    for name, price in wrong.items():
        prices.loc[3, name] = price
    for without in ([], ["low"], ["high"]):
        if set(without) & set(wrong) or (without and set(wrong) <= {"open", "close"} and without != ["low"]):
            continue
        if without == ["low"] and wrong == {"close": 5.0}:
            continue
        with pytest.raises(InputError, match=f"the bar of X of 2012-01-05 00:00:00 .*({said})"):
            run(prices.drop(columns=without), pd.Series(1.0, DAYS))
    # six decimals are no such bar
    fine = prices.assign(open=100.0, close=100.0, high=100.0 - 1e-6, low=100.0)
    assert run(fine, pd.Series(1.0, DAYS)).equity.iloc[-1] == pytest.approx(10_000)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda w: w.map(str), "weights must be numbers"),
        (lambda w: w.astype(object).map(str), "weights must be numbers"),
        (lambda w: w.to_list(), "not list"),
        (lambda w: w[::-1], "own dates"),
        (lambda w: w.set_axis(w.index.strftime("%d/%m/%Y")), "to_datetime"),
    ],
)
def test_weights_are_numbers_on_the_bars_dates(make: Callable[[pd.Series], Any], said: str) -> None:
    prices = walk(1, 6)
    with pytest.raises(InputError, match=said):
        run(prices, make(buy_and_hold(prices)))


def test_weights_may_be_truths_and_their_dates_written_otherwise() -> None:
    prices = walk(1, 6)
    right = run(prices, buy_and_hold(prices)).equity
    dates = pd.DatetimeIndex(prices["date"])
    for index in (dates.strftime("%Y-%m-%d"), dates.date, dates.as_unit("ns"), dates.as_unit("s")):
        assert run(prices, pd.Series(True, index)).equity.equals(right)
    minutes = sessions([10, 11, 12], [13, 14, 15])
    held = pd.Series(1.0, pd.DatetimeIndex(minutes["time"]).tz_convert("America/New_York"))
    assert run(minutes, held).equity.equals(run(minutes, buy_and_hold(minutes)).equity)


def test_a_return_is_called_what_the_prices_make_of_it() -> None:
    prices = walk(3, 60)
    names = {"split": "price return %", "none": "price return %", "total": "total return %", None: "total return %"}
    results = {}
    for adjust, name in names.items():
        prices.attrs = {} if adjust is None else {"adjust": adjust}
        results[str(adjust)] = run(prices, buy_and_hold(prices))
        figures = summary({"it": results[str(adjust)]})
        assert [row for row in figures.index if "return" in row] == [name]
        for swept in (sma_crossover, volatility_target):
            grid = {"fast": [2], "slow": [5]} if swept is sma_crossover else {"window": [5]}
            assert [column for column in sweep(prices, swept, grid) if "return" in column] == [name]
        found = walk_forward(prices, sma_crossover, {"fast": [2], "slow": [5]}, train=20, test=20, by="total return %")
        assert f"{name} in sample" in found.choices
    both = summary(results)
    assert list(both.index[:3]) == ["price return %", "total return %", "CAGR %"]
    assert both.loc["price return %"].isna().tolist() == [False, False, True, True]


def test_bars_within_the_day_have_no_volatility_of_sessions() -> None:
    with pytest.raises(InputError, match="give it daily bars"):
        volatility_target(sessions([100, 101, 102], [103, 104, 105]), window=2)


def test_an_open_trade_of_numbered_bars_has_no_exit() -> None:
    prices = random_bars(1, 10).drop(columns="date")
    trades = run(prices, pd.Series(1.0, prices.index)).trades
    assert trades["entry_date"].tolist() == [1]
    assert trades["exit_date"].isna().all()


@pytest.mark.parametrize("vwap", [0.5, 1000.0])
def test_nothing_is_filled_at_a_mean_price_outside_its_bar(vwap: float) -> None:
    prices = random_bars(1, 10).assign(vwap=lambda frame: frame["close"])
    run(prices, pd.Series(1.0, prices["date"]), fill="vwap")
    prices.loc[4, "vwap"] = vwap
    with pytest.raises(InputError, match=r"the bar of .* has its vwap outside its low and high"):
        run(prices, pd.Series(1.0, prices["date"]), fill="vwap")
    # what is not used does no harm
    run(prices, pd.Series(1.0, prices["date"]))


@pytest.mark.parametrize("wrong", [{"entry": 2.5}, {"exit": 0}])
def test_a_channel_needs_whole_windows(wrong: dict[str, float]) -> None:
    prices = random_bars(1, 40)
    with pytest.raises(InputError, match=f"{next(iter(wrong))}=.* a window is a whole number"):
        donchian_breakout(prices, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"window": 2.5}, {"skip": -1}, {"hold": 0}])
def test_a_rotation_needs_whole_windows(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(wrong))}="):
        momentum_rotation(random_bars(1, 40), **wrong)  # type: ignore[arg-type]


def test_figures_a_year_of_bars_within_the_day_are_those_of_its_sessions() -> None:
    opens = pd.bdate_range("2012-12-03 14:30", periods=9, tz="UTC")
    minutes = pd.DatetimeIndex([at + pd.Timedelta(minutes=n) for at in opens for n in range(20)])
    prices = random_bars(3, 180).drop(columns="date").assign(time=minutes)
    result = run(prices, buy_and_hold(prices), commission_bps=5)
    figures = summary({"held": result}, result.equity)["held"]
    ends = result.equity.iloc[[0, *range(19, 180, 20)]]
    changes = (ends / ends.shift(1) - 1).dropna()
    assert len(changes) == 9
    assert figures["volatility %"] == pytest.approx(100 * 252**0.5 * changes.std(ddof=1), rel=1e-12)
    assert figures["Sharpe"] == pytest.approx(252**0.5 * changes.mean() / changes.std(ddof=1), rel=1e-12)
    assert figures["CAGR %"] == pytest.approx(100 * ((ends.iloc[-1] / 10_000) ** (252 / 9) - 1), rel=1e-12)
    traded = float((result.fills["shares"] * result.fills["price"]).sum())
    assert figures["turnover % a year"] == pytest.approx(100 * traded / 2 / result.equity.mean() / (9 / 252))
    # a sweep finds the same, though it is compiled for daily bars
    row = sweep(prices, sma_crossover, {"fast": [2], "slow": [5]}).iloc[0]
    crossed = summary({"it": run(prices, sma_crossover(prices, 2, 5))})["it"]
    assert row["Sharpe"] == crossed["Sharpe"]
