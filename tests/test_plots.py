"""Figures show what they say: no gaps on closed days, one colour a symbol, nothing that a name could smuggle in."""

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pandas as pd
import pytest
from recorded_gold import LAST, SYMBOLS, published

from stocklib import market, plots
from stocklib.errors import InputError
from stocklib.indicators import sma
from stocklib.settings import Settings


@pytest.fixture(scope="session")
def gold(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return published(tmp_path_factory.getbasetemp() / "recorded-gold")


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


def test_a_symbol_keeps_its_colour() -> None:
    assert plots.colours(["FB", "AAPL"]) == plots.colours(["AAPL", "FB", "AAPL"])
    assert len(set(plots.PALETTE)) == len(plots.PALETTE)


def test_a_treemap_adds_up(gold: Settings) -> None:
    tree = market.table("gold_treechart", settings=gold)
    trace = plots.treemap(tree).data[0]
    values = dict(zip(trace.ids, trace.values, strict=True))
    assert values["sector Information Technology"] == pytest.approx(float(tree["market_cap"].sum()))
    assert values["FB"] == pytest.approx(float(tree.set_index("symbol").loc["FB", "market_cap"]))
    colours = dict(zip(trace.ids, trace.marker.colors, strict=True))
    assert colours["AAPL"] == pytest.approx(100 * (509.794 / 529.69 - 1), abs=1e-4)


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
    assert set(trace.ids) == {"sector X", "sector Unknown", "A", "B"}
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
    ],
)
def test_a_frame_that_cannot_be_drawn_says_why(draw: Callable[[pd.DataFrame], Any], said: str) -> None:
    days = pd.date_range("2012-01-02", periods=3)
    frame = pd.DataFrame({"symbol": "A", "date": days, "open": 1.0, "high": 3.0, "low": 1.0, "close": 2.0})
    with pytest.raises(InputError, match=said):
        draw(frame)


def test_every_figure_wears_the_house_template(gold: Settings) -> None:
    figure = plots.comparison(market.prices(settings=gold))
    assert figure.layout.template.layout.font.family.startswith("system-ui")
    assert figure.layout.width is None
    assert plots.template(dark=True).layout.paper_bgcolor != plots.template().layout.paper_bgcolor
