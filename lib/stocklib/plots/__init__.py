"""Figures: tidy frames in, Plotly figures in the house template out.

Colours can be told apart by people who do not see red and green: up is blue, down is vermilion, and a symbol keeps its
colour wherever the same symbols are shown together. Every figure takes the width it is given.

Importing this package changes two options of the process: ``.plot()`` of pandas draws with Plotly
(``pandas_backend``), and the house template is Plotly's default. Nothing else of the project changes them.
"""

import pandas as pd

from stocklib.plots.account import equity_curve, exposure
from stocklib.plots.candlesticks import candlestick
from stocklib.plots.house import colours, library, template
from stocklib.plots.line_charts import bars, lines
from stocklib.plots.matrices import correlation_matrix, sweep_heatmap
from stocklib.plots.menus import choose
from stocklib.plots.palette import DOWN, PALETTE, UP
from stocklib.plots.panels import comparison, kpis, treemap, volatility_bars, ytd_bars
from stocklib.plots.returns import (
    monthly_heatmap,
    monthly_returns,
    return_distribution,
    rolling_metrics,
    yearly_returns,
)
from stocklib.plots.tables import styled

__all__ = [
    "DOWN",
    "PALETTE",
    "UP",
    "bars",
    "candlestick",
    "choose",
    "colours",
    "comparison",
    "correlation_matrix",
    "equity_curve",
    "exposure",
    "kpis",
    "library",
    "lines",
    "monthly_heatmap",
    "monthly_returns",
    "return_distribution",
    "rolling_metrics",
    "styled",
    "sweep_heatmap",
    "template",
    "treemap",
    "volatility_bars",
    "yearly_returns",
    "ytd_bars",
]

pd.options.plotting.backend = "stocklib.plots.pandas_backend"
