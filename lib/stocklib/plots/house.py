"""The parts that every figure shares: the template (light and dark), colours, closed days, and plotly.js."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio

from stocklib.errors import DateRangeError, InputError
from stocklib.indicators.times import read_times
from stocklib.plots.palette import DARK, DOWN, LEVEL, LIGHT, PALETTE, UP
from stocklib.sessions import NEW_YORK, session

_HOUR = pd.Timedelta(hours=1)
_SMALL = {"size": 10, "color": LEVEL}
_COLOR_BAR = {"thickness": 8, "outlinewidth": 0, "xpad": 4}
_WITHOUT_AXES = {"treemap", "indicator"}
_DASHES = ("solid", "dash", "dot", "dashdot")
# Dates are written alike everywhere: by the distance of ticks, in milliseconds or months. A year under the first month
# would be lost where that tick is a closed day.
_TIME_TICKS = [
    {"dtickrange": [None, 86_399_999], "value": "%H:%M\n%-d %b %Y"},
    {"dtickrange": [86_400_000, 2_419_200_000], "value": "%-d %b\n%Y"},
    {"dtickrange": ["M1", "M6"], "value": "%b %Y"},
    {"dtickrange": ["M12", None], "value": "%Y"},
]
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def template(*, dark: bool = False) -> go.layout.Template:
    """Return the house template; its paper is the report's card, light or dark."""
    drawn_on = DARK if dark else LIGHT
    ink, soft, grid, paper = drawn_on.ink, drawn_on.soft, drawn_on.grid, drawn_on.card
    diverging = [[0, DOWN], [0.5, drawn_on.middle], [1, UP]]
    axis: dict[str, Any] = {
        "gridcolor": grid,
        "linecolor": grid,
        "zerolinecolor": grid,
        "tickfont": {"color": soft, "size": 12},
        "title": {"font": {"color": soft, "size": 12}, "standoff": 8},
        "automargin": True,
    }
    return go.layout.Template(
        layout={
            "font": {"family": _FONT, "size": 13, "color": ink},
            "title": {
                "x": 0,
                "xref": "container",
                "y": 1,
                "yref": "container",
                "yanchor": "top",
                "pad": {"l": 12, "t": 10},
                "font": {"size": 16, "color": ink},
            },
            "paper_bgcolor": paper,
            "plot_bgcolor": paper,
            "colorway": list(PALETTE),
            "margin": {"l": 8, "r": 12, "t": 44, "b": 8},
            "hovermode": "x unified",
            "hoverlabel": {"bgcolor": paper, "bordercolor": grid, "font": {"family": _FONT, "size": 12, "color": ink}},
            "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "font": {"size": 12, "color": soft}},
            "xaxis": {
                **axis,
                "showgrid": False,
                "spikethickness": 1,
                "spikecolor": soft,
                "spikedash": "solid",
            },
            "yaxis": {**axis, "side": "right", "ticklabelstandoff": 4},
            "colorscale": {"diverging": diverging},
            "coloraxis": {"colorscale": diverging, "colorbar": _COLOR_BAR},
            "modebar": {"remove": ["lasso2d", "select2d", "autoscale"], "color": soft, "activecolor": ink},
            "separators": ".,",
            "updatemenudefaults": {"bgcolor": paper, "bordercolor": grid, "font": {"color": ink, "size": 13}},
        },
        data={"heatmap": [{"colorscale": diverging, "colorbar": _COLOR_BAR}]},
    )


def figure(*traces: Any, title: str | None = None, height: int = 420, **layout: Any) -> go.Figure:
    """Return a figure in the house template, as wide as its container."""
    drawn = go.Figure(list(traces))
    dress(drawn, title=title, height=height, **layout)
    return drawn


def line(
    values: pd.Series, number: int, *, hover: str, width: float = 2, colors: Sequence[str] = PALETTE, **trace: Any
) -> go.Scatter:
    """Return a line by date, in the pen of its number."""
    style = {"width": width, **pen(number, colors)}
    return go.Scatter(x=local(values.index), y=values, line=style, hovertemplate=hover, **trace)


def heatmap(
    x: list[str], y: list[str], z: Any, *, reach: float, title: str | None, height: int, **trace: Any
) -> go.Figure:
    """Return a heat map on two axes of names: vermilion at ``-reach``, blue at ``reach``."""
    cells = go.Heatmap(x=x, y=y, z=z, zmin=-reach, zmid=0, zmax=reach, **trace)
    drawn = figure(cells, title=title, height=height, hovermode="closest")
    drawn.update_xaxes(type="category")
    return drawn.update_yaxes(type="category", side="left", showgrid=False)


def dress(drawn: go.Figure, *, title: str | None, height: int, **layout: Any) -> None:
    """Put a figure into the house template."""
    # a legend stands above the axes, and a title above that
    top = (36 if title else 8) + (24 if layout.get("showlegend", len(drawn.data) > 1) else 0)
    drawn.update_layout(template="stocks", height=height, autosize=True, margin={"t": top}, **layout)
    if title:
        drawn.update_layout(title_text=text(title))


def stamp(drawn: go.Figure, *sources: Any) -> go.Figure:
    """Print the version of the data below a figure, where the frames' ``attrs`` hold it."""
    versions = dict.fromkeys(
        str(source.attrs["data_version"]) for source in sources if source is not None and "data_version" in source.attrs
    )
    if not versions:
        return drawn
    label = text(f"data {', '.join(versions)}")
    if any(trace.type in _WITHOUT_AXES for trace in drawn.data):
        drawn.add_annotation(
            text=label, x=0.5, y=0, xref="paper", yref="paper", yanchor="top", yshift=-4, showarrow=False, font=_SMALL
        )
        return drawn.update_layout(margin={"b": 24})
    # the time axis places its title under the labels by itself
    title = drawn.layout.xaxis.title.text
    small = f'<span style="font-size:10px">{label}</span>'
    return drawn.update_layout(xaxis={"title": {"text": f"{title}<br>{small}" if title else small, "standoff": 6}})


def stack(drawn: go.Figure, *, lower: float) -> None:
    """Stack two panels over one time axis, ``lower`` being the share of ``y2``; hovering shows both."""
    drawn.update_layout(
        xaxis={"anchor": "y2"},
        yaxis={"domain": [lower + 0.04, 1]},
        yaxis2={"domain": [0, lower], "side": "right"},
        hoversubplots="axis",
    )


def colours(symbols: Iterable[str]) -> dict[str, str]:
    """Return a colour for each symbol: the same for the same set of symbols, in any order."""
    return {symbol: pen(n)["color"] for n, symbol in enumerate(sorted(set(symbols)))}


def pen(number: int, colors: Sequence[str] = PALETTE) -> dict[str, str]:
    """Return colour and dash of the line with this number, from 0: the first 28 of the palette all differ."""
    return {"color": colors[number % len(colors)], "dash": _DASHES[number // len(colors) % len(_DASHES)]}


def signed(values: Iterable[float]) -> list[str]:
    """Return colours for up, down and level."""
    return [UP if value > 0 else DOWN if value < 0 else LEVEL for value in values]


def closed_times(times: pd.Series) -> list[dict[str, Any]]:
    """Return the range breaks that leave out weekends, closed days and, below a day, the hours between the sessions.

    ``times`` are in New York time, in order, of everything that is drawn. A weekday without a bar counts as closed. So
    do hours without one, and a half day's afternoon where the calendar has that half day.
    """
    days = pd.DatetimeIndex(times.dt.normalize().unique())
    missing = pd.bdate_range(days[0], days[-1]).difference(days)
    breaks: list[dict[str, Any]] = [{"bounds": ["sat", "mon"]}]
    if len(missing):
        breaks.append({"values": [f"{day:%Y-%m-%d}" for day in missing]})
    within = times.dt.hour + times.dt.minute / 60
    if len(times) > 1 and within.nunique() > 1:
        width = float(times.diff().min() / _HOUR)
        end = float(within.max()) + width
        breaks.append({"bounds": [end, float(within.min())], "pattern": "hour"})
        breaks += _short_days(times.groupby(times.dt.normalize()).last() + width * _HOUR, end)
    return breaks


def _short_days(ends: pd.Series, usual: float) -> list[dict[str, Any]]:
    """Return the breaks of half days: from the end of the last bar to the hour at which other sessions end."""
    empty: dict[int, list[str]] = {}
    for end in ends:
        rest = end.normalize() + usual * _HOUR - end
        if rest > pd.Timedelta(0) and _closes_early(end):
            empty.setdefault(int(rest / pd.Timedelta(milliseconds=1)), []).append(f"{end:%Y-%m-%d %H:%M:%S}")
    return [{"values": begins, "dvalue": length} for length, begins in empty.items()]


def _closes_early(day: Any) -> bool:
    try:
        found = session(day.date())
    except DateRangeError:
        return False
    return found is not None and found.is_early_close


def local(times: pd.Series | pd.Index) -> pd.Series:
    """Return times as a figure shows them, without a time zone: dates as they are, instants in New York time."""
    read = read_times(times)
    if not isinstance(read, pd.DatetimeIndex):
        raise InputError("a figure over time needs dates: use set_index('date'), or a column date or time")
    shown = read if read.tz is None else read.tz_convert(NEW_YORK).tz_localize(None)
    return pd.Series(shown, times.index if isinstance(times, pd.Series) else None)


def time_axis(drawn: go.Figure, *times: pd.Series | pd.Index) -> None:
    """Leave out the hours without values, and show the time under the pointer."""
    together = pd.DatetimeIndex(np.unique(np.concatenate([local(each).to_numpy() for each in times])))
    shown = pd.Series(together)
    within_days = bool((shown != shown.dt.normalize()).any())
    hover = "%-d %b %Y, %H:%M New York" if within_days else "%-d %b %Y"
    drawn.update_xaxes(rangebreaks=closed_times(shown), hoverformat=hover, tickformatstops=_TIME_TICKS)


def number_text(value: float, digits: int) -> str:
    """Return a number as a figure's cell shows it; an empty text where it is missing."""
    return "" if pd.isna(value) else f"{round(value, digits) + 0:.{digits}f}".replace("-", "−")


def number(value: Any, digits: int, *, sign: bool = False) -> str:
    """A number with thousands apart and a true minus, or a dash.

    >>> number(1234.5, 2), number(-0.001, 2, sign=True)
    ('1,234.50', '+0.00')
    """
    if value is None or pd.isna(value):
        return "–"
    # adding 0 makes a negative zero a plain one
    return f"{round(value, digits) + 0:{'+' if sign else ''},.{digits}f}".replace("-", "−")


def short(value: Any) -> str:
    """A large amount with three digits that count and a letter for its size, or a dash.

    >>> short(4_513_200_000_000), short(96_000_000)
    ('4.51 T', '96.0 M')
    >>> short(999_999_999)
    '1.00 B'
    """
    if value is None or pd.isna(value):
        return "–"
    if value < 1e6:
        return f"{value:,.0f}".replace("-", "−")
    value = float(f"{value:.3g}") if value < 1e15 else value
    power = min(4, int(math.log10(value) // 3))
    scaled = float(value) / 1000**power
    return f"{scaled:,.{max(0, 2 - int(math.log10(scaled)))}f} {'MBT'[power - 2]}"


def text(value: object) -> str:
    """Return text escaped for a figure: a company's name is never markup."""
    return escape(str(value), quote=False)


def day_text(day: Any, form: str = "%B %Y") -> str:
    """Return a date or a time without a zero before the day of the month, for which Windows has no code.

    >>> day_text(pd.Timestamp("2012-12-04")), day_text(pd.Timestamp("2012-12-04 16:00"), "%b %H:%M")
    ('4 December 2012', '4 Dec 16:00')
    """
    return f"{day.day} {day:{form}}"


def library() -> str:
    """Return plotly.js; put it into a page once."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


pio.templates["stocks"] = template()
pio.templates["stocks_dark"] = template(dark=True)
pio.templates.default = "stocks"
