"""Figures show what they say: no gaps on closed days, one colour a symbol, nothing that a name could smuggle in."""

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from recorded_gold import LAST, SYMBOLS

from stocklib import market, metrics, plots
from stocklib.backtest import buy_and_hold, run, sma_crossover
from stocklib.errors import InputError
from stocklib.indicators import sma
from stocklib.plots.palette import LEVEL
from stocklib.settings import Settings


def left_out(figure: Any) -> list[str]:
    """The single days that the figure's time axis leaves out."""
    breaks = figure.layout.xaxis.rangebreaks
    return [day for each in breaks for day in (each["values"] or ())]


def test_a_candlestick_leaves_no_gap_where_the_exchange_was_closed(gold: Settings) -> None:
    figure = plots.candlestick(market.prices("AAPL", date(2012, 1, 3), settings=gold))
    days = left_out(figure)
    assert {"2012-10-29", "2012-10-30", "2012-11-22", "2012-07-04"} <= set(days)
    assert "2012-11-23" not in days  # a half day is a day
    assert figure.layout.xaxis.rangebreaks[0].bounds == ("sat", "mon")


def test_a_candlestick_within_the_day_is_in_new_york_time(gold: Settings) -> None:
    bars = market.prices("AAPL", LAST, LAST, resolution="5m", settings=gold)
    figure = plots.candlestick(bars)
    assert pd.Timestamp(figure.data[0].x[0]) == pd.Timestamp("2012-12-14 09:30")
    assert [each.bounds for each in figure.layout.xaxis.rangebreaks if each.pattern == "hour"] == [(16, 9.5)]


def test_hour_bars_that_begin_before_the_bell_are_not_cut_off(gold: Settings) -> None:
    figure = plots.candlestick(market.prices("AAPL", LAST, LAST, resolution="1h", settings=gold))
    assert [each.bounds for each in figure.layout.xaxis.rangebreaks if each.pattern == "hour"] == [(16, 9)]


def test_volume_and_lines_share_the_time_axis(gold: Settings) -> None:
    bars = market.prices("IBM", date(2012, 10, 1), settings=gold)
    figure = plots.candlestick(bars, overlays={"SMA 20": sma(bars["close"], 20)})
    candles, line, volume = figure.data
    assert (candles.type, line.name, volume.type) == ("candlestick", "SMA 20", "bar")
    assert len({tuple(pd.to_datetime(trace.x)) for trace in figure.data}) == 1
    assert volume.yaxis == "y2"
    assert figure.layout.xaxis.anchor == "y2"
    assert candles.increasing.line.color != candles.decreasing.line.color


def test_without_volume_there_is_no_panel_for_it(gold: Settings) -> None:
    bars = market.prices("IBM", LAST, LAST, resolution="5m", settings=gold)
    assert bars["volume"].isna().all()
    assert [trace.type for trace in plots.candlestick(bars).data] == ["candlestick"]
    daily = market.prices("IBM", settings=gold)
    assert [trace.type for trace in plots.candlestick(daily, volume=False).data] == ["candlestick"]


def test_a_comparison_begins_at_100(gold: Settings) -> None:
    figure = plots.comparison(market.prices(start=date(2012, 1, 3), settings=gold))
    assert [trace.name for trace in figure.data] == SYMBOLS
    assert all(trace.y[0] == 100 for trace in figure.data)
    aapl = next(trace for trace in figure.data if trace.name == "AAPL")
    assert aapl.y[-1] == pytest.approx(100 * 509.794 / 411.23)
    late = next(trace for trace in figure.data if trace.name == "FB")
    assert "since 18 May 2012" in late.hovertemplate


@pytest.mark.parametrize("resolution", ["1d", "5m"])
def test_bars_with_their_times_as_index_are_drawn_alike(gold: Settings, resolution: str) -> None:
    asked = {"start": LAST, "end": LAST, "resolution": resolution, "settings": gold}
    bars, indexed = (market.prices("AAPL", index=index, **asked) for index in (False, True))
    # a line is on the frame's own index, in either form
    drawn, again = (plots.candlestick(frame, overlays={"SMA 3": sma(frame["close"], 3)}) for frame in (bars, indexed))
    assert drawn.to_json() == again.to_json()
    assert list(indexed) == [name for name in bars if name not in ("date", "time")]


def test_a_comparison_takes_bars_with_their_dates_as_index(gold: Settings) -> None:
    drawn, again = (
        plots.comparison(market.prices(["AAPL", "IBM"], index=index, settings=gold)) for index in (False, True)
    )
    assert drawn.to_json() == again.to_json()


def test_a_symbol_keeps_its_colour() -> None:
    assert plots.colours(["FB", "AAPL"]) == plots.colours(["AAPL", "FB", "AAPL"])
    assert len(set(plots.PALETTE)) == len(plots.PALETTE)


def test_the_lines_of_28_symbols_are_told_apart() -> None:
    closes = pd.DataFrame({"symbol": [f"S{n:02}" for n in range(28)], "date": date(2026, 6, 30), "close": 1.0})
    drawn = plots.comparison(closes).data
    assert len({(trace.line.color, trace.line.dash) for trace in drawn}) == 28


def test_a_treemap_adds_up(gold: Settings) -> None:
    tree = market.table("gold_treechart", settings=gold)
    trace = plots.treemap(tree).data[0]
    values = dict(zip(trace.ids, trace.values, strict=True))
    assert values["sector Information Technology"] == pytest.approx(float(tree["market_cap"].sum()))
    assert values["FB"] == pytest.approx(float(tree.set_index("symbol").loc["FB", "market_cap"]))
    colours = dict(zip(trace.ids, trace.marker.colors, strict=True))
    assert colours["AAPL"] == pytest.approx(100 * (509.794 / 529.69 - 1), abs=1e-4)


def test_a_treemap_marks_what_has_no_change_and_counts_it_nowhere() -> None:
    frame = pd.DataFrame(
        {
            "symbol": ["A", "B", "C", "D"],
            "sector": ["X", "X", "Y", "X"],
            "market_cap": [3.0, 1.0, 2.0, 96.0],
            "change_percent": [4.0, -4.0, np.nan, -1.0],
            "last_bar_date": pd.to_datetime(["2012-12-14"] * 3 + ["2011-10-03"]),
            "is_stale": [False, False, False, True],
        }
    )
    trace = plots.treemap(frame).data[0]
    said, colour = (dict(zip(trace.labels, part, strict=True)) for part in (trace.customdata, trace.marker.colors))
    # the whole, which shows nothing: plotly.js would paint it black
    assert (said.pop("All sectors"), colour.pop("All sectors")) == ("", "rgba(0,0,0,0)")
    assert said == {
        "X": "+2.00 %",
        "Y": "no change known",
        "A": "+4.00 %",
        "B": "−4.00 %",
        "C": "no change known",
        "D": "no bar since 3 Oct 2011",
    }
    assert colour == {"X": 2.0, "Y": LEVEL, "A": 4.0, "B": -4.0, "C": LEVEL, "D": LEVEL}
    # large amounts as in a table
    (value,) = plots.treemap(frame.assign(market_cap=58.1e9 / 4)).data[0].hovertext[:1]
    assert value == "58.1 B"


def test_a_treemap_leaves_out_what_has_no_size() -> None:
    frame = pd.DataFrame(
        {
            "symbol": ["A", "B", "C"],
            "sector": ["X", None, "X"],
            "market_cap": [1.0, 2.0, None],
            "change_percent": [1.0, None, 3.0],
        }
    )
    trace = plots.treemap(frame).data[0]
    assert set(trace.ids) == {"all", "sector X", "sector Unknown", "A", "B"}
    with pytest.raises(InputError, match="nothing to draw"):
        plots.treemap(frame.tail(1))


def test_bars_are_in_order_and_say_their_unit(gold: Settings) -> None:
    rows = market.table("fact_stock_performance", settings=gold).sort_values("quote_date").groupby("symbol").tail(1)
    ytd = plots.ytd_bars(rows).data[0]
    assert (ytd.y[0], ytd.y[-1]) == ("FB", "AAPL")
    assert list(ytd.text)[-1] == "+25.9 %"
    assert ytd.marker.color[0] == plots.DOWN
    assert ytd.marker.color[-1] == plots.UP
    assert "18 May 2012" in ytd.customdata[0]
    volatility = plots.volatility_bars(rows).data[0]
    assert list(volatility.y)[-1] == "FB"
    assert "% a year" in volatility.hovertemplate


def test_kpis_show_the_change_since_the_close_before(gold: Settings) -> None:
    kpi = market.table("gold_kpi", settings=gold).sort_values("symbol")
    first = plots.kpis(kpi).data[0]
    assert first.value == 509.794
    assert first.delta.reference == pytest.approx(529.69, abs=0.01)
    alone = plots.kpis(kpi.assign(change_amount=None)).data[0]
    assert alone.mode == "number"


def test_an_equity_curve_has_its_drawdown_underneath() -> None:
    days = pd.date_range("2012-01-02", periods=4)
    figure = plots.equity_curve({"Rule": pd.Series([100.0, 80.0, 120.0, 90.0], days)})
    assert list(figure.data[1].y) == pytest.approx([0, -20, 0, -25])
    assert figure.data[1].yaxis == "y2"


def test_a_date_on_which_any_curve_has_a_value_stays_on_the_axis() -> None:
    short = pd.Series([100, 101, 102.0], pd.to_datetime(["2012-01-03", "2012-01-05", "2012-01-06"]))
    whole = pd.Series([100, 90, 95, 99.0], pd.to_datetime(["2012-01-03", "2012-01-04", "2012-01-05", "2012-01-06"]))
    later = pd.Series([99, 98.0], pd.to_datetime(["2012-01-10", "2012-01-11"]))
    for curves in ({"a": short, "b": whole}, {"b": whole, "a": short}):
        assert left_out(plots.equity_curve(curves)) == left_out(plots.rolling_metrics(curves, window=2)) == []
    assert left_out(plots.equity_curve({"c": later, "a": short})) == ["2012-01-04", "2012-01-09"]


def test_months_are_new_york_s_and_newest_first_is_refused() -> None:
    # 20:00 in New York on 31 January is 1 February in UTC
    times = pd.DatetimeIndex(["2012-01-31 10:00", "2012-01-31 20:00", "2012-02-29 20:00"])
    values = pd.Series([100.0, 110.0, 121.0], times.tz_localize("America/New_York").tz_convert("UTC"))
    months = plots.monthly_returns(values)
    assert months.loc[2012, ["Jan", "Feb", "Year"]].tolist() == pytest.approx([10, 10, 21])
    assert months.loc[2012, "Mar":"Dec"].isna().all()
    for draw in (plots.monthly_returns, plots.monthly_heatmap, lambda v: plots.equity_curve({"A": v})):
        with pytest.raises(InputError, match="in order of time"):
            draw(values[::-1])
    with pytest.raises(InputError, match="zero or negative"):
        plots.monthly_returns(values.where(values != 110, 0.0))
    holed = plots.monthly_returns(values.where(values != 110))
    assert holed.loc[2012, ["Jan", "Feb", "Year"]].tolist() == pytest.approx([0, 21, 21])


def test_a_half_day_has_no_empty_afternoon() -> None:
    days = {"2012-11-21": 390, "2012-11-23": 210, "2012-11-26": 390, "2012-12-24": 210}
    times = [
        pd.Timestamp(f"{day} 09:30", tz="America/New_York") + pd.Timedelta(minutes=n)
        for day, minutes in days.items()
        for n in range(0, minutes, 5)
    ]
    bars = pd.DataFrame({"time": pd.DatetimeIndex(times).tz_convert("UTC"), "open": 1.0, "high": 1.0, "low": 1.0})
    breaks = plots.candlestick(bars.assign(close=1.0)).layout.xaxis.rangebreaks
    afternoons = [each for each in breaks if each.dvalue]
    assert [(list(each["values"]), each.dvalue) for each in afternoons] == [
        (["2012-11-23 13:00:00", "2012-12-24 13:00:00"], 3 * 3_600_000)
    ]
    # a whole day whose feed ended early keeps its afternoon, empty as it is
    cut = bars[pd.DatetimeIndex(times) < pd.Timestamp("2012-11-26 14:00", tz="America/New_York")]
    afternoons = [each for each in plots.candlestick(cut.assign(close=1.0)).layout.xaxis.rangebreaks if each.dvalue]
    assert [list(each["values"]) for each in afternoons] == [["2012-11-23 13:00:00"]]


def test_an_overlay_on_other_rows_is_refused() -> None:
    days = pd.date_range("2012-01-02", periods=3)
    frame = pd.DataFrame({"date": days, "open": 1.0, "high": 3.0, "low": 1.0, "close": 2.0})
    with pytest.raises(InputError, match="the overlay SMA has other rows"):
        plots.candlestick(frame, overlays={"SMA": pd.Series([1.0, 2.0, 3.0], days)})


def test_a_sharpe_ratio_of_what_does_not_vary_is_not_drawn() -> None:
    days = pd.bdate_range("2012-01-02", periods=30)
    for values in (pd.Series(5.0, days), pd.Series(1.01 ** np.arange(30), days)):
        sharpe = plots.rolling_metrics({"A": values}, window=5).data[1]
        assert pd.Series(sharpe.y).isna().all()


def test_a_range_can_be_chosen_and_trades_are_marked(gold: Settings) -> None:
    bars = market.prices("AAPL", date(2005, 2, 14), settings=gold)
    result = run(bars, sma_crossover(bars, 10, 30))
    figure = plots.candlestick(bars, trades=result.trades)
    assert [each.label for each in figure.layout.xaxis.rangeselector.buttons] == ["1 m", "3 m", "6 m", "1 y", "all"]
    entry, exit = (trace for trace in figure.data if trace.type == "scatter")
    assert [pd.Timestamp(day) for day in entry.x] == result.trades["entry_date"].tolist()
    assert list(exit.y) == result.trades["exit_price"].tolist()
    assert "ended by" in exit.hovertemplate
    for without in (plots.candlestick(bars.tail(20)), plots.candlestick(bars, selector=False)):
        assert not without.layout.xaxis.rangeselector.buttons
    # these begin a day after the last button's range would: it and "all" would show the same
    half = plots.candlestick(bars[bars["date"] >= "2012-06-15"])
    assert [each.label for each in half.layout.xaxis.rangeselector.buttons] == ["1 m", "3 m", "all"]


def long_series() -> pd.Series:
    """Three years that rise by 1 % every other session and fall by 0.5 % on the others."""
    days = pd.bdate_range("2010-01-04", "2012-12-31")
    return pd.Series([1.01, 0.995] * (len(days) // 2) + [1.0] * (len(days) % 2), days).cumprod()


def test_months_and_years_of_the_heat_map_multiply_up() -> None:
    values = long_series()
    months = plots.monthly_returns(values)
    assert months.index.tolist() == [2010, 2011, 2012]
    for _, row in months.iterrows():
        assert (1 + row.iloc[:12] / 100).prod() == pytest.approx(1 + row["Year"] / 100)
    assert months.loc[2012, "Year"] == pytest.approx(100 * (values.iloc[-1] / values[:"2011"].iloc[-1] - 1))
    trace = plots.monthly_heatmap(values).data[0]
    assert (list(trace.y), trace.x[-1]) == (["2010", "2011", "2012"], "Year")
    assert trace.zmid == 0
    assert "%" in trace.hovertemplate


def test_years_stand_side_by_side_and_a_first_session_alone_is_none() -> None:
    days = pd.to_datetime(["2009-12-31", "2010-12-31", "2011-12-30", "2012-03-01"])
    curves = {"A": pd.Series([100.0, 120.0, 90.0, 99.0], days), "B": pd.Series([10.0, 11.0, 11.0, 5.5], days)}
    drawn = plots.bars(plots.yearly_returns(curves), unit="%")
    assert [(trace.name, list(trace.x)) for trace in drawn.data] == [(name, ["2010", "2011", "2012"]) for name in "AB"]
    assert [list(trace.y) for trace in drawn.data] == [pytest.approx([20, -25, 10]), pytest.approx([10, 0, -50])]
    assert list(plots.monthly_heatmap(curves["A"]).data[0].y) == ["2010", "2011", "2012"]


def test_a_distribution_counts_every_return_and_marks_the_tail(gold: Settings) -> None:
    close = market.prices("IBM", settings=gold).set_index("date")["close"]
    figure = plots.return_distribution(close)
    bars, normal = figure.data
    assert sum(bars.y) == len(close) - 1
    assert sum(normal.y) * (normal.x[1] - normal.x[0]) == pytest.approx((len(close) - 1) * bars.width / 0.94, rel=0.03)
    assert f"{metrics.value_at_risk(close):.2f}".replace("-", "−") in figure.layout.annotations[0].text
    # the label of VaR reaches over the line of CVaR, which ends below it; both stand left of the bars around 0
    var, cvar = figure.layout.annotations
    assert [(line.type, line.y1) for line in figure.layout.shapes] == [("line", var.y), ("line", cvar.y)]
    assert (var.y, cvar.y) == (1, 0.88)
    assert (var.xanchor, cvar.xanchor, var.x > cvar.x) == ("right", "right", True)
    flat = plots.return_distribution(pd.Series(1.0, close.index))
    assert len(flat.data) == 1


def test_the_bar_that_holds_zero_has_no_colour_of_a_gain_or_a_loss() -> None:
    days = pd.bdate_range("2012-01-02", periods=41)
    changes = [0.0] * 20 + [0.02, -0.01] * 10
    bars = plots.return_distribution(pd.Series(100 * np.cumprod([1.0, *(1 + np.array(changes))]), days)).data[0]
    colours = dict(zip(zip(bars.customdata[:, 0].round(2), bars.y, strict=True), bars.marker.color, strict=True))
    there = {edge: colour for (edge, count), colour in colours.items() if count}
    assert list(there.values()) == [plots.DOWN, LEVEL, plots.UP]


def test_a_benchmark_is_grey_wherever_accounts_are_compared() -> None:
    values = long_series()
    both = {"Rule": values, "Hold": values**0.5}
    figures = [plots.equity_curve(both), plots.rolling_metrics(both, window=20, benchmark=values)]
    lines = [trace for figure in figures for trace in figure.data]
    colours = [trace.line.color for trace in lines]
    assert colours == [plots.UP] * 2 + [LEVEL] * 2 + [plots.UP] * 3 + [LEVEL] * 3
    years = plots.bars(plots.yearly_returns(both), unit="%")
    assert [trace.marker.color for trace in years.data] == [plots.UP, LEVEL]


def test_rolling_figures_begin_when_their_window_is_full() -> None:
    values = long_series()
    figure = plots.rolling_metrics({"Rule": values, "Hold": values**0.5}, window=20, benchmark=values)
    assert [trace.yaxis for trace in figure.data] == ["y", "y2", "y3"] * 2
    volatility, sharpe, beta = (pd.Series(trace.y) for trace in figure.data[:3])
    assert volatility.isna().sum() == sharpe.isna().sum() == beta.isna().sum() == 20
    assert volatility.iloc[-1] == pytest.approx(metrics.volatility(values, window=20))
    assert sharpe.iloc[-1] == pytest.approx(metrics.sharpe(values.tail(21)))
    assert beta.dropna().tolist() == pytest.approx([1.0] * (len(values) - 20))


def test_a_correlation_is_that_of_returns_over_common_sessions(gold: Settings) -> None:
    closes = market.prices(["AAPL", "FB", "IBM"], wide="close", settings=gold)
    trace = plots.correlation_matrix(closes).data[0]
    changes = (closes / closes.shift(1) - 1)[["AAPL", "FB"]].dropna()
    assert trace.z[0][1] == pytest.approx(changes["AAPL"].corr(changes["FB"]))
    assert trace.customdata[0][1] == len(changes)
    assert (trace.zmin, trace.zmid, trace.zmax) == (-1, 0, 1)


def test_a_sweep_shows_every_pair_and_rings_the_best() -> None:
    table = pd.DataFrame({"fast": [5, 5, 10, 10], "slow": [20, 40, 20, 40], "Sharpe": [0.5, 1.5, None, -1.0]})
    figure = plots.sweep_heatmap(table, "fast", "slow")
    cells, best = figure.data
    assert cells.z.ravel().tolist() == pytest.approx([0.5, float("nan"), 1.5, -1.0], nan_ok=True)
    assert (list(best.x), list(best.y)) == (["5"], ["40"])
    assert "Sharpe" in cells.hovertemplate


def test_a_figure_says_small_which_version_of_the_data_it_shows(gold: Settings) -> None:
    version = f"data {market.data_version(settings=gold)}"
    bars = market.prices(settings=gold)
    aapl = bars[bars["symbol"] == "AAPL"].reset_index(drop=True)
    worth = run(aapl, buy_and_hold(aapl)).equity
    closes = market.prices(wide="close", settings=gold)
    drawn = [
        plots.candlestick(aapl),
        plots.comparison(bars),
        plots.equity_curve({"Hold": worth}),
        plots.monthly_heatmap(worth),
        plots.bars(plots.yearly_returns({"Hold": worth}), unit="%"),
        plots.return_distribution(worth),
        plots.rolling_metrics({"Hold": worth}),
        plots.correlation_matrix(closes),
        plots.treemap(market.table("gold_treechart", settings=gold)),
        plots.kpis(market.table("gold_kpi", settings=gold)),
    ]
    for figure in drawn:
        assert version in str(figure.layout.xaxis.title.text) + str(figure.layout.annotations)
    aapl.attrs = {}
    assert "data" not in str(plots.candlestick(aapl).layout.xaxis.title.text)


NAME = '<a href="https://example.org">x</a>'


@pytest.mark.parametrize(
    "draw",
    [
        lambda f: plots.candlestick(f, title=NAME, overlays={NAME: f["close"]}),
        lambda f: plots.comparison(f, title=NAME),
        lambda f: plots.treemap(f.assign(sector=NAME, market_cap=1.0, change_percent=1.0).head(1), unit=NAME),
        lambda f: plots.ytd_bars(f.assign(ytd_return_percent=1.0).head(1), title=NAME),
        lambda f: plots.kpis(f.assign(current_price=2.0, change_amount=1.0).head(1), unit=NAME),
        lambda f: plots.equity_curve({NAME: f.set_index("date")["close"]}),
        lambda f: plots.rolling_metrics({NAME: f.set_index("date")["close"]}, window=2, title=NAME),
        lambda f: plots.bars(pd.DataFrame({NAME: f["close"], "B": f["close"]}, [NAME] * 3), unit=NAME, title=NAME),
        lambda f: plots.correlation_matrix(pd.DataFrame({NAME: f["close"], "B": f["close"]})),
        lambda f: plots.sweep_heatmap(f.rename(columns={"open": NAME}), NAME, "high", "close", title=NAME),
    ],
)
def test_a_name_is_never_markup(draw: Callable[[pd.DataFrame], Any]) -> None:
    days = pd.date_range("2012-01-02", periods=3)
    frame = pd.DataFrame({"symbol": NAME, "date": days, "open": 1.0, "high": 3.0, "low": 1.0, "close": 2.0})
    figure = json.loads(draw(frame).to_json())
    del figure["layout"]["template"]
    for trace in figure["data"]:
        for identity in ("ids", "parents"):  # keys, which are not shown
            trace.pop(identity, None)
    assert "<a " not in json.dumps(figure)


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda f: plots.candlestick(f.drop(columns="open")), "lacks open"),
        (lambda f: plots.candlestick(f.head(0)), "no rows"),
        (lambda f: plots.candlestick(f.assign(symbol=["A", "B", "A"])), "one symbol"),
        (lambda f: plots.candlestick(f.drop(columns="date")), "lacks date"),
        (lambda f: plots.comparison(f.head(0)), "no rows"),
        (lambda f: plots.ytd_bars(f), "lacks ytd_return_percent"),
        (lambda f: plots.equity_curve({}), "at least one"),
        (lambda f: plots.monthly_heatmap(f["close"]), "by date"),
        (lambda f: plots.rolling_metrics({"A": f.set_index("date")["close"]}), "more than 63"),
        (lambda f: plots.correlation_matrix(f[["close"]]), "two symbols"),
        (lambda f: plots.sweep_heatmap(f, "open", "high"), "lacks Sharpe"),
        (lambda f: plots.lines(f, unit="USD"), "by date"),
        (lambda f: plots.bars(f["close"].head(0), unit="USD"), "no values"),
    ],
)
def test_a_frame_that_cannot_be_drawn_says_why(draw: Callable[[pd.DataFrame], Any], said: str) -> None:
    days = pd.date_range("2012-01-02", periods=3)
    frame = pd.DataFrame({"symbol": "A", "date": days, "open": 1.0, "high": 3.0, "low": 1.0, "close": 2.0})
    with pytest.raises(InputError, match=said):
        draw(frame)


def test_lines_and_bars_say_their_unit_and_the_version() -> None:
    days = pd.to_datetime(["2012-10-26", "2012-10-31"])
    frame = pd.DataFrame({"<b>A</b>": [1.0, 2.0], "B": [3.0, None]}, days)
    frame.attrs["data_version"] = "7.ab"
    drawn = plots.lines(frame, unit="% a year")
    assert [trace.name for trace in drawn.data] == ["&lt;b&gt;A&lt;/b&gt;", "B"]
    assert drawn.data[0].hovertemplate.endswith("% a year")
    assert {"2012-10-29", "2012-10-30"} <= set(left_out(drawn))
    assert "data 7.ab" in drawn.layout.xaxis.title.text
    figure = plots.bars(pd.Series({"Mon": 0.5, "Tue": -0.25}), unit="%")
    assert list(figure.data[0].text) == ["0.50", "−0.25"]
    assert list(figure.data[0].marker.color) == [plots.UP, plots.DOWN]


def test_every_figure_wears_the_house_template(gold: Settings) -> None:
    figure = plots.comparison(market.prices(settings=gold))
    assert figure.layout.template.layout.font.family.startswith("system-ui")
    assert figure.layout.width is None
    assert plots.template(dark=True).layout.paper_bgcolor != plots.template().layout.paper_bgcolor


def test_a_backtest_within_the_day_is_drawn_in_new_york_time(gold: Settings) -> None:
    bars = market.prices("AAPL", LAST, LAST, resolution="5m", settings=gold)
    result = run(bars, sma_crossover(bars, 3, 10))
    figure = plots.candlestick(bars, trades=result.trades)
    candles, entries, exits = figure.data[0], *(trace for trace in figure.data if trace.name in ("entry", "exit"))
    assert len(entries.x)
    assert set(entries.x) | set(exits.x) <= set(candles.x)
    for drawn in (plots.equity_curve({"SMA": result.equity}), plots.exposure(result.exposure)):
        assert list(drawn.data[0].x) == list(candles.x)
        assert drawn.layout.xaxis.hoverformat.endswith("%H:%M New York")
