"""Bars and corporate actions of gold: one query each, answered in columns."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
import pandas as pd

from stocklib.market.catalogue import where_clause
from stocklib.sessions import NEW_YORK, session_dates
from stocklib.warehouse import Reader


def read_daily(
    look: Reader, wanted: Sequence[str], first: date | None, last: date | None, *, keep_suspect: bool = True
) -> pd.DataFrame:
    """Return daily bars as traded: symbol, date, open, high, low, close, volume, is_final, data_source, split_factor.

    Without ``keep_suspect``, bars that silver.suspect_bars names are left out.
    """
    where, params = where_clause("quote_date", wanted, first, last)
    if not keep_suspect:
        # the symbols again, so that the view checks only their bars
        named, names = where_clause("quote_date", wanted, None, None)
        where += f" and (symbol, quote_date) not in (select symbol, quote_date from silver.suspect_bars where {named})"  # noqa: S608
        params = (*params, *names)
    return _frame(
        look,
        f"""
        select symbol, cast(quote_date as timestamp) as date, cast(open_price as double) as open,
            cast(high_price as double) as high, cast(low_price as double) as low, cast(close_price as double) as close,
            cast(volume as double) as volume, is_final, data_source, cast(split_factor as double) as split_factor
        from gold.fact_daily_stock_quotes
        where {where}
        order by symbol, quote_date
        """,  # noqa: S608 - placeholders only
        params,
    )


def read_intraday(
    look: Reader, wanted: Sequence[str], first: date | None, last: date | None, *, resolution: str
) -> pd.DataFrame:
    """Return the bars of a resolution below a day; ``time`` is their start, in UTC."""
    lower = _midnight(first) if first else None
    upper = _midnight(last + timedelta(days=1)) - timedelta(microseconds=1) if last else None
    where, params = where_clause("candle_time", wanted, lower, upper)
    bars = _frame(
        look,
        f"""
        select symbol, candle_time as time, cast(candle_open as double) as open, cast(candle_high as double) as high,
            cast(candle_low as double) as low, cast(candle_close as double) as close, cast(volume as double) as volume,
            is_final, data_source
        from gold.gold_candlestick
        where resolution = ? and {where}
        order by symbol, candle_time
        """,  # noqa: S608 - placeholders only
        (resolution, *params),
    )
    bars["time"] = bars["time"].dt.tz_localize(UTC)
    return bars


def read_actions(look: Reader, wanted: Sequence[str]) -> pd.DataFrame:
    """Return splits and dividends: symbol, date, kind, from_factor, to_factor, amount (a share, as paid)."""
    where, params = where_clause("date", wanted, None, None)
    return _frame(
        look,
        f"""
        select symbol, cast(date as timestamp) as date, kind, from_factor, to_factor, cast(amount as double) as amount
        from gold.dim_corporate_action
        where kind in ('split', 'dividend') and {where}
        order by symbol, date
        """,  # noqa: S608 - placeholders only
        params,
    )


def with_holes(bars: pd.DataFrame) -> pd.DataFrame:
    """Return daily bars, and a row for each session without one between a symbol's first bar and its last.

    Prices, volume and source of such a row are NaN, and it is not final.
    """
    ends = bars.groupby("symbol", sort=False)["date"].agg(["min", "max"])
    days = session_dates(bars["date"].min().date(), bars["date"].max().date())
    dates = pd.DatetimeIndex(days, dtype=str(bars["date"].dtype))
    firsts, lasts = ends["min"].to_numpy(), ends["max"].to_numpy()
    places = zip(dates.searchsorted(firsts), dates.searchsorted(lasts, side="right"), strict=True)
    ranges = [dates[first:last] for first, last in places]
    keys = pd.DataFrame(
        {
            "symbol": np.repeat(ends.index.to_numpy(), [len(found) for found in ranges]),
            "date": np.concatenate([found.to_numpy() for found in ranges]),
        }
    )
    keys["symbol"] = keys["symbol"].astype(bars["symbol"].dtype)
    merged = keys.merge(bars, on=["symbol", "date"], how="left")
    merged["is_final"] = merged["is_final"].eq(True)
    return merged


def new_york_days(bars: pd.DataFrame) -> Any:
    """Return the trade date of each bar."""
    if "date" in bars:
        return bars["date"].to_numpy()
    return bars["time"].dt.tz_convert(NEW_YORK).dt.tz_localize(None).dt.normalize().to_numpy()


def with_factors(bars: pd.DataFrame, daily: pd.DataFrame) -> pd.DataFrame:
    """Return bars within the day with the factors of their New York date."""
    columns = [name for name in ("split_factor", "dividend_factor") if name in daily]
    factors = daily.set_index(["symbol", "date"])[columns]
    keys = pd.MultiIndex.from_arrays([bars["symbol"], new_york_days(bars)])
    for name in columns:
        bars[name] = factors[name].reindex(keys, fill_value=1.0).to_numpy()
    return bars


def side_by_side(bars: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return one column of the bars as dates or times × symbols; NaN where a symbol has no bar."""
    when = "date" if "date" in bars else "time"
    times = pd.Index(bars[when].unique()).sort_values()
    places, symbols = pd.factorize(bars["symbol"], sort=True)
    values = np.full((len(times), len(symbols)), np.nan)
    values[times.get_indexer(bars[when]), places] = bars[column].to_numpy()
    return pd.DataFrame(values, times.rename(when), pd.Index(symbols, name="symbol"))


def _frame(look: Reader, sql: str, params: tuple[Any, ...]) -> pd.DataFrame:
    # Arrow's columns become pandas' without a copy: five times faster than a frame of Python values
    frame: pd.DataFrame = look.arrow(sql, params).to_pandas(split_blocks=True)
    return frame


def _midnight(day: date) -> datetime:
    """Return the first instant of a New York date, as the warehouse stores it: UTC, without a zone."""
    return datetime.combine(day, time(), NEW_YORK).astimezone(UTC).replace(tzinfo=None)
