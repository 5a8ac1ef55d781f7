"""What ``frame.plot()`` and ``series.plot()`` of pandas draw: figures of Plotly in the house template.

``import stocklib.plots`` sets it for the whole process (``pd.options.plotting.backend``), and nothing else does.
"""

from typing import Any

import pandas as pd
import plotly
import plotly.graph_objects as go
from plotly import boxplot_frame

from stocklib.plots.candlesticks import candlestick
from stocklib.plots.house import local, stamp
from stocklib.plots.panels import comparison

__all__ = ["boxplot_frame", "hist_frame", "hist_series", "plot"]

_BARS = {"symbol", "open", "high", "low", "close"}


def plot(data: pd.Series | pd.DataFrame, kind: str, **options: Any) -> go.Figure:
    """Draw bars of one symbol as candles, of several as a comparison from 100, and anything else as Plotly does.

    Columns of bars that are named (``y="close"``) are lines over their times, one for each symbol. Instants are in New
    York time. ``options`` are those of ``candlestick``, ``comparison``, or Plotly Express.
    """
    if isinstance(data, pd.DataFrame) and data.columns.is_unique and set(data.columns) >= _BARS:
        if kind == "line" and options.get("x") is None and options.get("y") is None:
            chosen = {name: value for name, value in options.items() if name not in ("x", "y")}
            return candlestick(data, **chosen) if data["symbol"].nunique() == 1 else comparison(data, **chosen)
        if options.get("x") is None:
            when = next((name for name in ("time", "date") if name in data), None)
            data = data.set_index(when) if when else data
        if data["symbol"].nunique() > 1:
            options.setdefault("color", "symbol")
    if isinstance(data.index, pd.DatetimeIndex) and data.index.tz is not None:
        data = data.set_axis(pd.Index(local(data.index), name=data.index.name))
    return _finished(plotly.plot(data, kind, **options), data)


def hist_series(data: pd.Series, **options: Any) -> go.Figure:
    """Draw ``series.hist()``."""
    return _finished(plotly.hist_series(data, **options), data)


def hist_frame(data: pd.DataFrame, **options: Any) -> go.Figure:
    """Draw ``frame.hist()``."""
    return _finished(plotly.hist_frame(data, **options), data)


def _finished(drawn: go.Figure, data: pd.Series | pd.DataFrame) -> go.Figure:
    """Return the figure with the version of its data."""
    # plotly.js puts all values into one bin where the first is missing, as that of pct_change() is
    drawn.for_each_trace(lambda trace: trace.update(x=pd.Series(trace.x).dropna()), {"type": "histogram"})
    return stamp(drawn.update_layout(legend_title_text=""), data)
