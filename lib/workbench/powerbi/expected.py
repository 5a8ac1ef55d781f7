"""The expected value of each measure, computed from gold by SQL or by ``metrics`` and ``indicators``, never by DAX.

A selection is a symbol and a first and a last date; the values go to ``expected_values.csv`` and into a table of the
model, whose measures show Power BI's value next to each.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from stocklib.errors import WarehouseError
from stocklib.indicators import ema
from stocklib.warehouse import Warehouse
from workbench.powerbi.star import QUARANTINED

# Of the measure EMA 20.
EMA_WINDOW = 20
# Power BI's decimals have four digits after the point; a ratio of two of them is less exact.
_TOLERANCE = {"Indexed to 100": 0.05, "Correlation": 0.001, "EMA 20": 0.001}
_EXACT, _SHARE = 0.0001, 1e-9
# Measures that are a column of gold, by the table.
_OF_KPI = {"Last price": "current_price", "Change": "change_amount", "Change %": "change_percent"}
_OF_PERFORMANCE = {
    "Volatility 30 %": "volatility_30day_percent",
    "Drawdown %": "drawdown_percent",
    "Average 7": "ma_7day",
    "Average 30": "ma_30day",
    "Average 90": "ma_90day",
}
_OF_CANDLES = {
    **{f"Candle {part}": f"candle_{part}" for part in ("open", "high", "low", "close")},
    "Candle volume": "volume",
    "SMA 20": "trend_line",
}
_REFUSED = " + ".join(f"(select count(*) from silver.quarantined_{kind})" for kind in QUARANTINED)  # noqa: S608
# Measures of everything, by SQL.
_OF_ALL = {
    "Market cap": "select sum(market_cap) as value from gold.gold_treechart",
    "Volume": "select sum(volume * split_factor) as value from gold.fact_daily_stock_quotes",
    "Messages landed": "select coalesce(sum(landed), 0) as value from ops.ledger",
    "Messages lost": "select coalesce(sum(lost), 0) as value from ops.ledger",
    "Rows in quarantine": f"select {_REFUSED} as value",
}


@dataclass(frozen=True)
class Expected:
    """A measure under a selection, and its expected value; a number has six digits at most."""

    measure: str
    symbol: str
    other: str
    first: date | None
    last: date | None
    value: str

    @property
    def number(self) -> float | None:
        """The value where it is a number: Power BI parses text as numbers by the language of the user.

        >>> Expected("Close", "AAPL", "", None, None, "509.794").number
        509.794
        >>> Expected("Best symbol", "", "", None, None, "AAPL  +1.00 %").number
        """
        return float(self.value) if re.fullmatch(r"-?\d+(\.\d+)?", self.value) else None

    @property
    def tolerance(self) -> float:
        return max(_TOLERANCE.get(self.measure, _EXACT), _SHARE * abs(self.number or 0.0))

    def row(self) -> list[str]:
        """As the CSV holds it."""
        return [self.measure, self.symbol, self.other, str(self.first or ""), str(self.last or ""), self.value]


def expected_values(warehouse: Warehouse) -> list[Expected]:
    """Return every measure with a twin, for the first and the last symbol: of all dates, and up to a session."""
    kpi = warehouse.query("select * from gold.gold_kpi order by symbol")
    if kpi.empty:
        raise WarehouseError("gold holds no prices yet: run `stocks run backfill_ytd`, or `make demo`")
    frames = {
        name: warehouse.query(f"select * from gold.{name} order by symbol, quote_date")  # noqa: S608 - names are ours
        for name in ("fact_daily_stock_quotes", "fact_stock_performance")
    }
    symbols = [str(symbol) for symbol in kpi["symbol"]]
    found = [*_of_all(warehouse, kpi)]
    for symbol in dict.fromkeys((symbols[0], symbols[-1])):
        found += _of_latest(kpi, symbol)
        found += _of_sessions(frames, symbol, symbols)
        found += _of_bars(warehouse, symbol)
    return sorted(found, key=lambda one: (one.measure, one.symbol, one.other, str(one.last or "")))


def _of_all(warehouse: Warehouse, kpi: pd.DataFrame) -> Iterator[Expected]:
    moved = kpi.dropna(subset=["change_percent"]).astype({"change_percent": float})
    if len(moved):
        best = moved.sort_values(["change_percent", "symbol"], ascending=[False, True]).iloc[0]
        worst = moved.sort_values(["change_percent", "symbol"]).iloc[0]
        for name, row in (("Best symbol", best), ("Worst symbol", worst)):
            yield _expected(name, f"{row['symbol']}  {_signed(row['change_percent'])} %")
        yield _expected("Change %", moved["change_percent"].mean())
    yield _expected("As of", f"{kpi['as_of'].max():%Y-%m-%d %H:%M:%S}")
    for name, sql in _OF_ALL.items():
        yield _expected(name, warehouse.query(sql)["value"].iloc[0])


def _of_latest(kpi: pd.DataFrame, symbol: str) -> Iterator[Expected]:
    row = _of(kpi, symbol).iloc[0]
    for name, column in _OF_KPI.items():
        yield _expected(name, row[column], symbol)
    yield _expected("Last bar", f"{row['last_bar_date']:%Y-%m-%d}", symbol)


def _of_sessions(frames: dict[str, pd.DataFrame], symbol: str, symbols: list[str]) -> Iterator[Expected]:
    bars = _of(frames["fact_daily_stock_quotes"], symbol)
    performance = _of(frames["fact_stock_performance"], symbol)
    if performance.empty:
        return
    adjusted = performance["adj_close_price"].astype(float)
    yield _expected("Indexed to 100", 100 * adjusted.iloc[-1] / adjusted.iloc[0], symbol)
    for other in symbols:
        if other != symbol:
            yield _expected("Correlation", _correlation(frames, symbol, other), symbol, other=other)
    for first, last in ((None, None), _earlier(performance)):
        of_last = _within(performance, first, last).iloc[-1]
        selected = _within(bars, first, last)
        for name, value in (
            *((name, of_last[column]) for name, column in _OF_PERFORMANCE.items()),
            ("YTD %", _this_year(frames["fact_stock_performance"], symbol, first, last)),
            ("Close", selected["close_price"].iloc[-1]),
            ("Volume", (selected["volume"] * selected["split_factor"]).sum(min_count=1)),
            ("Volume against 30-day mean", _volume_ratio(_within(bars, None, last))),
        ):
            yield _expected(name, value, symbol, first=first, last=last)


def _of_bars(warehouse: Warehouse, symbol: str) -> Iterator[Expected]:
    bars = warehouse.query(
        """
        select c.*, coalesce(f.split_factor, 1) as split_factor
        from gold.gold_candlestick as c
        left join gold.fact_daily_stock_quotes as f
            on c.symbol = f.symbol and cast(c.candle_time as date) = f.quote_date
        where c.symbol = ? and c.resolution = '1d'
        order by c.candle_time
        """,
        (symbol,),
    )
    if bars.empty:
        return
    factors = bars["split_factor"].astype(float)
    bars["ema"] = ema(bars["candle_close"].astype(float) / factors, EMA_WINDOW) * factors
    last = bars.iloc[-1]
    day = last["candle_time"].date()
    for name, column in {**_OF_CANDLES, "EMA 20": "ema"}.items():
        yield _expected(name, last[column], symbol, first=day, last=day)


def _of(frame: pd.DataFrame, symbol: str) -> pd.DataFrame:
    return frame[frame["symbol"] == symbol]


def _within(frame: pd.DataFrame, first: date | None, last: date | None) -> pd.DataFrame:
    days = pd.to_datetime(frame["quote_date"])
    return frame[days.between(pd.Timestamp(first or date.min), pd.Timestamp(last or date.max))]


def _this_year(everyone: pd.DataFrame, symbol: str, first: date | None, last: date | None) -> float:
    """Return the year's return up to the last session that any symbol has in the selection."""
    selected = _within(everyone, first, last)
    own = _of(selected, symbol).iloc[-1]
    of_the_year = pd.Timestamp(own["quote_date"]).year == pd.to_datetime(selected["quote_date"]).max().year
    return float(own["ytd_return_percent"]) if of_the_year else math.nan


def _earlier(performance: pd.DataFrame) -> tuple[date, date]:
    """Return a selection that ends before the last session: the third quarter of the bars."""
    days = pd.to_datetime(performance["quote_date"])
    return days.iloc[len(days) // 2].date(), days.iloc[len(days) * 3 // 4].date()


def _volume_ratio(bars: pd.DataFrame) -> float:
    known = bars.dropna(subset=["volume"])
    adjusted = known["volume"].astype(float) * known["split_factor"].astype(float)
    if len(adjusted) < 31:
        return math.nan
    return float(adjusted.iloc[-1] / adjusted.iloc[-31:-1].mean())


def _correlation(frames: dict[str, pd.DataFrame], symbol: str, other: str) -> float:
    bars = frames["fact_daily_stock_quotes"]
    wide = bars.astype({"daily_return_percent": float}).pivot(
        index="quote_date", columns="symbol", values="daily_return_percent"
    )
    both = wide[[symbol, other]].dropna()
    return float(both[symbol].corr(both[other])) if len(both) > 2 else math.nan


def _expected(
    measure: str, value: Any, symbol: str = "", *, other: str = "", first: date | None = None, last: date | None = None
) -> Expected:
    return Expected(measure, symbol, other, first, last, _shown(value))


def _shown(value: Any) -> str:
    """
    >>> _shown(1234.5), _shown(2.0), _shown(float("nan")), _shown("AAPL")
    ('1234.5', '2', '', 'AAPL')
    """
    if isinstance(value, str):
        return value
    if value is None or pd.isna(value):
        return ""
    return f"{float(value):.6f}".rstrip("0").rstrip(".")


def _signed(value: float) -> str:
    return f"{value:+.2f}" if round(value, 2) else "0.00"
