"""The pages of the report: what is asked on each, and by which visuals. Core visuals only, on a grid of 1280 × 720."""

from collections.abc import Iterator
from dataclasses import dataclass

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
_DATE = column(CALENDAR, "calendar_date", "Date")
# each point or cell of a visual by itself
_EACH = {"data": [{"dataViewWildcard": {"matchingOption": 1}}]}


@dataclass(frozen=True)
class Page:
    """A page; ``drill`` is the column that one drills through to it by, and then it is in no list of pages."""

    name: str
    title: str
    visuals: tuple[Visual, ...]
    drill: Field | None = None


def pages(symbol: str) -> tuple[Page, ...]:
    """Every page; where one symbol must be chosen, ``symbol`` is it when the report is opened."""
    return (_overview(), _candlestick(symbol), _comparison(), _risk(), _quality(), _one_symbol())


def _overview() -> Page:
    cards = _cards(
        "overview",
        (
            ("As of", "As of (UTC)"),
            ("Change %", "Mean change"),
            ("Best symbol", "Best today"),
            ("Worst symbol", "Worst today"),
            ("Market cap", "Market cap (USD)"),
            ("Volume", "Volume (shares)"),
        ),
    )
    treemap = Visual(
        "overview_treemap",
        "treemap",
        "Market cap by sector and symbol (USD)",
        "Treemap: each symbol's share of the market capitalisation within its sector, in USD.",
        (_EDGE, _BODY, 620, HEIGHT - _BODY - _EDGE),
        {
            "Group": [column(SYMBOLS, "sector", "Sector")],
            "Details": [_SYMBOL],
            "Values": [measure("Market cap")],
            "Tooltips": [
                measure("Change %"),
                measure("Last price", "Last price (USD)"),
                measure("YTD %", "Year to date (%)"),
            ],
        },
        phone=260,
    )
    movers = Visual(
        "overview_movers",
        "clusteredBarChart",
        "Movers: change since the previous close (%)",
        "Bar chart: change of each symbol since its previous close in percent, the highest first; blue is up.",
        (_EDGE + 620 + _GAP, _BODY, 304, HEIGHT - _BODY - _EDGE),
        {
            "Category": [_SYMBOL],
            "Y": [measure("Change %")],
            "Tooltips": [
                measure("Last price", "Last price (USD)"),
                measure("Change", "Change (USD)"),
                measure("Last bar"),
            ],
        },
        phone=260,
        objects=_by_sign("Change %"),
        sort=(measure("Change %"), "Descending"),
    )
    shown = ("Last price", "Change", "YTD %")
    table = _table(
        "overview_prices",
        "Latest prices (USD)",
        "Table: last price, change and year to date of each symbol.",
        (_EDGE + 620 + 304 + 2 * _GAP, _BODY, 300, HEIGHT - _BODY - _EDGE),
        [_SYMBOL, *(measure(name) for name in shown)],
        phone=240,
    )
    return Page(
        "overview", "Market overview", (_heading("overview", "Market overview"), *cards, treemap, movers, table)
    )


def _candlestick(symbol: str) -> Page:
    width = WIDTH - 2 * _EDGE
    slicers = (
        _slicer("candles_symbol", "Symbol", _SYMBOL, 0, 4, chosen=symbol),
        _slicer("candles_resolution", "Resolution", column(CANDLES, "resolution", "Resolution"), 1, 4, chosen="1d"),
        _slicer("candles_dates", "Dates", _DATE, 2, 4, between=True),
        _slicer("candles_period", "Market period", column("dim_time", "market_period", "Period"), 3, 4),
    )
    volume = Visual(
        "candles_volume",
        "clusteredColumnChart",
        "Volume (shares)",
        "Column chart: shares traded in each bar that is shown above.",
        (_EDGE, 572, width, HEIGHT - 572 - _EDGE),
        {"Category": [column(CANDLES, "candle_time", "Bar")], "Y": [measure("Candle volume", "Volume (shares)")]},
        phone=140,
        objects={"categoryAxis": [{"properties": {"axisType": literal("Categorical"), "show": literal(False)}}]},
        sort=(column(CANDLES, "candle_time"), "Ascending"),
    )
    heading = _heading("candles", "Candlestick")
    chart = candles("candles_chart", (_EDGE, _BODY, width, 572 - _BODY - _GAP), phone=300)
    return Page("candlestick", "Candlestick", (heading, *slicers, chart, volume))


def _comparison() -> Page:
    slicers = (
        _slicer("comparison_sector", "Sector", column(SYMBOLS, "sector", "Sector"), 0, 3),
        _slicer("comparison_symbol", "Symbol", _SYMBOL, 1, 3),
        _slicer("comparison_dates", "Dates", _DATE, 2, 3, between=True),
    )
    half = (HEIGHT - _BODY - _EDGE - _GAP) * 6 // 10
    lines = Visual(
        "comparison_indexed",
        "lineChart",
        "Adjusted closes, 100 on the first date selected",
        "Line chart: the adjusted close of each symbol as a share of that on the first selected date, which is 100.",
        (_EDGE, _BODY, WIDTH - 2 * _EDGE, half),
        {
            "Category": [_DATE],
            "Y": [measure("Indexed to 100")],
            "Series": [_SYMBOL],
            "Tooltips": [measure("Close", "Close (USD)")],
        },
        phone=280,
    )
    below = _BODY + half + _GAP
    sectors = Visual(
        "comparison_sectors",
        "clusteredBarChart",
        "Year to date by sector (mean of its symbols, %)",
        "Bar chart: mean year-to-date return of the symbols of each sector, in percent.",
        (_EDGE, below, 460, HEIGHT - below - _EDGE),
        {"Category": [column(SYMBOLS, "sector", "Sector")], "Y": [measure("YTD %")]},
        phone=220,
        objects=_by_sign("YTD %"),
        sort=(measure("YTD %"), "Descending"),
    )
    names = ("Close", "YTD %", "Average 7", "Average 30", "Average 90", "Volume against 30-day mean")
    table = _table(
        "comparison_averages",
        "On the last session selected (USD, %)",
        "Table: close, year to date, moving averages and volume against its mean, of each symbol.",
        (_EDGE + 460 + _GAP, below, WIDTH - 2 * _EDGE - 460 - _GAP, HEIGHT - below - _EDGE),
        [_SYMBOL, *(measure(name) for name in names)],
        phone=220,
    )
    return Page("comparison", "Comparison", (_heading("comparison", "Comparison"), *slicers, lines, sectors, table))


def _risk() -> Page:
    slicers = (
        _slicer("risk_sector", "Sector", column(SYMBOLS, "sector", "Sector"), 0, 3),
        _slicer("risk_symbol", "Symbol", _SYMBOL, 1, 3),
        _slicer("risk_dates", "Dates", _DATE, 2, 3, between=True),
    )
    left = 620
    half = (HEIGHT - _BODY - _EDGE - _GAP) // 2
    lines = [
        Visual(
            f"risk_{name}",
            "lineChart",
            title,
            alt,
            (_EDGE, _BODY + number * (half + _GAP), left, half),
            {"Category": [_DATE], "Y": [measure(shown)], "Series": [_SYMBOL]},
            phone=240,
        )
        for number, (name, shown, title, alt) in enumerate(
            (
                (
                    "volatility",
                    "Volatility 30 %",
                    "Volatility over 30 sessions (% a year)",
                    "Line chart: annualised volatility of 30 daily returns of each symbol, in percent.",
                ),
                (
                    "drawdown",
                    "Drawdown %",
                    "Drawdown from the highest close so far (%)",
                    "Line chart: how far each symbol is below its highest adjusted close so far, in percent.",
                ),
            )
        )
    ]
    each = {**_EACH, "metadata": measure("Correlation").reference}
    matrix = Visual(
        "risk_correlation",
        "pivotTable",
        "Correlation of daily returns",
        "Matrix: correlation of the daily returns of each pair of symbols over the dates, blue at 1, orange at -1.",
        (_EDGE + left + _GAP, _BODY, WIDTH - 2 * _EDGE - left - _GAP, HEIGHT - _BODY - _EDGE),
        {"Rows": [_SYMBOL], "Columns": [column(OTHER, "symbol", "Other symbol")], "Values": [measure("Correlation")]},
        phone=260,
        objects={
            "subTotals": [{"properties": {"rowSubtotals": literal(False), "columnSubtotals": literal(False)}}],
            "values": [{"properties": {"backColor": _shades("Correlation", -1.0, 1.0)}, "selector": each}],
        },
    )
    return Page("risk", "Risk", (_heading("risk", "Risk"), *slicers, *lines, matrix))


def _quality() -> Page:
    cards = _cards(
        "quality",
        (
            ("Freshness", "Since the last fetch"),
            ("Messages landed", "Messages landed"),
            ("Messages lost", "Messages lost"),
            ("Rows in quarantine", "Rows in quarantine"),
            ("Runs", "Runs remembered"),
            ("Values that differ", "Values that differ"),
        ),
    )
    left, third = 700, (HEIGHT - _BODY - _EDGE - 2 * _GAP) // 3
    checked = [
        column(EXPECTED, name, shown)
        for name, shown in (
            ("measure", "Measure"),
            ("symbol", "Symbol"),
            ("other", "Other"),
            ("first_date", "From"),
            ("last_date", "To"),
            ("expected", "Expected"),
        )
    ]
    values = _table(
        "quality_values",
        "Does Power BI agree with gold?",
        "Table: each measure under a fixed selection, what SQL or Python makes of gold, what Power BI makes of it.",
        (_EDGE, _BODY, left, HEIGHT - _BODY - _EDGE),
        [*checked, measure("Measured"), measure("Agrees")],
        phone=320,
    )
    x, width = _EDGE + left + _GAP, WIDTH - 2 * _EDGE - left - _GAP
    rows = (
        ("quality_freshness", "When was what loaded? (UTC)", "freshness", ("dataset", "load_id", "loaded_at")),
        ("quality_runs", "The last runs (UTC)", "pipeline_runs", ("verb", "status", "finished_at", "detail")),
    )
    tables = [
        _table(
            name,
            title,
            f"Table: {title}",
            (x, _BODY + number * (third + _GAP), width, third),
            [column(table, each, each.replace("_", " ").capitalize()) for each in shown],
            phone=200,
        )
        for number, (name, title, table, shown) in enumerate(rows)
    ]
    refused = _table(
        "quality_quarantine",
        "What was refused, and why?",
        "Table: rows in quarantine by kind and reason.",
        (x, _BODY + 2 * (third + _GAP), width, HEIGHT - _EDGE - _BODY - 2 * (third + _GAP)),
        [column("quarantine", "kind", "Kind"), column("quarantine", "reason", "Reason"), measure("Rows in quarantine")],
        phone=160,
    )
    return Page("quality", "Data quality", (_heading("quality", "Data quality"), *cards, values, *tables, refused))


def _one_symbol() -> Page:
    names = ("Last price", "Last bar", "Change", "Change %", "YTD %", "Volatility 30 %", "Drawdown %")
    cards = _cards("symbol", tuple((name, name) for name in names))
    half = (HEIGHT - _BODY - _EDGE - _GAP) * 6 // 10
    drawn = ("Average 7", "Average 30", "Average 90", "Close")
    closes = Visual(
        "symbol_closes",
        "lineChart",
        "Close and its averages (USD)",
        "Line chart: close of the symbol with its averages over 7, 30 and 90 sessions, in USD.",
        (_EDGE, _BODY, WIDTH - 2 * _EDGE, half),
        {"Category": [_DATE], "Y": [measure(each, f"{each} (USD)") for each in drawn]},
        phone=280,
    )
    below = _BODY + half + _GAP
    volume = Visual(
        "symbol_volume",
        "clusteredColumnChart",
        "Volume (shares)",
        "Column chart: shares of the symbol traded on each date.",
        (_EDGE, below, 800, HEIGHT - below - _EDGE),
        {"Category": [_DATE], "Y": [measure("Volume", "Volume (shares)")]},
        phone=180,
    )
    actions = _table(
        "symbol_actions",
        "Splits and dividends",
        "Table: splits and dividends of the symbol with their dates.",
        (_EDGE + 800 + _GAP, below, WIDTH - 2 * _EDGE - 800 - _GAP, HEIGHT - below - _EDGE),
        [column("dim_corporate_action", name) for name in ("kind", "from_factor", "to_factor", "amount")],
        phone=160,
    )
    shown = (_back("symbol"), _heading("symbol", "One symbol", after=_BACK + _GAP), *cards, closes, volume, actions)
    return Page("symbol", "Symbol", shown, drill=_SYMBOL)


def candles(name: str, place: tuple[int, int, int, int], *, phone: int) -> Visual:
    """Candles of a core line chart: error bars of three lines that are not drawn are the wick and the two bodies."""
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


def _by_sign(name: str) -> dict[str, object]:
    """Bars from the colour of falling to that of rising."""
    return {
        "dataPoint": [{"properties": {"fill": _shades(name)}, "selector": _EACH}],
        "labels": [{"properties": {"show": literal(True)}}],
    }


def _shades(name: str, low: float | None = None, high: float | None = None) -> dict[str, object]:
    """A measure as a colour: of falling at ``low``, or else at its least value, of rising at the other end."""
    ends = {"min": _stop(DOWN, low), "mid": _stop(MIDDLE, 0.0), "max": _stop(UP, high)}
    rule = {"FillRule": {"Input": measure(name).expression(), "FillRule": {"linearGradient3": ends}}}
    return {"solid": {"color": {"expr": rule}}}


def _stop(shade: str, value: float | None) -> dict[str, object]:
    at = {} if value is None else {"value": literal(value)["expr"]}
    return {"color": literal(shade)["expr"], **at}


def _back(page: str) -> Visual:
    """Where one drilled through from is a press away."""
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


def _cards(page: str, shown: tuple[tuple[str, str], ...]) -> list[Visual]:
    width = (WIDTH - 2 * _EDGE - (len(shown) - 1) * _GAP) // len(shown)
    return [
        Visual(
            f"{page}_card_{number}",
            "card",
            title,
            f"Card: {title}.",
            (_EDGE + number * (width + _GAP), _TOP, width, _ROW),
            {"Values": [measure(name)]},
            phone=88,
            objects={
                "categoryLabels": [{"properties": {"show": literal(False)}}],
                "labels": [{"properties": {"fontSize": literal(18.0)}}],
            },
        )
        for number, (name, title) in enumerate(shown)
    ]


def _slicer(
    name: str, title: str, field: Field, number: int, of: int, *, chosen: str = "", between: bool = False
) -> Visual:
    width = (WIDTH - 2 * _EDGE - (of - 1) * _GAP) // of
    mode = "Between" if between else "Dropdown"
    objects: dict[str, object] = {"data": [{"properties": {"mode": literal(mode)}}]}
    if chosen:
        objects["selection"] = [{"properties": {"singleSelect": literal(True)}}]
        objects["general"] = [{"properties": one_value(field, chosen)}]
    place = (_EDGE + number * (width + _GAP), _TOP, width, _ROW)
    return Visual(name, "slicer", title, f"Slicer: {title}.", place, {"Values": [field]}, phone=92, objects=objects)


def _table(
    name: str, title: str, alt: str, place: tuple[int, int, int, int], fields: list[Field], *, phone: int
) -> Visual:
    return Visual(name, "tableEx", title, alt, place, {"Values": fields}, phone=phone)
