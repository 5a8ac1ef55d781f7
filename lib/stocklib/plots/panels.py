"""Figures that set symbols side by side: normalised prices, bars, a treemap by sector, and the numbers themselves."""

import math

import pandas as pd
import plotly.graph_objects as go

from stocklib.errors import InputError
from stocklib.indicators.columns import SMALLEST, check_window
from stocklib.plots.house import day_text, figure, line, short, signed, stamp, text, time_axis
from stocklib.plots.inputs import need, read_dates, read_numbers, with_times
from stocklib.plots.palette import DOWN, LEVEL, PALETTE, UP


def comparison(frame: pd.DataFrame, *, title: str | None = None, height: int = 420) -> go.Figure:
    """Closes (symbol, date or time, close), each symbol divided by its own first one and times 100.

    A symbol that begins later than the others says so where one points at it.
    """
    frame = with_times(frame)
    when = "time" if isinstance(frame, pd.DataFrame) and "time" in frame else "date"
    need(frame, "symbol", when, "close")
    frame = read_dates(read_numbers(frame, "close"), name=when)
    closes = frame.dropna(subset=["close"]).sort_values(["symbol", when])
    if (closes["close"] < SMALLEST).any():
        raise InputError("a close is zero or negative, and has no place on a scale from 100")
    if closes.duplicated(["symbol", when]).any():
        raise InputError(f"a symbol has two closes of one {when}: drop what is there twice")
    need(closes)
    begin = closes[when].min()
    traces = []
    for number, (symbol, bars) in enumerate(closes.groupby("symbol", sort=True)):
        first = bars[when].iloc[0]
        late = f" since {day_text(first, '%b %Y')}" if first > begin else ""
        scaled = 100 * bars.set_index(when)["close"] / bars["close"].iloc[0]
        traces.append(line(scaled, number, hover="%{y:.1f}" + late, name=text(symbol), mode="lines"))
    drawn = figure(*traces, title=title, height=height)
    drawn.add_hline(y=100, line={"width": 1, "dash": "dot", "color": PALETTE[-1]})
    time_axis(drawn, closes[when])
    drawn.update_yaxes(title_text=f"first {'session' if when == 'date' else 'bar'} = 100")
    return stamp(drawn, frame)


def ytd_bars(frame: pd.DataFrame, *, title: str | None = None) -> go.Figure:
    """Return since the last session of the year before, in percent: symbol, ytd_return_percent, [ytd_base_date]."""
    need(frame, "symbol", "ytd_return_percent")
    rows = _ranked(frame, "ytd_return_percent")
    hover = "%{y}: %{x:+.2f} %"
    since = None
    if "ytd_base_date" in rows:
        hover += " since %{customdata}"
        days = pd.to_datetime(rows["ytd_base_date"])
        since = ["–" if pd.isna(day) else day_text(day, "%b %Y") for day in days]
    return _bars(rows, "ytd_return_percent", signed(rows["ytd_return_percent"]), hover, "{:+.1f} %", title, since)


def volatility_bars(frame: pd.DataFrame, *, title: str | None = None) -> go.Figure:
    """Annualised volatility of 30 daily returns, in percent: symbol, volatility_30day_percent."""
    need(frame, "symbol", "volatility_30day_percent")
    rows = _ranked(frame, "volatility_30day_percent")
    hover = "%{y}: %{x:.1f} % a year"
    return _bars(rows, "volatility_30day_percent", [PALETTE[0]] * len(rows), hover, "{:.1f} %", title, None)


def treemap(frame: pd.DataFrame, *, title: str | None = None, unit: str = "USD", height: int = 420) -> go.Figure:
    """Sectors and the symbols in them (symbol, sector, market_cap, change_percent): size is value, colour is change.

    A symbol without a market value has no size and is left out. One without a change is grey, and counts nowhere in its
    sector's; where the frame says ``is_stale`` and ``last_bar_date``, as ``gold_treechart`` does, it says since when.
    """
    need(frame, "symbol", "sector", "market_cap", "change_percent")
    rows = read_numbers(frame, "market_cap", "change_percent")
    rows = rows[rows["market_cap"] > 0]
    need(rows, "symbol")
    gone = rows["is_stale"].eq(True) if "is_stale" in rows else pd.Series(False, rows.index)
    rows = rows.assign(sector=rows["sector"].fillna("Unknown"), change_percent=rows["change_percent"].mask(gone))
    sectors = rows.groupby("sector")["market_cap"].sum()
    # of nothing that moved there is no change
    moving = rows.dropna(subset=["change_percent"]).set_index("sector")
    moved = (moving["change_percent"] * moving["market_cap"]).groupby("sector").sum()
    weights = moving.groupby("sector")["market_cap"].sum()
    changes = [*(moved / weights).reindex(sectors.index), *rows["change_percent"]]
    reach = max(1.0, *(abs(change) for change in changes if not math.isnan(change)), 0.0)
    known = ["no change known" if math.isnan(change) else f"{change:+.2f} %".replace("-", "−") for change in changes]
    last_bars = pd.to_datetime(rows["last_bar_date"] if "last_bar_date" in rows else pd.Series(pd.NaT, rows.index))
    since = ["no bar" + ("" if pd.isna(day) else f" since {day_text(day, '%b %Y')}") for day in last_bars]
    said = known[: len(sectors)]
    said += [s if is_gone else k for s, k, is_gone in zip(since, known[len(sectors) :], gone, strict=True)]
    drawn = figure(
        go.Treemap(
            ids=["all", *("sector " + sectors.index), *rows["symbol"]],
            labels=["All sectors", *(text(label) for label in (*sectors.index, *rows["symbol"]))],
            parents=["", *["all"] * len(sectors), *("sector " + rows["sector"])],
            values=[sectors.sum(), *sectors, *rows["market_cap"]],
            branchvalues="total",
            marker={
                # a colour among the numbers is taken as it is
                # the whole has none
                "colors": ["rgba(0,0,0,0)", *(LEVEL if math.isnan(change) else change for change in changes)],
                "coloraxis": "coloraxis",
                "cornerradius": 4,
                "line": {"width": 1, "color": "rgba(255,255,255,.6)"},
            },
            customdata=["", *said],
            hovertext=[short(value) for value in (sectors.sum(), *sectors, *rows["market_cap"])],
            # the whole, whose paper may be light or dark
            textfont={"color": [LEVEL]},
            texttemplate="<b>%{label}</b><br>%{customdata}",
            hovertemplate=f"%{{label}}<br>%{{customdata}} since the close before<br>%{{hovertext}} {text(unit)}"
            "<extra></extra>",
            tiling={"pad": 2},
            # the way back from a sector, above it
            pathbar={"thickness": 22, "textfont": {"color": LEVEL}},
        ),
        title=title,
        height=height,
        uniformtext={"minsize": 9, "mode": "hide"},
        coloraxis={"cmin": -reach, "cmid": 0, "cmax": reach, "colorbar": {"ticksuffix": " %"}},
    )
    drawn.update_layout(margin={"t": drawn.layout.margin.t + 24})
    return stamp(drawn, frame)


def kpis(frame: pd.DataFrame, *, title: str | None = None, unit: str = "USD", columns: int = 3) -> go.Figure:
    """The latest price of each symbol and its change since the close before (symbol, current_price, change_amount)."""
    check_window(columns, name="columns")
    need(frame, "symbol", "current_price", "change_amount")
    values = read_numbers(frame, "current_price", "change_amount")
    rows = math.ceil(len(frame) / columns)
    drawn = figure(title=title, height=40 + 110 * rows)
    for number, (symbol, price, change) in enumerate(
        zip(values["symbol"], values["current_price"], values["change_amount"], strict=True)
    ):
        drawn.add_trace(
            go.Indicator(
                mode="number" if math.isnan(change) else "number+delta",
                value=price,
                title={"text": f"{text(symbol)}, {text(unit)}", "font": {"size": 14}},
                number={"valueformat": ",.2f", "font": {"size": 28}},
                delta={
                    "reference": price - change,
                    "relative": True,
                    "valueformat": "+.2%",
                    "increasing": {"color": UP},
                    "decreasing": {"color": DOWN},
                    "font": {"size": 15},
                },
                domain={"row": number // columns, "column": number % columns},
            )
        )
    drawn.update_layout(grid={"rows": rows, "columns": columns, "pattern": "independent"})
    return stamp(drawn, frame)


def _ranked(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """The rows that have the figure, the smallest first."""
    return read_numbers(frame, column).dropna(subset=[column]).sort_values(column)


def _bars(
    rows: pd.DataFrame,
    column: str,
    colour: list[str],
    hover: str,
    label: str,
    title: str | None,
    custom: list[str] | None,
) -> go.Figure:
    need(rows, column)
    bars = go.Bar(
        y=[text(symbol) for symbol in rows["symbol"]],
        x=rows[column].astype("float64"),
        orientation="h",
        marker={"color": colour},
        text=[label.format(float(value)).replace("-", "−") for value in rows[column]],
        textposition="outside",
        cliponaxis=False,
        customdata=custom,
        hovertemplate=hover + "<extra></extra>",
    )
    drawn = figure(bars, title=title, height=max(220, 90 + 34 * len(rows)), hovermode="closest", bargap=0.35)
    low, high = min(0.0, float(rows[column].min())), max(0.0, float(rows[column].max()))
    # room for the labels outside the bars
    room = 0.36 * (high - low or 1.0)
    drawn.update_xaxes(
        ticksuffix=" %", nticks=6, range=[low - room if low < 0 else 0, high + room], zeroline=True, zerolinewidth=2
    )
    drawn.update_yaxes(side="left", type="category")
    return stamp(drawn, rows)
