"""Line and bar charts of any columns, in the house template."""

import pandas as pd
import plotly.graph_objects as go

from stocklib.errors import InputError
from stocklib.indicators.columns import check_size, to_doubles
from stocklib.plots.house import figure, line, number_text, pen, signed, stamp, text, time_axis
from stocklib.plots.inputs import need, read_curve
from stocklib.plots.palette import ACCOUNTS


def lines(frame: pd.DataFrame, *, unit: str, title: str | None = None, height: int = 400) -> go.Figure:
    """Draw a line for each column of a frame by date, all in one ``unit`` (such as "% a year"); gaps stay gaps."""
    need(frame)
    curves = [read_curve(frame.iloc[:, place]) for place in range(frame.shape[1])]
    hover = f"%{{y:,.2f}} {text(unit)}"
    drawn = figure(
        *(
            line(curve, number, hover=hover, width=1.8, name=text(curve.name), mode="lines")
            for number, curve in enumerate(curves)
        ),
        title=title,
        height=height,
    )
    time_axis(drawn, frame.index)
    drawn.update_yaxes(title_text=text(unit))
    return stamp(drawn, frame)


def bars(values: pd.Series | pd.DataFrame, *, unit: str, title: str | None = None, height: int = 320) -> go.Figure:
    """Draw a bar for each value of a series by name, in the series' order: blue above zero, vermilion below.

    Of a frame the bars of a row stand side by side, in a colour for each column.
    """
    frame = values.to_frame() if isinstance(values, pd.Series) else values
    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"the values must be a series by name, or a frame, not {type(values).__name__}")
    if frame.empty:
        raise InputError("the series has no values, so there is nothing to draw")
    drawn = figure(title=title, height=height, hovermode="closest", bargap=0.35, showlegend=frame.shape[1] > 1)
    for number, (name, column) in enumerate(frame.items()):
        numbers = to_doubles(column)
        check_size(numbers)
        drawn.add_bar(
            x=[text(label) for label in frame.index],
            y=numbers,
            name=text(name),
            marker={"color": signed(numbers) if frame.shape[1] == 1 else pen(number, ACCOUNTS)["color"]},
            text=[number_text(value, 2) for value in numbers] if frame.shape[1] == 1 else None,
            textposition="outside",
            cliponaxis=False,
            hovertemplate=f"%{{x}}: %{{y:,.2f}} {text(unit)}" + ("<extra></extra>" if frame.shape[1] == 1 else ""),
        )
    drawn.update_xaxes(type="category")
    drawn.update_yaxes(title_text=text(unit), zeroline=True, zerolinewidth=2)
    return stamp(drawn, values)
