"""What an analyst calls to read gold: prices, symbols, any table. Frames out; what is published is never changed.

Prices are stored as traded. ``prices`` divides them by the splits that came after each bar (``adjust="split"``), so
that a series has no jump that nobody suffered; ``adjust="none"`` gives them as traded. Every value reaches SQL as a
parameter, and a table's name is looked up before it is used.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from typing import Any

import pandas as pd

from stocklib.errors import DateRangeError, InputError, SymbolError, WarehouseError
from stocklib.quotes import check_symbol
from stocklib.sessions import NEW_YORK
from stocklib.settings import Settings, read_settings
from stocklib.warehouse import Warehouse, open_warehouse

RESOLUTIONS = ("1m", "5m", "1h", "1d")
ADJUSTMENTS = ("split", "none")
_SCHEMAS = ("bronze", "silver", "gold", "ops")
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

    >>> prices("AAPL", "2012-12-10", "2012-12-14")  # doctest: +SKIP

    Raises ``SymbolError`` for a symbol without prices, ``DateRangeError`` when no bar is in the range; both name what
    there is.
    """
    _one_of("resolution", resolution, RESOLUTIONS)
    _one_of("adjust", adjust, ADJUSTMENTS)
    first, last = _day("start", start), _day("end", end)
    if first and last and first > last:
        raise DateRangeError(f"start {first} is after end {last}")
    warehouse = open_warehouse(settings or read_settings())
    wanted = _known(warehouse, symbols)
    daily = _daily(warehouse, wanted, first, last)
    bars = daily if resolution == "1d" else _intraday(warehouse, wanted, first, last, resolution=resolution)
    if bars.empty:
        raise DateRangeError(_nothing(warehouse, wanted, first, last, resolution=resolution))
    if resolution != "1d":
        bars = _with_split_factor(bars, daily)
    if adjust == "split":
        for column in ("open", "high", "low", "close"):
            bars[column] = bars[column] / bars["split_factor"]
        bars["volume"] = bars["volume"] * bars["split_factor"]
    bars = bars.drop(columns="split_factor").reset_index(drop=True)
    bars.attrs = {"resolution": resolution, "adjust": adjust, "data_version": _version(warehouse)}
    return bars


def symbols(*, settings: Settings | None = None) -> list[str]:
    """Every symbol that has daily prices, in alphabetical order."""
    return _symbols(open_warehouse(settings or read_settings()))


def table(name: str, *, settings: Settings | None = None) -> pd.DataFrame:
    """A whole published table: ``gold_kpi``, ``fact_stock_performance``, or with its schema ``silver.dim_…``.

    The rows are in no particular order. Raises ``InputError`` that names the tables there are.
    """
    warehouse = open_warehouse(settings or read_settings())
    schema, _, bare = name.strip().lower().rpartition(".")
    schema = schema or "gold"
    known = _tables(warehouse)
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
    return _version(open_warehouse(settings or read_settings()))


def is_replay(*, settings: Settings | None = None) -> bool:
    """Whether what is published is recorded data that was replayed, rather than live data."""
    warehouse = open_warehouse(settings or read_settings())
    found = warehouse.query("select kind from ops.warehouse_source")
    return not found.empty and found["kind"].iloc[0] == "replayed"


# ── private ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _daily(warehouse: Warehouse, wanted: Sequence[str], first: date | None, last: date | None) -> pd.DataFrame:
    where, params = _where("quote_date", wanted, first, last)
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
    where, params = _where("candle_time", wanted, lower, upper)
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


def _where(column: str, wanted: Sequence[str], lower: object, upper: object) -> tuple[str, tuple[Any, ...]]:
    parts, params = [f"symbol in ({', '.join('?' * len(wanted))})"], [*wanted]
    for sign, bound in ((">=", lower), ("<=", upper)):
        if bound is not None:
            parts.append(f"{column} {sign} ?")
            params.append(bound)  # type: ignore[arg-type]
    return " and ".join(parts), tuple(params)


def _known(warehouse: Warehouse, asked: str | Iterable[str] | None) -> list[str]:
    """The symbols that were asked for, each of them one that has prices."""
    there = _symbols(warehouse)
    if not there:
        raise WarehouseError("gold holds no prices yet: run `stocks run backfill_ytd`, or `make demo`")
    if asked is None:
        return there
    listed = [check_symbol(one) for one in ([asked] if isinstance(asked, str) else asked)]
    if not listed:
        raise SymbolError("no symbol was asked for; leave symbols out to get all: " + ", ".join(there))
    for symbol in listed:
        if symbol not in there:
            close = get_close_matches(symbol, there, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            shown = ", ".join(there[:20]) + (f" and {len(there) - 20} more" if len(there) > 20 else "")
            raise SymbolError(f"there are no prices of {symbol}.{hint} There are: {shown}")
    return list(dict.fromkeys(listed))


def _symbols(warehouse: Warehouse) -> list[str]:
    frame = warehouse.query("select distinct symbol from gold.fact_daily_stock_quotes order by symbol")
    return [str(symbol) for symbol in frame["symbol"]]


def _tables(warehouse: Warehouse) -> set[tuple[str, str]]:
    marks = ", ".join("?" * len(_SCHEMAS))
    frame = warehouse.query(
        f"""
        select lower(table_schema) as schema_name, lower(table_name) as table_name
        from information_schema.tables
        where lower(table_schema) in ({marks})
        """,  # noqa: S608 - placeholders only
        _SCHEMAS,
    )
    return set(zip(frame["schema_name"], frame["table_name"], strict=True))


def _nothing(
    warehouse: Warehouse, wanted: Sequence[str], first: date | None, last: date | None, *, resolution: str
) -> str:
    where, params = _where("candle_time", wanted, None, None)
    there = warehouse.query(
        f"""
        select symbol, min(candle_time) as first_time, max(candle_time) as last_time
        from gold.gold_candlestick
        where resolution = ? and {where}
        group by symbol
        order by symbol
        """,  # noqa: S608 - placeholders only
        (resolution, *params),
    )
    ranges = [f"{row.symbol} {row.first_time:%Y-%m-%d} to {row.last_time:%Y-%m-%d}" for row in there.itertuples()]
    asked = f"{first or 'the beginning'} to {last or 'the end'}"
    return f"there are no {resolution} prices from {asked}; there are: {', '.join(ranges) or f'none at {resolution}'}"


def _version(warehouse: Warehouse) -> str:
    build = warehouse.published_build()
    return f"{build.load_id}.{build.logic[:8]}" if build else "unpublished"


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
    except (ValueError, AttributeError):
        raise DateRangeError(f"{name}={value!r} is not a date; write it as 2012-12-14") from None


def _one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise InputError(f"{name}={value!r} is not possible; it is one of {', '.join(allowed)}")
