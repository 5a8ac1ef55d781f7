"""What an analyst calls to read gold: prices, symbols, any table. Frames out; what is published is never changed.

Prices are stored as traded. ``prices`` divides them by the splits that came after each bar (``adjust="split"``), so
that a series has no jump that nobody suffered; ``adjust="none"`` gives them as traded. Every value reaches SQL as a
parameter, and a table's name is looked up before it is used.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta

import pandas as pd

from stocklib.errors import DateRangeError, InputError
from stocklib.market.catalogue import all_symbols, known_symbols, nothing_there, tables, version, where_clause
from stocklib.sessions import NEW_YORK
from stocklib.settings import Settings, read_settings
from stocklib.warehouse import Warehouse, open_warehouse

RESOLUTIONS = ("1m", "5m", "1h", "1d")
ADJUSTMENTS = ("split", "none")
_NUMBERS = ["open", "high", "low", "close", "volume", "split_factor"]


def prices(
    symbols: str | Iterable[str] | None = None,
    start: date | str | None = None,
    end: date | str | None = None,
    *,
    resolution: str = "1d",
    adjust: str = "split",
    settings: Settings | None = None,
) -> pd.DataFrame:
    """The bars of some symbols, one row a bar, ordered by symbol and time.

    ``symbols`` is one, several, or None for all; ``start`` and ``end`` are New York trade dates, both included.
    Columns: symbol, then ``date`` (datetime64, the trade date) at 1d or ``time`` (UTC-aware, the bar's start) below,
    then open, high, low, close in the listing's currency, volume in shares (NaN where the source has none), is_final,
    data_source. ``attrs`` says the resolution, the adjustment and the data's version.

    A week of Apple: ``prices("AAPL", "2012-12-10", "2012-12-14")``.

    Raises ``SymbolError`` for a symbol without prices, ``DateRangeError`` when no bar is in the range; both name what
    there is.
    """
    _one_of("resolution", resolution, RESOLUTIONS)
    _one_of("adjust", adjust, ADJUSTMENTS)
    first, last = _day("start", start), _day("end", end)
    if first and last and first > last:
        raise DateRangeError(f"start {first} is after end {last}")
    warehouse = open_warehouse(settings or read_settings())
    wanted = known_symbols(warehouse, symbols)
    daily = _daily(warehouse, wanted, first, last)
    bars = daily if resolution == "1d" else _intraday(warehouse, wanted, first, last, resolution=resolution)
    if bars.empty:
        raise DateRangeError(nothing_there(warehouse, wanted, first, last, resolution=resolution))
    if resolution != "1d":
        bars = _with_split_factor(bars, daily)
    if adjust == "split":
        for column in ("open", "high", "low", "close"):
            bars[column] = bars[column] / bars["split_factor"]
        bars["volume"] = bars["volume"] * bars["split_factor"]
    bars = bars.drop(columns="split_factor").reset_index(drop=True)
    bars.attrs = {"resolution": resolution, "adjust": adjust, "data_version": version(warehouse)}
    return bars


def symbols(*, settings: Settings | None = None) -> list[str]:
    """Every symbol that has daily prices, in alphabetical order."""
    return all_symbols(open_warehouse(settings or read_settings()))


def table(name: str, *, settings: Settings | None = None) -> pd.DataFrame:
    """A whole published table: ``gold_kpi``, ``fact_stock_performance``, or with its schema ``silver.dim_…``.

    The rows are in no particular order. Raises ``InputError`` that names the tables there are.
    """
    warehouse = open_warehouse(settings or read_settings())
    schema, _, bare = name.strip().lower().rpartition(".")
    schema = schema or "gold"
    known = tables(warehouse)
    if (schema, bare) not in known:
        listed = ", ".join(sorted(each if where == "gold" else f"{where}.{each}" for where, each in known))
        raise InputError(f"there is no table {name!r}; there are {listed or 'none yet'}")
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", bare):
        raise InputError(f"{name!r} is not a name that can be read")
    return warehouse.query(f"select * from {schema}.{bare}")  # noqa: S608 - looked up above


def data_version(*, settings: Settings | None = None) -> str:
    """Which version of the data is published: the last load in it, and a hash of the models that made it.

    Two readers who see the same version see the same numbers.
    """
    return version(open_warehouse(settings or read_settings()))


def is_replay(*, settings: Settings | None = None) -> bool:
    """Whether what is published is recorded data that was replayed, rather than live data."""
    warehouse = open_warehouse(settings or read_settings())
    found = warehouse.query("select kind from ops.warehouse_source")
    return not found.empty and found["kind"].iloc[0] == "replayed"


# ── private ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _daily(warehouse: Warehouse, wanted: Sequence[str], first: date | None, last: date | None) -> pd.DataFrame:
    where, params = where_clause("quote_date", wanted, first, last)
    frame = warehouse.query(
        f"""
        select symbol, quote_date as date, open_price as open, high_price as high, low_price as low,
            close_price as close, volume, is_final, data_source, split_factor
        from gold.fact_daily_stock_quotes
        where {where}
        order by symbol, quote_date
        """,  # noqa: S608 - placeholders only
        params,
    )
    frame["date"] = pd.to_datetime(frame["date"])
    return frame.astype(dict.fromkeys(_NUMBERS, "float64"))


def _intraday(
    warehouse: Warehouse, wanted: Sequence[str], first: date | None, last: date | None, *, resolution: str
) -> pd.DataFrame:
    lower = _midnight(first) if first else None
    upper = _midnight(last + timedelta(days=1)) - timedelta(microseconds=1) if last else None
    where, params = where_clause("candle_time", wanted, lower, upper)
    frame = warehouse.query(
        f"""
        select symbol, candle_time as time, candle_open as open, candle_high as high, candle_low as low,
            candle_close as close, volume, is_final, data_source
        from gold.gold_candlestick
        where resolution = ? and {where}
        order by symbol, candle_time
        """,  # noqa: S608 - placeholders only
        (resolution, *params),
    )
    frame["time"] = pd.to_datetime(frame["time"]).dt.tz_localize(UTC)
    return frame.astype(dict.fromkeys(_NUMBERS[:-1], "float64"))


def _with_split_factor(bars: pd.DataFrame, daily: pd.DataFrame) -> pd.DataFrame:
    """Each bar beside the factor of its New York date."""
    day = bars["time"].dt.tz_convert(NEW_YORK).dt.tz_localize(None).dt.normalize()
    factors = daily.set_index(["symbol", "date"])["split_factor"]
    keys = pd.MultiIndex.from_arrays([bars["symbol"], day])
    bars["split_factor"] = factors.reindex(keys).fillna(1.0).to_numpy()
    return bars


def _midnight(day: date) -> datetime:
    """The first instant of a New York date, as the warehouse stores instants: UTC, without a zone."""
    return datetime.combine(day, time(), NEW_YORK).astimezone(UTC).replace(tzinfo=None)


def _day(name: str, value: date | str | None) -> date | None:
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str):
            return date.fromisoformat(value.strip())
        return value.date() if isinstance(value, datetime) else date(value.year, value.month, value.day)
    except (ValueError, TypeError, AttributeError):
        raise DateRangeError(f"{name}={value!r} is not a date; write it as 2012-12-14") from None


def _one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise InputError(f"{name}={value!r} is not possible; it is one of {', '.join(allowed)}")
