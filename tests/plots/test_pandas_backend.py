"""``.plot()`` of pandas draws figures of Plotly in the house style, once ``stocklib.plots`` is imported."""

import subprocess
import sys
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio
import pytest
from recorded_gold import LAST

from stocklib import market, plots
from stocklib.errors import InputError
from stocklib.settings import Settings


def prices(gold: Settings, *asked: Any, **options: Any) -> pd.DataFrame:
    return market.prices(*asked, settings=gold, **options)


def in_house_style(figure: Any) -> bool:
    return isinstance(figure, go.Figure) and figure.layout.template == pio.templates["stocks"]


def test_a_column_is_a_line_over_its_dates_with_the_version_of_the_data(gold: Settings) -> None:
    bars = prices(gold, "AAPL", "2012-01-03", index=True)
    figure = bars["close"].plot(title="Apple")
    assert in_house_style(figure)
    assert (figure.data[0].type, figure.layout.title.text) == ("scatter", "Apple")
    assert pd.to_datetime(figure.data[0].x).tolist() == bars.index.tolist()
    assert list(figure.data[0].y) == bars["close"].tolist()
    assert bars.attrs["data_version"] in figure.layout.xaxis.title.text


@pytest.mark.parametrize("index", [False, True])
def test_bars_of_one_symbol_are_candles_and_of_several_a_comparison(gold: Settings, index: bool) -> None:
    one, several = (prices(gold, names, LAST, LAST, index=index) for names in ("AAPL", ["AAPL", "IBM"]))
    assert one.plot(height=300).to_json() == plots.candlestick(one, height=300).to_json()
    assert several.plot(title="Two").to_json() == plots.comparison(several, title="Two").to_json()
    named = several.plot(y="close")
    assert [trace.name for trace in named.data] == ["AAPL", "IBM"]
    assert {pd.Timestamp(trace.x[0]) for trace in named.data} == {pd.Timestamp(LAST)}
    assert in_house_style(named)


def test_bars_within_the_day_are_drawn_in_new_york_time(gold: Settings) -> None:
    opens = pd.Timestamp("2012-12-14 09:30")
    for index in (False, True):
        bars = prices(gold, ["AAPL", "IBM"], LAST, LAST, resolution="5m", index=index)
        assert {pd.Timestamp(trace.x[0]) for trace in bars.plot().data} == {opens}
        assert {pd.Timestamp(trace.x[0]) for trace in bars.plot(y="close").data} == {opens}
    closes = prices(gold, "AAPL", LAST, LAST, resolution="5m", index=True)["close"]
    assert pd.Timestamp(closes.plot().data[0].x[0]) == opens


def test_every_other_kind_is_plotly_s(gold: Settings) -> None:
    wide = prices(gold, ["AAPL", "IBM"], wide="close")
    assert [trace.name for trace in wide.plot().data] == ["AAPL", "IBM"]
    changes = wide["AAPL"].pct_change()
    for figure in (changes.plot.hist(), changes.hist(), changes.to_frame().hist()):
        assert in_house_style(figure)
        # a missing value would put all into one bin
        assert len(figure.data[0].x) == changes.notna().sum() < len(changes)
    bars = prices(gold, "AAPL", index=True)
    assert bars.plot.scatter(x="volume", y="close").data[0].mode == "markers"
    assert wide.plot.box().data[0].type == "box"
    with pytest.raises(InputError, match="the frame has no rows"):
        bars.head(0).assign(symbol="A").plot()


def test_only_the_import_of_plots_changes_the_options() -> None:
    code = (
        "import pandas as pd, stocklib\n"
        "from stocklib import backtest, indicators, market, metrics\n"
        "frame = pd.DataFrame({'open': [1.0, 2.0], 'close': [1.0, 2.0]})\n"
        "backtest.run(frame, pd.Series([1.0, 1.0]))._repr_html_()\n"
        "print(pd.options.plotting.backend)\n"
        "import stocklib.plots\n"
        "print(pd.options.plotting.backend)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["matplotlib", "stocklib.plots.pandas_backend"]
