"""The pages of the report: what is asked on each, and by which visuals. Core visuals only, on a grid of 1280 × 720."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stocklib.plots.palette import DOWN, LINES, MIDDLE, PALETTE, UP
from workbench.powerbi.expected import EXPECTED
from workbench.powerbi.measures import BARS_SHOWN, OTHER
from workbench.powerbi.star import CALENDAR, CANDLES, SYMBOLS
from workbench.powerbi.visuals import Field, Visual, colour, column, literal, measure, one_value

WIDTH, HEIGHT = 1280, 720
_EDGE, _GAP, _TOP, _ROW = 16, 12, 72, 92
_BODY = _TOP + _ROW + _GAP
_BACK = 112
_SYMBOL = column(SYMBOLS, "symbol", "Symbol")
_SECTOR = column(SYMBOLS, "sector", "Sector")
_DATE = column(CALENDAR, "calendar_date", "Date")
# each point or cell of a visual by itself
_EACH = {"data": [{"dataViewWildcard": {"matchingOption": 1}}]}

# x, y, width, height
Place = tuple[int, int, int, int]


@dataclass(frozen=True)
class Page:
    """A page; ``drill`` is the column that one drills through to it by, and then it is in no list of pages."""

    name: str
    title: str
    visuals: tuple[Visual, ...]
    drill: Field | None = None


def pages(symbol: str) -> tuple[Page, ...]:
    """Return every page; where one symbol must be chosen, ``symbol`` is it when the report is opened."""
    return (_overview(), _candlestick(symbol), _comparison(), _risk(), _quality(), _one_symbol())


def _overview() -> Page:
    cards = _cards(
        "overview",
        {
            "As of": "As of (UTC)",
            "Change %": "Mean change",
            "Best symbol": "Best today",
            "Worst symbol": "Worst today",
            "Market cap": "Market cap (USD)",
            "Volume": "Volume (shares)",
        },
    )
    price = measure("Last price", "Last price (USD)")
    treemap = Visual(
        "overview_treemap",
        "treemap",
        "Market cap by sector and symbol (USD)",
        "Treemap: each symbol's share of the market capitalisation within its sector, in USD.",
        _place(_EDGE, _BODY, 620),
        {
            "Group": [_SECTOR],
            "Details": [_SYMBOL],
            "Values": [measure("Market cap")],
            "Tooltips": [measure("Change %"), price, measure("YTD %", "Year to date (%)")],
        },
        phone=260,
    )
    movers = _bars(
        "overview_movers",
        "Movers: change since the previous close (%)",
        "Bar chart: change of each symbol since its previous close in percent, the highest first; blue is up.",
        _place(_EDGE + 620 + _GAP, _BODY, 304),
        {"Category": [_SYMBOL], "Tooltips": [price, measure("Change", "Change (USD)"), measure("Last bar")]},
        by="Change %",
        phone=260,
    )
    table = _table(
        "overview_prices",
        "Latest prices (USD)",
        "Table: last price, change and year to date of each symbol.",
        _place(_EDGE + 620 + 304 + 2 * _GAP, _BODY),
        [_SYMBOL, *map(measure, ("Last price", "Change", "YTD %"))],
        phone=240,
    )
    return _page("overview", "Market overview", *cards, treemap, movers, table)


def _candlestick(symbol: str) -> Page:
    slicers = (
        _slicer("candles_symbol", _SYMBOL, 0, 4, chosen=symbol),
        _slicer("candles_resolution", column(CANDLES, "resolution", "Resolution"), 1, 4, chosen="1d"),
        _slicer("candles_dates", _DATE, 2, 4, title="Dates", between=True),
        _slicer("candles_period", column("dim_time", "market_period", "Period"), 3, 4, title="Market period"),
    )
    volume = _columns(
        "candles_volume",
        "Column chart: shares traded in each bar that is shown above.",
        _place(_EDGE, 572),
        column(CANDLES, "candle_time", "Bar"),
        "Candle volume",
        phone=140,
        objects={"categoryAxis": [{"properties": {"axisType": literal("Categorical"), "show": literal(False)}}]},
        sort=(column(CANDLES, "candle_time"), "Ascending"),
    )
    chart = candles("candles_chart", _place(_EDGE, _BODY, height=572 - _BODY - _GAP), phone=300)
    heading = _heading("candles", "Candlestick")
    return Page("candlestick", "Candlestick", (heading, *slicers, chart, volume))


def _comparison() -> Page:
    half = (HEIGHT - _BODY - _EDGE - _GAP) * 6 // 10
    lines = _lines(
        "comparison_indexed",
        "Adjusted closes, 100 on the first date selected",
        "Line chart: the adjusted close of each symbol as a share of that on the first selected date, which is 100.",
        _place(_EDGE, _BODY, height=half),
        {
            "Y": [measure("Indexed to 100")],
            "Series": [_SYMBOL],
            "Tooltips": [measure("Close", "Close (USD)")],
        },
        phone=280,
    )
    below = _BODY + half + _GAP
    sectors = _bars(
        "comparison_sectors",
        "Year to date by sector (mean of its symbols, %)",
        "Bar chart: mean year-to-date return of the symbols of each sector, in percent.",
        _place(_EDGE, below, 460),
        {"Category": [_SECTOR]},
        by="YTD %",
        phone=220,
    )
    names = ("Close", "YTD %", "Average 7", "Average 30", "Average 90", "Volume against 30-day mean")
    table = _table(
        "comparison_averages",
        "On the last session selected (USD, %)",
        "Table: close, year to date, moving averages and volume against its mean, of each symbol.",
        _place(_EDGE + 460 + _GAP, below),
        [_SYMBOL, *map(measure, names)],
        phone=220,
    )
    return _page("comparison", "Comparison", *_filters("comparison"), lines, sectors, table)


def _risk() -> Page:
    left = 620
    half = (HEIGHT - _BODY - _EDGE - _GAP) // 2
    volatility = _lines(
        "risk_volatility",
        "Volatility over 30 sessions (% a year)",
        "Line chart: annualised volatility of 30 daily returns of each symbol, in percent.",
        _place(_EDGE, _BODY, left, half),
        {"Y": [measure("Volatility 30 %")], "Series": [_SYMBOL]},
        phone=240,
    )
    drawdown = _lines(
        "risk_drawdown",
        "Drawdown from the highest close so far (%)",
        "Line chart: how far each symbol is below its highest adjusted close so far, in percent.",
        _place(_EDGE, _BODY + half + _GAP, left, half),
        {"Y": [measure("Drawdown %")], "Series": [_SYMBOL]},
        phone=240,
    )
    each = {**_EACH, "metadata": measure("Correlation").reference}
    matrix = Visual(
        "risk_correlation",
        "pivotTable",
        "Correlation of daily returns",
        "Matrix: correlation of the daily returns of each pair of symbols over the dates, blue at 1, orange at -1.",
        _place(_EDGE + left + _GAP, _BODY),
        {"Rows": [_SYMBOL], "Columns": [column(OTHER, "symbol", "Other symbol")], "Values": [measure("Correlation")]},
        phone=260,
        objects={
            "subTotals": [{"properties": {"rowSubtotals": literal(False), "columnSubtotals": literal(False)}}],
            "values": [{"properties": {"backColor": _shades("Correlation", -1.0, 1.0)}, "selector": each}],
        },
    )
    return _page("risk", "Risk", *_filters("risk"), volatility, drawdown, matrix)


def _quality() -> Page:
    cards = _cards(
        "quality",
        {
            "Freshness": "Since the last fetch",
            "Messages landed": "Messages landed",
            "Messages lost": "Messages lost",
            "Rows in quarantine": "Rows in quarantine",
            "Runs": "Runs remembered",
            "Values that differ": "Values that differ",
        },
    )
    left, third = 700, (HEIGHT - _BODY - _EDGE - 2 * _GAP) // 3
    checked = {
        "measure": "Measure",
        "symbol": "Symbol",
        "other": "Other",
        "first_date": "From",
        "last_date": "To",
        "expected": "Expected",
    }
    values = _table(
        "quality_values",
        "Does Power BI agree with gold?",
        "Table: each measure under a fixed selection, what SQL or Python makes of gold, what Power BI makes of it.",
        _place(_EDGE, _BODY, left),
        [*(column(EXPECTED, *each) for each in checked.items()), measure("Measured"), measure("Agrees")],
        phone=320,
    )
    x = _EDGE + left + _GAP
    rows = (
        ("quality_freshness", "When was what loaded? (UTC)", "freshness", ("dataset", "load_id", "loaded_at")),
        ("quality_runs", "The last runs (UTC)", "pipeline_runs", ("verb", "status", "finished_at", "detail")),
    )
    tables = [
        _table(
            name,
            title,
            f"Table: {title}",
            _place(x, _BODY + number * (third + _GAP), height=third),
            [column(table, each, each.replace("_", " ").capitalize()) for each in shown],
            phone=200,
        )
        for number, (name, title, table, shown) in enumerate(rows)
    ]
    refused = _table(
        "quality_quarantine",
        "What was refused, and why?",
        "Table: rows in quarantine by kind and reason.",
        _place(x, _BODY + 2 * (third + _GAP)),
        [column("quarantine", "kind", "Kind"), column("quarantine", "reason", "Reason"), measure("Rows in quarantine")],
        phone=160,
    )
    return _page("quality", "Data quality", *cards, values, *tables, refused)


def _one_symbol() -> Page:
    names = ("Last price", "Last bar", "Change", "Change %", "YTD %", "Volatility 30 %", "Drawdown %")
    half = (HEIGHT - _BODY - _EDGE - _GAP) * 6 // 10
    drawn = ("Average 7", "Average 30", "Average 90", "Close")
    closes = _lines(
        "symbol_closes",
        "Close and its averages (USD)",
        "Line chart: close of the symbol with its averages over 7, 30 and 90 sessions, in USD.",
        _place(_EDGE, _BODY, height=half),
        {"Y": [measure(each, f"{each} (USD)") for each in drawn]},
        phone=280,
    )
    below = _BODY + half + _GAP
    alt = "Column chart: shares of the symbol traded on each date."
    volume = _columns("symbol_volume", alt, _place(_EDGE, below, 800), _DATE, "Volume", phone=180)
    actions = _table(
        "symbol_actions",
        "Splits and dividends",
        "Table: splits and dividends of the symbol with their dates.",
        _place(_EDGE + 800 + _GAP, below),
        [column("dim_corporate_action", name) for name in ("kind", "from_factor", "to_factor", "amount")],
        phone=160,
    )
    top = (_back("symbol"), _heading("symbol", "One symbol", after=_BACK + _GAP))
    shown = (*top, *_cards("symbol", {name: name for name in names}), closes, volume, actions)
    return Page("symbol", "Symbol", shown, drill=_SYMBOL)


def candles(name: str, place: Place, *, phone: int) -> Visual:
    """Return candles of a core line chart: error bars of three invisible lines are the wick and the two bodies."""
    bars = (
        ("Candle low", "Candle high", LINES[-1], 1),
        ("Rising from", "Rising to", UP, 6),
        ("Falling from", "Falling to", DOWN, 6),
    )
    errors: list[dict[str, object]] = []
    unseen = []
    for lower, upper, shade, thick in bars:
        errors += _error_bars(lower, upper, shade if thick > 1 else PALETTE[6], thick)
        unseen.append(
            {
                "properties": {"strokeShow": literal(False), "showMarker": literal(False)},
                "selector": {"metadata": measure(lower).reference},
            }
        )
    averages = ("SMA 20", "EMA 20")
    bodies = {"Candle low": "Low", "Rising from": "Rising body from", "Falling from": "Falling body from"}
    drawn_of = bodies | {average: average for average in averages}
    drawn = [
        {"properties": {"fill": colour(shade)}, "selector": {"metadata": measure(average).reference}}
        for average, shade in zip(averages, LINES, strict=False)
    ]
    return Visual(
        name,
        "lineChart",
        f"Candles (USD), blue rises; the last {BARS_SHOWN} bars selected",
        "Candlestick chart: open, high, low and close of each bar with its simple and exponential mean of 20 closes.",
        place,
        {
            "Category": [column(CANDLES, "candle_time", "Bar (UTC)")],
            "Y": [measure(each, f"{shown} (USD)") for each, shown in drawn_of.items()],
            "Tooltips": [measure(f"Candle {part}", f"{part.capitalize()} (USD)") for part in ("open", "high", "close")],
        },
        phone=phone,
        objects={
            "error": errors,
            "lineStyles": unseen,
            "dataPoint": drawn,
            "categoryAxis": [{"properties": {"axisType": literal("Categorical")}}],
            "legend": [{"properties": {"show": literal(False)}}],
        },
        sort=(column(CANDLES, "candle_time"), "Ascending"),
    )


def _error_bars(lower: str, upper: str, shade: str, thick: int) -> Iterator[dict[str, object]]:
    reference = measure(lower).reference
    bounds = {"lowerBound": {"expr": measure(lower).expression()}, "upperBound": {"expr": measure(upper).expression()}}
    yield {
        "properties": {"errorRange": {"kind": "ErrorRange", "explicit": {"isRelative": literal(False), **bounds}}},
        "selector": {
            "data": [{"dataViewWildcard": {"matchingOption": 0}}],
            "metadata": reference,
            "highlightMatching": 1,
        },
    }
    yield {
        "properties": {
            "enabled": literal(True),
            "barColor": colour(shade),
            "barWidth": literal(float(thick)),
            "barMatchSeriesColor": literal(False),
            "barBorderSize": literal(0),
            "markerShow": literal(False),
            "tooltipShow": literal(False),
        },
        "selector": {"metadata": reference},
    }


def _page(name: str, title: str, *visuals: Visual) -> Page:
    return Page(name, title, (_heading(name, title), *visuals))


def _place(x: int, y: int, width: int = 0, height: int = 0) -> Place:
    """Return a place on the page; without a width or a height it reaches to the edge."""
    return x, y, width or WIDTH - _EDGE - x, height or HEIGHT - _EDGE - y


def _lines(name: str, title: str, alt: str, place: Place, roles: dict[str, list[Field]], *, phone: int) -> Visual:
    return Visual(name, "lineChart", title, alt, place, {"Category": [_DATE], **roles}, phone=phone)


def _bars(
    name: str, title: str, alt: str, place: Place, roles: dict[str, list[Field]], *, by: str, phone: int
) -> Visual:
    """Return horizontal bars of a measure, the largest first, from the colour of falling to that of rising."""
    objects = {
        "dataPoint": [{"properties": {"fill": _shades(by)}, "selector": _EACH}],
        "labels": [{"properties": {"show": literal(True)}}],
    }
    shown = {"Category": roles["Category"], "Y": [measure(by)], **roles}
    sort = (measure(by), "Descending")
    return Visual(name, "clusteredBarChart", title, alt, place, shown, phone=phone, objects=objects, sort=sort)


def _columns(name: str, alt: str, place: Place, along: Field, volume: str, **options: Any) -> Visual:
    title = "Volume (shares)"
    roles = {"Category": [along], "Y": [measure(volume, title)]}
    return Visual(name, "clusteredColumnChart", title, alt, place, roles, **options)


def _shades(name: str, low: float | None = None, high: float | None = None) -> dict[str, object]:
    """A measure as a colour: of falling at ``low``, or else at its least value, of rising at the other end."""
    ends = {"min": _stop(DOWN, low), "mid": _stop(MIDDLE, 0.0), "max": _stop(UP, high)}
    rule = {"FillRule": {"Input": measure(name).expression(), "FillRule": {"linearGradient3": ends}}}
    return {"solid": {"color": {"expr": rule}}}


def _stop(shade: str, value: float | None) -> dict[str, object]:
    at = {} if value is None else {"value": literal(value)["expr"]}
    return {"color": literal(shade)["expr"], **at}


def _back(page: str) -> Visual:
    """Return the button that leads back to the page one drilled through from."""
    icon = {"properties": {"shapeType": literal("back")}, "selector": {"id": "default"}}
    place = (_EDGE, _EDGE, _BACK, _TOP - _EDGE - _GAP)
    alt = "Button: back to the page before."
    return Visual(f"{page}_back", "actionButton", "", alt, place, phone=44, objects={"icon": [icon]}, link="Back")


def _heading(page: str, text: str, *, after: int = 0) -> Visual:
    run = {"value": text, "textStyle": {"fontSize": "20pt", "fontWeight": "bold"}}
    paragraphs = [{"properties": {"paragraphs": [{"textRuns": [run]}]}}]
    place = (_EDGE + after, _EDGE, WIDTH - 2 * _EDGE - after, _TOP - _EDGE - _GAP)
    return Visual(
        f"{page}_heading", "textbox", "", f"Heading: {text}", place, phone=48, objects={"general": paragraphs}
    )


def _in_row(number: int, of: int) -> Place:
    """Return the place of one of several equal visuals above the body of a page."""
    width = (WIDTH - 2 * _EDGE - (of - 1) * _GAP) // of
    return _EDGE + number * (width + _GAP), _TOP, width, _ROW


def _cards(page: str, shown: dict[str, str]) -> list[Visual]:
    """Return a row of cards: the measures, each with its title."""
    objects = {
        "categoryLabels": [{"properties": {"show": literal(False)}}],
        "labels": [{"properties": {"fontSize": literal(18.0)}}],
    }
    return [
        Visual(
            f"{page}_card_{number}",
            "card",
            title,
            f"Card: {title}.",
            _in_row(number, len(shown)),
            {"Values": [measure(name)]},
            phone=88,
            objects=objects,
        )
        for number, (name, title) in enumerate(shown.items())
    ]


def _filters(page: str) -> tuple[Visual, ...]:
    return (
        _slicer(f"{page}_sector", _SECTOR, 0, 3),
        _slicer(f"{page}_symbol", _SYMBOL, 1, 3),
        _slicer(f"{page}_dates", _DATE, 2, 3, title="Dates", between=True),
    )


def _slicer(
    name: str, field: Field, number: int, of: int, *, title: str = "", chosen: str = "", between: bool = False
) -> Visual:
    title = title or field.shown
    mode = "Between" if between else "Dropdown"
    objects: dict[str, object] = {"data": [{"properties": {"mode": literal(mode)}}]}
    if chosen:
        objects["selection"] = [{"properties": {"singleSelect": literal(True)}}]
        objects["general"] = [{"properties": one_value(field, chosen)}]
    values = {"Values": [field]}
    return Visual(name, "slicer", title, f"Slicer: {title}.", _in_row(number, of), values, phone=92, objects=objects)


def _table(name: str, title: str, alt: str, place: Place, fields: list[Field], *, phone: int) -> Visual:
    return Visual(name, "tableEx", title, alt, place, {"Values": fields}, phone=phone)
