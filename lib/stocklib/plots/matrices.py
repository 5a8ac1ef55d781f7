"""Figures of pairs: correlations of symbols, and the results of a strategy's pairs of parameters."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from stocklib.errors import InputError
from stocklib.indicators.columns import read_prices
from stocklib.plots.house import heatmap, number_text, stamp, text
from stocklib.plots.inputs import need, read_numbers


def correlation_matrix(closes: pd.DataFrame, *, title: str | None = None, height: int | None = None) -> go.Figure:
    """Draw the correlation of daily returns, each pair over their common sessions; ``closes`` are dates × symbols."""
    attrs = getattr(closes, "attrs", {})
    need(closes)
    (closes,) = read_prices(closes)
    closes.attrs = attrs
    if closes.shape[1] < 2:
        raise InputError("a correlation needs two symbols or more")
    changes = closes / closes.shift(1) - 1
    table = changes.corr(min_periods=3)
    together = changes.notna().astype(int)
    names = [text(name) for name in table]
    drawn = heatmap(
        names,
        names,
        table.to_numpy(),
        reach=1,
        title=title,
        height=height or max(260, 120 + 44 * min(len(names), 15)),
        customdata=together.T.dot(together).to_numpy(),
        text=[[number_text(value, 2) for value in row] for row in table.to_numpy()],
        texttemplate="%{text}" if len(names) <= 15 else None,
        textfont={"size": 11},
        xgap=2,
        ygap=2,
        hovertemplate="%{x} and %{y}: %{z:.3f} over %{customdata} returns<extra></extra>",
    )
    drawn.update_yaxes(autorange="reversed")
    return stamp(drawn, closes)


def sweep_heatmap(
    table: pd.DataFrame, x: str, y: str, figure_name: str = "Sharpe", *, title: str | None = None, height: int = 440
) -> go.Figure:
    """Draw a figure of a sweep for each pair of two parameters; the best one is ringed, refused ones are empty.

    More parameters than two: the best of each pair is shown. A lone ringed cell in pale surroundings is luck; a wide
    patch of one colour is a property of the rule.
    """
    need(table, x, y, figure_name)
    table = read_numbers(table, figure_name)
    best = table.groupby([y, x], as_index=False)[figure_name].max()
    grid = best.pivot(index=y, columns=x, values=figure_name)
    values = grid.to_numpy(dtype="float64")
    if np.isnan(values).all():
        raise InputError(f"{figure_name} is known for no pair of {x} and {y}")
    reach = float(np.nanmax(np.abs(values))) or 1.0
    columns, rows = [str(value) for value in grid.columns], [str(value) for value in grid.index]
    top, left = np.unravel_index(int(np.nanargmax(values)), values.shape)
    name = text(figure_name)
    drawn = heatmap(
        columns,
        rows,
        values,
        reach=reach,
        title=title,
        height=height,
        colorbar={"title": {"text": name, "side": "right", "font": {"size": 12}}},
        hoverongaps=False,
        hovertemplate=f"{text(x)} %{{x}}, {text(y)} %{{y}}: {name} %{{z:.2f}}<extra></extra>",
    )
    drawn.add_scatter(
        x=[columns[left]],
        y=[rows[top]],
        mode="markers",
        marker={"symbol": "circle-open", "size": 15, "color": "#111418", "line": {"width": 2.5}},
        hovertemplate=f"the best: {name} {values[top, left]:.2f}<extra></extra>",
        showlegend=False,
    )
    drawn.update_layout(xaxis={"title": {"text": text(x)}}, yaxis={"title": {"text": text(y)}})
    return stamp(drawn, table)
