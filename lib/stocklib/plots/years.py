"""What each calendar year brought, one curve next to another."""

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from stocklib.errors import InputError
from stocklib.plots.house import figure, pen, stamp, text
from stocklib.plots.inputs import read_curves
from stocklib.plots.returns import monthly_returns


def yearly_returns(curves: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Return what each year brought, in percent: years × curves. It is the ``Year`` of ``monthly_returns``.

    >>> days = pd.to_datetime(["2011-12-30", "2012-06-29", "2012-12-31", "2013-01-31"])
    >>> yearly_returns({"A": pd.Series([100.0, 105.0, 110.0, 99.0], days)}).round(6)["A"].to_dict()
    {2012: 10.0, 2013: -10.0}
    """
    if not (named := read_curves(curves)):
        raise InputError("the returns of years need at least one named series with values")
    return pd.DataFrame({name: monthly_returns(values)["Year"] for name, values in named.items()})


def yearly_bars(curves: Mapping[str, pd.Series], *, title: str | None = None, height: int = 300) -> go.Figure:
    """``yearly_returns`` as bars, those of one year side by side."""
    years = yearly_returns(curves)
    bars = [
        go.Bar(
            x=[str(year) for year in years.index],
            y=years[name],
            name=text(name),
            marker={"color": pen(number)["color"]},
            hovertemplate="%{y:+.2f} %",
        )
        for number, name in enumerate(years)
    ]
    drawn = figure(*bars, title=title, height=height, bargap=0.3, bargroupgap=0.08)
    drawn.update_xaxes(type="category")
    drawn.update_yaxes(ticksuffix=" %", zeroline=True, zerolinewidth=2)
    return stamp(drawn, *curves.values())
