"""The measures: each number once, as gold or ``metrics`` defines it.

Numbers of gold are read from gold on the last session of the selection; those of a free selection (an index, a
correlation, an exponential mean) are computed here, and ``expected`` holds their twins. Percent is in percent.
"""

from workbench.powerbi.model import Column, Measure, Table

# By the measure's name: its DAX, its format and what it means.
Rows = dict[str, tuple[str, str, str]]

MEASURES = "Measures"
OTHER = "other_symbol"
PRICE, PERCENT, COUNT, TEXT = "#,0.00", '0.00" %"', "#,0", ""
TIME, DATE = "yyyy-mm-dd hh:nn:ss", "yyyy-mm-dd"
# The most bars of which candles are drawn, so that each stays visible.
BARS_SHOWN = 120
EMA_WINDOW = 20
# An exponential mean over so many bars differs from that over all of them by less than 1e-9 of itself.
_EMA_BARS = 250
# Helpers of the candles, not for users.
HIDDEN = {"Bars shown from", "Rising from", "Rising to", "Falling from", "Falling to", "EMA of the bar"}
_ONE = "HASONEVALUE(dim_stock_symbols[symbol])"


def _latest(column: str) -> str:
    return f"IF({_ONE}, MAX(gold_kpi[{column}]))"


def _last_session(column: str, *, table: str = "fact_stock_performance", one: bool = False) -> str:
    """The mean over the symbols on the last session of the selection; of one symbol, its value."""
    value = f"CALCULATE(AVERAGE({table}[{column}]), dim_date[calendar_date] = _day)"
    return f"VAR _day = MAX({table}[quote_date])\nRETURN\n    " + (f"IF({_ONE}, {value})" if one else value)


def _this_year(column: str) -> str:
    """``_last_session``, unless that is of an earlier year than the last one of all symbols."""
    table = "fact_stock_performance"
    return f"""VAR _day = MAX({table}[quote_date])
VAR _newest = CALCULATE(MAX({table}[quote_date]), ALL(dim_stock_symbols))
RETURN
    IF(YEAR(_day) = YEAR(_newest), CALCULATE(AVERAGE({table}[{column}]), dim_date[calendar_date] = _day))"""


def _best(direction: str) -> str:
    return f"""VAR _moved = FILTER(VALUES(dim_stock_symbols[symbol]), NOT ISBLANK([Change %]))
VAR _first = TOPN(1, _moved, [Change %], {direction}, dim_stock_symbols[symbol], ASC)
RETURN
    MAXX(_first, dim_stock_symbols[symbol] & "  " & FORMAT([Change %], "+0.00;-0.00;0.00", "en-US") & " %")"""


def _candle(value: str) -> str:
    return f"IF(MAX(gold_candlestick[candle_time]) >= [Bars shown from], {value})"


_VOLUME_RATIO = """VAR _bars =
    FILTER(
        CALCULATETABLE(fact_daily_stock_quotes, REMOVEFILTERS(dim_date)),
        NOT ISBLANK(fact_daily_stock_quotes[volume])
            && fact_daily_stock_quotes[quote_date] <= MAX(dim_date[calendar_date])
    )
VAR _day = MAXX(_bars, fact_daily_stock_quotes[quote_date])
VAR _before =
    TOPN(
        30,
        FILTER(_bars, fact_daily_stock_quotes[quote_date] < _day),
        fact_daily_stock_quotes[quote_date], DESC
    )
VAR _mean = AVERAGEX(_before, fact_daily_stock_quotes[volume] * fact_daily_stock_quotes[split_factor])
VAR _last = FILTER(_bars, fact_daily_stock_quotes[quote_date] = _day)
VAR _now = SUMX(_last, fact_daily_stock_quotes[volume] * fact_daily_stock_quotes[split_factor])
RETURN
    IF(HASONEVALUE(dim_stock_symbols[symbol]) && COUNTROWS(_before) = 30, DIVIDE(_now, _mean))"""

_INDEXED = """VAR _first = CALCULATE(MIN(fact_stock_performance[quote_date]), ALLSELECTED(dim_date))
VAR _day = MAX(fact_stock_performance[quote_date])
VAR _base = CALCULATE(MAX(fact_stock_performance[adj_close_price]), dim_date[calendar_date] = _first)
VAR _now = CALCULATE(MAX(fact_stock_performance[adj_close_price]), dim_date[calendar_date] = _day)
RETURN
    IF(HASONEVALUE(dim_stock_symbols[symbol]), 100 * DIVIDE(_now, _base))"""

_CORRELATION = """VAR _a = SELECTEDVALUE(dim_stock_symbols[symbol])
VAR _b = SELECTEDVALUE(other_symbol[symbol])
VAR _days =
    ADDCOLUMNS(
        VALUES(dim_date[calendar_date]),
        "@x", CALCULATE(MAX(fact_daily_stock_quotes[daily_return_percent]), dim_stock_symbols[symbol] = _a),
        "@y", CALCULATE(MAX(fact_daily_stock_quotes[daily_return_percent]), dim_stock_symbols[symbol] = _b)
    )
VAR _both = FILTER(_days, NOT ISBLANK([@x]) && NOT ISBLANK([@y]))
VAR _x = AVERAGEX(_both, [@x])
VAR _y = AVERAGEX(_both, [@y])
VAR _xy = SUMX(_both, ([@x] - _x) * ([@y] - _y))
VAR _xx = SUMX(_both, ([@x] - _x) ^ 2)
VAR _yy = SUMX(_both, ([@y] - _y) ^ 2)
RETURN
    IF(NOT ISBLANK(_a) && NOT ISBLANK(_b) && COUNTROWS(_both) > 2, DIVIDE(_xy, SQRT(_xx * _yy)))"""

_BARS_SHOWN_FROM = f"""MINX(
    TOPN(
        {BARS_SHOWN},
        CALCULATETABLE(VALUES(gold_candlestick[candle_time]), ALLSELECTED(gold_candlestick[candle_time])),
        gold_candlestick[candle_time], DESC
    ),
    gold_candlestick[candle_time]
)"""

_EMA = f"""VAR _now = MAX(gold_candlestick[candle_time])
VAR _symbol = SELECTEDVALUE(dim_stock_symbols[symbol])
VAR _resolution = SELECTEDVALUE(gold_candlestick[resolution])
VAR _seen =
    FILTER(
        CALCULATETABLE(
            gold_candlestick,
            REMOVEFILTERS(gold_candlestick),
            dim_stock_symbols[symbol] = _symbol,
            gold_candlestick[resolution] = _resolution
        ),
        gold_candlestick[candle_time] <= _now
    )
VAR _bars = TOPN({_EMA_BARS}, _seen, gold_candlestick[candle_time], DESC)
VAR _count = COUNTROWS(_bars)
VAR _aged = ADDCOLUMNS(_bars, "@age", RANKX(_bars, gold_candlestick[candle_time], , DESC, DENSE) - 1)
VAR _rest = 1 - DIVIDE(2, {EMA_WINDOW} + 1)
VAR _begun = FILTER(_aged, [@age] >= _count - {EMA_WINDOW})
VAR _later = FILTER(_aged, [@age] < _count - {EMA_WINDOW})
VAR _seed = AVERAGEX(_begun, gold_candlestick[candle_close] / COALESCE(gold_candlestick[split_factor], 1))
VAR _added =
    SUMX(
        _later,
        gold_candlestick[candle_close] / COALESCE(gold_candlestick[split_factor], 1)
            * (1 - _rest) * _rest ^ [@age]
    )
VAR _basis = COALESCE(MAX(gold_candlestick[split_factor]), 1)
RETURN
    IF(
        HASONEVALUE(dim_stock_symbols[symbol]) && _count >= {EMA_WINDOW},
        (_seed * _rest ^ (_count - {EMA_WINDOW}) + _added) * _basis
    )"""


def measures() -> tuple[Measure, ...]:
    """Return all measures but those that check the others."""
    folders = {"Market": _market(), "Performance": _performance(), "Candles": _candles(), "Data quality": _quality()}
    return tuple(
        Measure(name, dax, shown, folder, description, hidden=name in HIDDEN)
        for folder, rows in folders.items()
        for name, (dax, shown, description) in rows.items()
    )


def _market() -> Rows:
    return {
        "Last price": (_latest("current_price"), PRICE, "gold_kpi: the latest price of one symbol, USD."),
        "Change": (
            _latest("change_amount"),
            "+#,0.00;-#,0.00;0.00",
            "gold_kpi: change since the previous close of one symbol, USD.",
        ),
        "Change %": (
            "AVERAGE(gold_kpi[change_percent])",
            '+0.00" %";-0.00" %";0.00" %"',
            "gold_kpi: change since the previous close; of several symbols their mean, each counting the same.",
        ),
        "Last bar": (
            _latest("last_bar_date"),
            DATE,
            "gold_kpi: the date of one symbol's last bar; without one for more than five sessions it has no change.",
        ),
        "As of": ("MAX(gold_kpi[as_of])", TIME, "gold_kpi: when the latest price was true, UTC."),
        "Market cap": (
            "SUM(gold_treechart[market_cap])",
            "#,0",
            "gold_treechart: price times shares outstanding, USD.",
        ),
        "Volume": (
            "SUMX(fact_daily_stock_quotes, fact_daily_stock_quotes[volume] * fact_daily_stock_quotes[split_factor])",
            COUNT,
            "Shares traded in the selection, on today's basis of splits.",
        ),
        "Volume against 30-day mean": (
            _VOLUME_RATIO,
            '0.00"×"',
            "Volume of the last session that has one over the mean of the 30 before it, on today's basis of splits.",
        ),
        "Best symbol": (_best("DESC"), TEXT, "The symbol with the highest Change %, and that."),
        "Worst symbol": (_best("ASC"), TEXT, "The symbol with the lowest Change %, and that."),
    }


def _performance() -> Rows:
    last = "on the last session of the selection"
    return {
        "Close": (
            _last_session("close_price", table="fact_daily_stock_quotes", one=True),
            PRICE,
            f"fact_daily_stock_quotes: close of one symbol {last}, as traded, USD.",
        ),
        "YTD %": (
            _this_year("ytd_return_percent"),
            PERCENT,
            f"fact_stock_performance: return since the last session of the year before, {last}; mean over the symbols. "
            "Blank where the last bar is of an earlier year than the other symbols'.",
        ),
        "Volatility 30 %": (
            _last_session("volatility_30day_percent"),
            PERCENT,
            f"fact_stock_performance: sample deviation of 30 daily returns × √252, {last}; mean over the symbols.",
        ),
        "Drawdown %": (
            _last_session("drawdown_percent"),
            PERCENT,
            f"fact_stock_performance: below the highest adjusted close so far, {last}; mean over the symbols.",
        ),
        **{
            f"Average {days}": (
                _last_session(f"ma_{days}day", one=True),
                PRICE,
                f"fact_stock_performance: mean of {days} adjusted closes {last}, USD.",
            )
            for days in (7, 30, 90)
        },
        "Indexed to 100": (
            _INDEXED,
            "0.0",
            "Adjusted close of one symbol as a share of that on the first session of the selection, which is 100.",
        ),
        "Correlation": (
            _CORRELATION,
            "0.00",
            "Pearson's correlation of the daily returns of two symbols over the selected sessions that both have.",
        ),
    }


def _candles() -> Rows:
    rising = "[Candle close] >= [Candle open]"
    drawn = f"of the bar, as traded, USD; the last {BARS_SHOWN} bars of the selection."
    shown = {
        f"Candle {part}": (_candle(f"MAX(gold_candlestick[candle_{part}])"), PRICE, f"gold_candlestick: {part} {drawn}")
        for part in ("open", "high", "low", "close")
    }
    return {
        "Bars shown from": (_BARS_SHOWN_FROM, TIME, f"The start of the last {BARS_SHOWN} bars of the selection."),
        **shown,
        "Rising from": (f"IF({rising}, [Candle open])", PRICE, "The lower end of a rising bar's body: its open, USD."),
        "Rising to": (f"IF({rising}, [Candle close])", PRICE, "The upper end of a rising bar's body: its close, USD."),
        "Falling from": (
            "IF([Candle close] < [Candle open], [Candle close])",
            PRICE,
            "The lower end of a falling bar's body: its close, USD.",
        ),
        "Falling to": (
            "IF([Candle close] < [Candle open], [Candle open])",
            PRICE,
            "The upper end of a falling bar's body: its open, USD.",
        ),
        "SMA 20": (
            _candle("MAX(gold_candlestick[trend_line])"),
            PRICE,
            "gold_candlestick: mean of 20 closes on the bar's own basis of splits, USD.",
        ),
        "EMA 20": (
            _candle("[EMA of the bar]"),
            PRICE,
            "Exponential mean of 20 closes, as indicators.ema, on the bar's own basis of splits, USD.",
        ),
        "EMA of the bar": (_EMA, PRICE, "EMA 20, whether the bar is shown or not."),
        "Candle volume": (
            _candle("SUM(gold_candlestick[volume])"),
            COUNT,
            "gold_candlestick: shares traded in the bar, where its source knows.",
        ),
    }


def _quality() -> Rows:
    return {
        "Freshness": (
            "DATEDIFF(MAX(gold_kpi[fetched_at]), UTCNOW(), HOUR)",
            '#,0" h"',
            "Hours since the latest price was fetched, at the time of the query.",
        ),
        "Messages landed": ("SUM(ledger[landed]) + 0", COUNT, "ledger: messages in the lake."),
        "Messages lost": (
            "SUM(ledger[lost]) + 0",
            COUNT,
            "ledger: messages that are accounted for nowhere; 0 when the books balance.",
        ),
        "Rows in quarantine": ("SUM(quarantine[refused_rows]) + 0", COUNT, "Rows that silver refused."),
        "Runs": ("COUNTROWS(pipeline_runs) + 0", COUNT, "Steps of the pipeline that are remembered."),
    }


def measures_table(more: tuple[Measure, ...]) -> Table:
    """The table that all measures live in; it has no rows."""
    empty = Column("none", "string", "Holds nothing.", hidden=True)
    return Table(MEASURES, "", "The measures: each number once.", (empty,), measures=(*measures(), *more))


def other_symbols() -> Table:
    """The symbols once more, for the other side of a correlation."""
    symbol = Column("symbol", "string", "The other symbol of a correlation.", calculated=True)
    return Table(
        OTHER, "", "The symbols once more, related to nothing: the columns of the correlation matrix.", (symbol,)
    )
