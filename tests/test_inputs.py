"""Every public function that takes a series or a frame takes its data by one gate: times, numbers, order, size.

Each function stands here once, as something that is called with one frame of bars; a function that is missing here
fails the last test. What a gate does is then asked of all of them.
"""

from collections.abc import Callable
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_bars import walk

from stocklib import backtest, indicators, metrics, plots
from stocklib.errors import InputError

Bars = pd.DataFrame
Calls = dict[str, Callable[[Bars], Any]]

OF_INDICATORS: Calls = {
    **{
        name: lambda f, n=name: getattr(indicators, n)(f["close"], 5) for name in ("sma", "ema", "wma", "rsi", "zscore")
    },
    **{name: lambda f, n=name: getattr(indicators, n)(f["close"], 5) for name in ("bollinger", "rolling_volatility")},
    "macd": lambda f: indicators.macd(f["close"], fast=2, slow=4, signal=3),
    "ewma_volatility": lambda f: indicators.ewma_volatility(f["close"], warm_up=5),
    "drawdown": lambda f: indicators.drawdown(f["close"]),
    "atr": lambda f: indicators.atr(f["high"], f["low"], f["close"], 5),
    "stochastic": lambda f: indicators.stochastic(f["high"], f["low"], f["close"], window=5),
    "parkinson": lambda f: indicators.parkinson(f["high"], f["low"], 5),
    "garman_klass": lambda f: indicators.garman_klass(f["open"], f["high"], f["low"], f["close"], 5),
    "obv": lambda f: indicators.obv(f["close"], f["volume"]),
    "vwap": lambda f: indicators.vwap(f["close"], f["volume"]),
    "rolling_beta": lambda f: indicators.rolling_beta(f["close"], f["close"], 5),
    "rolling_correlation": lambda f: indicators.rolling_correlation(f["close"], f["close"], 5),
}
OF_METRICS: Calls = {
    **{
        name: lambda f, n=name: getattr(metrics, n)(f["close"])
        for name in metrics.__all__
        if name.islower() and name not in ("alpha", "beta", "information_ratio", "worst_drawdowns")
    },
    "worst_drawdowns": lambda f: pd.Series([one.percent for one in metrics.worst_drawdowns(f["close"])], dtype=float),
    "alpha": lambda f: metrics.alpha(f["close"], f["open"]),
    "beta": lambda f: metrics.beta(f["close"], f["open"]),
    "information_ratio": lambda f: metrics.information_ratio(f["close"], f["open"]),
}
SMALL = {"fast": [2], "slow": [5]}
OF_BACKTEST: Calls = {
    "read_bars": lambda f: pd.Series(backtest.read_bars(f).close[:, 0]),
    "run": lambda f: backtest.run(f, pd.Series(1.0, getattr(f, "index", None)), commission_bps=5).equity,
    "summary": lambda f: backtest.summary({"it": backtest.run(f, backtest.buy_and_hold(f))})["it"],
    "sweep": lambda f: backtest.sweep(f, backtest.sma_crossover, SMALL).iloc[0].astype("float64"),
    "walk_forward": lambda f: (
        backtest.walk_forward(f, backtest.ema_crossover, SMALL, train=20, test=20, by="CAGR %").result.equity
    ),
    "check_no_look_ahead": lambda f: backtest.check_no_look_ahead(f, backtest.buy_and_hold, cuts=1),
    "buy_and_hold": lambda f: backtest.buy_and_hold(f),
    "sma_crossover": lambda f: backtest.sma_crossover(f, 2, 5),
    "ema_crossover": lambda f: backtest.ema_crossover(f, 2, 5),
    "rsi_reversion": lambda f: backtest.rsi_reversion(f, 5),
    "donchian_breakout": lambda f: backtest.donchian_breakout(f, 5, 3),
    "momentum_rotation": lambda f: backtest.momentum_rotation(f, 5)[""],
    "volatility_target": lambda f: backtest.volatility_target(f, window=5),
}
OF_TIME: Calls = {
    **{f"backtest.{name}": call for name, call in OF_BACKTEST.items()},
    **{f"indicators.{name}": call for name, call in OF_INDICATORS.items()},
    **{f"metrics.{name}": call for name, call in OF_METRICS.items()},
}


def bars() -> Bars:
    """Sixty bars by date."""
    return walk(5, 60).drop(columns="symbol").set_index("date")


def numbers_in(answer: Any) -> list[Any]:
    """What an answer holds, as arrays and numbers."""
    if isinstance(answer, pd.Series | pd.DataFrame):
        return [answer]
    if isinstance(answer, float):
        return [answer]
    return [part for part in vars(answer).values() if isinstance(part, pd.Series | pd.DataFrame | float)]


def same(one: Any, other: Any) -> bool:
    """Whether two answers hold the same numbers."""
    pairs = zip(numbers_in(one), numbers_in(other), strict=True)
    return all(np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True) for a, b in pairs)


# ── times ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

WRITINGS: dict[str, Callable[[pd.DatetimeIndex], pd.Index]] = {
    "text": lambda days: pd.Index(days.strftime("%Y-%m-%d")),
    "text with times": lambda days: pd.Index(days.strftime("%Y-%m-%dT%H:%M:%S-05:00")),
    "objects of text": lambda days: pd.Index(days.strftime("%Y-%m-%d"), dtype=object),
    "Python's dates": lambda days: pd.Index(days.date, dtype=object),
    "Python's datetimes": lambda days: pd.Index(days.to_pydatetime(), dtype=object),
    "aware datetimes": lambda days: pd.Index(days.tz_localize(UTC).to_pydatetime(), dtype=object),
    "aware": lambda days: days.tz_localize("UTC"),
    "Arrow's dates": lambda days: pd.Index(pd.array(days.date, dtype="date32[day][pyarrow]")),
    "Arrow's times": lambda days: pd.Index(pd.array(days, dtype="timestamp[us][pyarrow]")),
    "Arrow's aware times": lambda days: pd.Index(
        pd.array(days.tz_localize(UTC), dtype="timestamp[us, tz=UTC][pyarrow]")
    ),
    "periods": lambda days: days.to_period("D"),
    "categories": lambda days: pd.CategoricalIndex(days.strftime("%Y-%m-%d")),
}


@pytest.mark.parametrize("name", OF_TIME)
def test_times_mean_the_same_however_they_are_written_and_newest_first_is_refused(name: str) -> None:
    frame, call = bars(), OF_TIME[name]
    right = call(frame)
    for writing, write in WRITINGS.items():
        written = frame.set_axis(write(pd.DatetimeIndex(frame.index)))
        assert same(call(written), right), writing
        for wrong in (written[::-1], written.iloc[[0, 2, 1, *range(3, 60)]], written.iloc[[0, 0, *range(1, 60)]]):
            with pytest.raises(InputError, match="in order of time, one a date"):
                call(wrong)


STRANGE = {
    "dates as numbers": [20120103 + n for n in range(60)][::-1],
    "seconds": [1355495400 + 300 * n for n in range(60)],
    "names": [f"row {n}" for n in range(60)],
    "days first": [f"{1 + n // 2:02d}/01/2012" for n in range(60)],
    "with and without a zone": ["2012-01-03", *[f"2012-02-{1 + n % 29:02d}T09:30:00Z" for n in range(59)]],
    "truth values": [True] * 60,
    "lists": [(n,) for n in range(60)],
}


@pytest.mark.parametrize("name", OF_TIME)
def test_what_is_no_time_is_refused_in_a_sentence(name: str) -> None:
    for strange in STRANGE.values():
        with pytest.raises(InputError, match=r"to_datetime|time zone|several symbols"):
            OF_TIME[name](bars().set_axis(pd.Index(strange, dtype=object, tupleize_cols=False)))
    missing = bars()
    missing.index = missing.index.where(np.arange(60) != 7)
    with pytest.raises(InputError, match="no date"):
        OF_TIME[name](missing)


@pytest.mark.parametrize("name", OF_TIME)
def test_places_that_are_there_twice_are_refused(name: str) -> None:
    """As two files read one after the other have them, or two symbols."""
    with pytest.raises(InputError, match="in order of time, one a date"):
        OF_TIME[name](bars().set_axis(pd.Index([*range(30), *range(30)])))


def test_durations_within_a_day_are_no_sessions() -> None:
    minutes = bars()["close"].set_axis(pd.to_timedelta(np.arange(60) * 5, unit="min"))
    with pytest.raises(InputError, match="several values of 0 days"):
        metrics.sharpe(minutes)


NO_NUMBERS = ("x", "5", None, float("nan"), float("inf"), [1], {}, object(), pd.Series([1.0, 2.0]), True)
ARGUMENTS: Calls = {
    "deviations": lambda wrong: indicators.bollinger(bars()["close"], 5, deviations=wrong),
    "decay": lambda wrong: indicators.ewma_volatility(bars()["close"], decay=wrong),
    "window": lambda wrong: indicators.sma(bars()["close"], wrong),
    "share": lambda wrong: metrics.cvar(bars()["close"], share=wrong),
    "level": lambda wrong: metrics.sharpe_band(bars()["close"], level=wrong),
    "count": lambda wrong: metrics.worst_drawdowns(bars()["close"], wrong),
    "risk_free_percent": lambda wrong: metrics.sharpe(bars()["close"], risk_free_percent=wrong),
    "cuts": lambda wrong: backtest.check_no_look_ahead(bars(), backtest.buy_and_hold, cuts=wrong),
    "fast": lambda wrong: backtest.sma_crossover(bars(), wrong, 5),
    "slow": lambda wrong: backtest.ema_crossover(bars(), 2, wrong),
    "hold": lambda wrong: backtest.momentum_rotation(bars(), 5, hold=wrong),
    "buy_below": lambda wrong: backtest.rsi_reversion(bars(), 5, buy_below=wrong),
    "most": lambda wrong: backtest.volatility_target(bars(), most=wrong),
    **{
        name: lambda wrong, n=name: backtest.run(bars(), backtest.buy_and_hold(bars()), **{n: wrong})
        for name in ("fill", "rebalance", "commission_bps", "minimum_fee", "borrow_percent", "leverage", "cash")
    },
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_argument_that_is_no_number_is_refused_in_a_line(name: str) -> None:
    for wrong in NO_NUMBERS:
        with pytest.raises(InputError, match=rf"^{name}=[^\n]* is not possible[^\n]*$"):
            ARGUMENTS[name](wrong)


# ── numbers ───────────────────────────────────────────────────────────────────────────────────────────────────────────

NUMBERS: dict[str, Callable[[pd.Series], pd.Series]] = {
    "objects": lambda column: column.astype(object),
    "decimals": lambda column: column.map(Decimal).astype(object),
    "nullable": lambda column: column.astype("Float64"),
    "Arrow's": lambda column: column.astype("double[pyarrow]"),
}


@pytest.mark.parametrize("name", OF_TIME)
def test_numbers_of_any_kind_give_the_same_doubles(name: str) -> None:
    frame, call = bars(), OF_TIME[name]
    right = call(frame)
    for kind, make in NUMBERS.items():
        got = call(frame.apply(make))
        assert same(got, right), kind
        assert all(np.asarray(part).dtype == np.float64 for part in numbers_in(got)), kind


@pytest.mark.parametrize("name", OF_TIME)
def test_single_precision_comes_out_as_doubles(name: str) -> None:
    small = bars().astype("float32")
    got, right = OF_TIME[name](small), OF_TIME[name](small.astype("float64"))
    assert same(got, right)
    assert all(np.asarray(part).dtype == np.float64 for part in numbers_in(got))


WRONG: dict[str, Callable[[pd.Series], Any]] = {
    "text": lambda column: column.map(str),
    "objects of text": lambda column: column.map(str).astype(object),
    "one text": lambda column: column.astype(object).where(np.arange(len(column)) != 30, "12.5"),
    "truth values": lambda column: column > 1,
    "dates": lambda column: pd.Series(column.index, column.index),
    "complex": lambda column: column.astype("complex128"),
    "infinite": lambda column: column.where(np.arange(len(column)) != 30, np.inf),
    "minus infinite": lambda column: column.where(np.arange(len(column)) != 30, -np.inf),
    "beyond any price": lambda column: column.where(np.arange(len(column)) != 30, 1e200),
}


@pytest.mark.parametrize("name", OF_TIME)
def test_what_is_no_number_is_refused(name: str) -> None:
    for make in WRONG.values():
        with pytest.raises(InputError, match=r"must be numbers|finite|infinite"):
            OF_TIME[name](bars().apply(make))


@pytest.mark.parametrize("name", OF_TIME)
def test_lists_arrays_and_the_like_are_refused(name: str) -> None:
    for make in (list, np.asarray, tuple, dict, lambda column: None, lambda column: 5.0):
        with pytest.raises(InputError, match=r"must be a (series|frame)|not dict"):
            OF_TIME[name]({column: make(values) for column, values in bars().items()})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", OF_TIME)
def test_no_answer_is_infinite_whatever_the_prices(name: str) -> None:
    frame = bars()
    extremes = {
        "still": frame * 0 + 5,
        "one huge": frame.assign(**{c: frame[c].where(np.arange(60) != 30, 1e20) for c in frame}),
        "one tiny": frame.assign(**{c: frame[c].where(np.arange(60) != 30, 1e-20) for c in frame}),
        "nothing traded": frame.assign(volume=0.0),
        "two": frame.iloc[[0, 30]] * np.array([[1e-18], [1e18]]),
    }
    for case in extremes.values():
        try:
            answer = OF_TIME[name](case)
        except InputError:
            continue
        for part in numbers_in(answer):
            assert not np.isinf(np.asarray(part, dtype="float64")).any()


# ── figures ───────────────────────────────────────────────────────────────────────────────────────────────────────────

OVER_TIME: Calls = {
    "candlestick": lambda f: plots.candlestick(
        f.rename_axis("date").reset_index(), overlays={"close": f["close"].reset_index(drop=True)}
    ),
    "comparison": lambda f: plots.comparison(f.rename_axis("date").reset_index().assign(symbol="A")),
    "correlation_matrix": lambda f: plots.correlation_matrix(f[["open", "close"]]),
    "equity_curve": lambda f: plots.equity_curve({"A": f["close"], "B": f["open"]}),
    "exposure": lambda f: plots.exposure(f["close"]),
    "lines": lambda f: plots.lines(f[["open", "close"]], unit="USD"),
    "monthly_heatmap": lambda f: plots.monthly_heatmap(f["close"]),
    "monthly_returns": lambda f: plots.monthly_returns(f["close"]),
    "return_distribution": lambda f: plots.return_distribution(f["close"]),
    "rolling_metrics": lambda f: plots.rolling_metrics({"A": f["close"]}, window=5, benchmark=f["open"]),
    "yearly_returns": lambda f: plots.yearly_returns({"A": f["close"], "B": f["open"]}),
}
NUMBERS_ALONE: Calls = {
    "bars": lambda f: plots.bars(f["close"], unit="USD"),
    "treemap": lambda f: plots.treemap(rows_of(f, "market_cap", "change_percent").assign(sector="X")),
    "kpis": lambda f: plots.kpis(rows_of(f, "current_price", "change_amount")),
    "ytd_bars": lambda f: plots.ytd_bars(rows_of(f, "ytd_return_percent")),
    "volatility_bars": lambda f: plots.volatility_bars(rows_of(f, "volatility_30day_percent")),
    "sweep_heatmap": lambda f: plots.sweep_heatmap(rows_of(f, "Sharpe").assign(fast=range(60), slow=1), "fast", "slow"),
}


def rows_of(frame: Bars, *columns: str) -> Bars:
    """A symbol a row, the bars' closes as what the columns say."""
    closes = frame["close"].reset_index(drop=True)
    return pd.DataFrame({"symbol": [f"S{n}" for n in range(60)], **dict.fromkeys(columns, closes)})


def drawn(figure: Any) -> str:
    """What a figure shows, as text."""
    return str(figure.to_json())


@pytest.mark.parametrize("name", OVER_TIME)
def test_a_figure_is_drawn_from_times_however_they_are_written_and_not_newest_first(name: str) -> None:
    frame, call = bars(), OVER_TIME[name]
    right = drawn(call(frame))
    for writing, write in WRITINGS.items():
        written = frame.set_axis(write(pd.DatetimeIndex(frame.index)))
        got = drawn(call(written))
        # an aware midnight is the evening before in New York
        assert got == right or "aware" in writing or writing == "text with times", writing
        if name == "comparison":
            assert drawn(call(written[::-1])) == got
            continue
        for wrong in (written[::-1], written.iloc[[0, 2, 1, *range(3, 60)]], written.iloc[[0, 0, *range(1, 60)]]):
            with pytest.raises(InputError, match="in order of time, one a date"):
                call(wrong)
    for strange in STRANGE.values():
        with pytest.raises(InputError, match=r"to_datetime|time zone|several symbols|no dates"):
            call(frame.set_axis(pd.Index(strange, dtype=object, tupleize_cols=False)))


PLACES = ("correlation_matrix", "return_distribution")


@pytest.mark.parametrize("name", [name for name in OVER_TIME if name not in PLACES])
def test_a_figure_over_time_needs_dates(name: str) -> None:
    with pytest.raises(InputError, match=r"date"):
        OVER_TIME[name](bars().reset_index(drop=True))


@pytest.mark.parametrize("name", [*OVER_TIME, *NUMBERS_ALONE])
def test_a_figure_takes_numbers_of_any_kind_and_nothing_else(name: str) -> None:
    frame, call = bars(), (OVER_TIME | NUMBERS_ALONE)[name]
    right = drawn(call(frame))
    for kind, make in NUMBERS.items():
        assert drawn(call(frame.apply(make))) == right, kind
    for make in WRONG.values():
        with pytest.raises(InputError, match=r"must be numbers|finite|infinite"):
            call(frame.apply(make))
    assert "Infinity" not in drawn(call(bars() * 0 + 5))


@pytest.mark.parametrize("make", [list, np.asarray, lambda column: None, dict])
def test_a_figure_of_lists_and_arrays_is_refused(make: Callable[[Any], Any]) -> None:
    frame = bars()
    made = make(frame["close"])
    for call in (
        lambda: plots.equity_curve({"A": made}),
        lambda: plots.equity_curve(made),
        lambda: plots.exposure(made),
        lambda: plots.monthly_returns(made),
        lambda: plots.monthly_heatmap(made),
        lambda: plots.return_distribution(made),
        lambda: plots.rolling_metrics({"A": made}),
        lambda: plots.rolling_metrics({"A": frame["close"]}, window=5, benchmark=[1.0] if made is None else made),
        lambda: plots.bars(made, unit="USD"),
        lambda: plots.candlestick(frame.reset_index(), overlays={"line": made}),
        *(lambda draw=draw: draw(made) for draw in (plots.candlestick, plots.comparison, plots.treemap, plots.kpis)),
        *(lambda draw=draw: draw(made) for draw in (plots.ytd_bars, plots.volatility_bars, plots.correlation_matrix)),
        lambda: plots.lines(made, unit="USD"),
        lambda: plots.sweep_heatmap(made, "fast", "slow"),
    ):
        with pytest.raises(InputError, match=r"must be|at least one"):
            call()


# ── what is no series and no frame ────────────────────────────────────────────────────────────────────────────────────


def traded() -> backtest.Result:
    return backtest.run(bars(), backtest.sma_crossover(bars(), 2, 5))


PARTS: Calls = {
    "summary": lambda wrong: backtest.summary(wrong),
    "summary of": lambda wrong: backtest.summary({"it": wrong}),
    "summary against": lambda wrong: backtest.summary({"it": traded()}, benchmark=wrong),
    "sweep's strategy": lambda wrong: backtest.sweep(bars(), wrong, SMALL),
    "sweep's grid": lambda wrong: backtest.sweep(bars(), backtest.sma_crossover, wrong),
    "guard's strategy": lambda wrong: backtest.check_no_look_ahead(bars(), wrong),
    "report": lambda wrong: backtest.report(wrong, "never.html"),
    "report against": lambda wrong: backtest.report(traded(), "never.html", benchmark=wrong),
    "report's prices": lambda wrong: backtest.report(traded(), "never.html", prices=wrong),
    "overlays": lambda wrong: plots.candlestick(bars().rename_axis("date").reset_index(), overlays=wrong),
    "trades": lambda wrong: plots.candlestick(bars().rename_axis("date").reset_index(), trades=wrong),
}


@pytest.mark.parametrize("name", PARTS)
def test_a_part_of_another_kind_is_refused_in_a_line(name: str) -> None:
    for wrong in ("x", 5, [1.0, 2.0], np.array([1.0, 2.0])):
        with pytest.raises(InputError, match=r"^[^\n]* must be [^\n]*, not [^\n]*$"):
            PARTS[name](wrong)


def test_a_grid_of_lone_values_and_trades_without_columns_are_refused() -> None:
    for wrong in (5, "5", None):
        with pytest.raises(InputError, match="the grid's fast must be a list of values"):
            backtest.sweep(bars(), backtest.sma_crossover, {"fast": wrong, "slow": [5]})  # type: ignore[dict-item]
    with pytest.raises(InputError, match="the trades lack ended_by, entry_date"):
        plots.candlestick(bars().rename_axis("date").reset_index(), trades=pd.DataFrame({"shares": [1.0]}))


def test_a_tear_sheet_of_bars_without_a_symbol_is_written(tmp_path: Path) -> None:
    written = backtest.report(traded(), tmp_path / "sheet.html", prices=bars().rename_axis("date").reset_index())
    assert '"candles"' in written.read_text()


# ── all of them ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_public_function_stands_here() -> None:
    assert set(OF_INDICATORS) == {name for name in indicators.__all__ if name.islower()}
    assert set(OF_BACKTEST) == {name for name in backtest.__all__ if name.islower()} - {"report"}
    others = {"choose", "colours", "library", "styled", "template"}
    assert set(OVER_TIME) | set(NUMBERS_ALONE) == {name for name in plots.__all__ if name.islower()} - others
    assert set(OF_METRICS) == {name for name in metrics.__all__ if name.islower()}
