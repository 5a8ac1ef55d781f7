"""What an analyst calls to read gold: prices, symbols, any table. Frames out; nothing published is changed.

Prices are stored as traded, and adjusted when they are read, so that a split or dividend is no jump in a series. Each
call reads one published version, also while another is published, and the frame's ``attrs`` name it. Every value
reaches SQL as a parameter, and a table's name is looked up before it is used.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime

import pandas as pd

from stocklib.errors import DateRangeError, InputError, OtherRelease
from stocklib.market.adjusting import adjusted, dividend_factors
from stocklib.market.catalogue import Symbols, all_symbols, known_symbols, nothing_there, tables, version
from stocklib.market.gold_bars import read_actions, read_daily, read_intraday, side_by_side, with_factors, with_holes
from stocklib.market.pinned import pin, reading
from stocklib.market.renamed import under_asked_names
from stocklib.reference_data import read_symbol_changes
from stocklib.sessions import new_york_date
from stocklib.settings import Settings, read_settings
from stocklib.warehouse import Reader
from stocklib.warehouse.releases import complaint

__all__ = ["Symbols", "data_version", "is_replay", "pin", "prices", "symbols", "table"]

RESOLUTIONS = ("1m", "5m", "1h", "1d")
ADJUSTMENTS = ("none", "split", "total")
HOLES = ("skip", "nan")
SUSPECT = ("keep", "drop")
_WIDE = ("open", "high", "low", "close", "volume")


def prices(
    symbols: str | Iterable[str] | None = None,
    start: date | str | None = None,
    end: date | str | None = None,
    *,
    resolution: str = "1d",
    adjust: str = "split",
    wide: str | None = None,
    index: bool = False,
    holes: str = "skip",
    suspect: str = "keep",
    settings: Settings | None = None,
) -> pd.DataFrame:
    """Return the bars of some symbols, one row a bar, ordered by symbol and time.

    ``symbols`` is one, several, or None for all; ``start`` and ``end`` are New York trade dates, both included (of an
    aware datetime, the date in New York at that instant). A company that was renamed (``config/symbol_changes.csv``)
    has its bars under each of its symbols, unless another company uses the old one now; ``META:BEFORE-2022-06-09`` is
    the company that had META before Facebook.
    ``adjust``: ``none`` for prices as traded, ``split``, or ``total`` for splits and dividends (``market.adjusting``
    has the formulas; NaN before a dividend above the price, which is a mistake of its source).
    ``holes="nan"`` adds a row of NaN prices for each session without a bar, from the symbol's first bar to its last:
    indicators and metrics then count sessions as gold does. By default such a session has no row.
    ``suspect="drop"`` leaves out the daily bars that look like a source's mistake (``silver.suspect_bars``): a jump
    that no split explains and that the next final bar reverses. That is unknown before the next bar, so a backtest
    without them looks ahead by a session.

    Columns: symbol, then ``date`` (datetime64, the trade date) at 1d or ``time`` (UTC-aware, the bar's start) below,
    then open, high, low, close in the listing's currency, volume in shares (NaN where the source has none), is_final,
    data_source. ``wide="close"`` returns one such column only: dates or times × symbols, NaN where a symbol has no bar.
    ``index=True`` makes ``date`` or ``time`` the index, a DatetimeIndex; of several symbols it repeats, and ``symbol``
    stays a column. Backtests and figures take either form. ``wide`` has that index in any case.
    ``attrs`` holds the resolution, the adjustment and the data's version.

    A week of Apple: ``prices("AAPL", "2012-12-10", "2012-12-14")``.

    Raise ``SymbolError`` for a symbol without prices, ``DateRangeError`` when no bar is in the range; both name what
    exists. ``InputError`` for ``holes`` and ``suspect`` below a day: they apply to daily bars.
    """
    _one_of("resolution", resolution, RESOLUTIONS)
    _one_of("adjust", adjust, ADJUSTMENTS)
    _one_of("holes", holes, HOLES)
    if holes == "nan" and resolution != "1d":
        raise InputError(f'holes="nan" is possible only at resolution="1d", not {resolution!r}: a hole is a session')
    _one_of("suspect", suspect, SUSPECT)
    if suspect == "drop" and resolution != "1d":
        raise InputError(f'suspect="drop" is possible only at resolution="1d", not {resolution!r}')
    if wide is not None:
        _one_of("wide", wide, _WIDE)
    first, last = _day("start", start), _day("end", end)
    if first and last and first > last:
        raise DateRangeError(f"start {first} is after end {last}")
    settings = settings or read_settings()
    changes = read_symbol_changes(settings.root)
    with reading(settings) as look:
        asked = known_symbols(look, symbols, changes)
        there = sorted(set(asked.values()))
        # a hole at the beginning of the range shows only with the bars before it
        span = (None, None) if holes == "nan" else (first, last)
        bars = _bars(look, there, *span, resolution, adjust, suspect == "keep")
        if bars.empty or (holes == "nan" and _within(bars, first, last).empty):
            raise DateRangeError(nothing_there(look, there, first, last, resolution=resolution))
        read_version = version(look)
    bars = adjusted(bars, adjust=adjust).drop(columns=["split_factor", "dividend_factor"], errors="ignore")
    if holes == "nan":
        bars = _within(with_holes(bars), first, last)
    bars = under_asked_names(bars, asked).reset_index(drop=True)
    if wide is not None:
        bars = side_by_side(bars, wide)
    elif index:
        bars = bars.set_index("date" if "date" in bars else "time")
    bars.attrs = {"resolution": resolution, "adjust": adjust, "data_version": read_version}
    return bars


def symbols(like: str = "", *, settings: Settings | None = None) -> Symbols:
    """Return every symbol with daily prices, in alphabetical order; ``like`` is a text in the symbol or company's name.

    A list whose items are attributes too: ``there = stocklib.symbols()``, then ``there.`` and TAB.
    """
    settings = settings or read_settings()
    with reading(settings) as look:
        return all_symbols(look, like=like)


def table(name: str, *, settings: Settings | None = None) -> pd.DataFrame:
    """Return a whole published table: ``gold_kpi``, ``fact_stock_performance``, or with its schema ``silver.dim_…``.

    The rows have no order. Raise ``InputError`` that names the existing tables.
    """
    schema, _, bare = name.strip().lower().rpartition(".")
    schema = schema or "gold"
    settings = settings or read_settings()
    with reading(settings) as look:
        known = tables(look)
        if (schema, bare) not in known:
            if reason := complaint(settings, look):
                raise OtherRelease(f"there is no table {name!r}: {reason}")
            listed = ", ".join(sorted(each if where == "gold" else f"{where}.{each}" for where, each in known))
            raise InputError(f"there is no table {name!r}; there are {listed or 'none yet'}")
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", bare):
            raise InputError(f"{name!r} is not a valid name of a table")
        frame = look.query(f"select * from {schema}.{bare}")  # noqa: S608 - looked up above
        frame.attrs = {"data_version": version(look)}
        return frame


def data_version(*, settings: Settings | None = None) -> str:
    """Return the published version of the data: its last load, a hash of the models, and when the build began.

    Two readers who see the same version see the same numbers.
    """
    with reading(settings or read_settings()) as look:
        return version(look)


def is_replay(*, settings: Settings | None = None) -> bool:
    """Return whether the published data is a replay of recorded data, rather than live data."""
    with reading(settings or read_settings()) as look:
        found = look.query("select kind from ops.warehouse_source")
    return not found.empty and found["kind"].iloc[0] == "replayed"


# ── private ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _bars(
    look: Reader,
    there: Sequence[str],
    first: date | None,
    last: date | None,
    resolution: str,
    adjust: str,
    keep_suspect: bool,
) -> pd.DataFrame:
    """Return the bars as traded, with the factors that ``adjust`` needs."""
    # later dividends count as well, and the close before each
    daily = read_daily(look, there, first, None if adjust == "total" else last, keep_suspect=keep_suspect)
    if adjust == "total":
        daily["dividend_factor"] = dividend_factors(daily, read_actions(look, there))
        daily = daily[daily["date"] <= pd.Timestamp(last)] if last else daily
    if resolution == "1d":
        return daily
    bars = read_intraday(look, there, first, last, resolution=resolution)
    return with_factors(bars, daily)


def _within(bars: pd.DataFrame, first: date | None, last: date | None) -> pd.DataFrame:
    """Return the daily bars of a range of dates."""
    dates = bars["date"]
    return bars[dates.between(pd.Timestamp(first or dates.min()), pd.Timestamp(last or dates.max()))]


def _day(name: str, value: date | str | None) -> date | None:
    if value is None or value == "":
        return None
    try:
        if pd.isna(value):
            raise ValueError
        if isinstance(value, str):
            return date.fromisoformat(value.strip())
        if isinstance(value, datetime):
            return value.date() if value.tzinfo is None else new_york_date(value)
        return date(value.year, value.month, value.day)
    except (ValueError, TypeError, AttributeError):
        raise DateRangeError(f"{name}={value!r} is not a date; write it as 2012-12-14") from None


def _one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise InputError(f"{name}={value!r} is not possible; it is one of {', '.join(allowed)}")
