"""What an account was worth, and how far below its high."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from stocklib.metrics import drawdown
from stocklib.plots.house import PALETTE, closed_times, dress, need, text


def equity_curve(
    curves: Mapping[str, pd.Series], *, title: str | None = None, unit: str = "USD", height: int = 480
) -> go.Figure:
    """Named series of an account's value by date, the strategy first, with their drawdowns underneath."""
    need(pd.DataFrame(dict(curves)), *list(curves)[:1])
    drawn = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.05, row_heights=[0.7, 0.3])
    for number, (name, values) in enumerate(curves.items()):
        colour = PALETTE[number % len(PALETTE)] if number else PALETTE[0]
        line = {"width": 2, "color": colour}
        drawn.add_trace(
            go.Scatter(x=values.index, y=values, name=text(name), line=line, hovertemplate=f"%{{y:,.2f}} {text(unit)}"),
            row=1,
            col=1,
        )
        drawn.add_trace(
            go.Scatter(
                x=values.index,
                y=drawdown(values),
                name=text(name),
                showlegend=False,
                line={"width": 1.2, "color": colour},
                fill="tozeroy" if number == 0 else None,
                hovertemplate="%{y:.1f} %",
            ),
            row=2,
            col=1,
        )
    dress(drawn, title=title, height=height)
    times = pd.Series(next(iter(curves.values())).index)
    drawn.update_xaxes(rangebreaks=closed_times(times))
    drawn.update_yaxes(title_text=text(unit), row=1, col=1)
    drawn.update_yaxes(title_text="drawdown, %", row=2, col=1)
    return drawn
