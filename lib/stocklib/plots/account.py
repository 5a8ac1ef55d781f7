"""An account's value, and its drawdown."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from stocklib.errors import InputError
from stocklib.plots.house import dress, figure, line, stack, stamp, text, time_axis
from stocklib.plots.inputs import read_curve, read_curves
from stocklib.plots.palette import ACCOUNTS


def equity_curve(
    curves: Mapping[str, pd.Series], *, title: str | None = None, unit: str = "USD", height: int = 480
) -> go.Figure:
    """Draw named series of an account's value by date above its drawdown: a strategy, its benchmark in grey, more."""
    curves = read_curves(curves)
    if not curves:
        raise InputError("an equity curve needs at least one named series with values")
    drawn = go.Figure()
    for number, (name, values) in enumerate(curves.items()):
        below = {"yaxis": "y2", "showlegend": False, "fill": "tozeroy" if number == 0 else None}
        worth = line(values, number, name=text(name), hover=f"%{{y:,.2f}} {text(unit)}", colors=ACCOUNTS)
        fall = line(_below_high(values), number, width=1.2, hover="%{y:.1f} %", colors=ACCOUNTS, **below)
        drawn.add_traces([worth, fall.update(name=f"{text(name)}, drawdown")])
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
    held = line(100 * values, 0, width=1.2, name="exposure", hover="%{y:.1f} % held<extra></extra>", fill="tozeroy")
    drawn = figure(held.update(line_shape="hv"), title=title, height=height)
    drawn.update_yaxes(ticksuffix=" %", rangemode="tozero")
    time_axis(drawn, values.index)
    return stamp(drawn, values)
