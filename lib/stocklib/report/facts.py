"""The report's data, read from gold once: neither formatted nor computed here where gold holds it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pandas as pd

from stocklib import market
from stocklib.errors import DateRangeError, SymbolError, VersionChanged, WarehouseError
from stocklib.market.catalogue import known_symbols
from stocklib.reference_data import read_symbol_changes
from stocklib.report.delivery import Delivery, read_delivery
from stocklib.report.earlier_session import at_close, then_by_now
from stocklib.report.measures import Breadth, benchmark_of, breadth, measures, panel
from stocklib.report.replay import replayed_prices
from stocklib.report.stale import mark
from stocklib.settings import Settings
from stocklib.warehouse import Reader, open_warehouse
from stocklib.warehouse.cost import Cost, midnight
from stocklib.warehouse.data_terms import terms_of

# A year and a bit, so that the comparison reaches back to the last session of the year before.
_REACH = pd.Timedelta(days=396)
# How often it is read again where another version is published during the read.
_TRIES = 3
_COST_REACH = timedelta(days=6)
# What the report takes from gold_kpi.
_KPI = [
    *("symbol", "current_price", "change_amount", "change_percent", "change_basis", "ytd_return_percent"),
    *("as_of", "fetched_at"),
]


@dataclass(frozen=True)
class Facts:
    """A consistent snapshot of gold. Instants are UTC-aware; dates are New York trade dates."""

    # symbol, company_name, sector, market_cap, current_price, change_amount, change_percent, change_basis (close,
    # source or null), ytd_return_percent, ytd_base_date, momentum_30day_percent, volatility_30day_percent,
    # drawdown_percent, volume, as_of, is_final, last_bar, is_stale, and the columns of measures.measures, the range as
    # traded
    symbols: pd.DataFrame
    breadth: Breadth
    # symbols that the reader chose for the cards
    chosen: list[str]
    # split-adjusted closes of the last year: sessions × symbols
    closes: pd.DataFrame
    # closes of the benchmark, or an index from 100, by session of the last year; its returns by period, in percent
    benchmark: pd.Series
    benchmark_returns: dict[str, float]
    # gold's drawdown_percent: sessions × symbols
    drawdowns: pd.DataFrame
    # daily bars, split-adjusted, of the last year; and the last session's in five minutes, empty when there are none
    daily: pd.DataFrame
    session: pd.DataFrame
    # the first session of the data, which may be long before those bars
    first_date: pd.Timestamp
    as_of: datetime
    session_date: date
    is_final: bool
    is_replay: bool
    # which prices these are, where they are replayed
    replayed: str
    data_version: str
    currency: str
    delivery: Delivery | None
    costs: list[Cost]
    # the last year's bars that look like a source's mistake, as of this session
    suspects: pd.DataFrame
    # what may be done with the data, a sentence each
    terms: list[str]


def gather(
    settings: Settings, *, day: date | None = None, chosen: Sequence[str] = (), benchmark: str | None = None
) -> Facts:
    """Read all data of the report from the same published version.

    ``day`` is the session to report, by default the last one; ``DateRangeError`` when it has no bars. ``SymbolError``
    for a ``chosen`` symbol or a ``benchmark`` without prices. On Snowflake ``VersionChanged`` when new versions were
    published during every try.
    """
    for _ in range(_TRIES - 1):
        # an engine that cannot pin a version raises
        with suppress(VersionChanged), market.pin(settings) as look:
            return _gather(settings, day, chosen, benchmark, look)
    with market.pin(settings) as look:
        return _gather(settings, day, chosen, benchmark, look)


def _gather(settings: Settings, day: date | None, chosen: Sequence[str], benchmark: str | None, look: Reader) -> Facts:
    version = market.data_version(settings=settings)
    everything = market.prices(settings=settings)
    newest = everything["date"].max()
    last_date = pd.Timestamp(day) if day else newest
    daily = everything[(everything["date"] <= last_date) & (everything["date"] > last_date - _REACH)]
    if not (daily["date"] == last_date).any():
        first = everything["date"].min()
        raise DateRangeError(f"there are no bars of {day}: choose a session from {first:%Y-%m-%d} to {newest:%Y-%m-%d}")
    performance = market.table("fact_stock_performance", settings=settings)
    performance = performance[pd.to_datetime(performance["quote_date"]) <= last_date].sort_values("quote_date")
    # whole rows, since a null must not be filled from an older session
    is_newest, latest = last_date == newest, performance.groupby("symbol").tail(1).set_index("symbol")
    kpi = market.table("gold_kpi", settings=settings) if is_newest else at_close(settings, daily, latest)
    symbols = _symbols(settings, kpi, daily, latest)
    if not is_newest:
        symbols["market_cap"] *= then_by_now(everything, daily).reindex(symbols["symbol"]).to_numpy()
    symbols = _measured(mark(symbols, latest["quote_date"], session_date=last_date.date()), daily)
    if symbols.empty:
        raise WarehouseError("gold has daily bars but no latest prices: run `stocks transform`")
    of_today = daily[daily["date"] == last_date]
    closes = panel(daily, "close")
    found = [_drawn(look, settings, closes, name) for name in [*chosen, *filter(None, [benchmark])]]
    curve, returns = benchmark_of(closes, found[-1] if benchmark else None)
    return Facts(
        symbols=symbols,
        breadth=breadth(symbols, last_date),
        chosen=found[: len(chosen)],
        closes=closes,
        benchmark=curve,
        benchmark_returns=returns,
        drawdowns=performance.pivot(index="quote_date", columns="symbol", values="drawdown_percent").astype("float64"),
        daily=daily,
        session=_session(settings, last_date.date()),
        first_date=everything["date"].min(),
        as_of=symbols["as_of"].max().to_pydatetime(),
        session_date=last_date.date(),
        is_final=bool(of_today["is_final"].all()),
        is_replay=market.is_replay(settings=settings),
        replayed=replayed_prices(settings),
        data_version=version,
        currency=_common(symbols["currency"]),
        # the ledger counts up to now, so it does not describe an earlier session
        delivery=read_delivery(settings) if is_newest else None,
        suspects=_suspects(settings, daily, last_date),
        terms=terms_of(look),
        costs=open_warehouse(settings).costs(since=midnight(datetime.now(UTC)) - _COST_REACH) if is_newest else [],
    )


def _drawn(look: Reader, settings: Settings, closes: pd.DataFrame, name: str) -> str:
    """Return gold's symbol of a requested name; ``SymbolError`` when it has no bar to draw."""
    (symbol,) = known_symbols(look, name, read_symbol_changes(settings.root)).values()
    if symbol not in closes:
        last = closes.index[-1]
        raise SymbolError(f"{symbol} has no bar in the 13 months up to {last:%Y-%m-%d}: choose another symbol")
    return symbol


def _symbols(settings: Settings, kpi: pd.DataFrame, daily: pd.DataFrame, latest: pd.DataFrame) -> pd.DataFrame:
    """Return a row a symbol: the latest of each table that has it."""
    names = market.table("silver.dim_stock_symbols", settings=settings)[["symbol", "company_name", "currency"]]
    tree = market.table("gold_treechart", settings=settings)[["symbol", "sector", "market_cap"]]
    wanted = ["ytd_base_date", "momentum_30day_percent", "volatility_30day_percent", "drawdown_percent"]
    bars = daily.sort_values("date").groupby("symbol").tail(1)[["symbol", "volume", "is_final"]]
    joined = kpi[_KPI]
    for other in (names, tree, latest[wanted], bars):
        joined = joined.merge(other, on="symbol", how="left")
    for column in ("as_of", "fetched_at"):
        stamps = pd.to_datetime(joined[column])
        joined[column] = stamps.dt.tz_localize("UTC") if stamps.dt.tz is None else stamps
    return joined.sort_values("symbol", ignore_index=True)


def _measured(symbols: pd.DataFrame, daily: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with the columns of ``measures``; the range is on the basis of the price, also before a split."""
    joined = symbols.merge(measures(daily), left_on="symbol", right_index=True, how="left")
    closes = joined["symbol"].map(daily.groupby("symbol")["close"].last())
    for column in ("range_low", "range_high"):
        joined[column] *= joined["current_price"].astype("float64") / closes
    return joined


def _session(settings: Settings, day: date) -> pd.DataFrame:
    try:
        return market.prices(start=day, end=day, resolution="5m", settings=settings)
    except DateRangeError:
        return pd.DataFrame()


def _suspects(settings: Settings, daily: pd.DataFrame, last_date: pd.Timestamp) -> pd.DataFrame:
    """Return symbol, quote_date, close_price, previous_close, next_close of the suspect bars, by symbol and date."""
    found = market.table("silver.suspect_bars", settings=settings)
    dates, judged = pd.to_datetime(found["quote_date"]), pd.to_datetime(found["judged_date"])
    is_known = (judged <= last_date) & (dates >= daily["date"].min()) & found["symbol"].isin(daily["symbol"])
    ordered: pd.DataFrame = found[is_known].sort_values(["symbol", "quote_date"], ignore_index=True)
    return ordered


def _common(currencies: pd.Series) -> str:
    """Return the currency of all symbols; where they differ, "the listing's currency"."""
    known = currencies.dropna().unique()
    return str(known[0]) if len(known) == 1 else "listing currency"
