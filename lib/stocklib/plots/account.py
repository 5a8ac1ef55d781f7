"""An account's value, and its drawdown."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from stocklib.errors import InputError
from stocklib.plots.house import dress, figure, local, pen, stack, stamp, text, time_axis
from stocklib.plots.inputs import read_curve, read_curves
from stocklib.plots.palette import PALETTE


def equity_curve(
    curves: Mapping[str, pd.Series], *, title: str | None = None, unit: str = "USD", height: int = 480
) -> go.Figure:
    """Draw named series of an account's value by date, the strategy first, above their drawdowns."""
    curves = read_curves(curves)
    if not curves:
        raise InputError("an equity curve needs at least one named series with values")
    drawn = go.Figure()
    for number, (name, values) in enumerate(curves.items()):
        drawn.add_scatter(
            x=local(values.index),
            y=values,
            name=text(name),
            line={"width": 2, **pen(number)},
            hovertemplate=f"%{{y:,.2f}} {text(unit)}",
        )
        drawn.add_scatter(
            x=local(values.index),
            y=_below_high(values),
            yaxis="y2",
            name=f"{text(name)}, drawdown",
            showlegend=False,
            line={"width": 1.2, **pen(number)},
            fill="tozeroy" if number == 0 else None,
            hovertemplate="%{y:.1f} %",
        )
    dress(drawn, title=title, height=height)
    stack(drawn, lower=0.28)
    time_axis(drawn, *(values.index for values in curves.values()))
    drawn.update_layout(
        yaxis={"title": {"text": text(unit)}}, yaxis2={"title": {"text": "drawdown"}, "ticksuffix": " %"}
    )
    return stamp(drawn, *curves.values())


def _below_high(values: pd.Series) -> pd.Series:
    """Return percent below the highest value so far; a ruined account has lost 100 %, also where it has a debt."""
    top = values.cummax()
    return (100 * (values / top.where(top > 0) - 1)).clip(lower=-100)


def exposure(values: pd.Series, *, title: str | None = None, height: int = 240) -> go.Figure:
    """Draw an account's positions by its value, in percent, at each close."""
    values = read_curve(values)
    drawn = figure(
        go.Scatter(
            x=local(values.index),
            y=100 * values,
            name="exposure",
            line={"width": 1.2, "color": PALETTE[0], "shape": "hv"},
            fill="tozeroy",
            hovertemplate="%{y:.1f} % held<extra></extra>",
        ),
        title=title,
        height=height,
    )
    drawn.update_yaxes(ticksuffix=" %", rangemode="tozero")
    time_axis(drawn, values.index)
    return stamp(drawn, values)
