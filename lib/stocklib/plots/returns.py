"""What a series brought and how: month by month, as a distribution, and over a window that moves along."""

import calendar
from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from stocklib import indicators, metrics
from stocklib.errors import InputError
from stocklib.indicators import windows
from stocklib.indicators.columns import check_window
from stocklib.indicators.times import session_days
from stocklib.metrics.growth import check_sessions
from stocklib.plots.house import dress, figure, heatmap, line, number_text, stamp, text, time_axis
from stocklib.plots.inputs import read_curve, read_curves
from stocklib.plots.palette import ACCOUNTS, DOWN, LEVEL, PALETTE, UP

_MONTHS = [*calendar.month_abbr[1:], "Year"]


def monthly_returns(values: pd.Series) -> pd.DataFrame:
    """What each month brought, in percent: years × the twelve months and the year as a whole.

    From the last value of the month before; the first month and year count from the first value. A first year of one
    value is left out: nothing happened in it. Months are New York's.
    ``InputError`` for values out of order, zero or negative.

    >>> days = pd.to_datetime(["2012-01-31", "2012-02-29", "2013-01-31"])
    >>> monthly_returns(pd.Series([100.0, 110.0, 99.0], days))[["Jan", "Feb", "Year"]].round(6).to_numpy().tolist()
    [[0.0, 10.0, 10.0], [-10.0, nan, -10.0]]
    """
    values = read_curve(values).dropna()
    values = read_curve(values, positive=True)
    days = pd.DatetimeIndex(session_days(values.index))
    ends = values.groupby([days.year, days.month]).last()
    months = (100 * (ends / ends.shift(1).fillna(values.iloc[0]) - 1)).unstack().reindex(columns=range(1, 13))
    years = values.groupby(days.year).last()
    months[13] = 100 * (years / years.shift(1).fillna(values.iloc[0]) - 1)
    months.columns = pd.Index(_MONTHS)
    months.index.name = "year"
    return months[1:] if len(months) > 1 and days.year[1] > days.year[0] else months


def yearly_returns(curves: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Return what each year brought, in percent: years × curves. It is the ``Year`` of ``monthly_returns``.

    >>> days = pd.to_datetime(["2011-12-30", "2012-06-29", "2012-12-31", "2013-01-31"])
    >>> yearly_returns({"A": pd.Series([100.0, 105.0, 110.0, 99.0], days)}).round(6)["A"].to_dict()
    {2012: 10.0, 2013: -10.0}
    """
    read = read_curves(curves)
    found = pd.DataFrame({name: monthly_returns(values)["Year"] for name, values in read.items()})
    found.attrs = next(iter(read.values())).attrs if read else {}
    return found


def monthly_heatmap(values: pd.Series, *, title: str | None = None, height: int | None = None) -> go.Figure:
    """``monthly_returns`` as a heat map: blue rose, vermilion fell; the year's own return at the right."""
    months = monthly_returns(values)
    reach = max(1.0, float(np.nanmax(np.abs(months[_MONTHS[:12]].to_numpy()))))
    years = [str(year) for year in months.index]
    shown = [[number_text(value, 1) for value in row] for row in months.to_numpy()]
    drawn = heatmap(
        _MONTHS,
        years,
        months.to_numpy(),
        reach=reach,
        title=title,
        height=height or 110 + 26 * len(years),
        text=shown,
        texttemplate="%{text}",
        textfont={"size": 11},
        showscale=False,
        xgap=2,
        ygap=2,
        hoverongaps=False,
        hovertemplate="%{x} %{y}: %{z:+.2f} %<extra></extra>",
    )
    drawn.update_layout(xaxis={"tickfont": {"size": 10}}, yaxis={"autorange": "reversed"})
    return stamp(drawn, values)


def return_distribution(values: pd.Series, *, title: str | None = None, height: int = 380) -> go.Figure:
    """Daily returns in percent: how many sessions brought how much, a normal distribution's share, VaR and CVaR.

    The bar that holds 0 is grey.
    """
    values = check_sessions(values)
    changes = 100 * metrics.returns(values).dropna()
    counts, edges = np.histogram(changes, bins=min(60, max(10, round(2 * len(changes) ** 0.5))))
    middles, width = (edges[:-1] + edges[1:]) / 2, edges[1] - edges[0]
    holds_zero, _ = np.histogram([0.0], edges)
    drawn = figure(
        go.Bar(
            x=middles,
            y=counts,
            width=width * 0.94,
            name="sessions",
            marker={"color": np.where(holds_zero, LEVEL, np.where(middles > 0, UP, DOWN)).tolist(), "opacity": 0.75},
            customdata=np.column_stack([edges[:-1], edges[1:]]),
            hovertemplate="%{y} sessions from %{customdata[0]:+.2f} to %{customdata[1]:+.2f} %<extra></extra>",
        ),
        title=title,
        height=height,
        hovermode="closest",
        showlegend=False,
    )
    if changes.std() > 0:
        normal = NormalDist(float(changes.mean()), float(changes.std(ddof=1)))
        reach = np.linspace(edges[0], edges[-1], 200)
        drawn.add_scatter(
            x=reach,
            y=[len(changes) * width * normal.pdf(at) for at in reach],
            name="normal",
            line={"width": 1.6, "color": PALETTE[-1]},
            hovertemplate="normal with the same mean and deviation: %{y:.1f} sessions<extra></extra>",
        )
    dashes = {"width": 1.2, "dash": "dot", "color": PALETTE[4]}
    tails = (("VaR 95 %", metrics.value_at_risk(values)), ("CVaR", metrics.cvar(values)))
    for number, (name, at) in enumerate(tails):
        # CVaR stands left of VaR: a shorter line, under the label of VaR
        top = {"x": at, "y": 1 - 0.12 * number, "yref": "y domain"}
        drawn.add_shape(type="line", x0=at, x1=at, y0=0, y1=top["y"], yref="y domain", line=dashes)
        label = {"text": f"{name} {number_text(at, 2)} %", "font": {"size": 11}, "showarrow": False}
        drawn.add_annotation(**top, **label, xanchor="right", yanchor="top", xshift=-2)
    drawn.update_xaxes(title_text="daily return, %", ticksuffix=" %")
    drawn.update_yaxes(title_text="sessions", rangemode="nonnegative")
    return stamp(drawn, values)


def rolling_metrics(
    curves: Mapping[str, pd.Series],
    *,
    window: int = 63,
    benchmark: pd.Series | None = None,
    title: str | None = None,
    height: int = 520,
) -> go.Figure:
    """Volatility and Sharpe ratio of the last ``window`` returns, after each session; with a benchmark beta as well."""
    check_window(window, at_least=2)
    curves = {name: check_sessions(values) for name, values in read_curves(curves, positive=True).items()}
    if not curves or any(len(values) <= window for values in curves.values()):
        raise InputError(f"a rolling window of {window} returns needs more than {window} values")
    market = None if benchmark is None else read_curve(benchmark, positive=True)
    panels = ["volatility, % a year", "Sharpe ratio"] + ([] if benchmark is None else ["beta"])
    drawn = go.Figure()
    for number, (name, values) in enumerate(curves.items()):
        changes = values / values.shift(1) - 1
        rolled = [indicators.rolling_volatility(values, window), _rolling_sharpe(changes, window)]
        if market is not None:
            rolled.append(indicators.rolling_beta(changes, market / market.shift(1) - 1, window))
        for panel, measured in enumerate(rolled):
            unit = " % a year" if panel == 0 else ""
            drawn.add_trace(
                line(
                    measured,
                    number,
                    hover=f"{panels[panel].split(',')[0]} %{{y:.2f}}{unit}",
                    width=1.6,
                    colors=ACCOUNTS,
                    yaxis=f"y{panel + 1}" if panel else "y",
                    name=text(name),
                    showlegend=panel == 0,
                    legendgroup=text(name),
                )
            )
    dress(drawn, title=title, height=height)
    _stack_evenly(drawn, panels)
    time_axis(drawn, *(values.index for values in curves.values()))
    return stamp(drawn, *curves.values())


def _rolling_sharpe(changes: pd.Series, window: int) -> pd.Series:
    """The Sharpe ratio of each window; NaN where the returns do not vary."""
    numbers = changes.to_numpy()[:, None]
    mean, deviation = windows.mean(numbers, window), windows.deviation(numbers, window, ddof=1)
    varies = deviation > np.maximum(metrics.NO_DEVIATION, 1e-12 * np.abs(mean))
    ratio = np.divide(mean, deviation, out=np.full_like(mean, np.nan), where=varies)
    return pd.Series(ratio[:, 0] * metrics.SESSIONS_A_YEAR**0.5, changes.index)


def _stack_evenly(drawn: go.Figure, panels: list[str]) -> None:
    """Panels of one height over one time axis, each with its own unit; pointing shows all."""
    height = 1 / len(panels)
    for number, name in enumerate(panels):
        top = 1 - number * height
        axis = {"domain": [top - height + 0.03, top], "side": "right", "title": {"text": name}, "nticks": 5}
        drawn.update_layout({f"yaxis{number + 1}" if number else "yaxis": axis})
    drawn.update_layout(xaxis={"anchor": f"y{len(panels)}"}, hoversubplots="axis")
