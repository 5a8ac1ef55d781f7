"""Candlesticks with volume underneath and lines on top, without gaps where the exchange was closed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from stocklib.errors import InputError
from stocklib.indicators.columns import check_size, check_type, to_doubles
from stocklib.plots.house import dress, local, stack, stamp, text, time_axis
from stocklib.plots.inputs import need, read_dates, read_numbers, with_times
from stocklib.plots.palette import DOWN, LINES, PALETTE, UP

_A_QUARTER = 63


def candlestick(
    frame: pd.DataFrame,
    *,
    overlays: Mapping[str, pd.Series] | None = None,
    trades: pd.DataFrame | None = None,
    volume: bool = True,
    selector: bool = True,
    title: str | None = None,
    unit: str = "USD",
    height: int = 520,
) -> go.Figure:
    """Draw one symbol's bars (``date`` or ``time``, open, high, low, close, volume) as candles: up hollow, down filled.

    The times are a column or the index.
    ``overlays`` are lines over the prices, each a series on the frame's own index: ``{"SMA 20": sma(f["close"], 20)}``.
    ``trades`` are a backtest's (``Result.trades``): a triangle where one began and where it ended. Bars below a day are
    shown in New York time. Volume, in shares, is left out where the frame has none. ``selector`` puts buttons
    above that show the last month, quarter, half year or year of daily bars, as far as the bars reach.
    """
    frame = _read(frame)
    if overlays is not None:
        check_type("the overlays", overlays, Mapping, expected="named series in a dict")
    if trades is not None:
        _check_trades(trades)
    if "symbol" in frame and frame["symbol"].nunique() > 1:
        raise InputError("a candlestick shows one symbol; choose one: " + ", ".join(map(str, frame["symbol"].unique())))
    times = bar_times(frame)
    with_volume = volume and "volume" in frame and bool(frame["volume"].notna().any())
    drawn = go.Figure(_candles(frame, times, unit=unit))
    for number, (name, line) in enumerate((overlays or {}).items()):
        drawn.add_scatter(
            x=times,
            y=_on_bars(name, line, frame.index),
            name=text(name),
            mode="lines",
            line={"width": 1.6, "color": LINES[number % len(LINES)]},
            hovertemplate=f"%{{y:,.2f}} {text(unit)}",
        )
    if trades is not None and len(trades):
        drawn.add_traces(_trades(trades, unit=unit))
    if with_volume:
        drawn.add_trace(_volume(frame, times))
        stack(drawn, lower=0.2)
        drawn.update_layout(yaxis2={"title": {"text": "shares"}, "nticks": 3, "tickformat": "~s"})
    dress(drawn, title=title, height=height, bargap=0.15, showlegend=bool(overlays) or trades is not None)
    time_axis(drawn, times)
    drawn.update_xaxes(rangeslider_visible=False)
    drawn.update_layout(yaxis={"title": {"text": text(unit)}})
    if selector and "time" not in frame and len(frame) > _A_QUARTER:
        _add_selector(drawn, times, height)
    return stamp(drawn, frame)


def _check_trades(trades: pd.DataFrame) -> None:
    """Raise ``InputError`` for what are not round trips as ``Result.trades`` holds them."""
    check_type("the trades", trades, pd.DataFrame, expected="a backtest's `Result.trades`")
    columns = {"entry_date", "entry_price", "exit_date", "exit_price", "side", "shares", "return_percent", "ended_by"}
    if missing := columns - set(trades.columns):
        raise InputError(f"the trades lack {', '.join(sorted(missing))}: they are a backtest's `Result.trades`")


def bar_times(frame: pd.DataFrame) -> pd.Series:
    """Return each bar's date, or its start in New York time, since a figure has no time zones."""
    if "time" in frame:
        return local(frame["time"])
    need(frame, "date")
    return local(frame["date"])


def _read(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the bars in order, with parsed times and numbers."""
    shares = ["volume"] if isinstance(frame, pd.DataFrame) and "volume" in frame else []
    read = read_numbers(with_times(frame), "open", "high", "low", "close", *shares)
    name = "time" if "time" in read else "date"
    return read_dates(read, name=name, of=np.zeros(len(read)))


def _on_bars(name: str, line: pd.Series, index: pd.Index) -> Any:
    """Return a line's values on the bars."""
    if not isinstance(line, pd.Series):
        raise InputError(f"the overlay {name} must be a series on the frame's index, not {type(line).__name__}")
    if not line.index.equals(index):
        if not (line.index.is_unique and index.is_unique) or not line.index.isin(index).any():
            raise InputError(f"the overlay {name} has other rows than the bars: it needs the frame's own index")
        line = line.reindex(index)
    numbers = to_doubles(line, name=f"overlay {name}")
    check_size(numbers, name=f"overlay {name}")
    return numbers


def _candles(frame: pd.DataFrame, times: pd.Series, *, unit: str) -> go.Candlestick:
    name = text(frame["symbol"].iloc[0]) if "symbol" in frame else "price"
    return go.Candlestick(
        x=times,
        open=frame["open"],
        high=frame["high"],
        low=frame["low"],
        close=frame["close"],
        name=name,
        hovertemplate="open %{open:,.2f}  high %{high:,.2f}<br>low %{low:,.2f}  close %{close:,.2f} " + text(unit),
        increasing={"line": {"color": UP, "width": 1.2}, "fillcolor": "rgba(0,0,0,0)"},
        decreasing={"line": {"color": DOWN, "width": 1.2}, "fillcolor": DOWN},
    )


def _trades(trades: pd.DataFrame, *, unit: str) -> list[go.Scatter]:
    """Draw where round trips began and ended."""
    ended = trades.dropna(subset=["exit_date"])
    marks = (
        ("entry", trades, "triangle-up", PALETTE[2], "%{customdata[0]} %{customdata[1]:,.2f} shares from"),
        ("exit", ended, "triangle-down", PALETTE[3], "%{customdata[2]:+.2f} %, ended by %{customdata[3]}, at"),
    )
    return [
        go.Scatter(
            x=local(rows[f"{name}_date"]),
            y=rows[f"{name}_price"],
            name=name,
            mode="markers",
            marker={"symbol": symbol, "size": 11, "color": colour, "line": {"width": 1.5, "color": "#ffffff"}},
            customdata=rows[["side", "shares", "return_percent", "ended_by"]].to_numpy(),
            hovertemplate=f"{label} %{{y:,.2f}} {text(unit)}",
        )
        for name, rows, symbol, colour, label in marks
    ]


def _add_selector(drawn: go.Figure, times: pd.Series, height: int) -> None:
    """Add a row of buttons above the legend, none for more months than the bars have."""
    top = (drawn.layout.margin.t or 0) + 30
    # a selector's position is in heights of the panels; the labels underneath need about 60 pixels
    panels = height - top - 60
    steps = [("1 m", 1), ("3 m", 3), ("6 m", 6), ("1 y", 12)]
    buttons = [
        {"label": label, "count": months, "step": "month", "stepmode": "backward"}
        for label, months in steps
        if times.iloc[0] <= times.iloc[-1] - pd.DateOffset(months=months)
    ]
    drawn.update_layout(margin={"t": top})
    drawn.update_xaxes(
        rangeselector={
            "buttons": [*buttons, {"label": "all", "step": "all"}],
            "x": 0,
            "y": 1 + (28 if drawn.layout.showlegend else 4) / panels,
            "yanchor": "bottom",
            "font": {"size": 11},
            "bgcolor": "rgba(128,140,160,.14)",
            "activecolor": "rgba(31,128,196,.32)",
        }
    )


def _volume(frame: pd.DataFrame, times: pd.Series) -> go.Bar:
    rising = frame["close"] >= frame["open"]
    return go.Bar(
        x=times,
        y=frame["volume"],
        yaxis="y2",
        name="volume",
        showlegend=False,
        marker={"color": rising.map({True: UP, False: DOWN}), "opacity": 0.55},
        hovertemplate="%{y:,.0f} shares",
    )
