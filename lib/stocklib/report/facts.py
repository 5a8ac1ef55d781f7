"""What the report shows, read from gold once: nothing here is formatted, and nothing is computed that gold holds."""

from dataclasses import dataclass
from datetime import date, datetime

import pandas as pd

from stocklib import market
from stocklib.errors import DateRangeError, WarehouseError
from stocklib.report.delivery import Delivery, read_delivery
from stocklib.settings import Settings

# A year and a bit, so that the comparison reaches back to the last session of the year before.
_REACH = pd.Timedelta(days=396)


@dataclass(frozen=True)
class Facts:
    """One consistent look at gold. Instants are UTC-aware; dates are New York trade dates."""

    # symbol, company_name, sector, market_cap, current_price, change_amount, change_percent, ytd_return_percent,
    # ytd_base_date, momentum_30day_percent, volatility_30day_percent, drawdown_percent, volume, as_of, is_final
    symbols: pd.DataFrame
    # daily bars, split-adjusted, of the last year; and the last session's in five minutes, empty when there are none
    daily: pd.DataFrame
    session: pd.DataFrame
    as_of: datetime
    session_date: date
    is_final: bool
    is_replay: bool
    data_version: str
    currency: str
    delivery: Delivery | None


def gather(settings: Settings) -> Facts:
    """Read everything that the report shows, all of it from the same published version."""
    while True:
        facts = _gather(settings)
        if market.data_version(settings=settings) == facts.data_version:
            return facts


def _gather(settings: Settings) -> Facts:
    version = market.data_version(settings=settings)
    daily = market.prices(settings=settings)
    last_date = daily["date"].max()
    daily = daily[daily["date"] > last_date - _REACH]
    symbols = _symbols(settings, daily)
    if symbols.empty:
        raise WarehouseError("gold has daily bars but no latest prices: run `stocks transform`")
    of_today = daily[daily["date"] == last_date]
    return Facts(
        symbols=symbols,
        daily=daily,
        session=_session(settings, last_date.date()),
        as_of=symbols["as_of"].max().to_pydatetime(),
        session_date=last_date.date(),
        is_final=bool(of_today["is_final"].all()),
        is_replay=market.is_replay(settings=settings),
        data_version=version,
        currency=_common(symbols["currency"]),
        delivery=read_delivery(settings),
    )


def _symbols(settings: Settings, daily: pd.DataFrame) -> pd.DataFrame:
    """One row a symbol: the latest of each table that knows it."""
    kpi = market.table("gold_kpi", settings=settings)
    names = market.table("silver.dim_stock_symbols", settings=settings)[["symbol", "company_name", "currency"]]
    tree = market.table("gold_treechart", settings=settings)[["symbol", "sector", "market_cap"]]
    performance = market.table("fact_stock_performance", settings=settings).sort_values("quote_date")
    wanted = ["symbol", "ytd_base_date", "momentum_30day_percent", "volatility_30day_percent", "drawdown_percent"]
    bars = daily.sort_values("date").groupby("symbol").tail(1)[["symbol", "volume", "is_final"]]
    joined = kpi.drop(columns=[c for c in ("volume", "is_final") if c in kpi])
    for other in (names, tree, performance.groupby("symbol").tail(1)[wanted], bars):
        joined = joined.merge(other, on="symbol", how="left")
    for column in ("as_of", "fetched_at"):
        stamps = pd.to_datetime(joined[column])
        joined[column] = stamps.dt.tz_localize("UTC") if stamps.dt.tz is None else stamps
    return joined.sort_values("symbol", ignore_index=True)


def _session(settings: Settings, day: date) -> pd.DataFrame:
    try:
        return market.prices(start=day, end=day, resolution="5m", settings=settings)
    except DateRangeError:
        return pd.DataFrame()


def _common(currencies: pd.Series) -> str:
    """The one currency of every symbol; where they differ, prices are in "the listing's currency"."""
    known = currencies.dropna().unique()
    return str(known[0]) if len(known) == 1 else "listing currency"
