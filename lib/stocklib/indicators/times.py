"""The times of an index in any form: the one reader for indicators, metrics, backtests and figures.

Datetimes, Python's dates and datetimes, Arrow's, periods and ISO 8601 text in; datetimes out. Positions (0, 1, 2, …)
come out as they are; numbers that count seconds, or spell a date (20121214), are not positions. Anything else is an
``InputError``.
"""

from datetime import date, datetime
from typing import Any

import pandas as pd

from stocklib.errors import InputError
from stocklib.sessions import NEW_YORK

_ISO = r"\s*\d{4}-?\d{2}-?\d{2}"
_WITH_OFFSET = r".*\d[T ]\d{2}.*(?:Z|[+-]\d{2}(?::?\d{2})?)\s*"
# Dates as numbers begin here, and seconds since 1970 far beyond.
_NO_PLACE = 10_000_000
_HINT = "make them datetimes first, with pd.to_datetime(…)"


def read_times(times: Any) -> pd.Index:
    """Return the times of an index or a column as datetimes; positions as they are.

    Text must be ISO 8601 (2012-12-14, 2012-12-14T09:30:00-05:00); text with offsets becomes UTC. ``InputError`` for a
    missing time, for times with and without a time zone together, and for values that are not times.

    >>> read_times(pd.Index(["2012-12-13", "2012-12-14"]))[-1]
    Timestamp('2012-12-14 00:00:00')
    >>> read_times(pd.RangeIndex(3))
    RangeIndex(start=0, stop=3, step=1)
    """
    index = times if isinstance(times, pd.Index) else pd.Index(times)
    if isinstance(index, pd.MultiIndex):
        raise InputError("the values are those of several symbols in one column: take one, or a panel (unstack them)")
    if isinstance(index, pd.CategoricalIndex):
        index = pd.Index(index.astype(index.categories.dtype))
    if index.hasnans:
        raise InputError("a value has no date: drop it, or give it one")
    if isinstance(index, pd.PeriodIndex):
        return index.to_timestamp()
    if isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex) or not len(index):
        return index
    if _are_positions(index):
        if not isinstance(index, pd.RangeIndex) and index.min() >= _NO_PLACE:
            raise InputError(f"the index holds numbers such as {index[0]}, neither positions nor times: {_HINT}")
        return index
    try:
        return _converted(index).as_unit("us")
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"the times cannot be read ({str(error).splitlines()[0]}): {_HINT}") from error


def in_order(times: pd.Index) -> bool:
    """Return whether each time is after the one before it; for positions, whether none is duplicate."""
    if not isinstance(times, pd.DatetimeIndex | pd.TimedeltaIndex):
        return bool(times.is_unique)
    return bool(times.is_monotonic_increasing and times.is_unique)


def session_days(times: pd.Index) -> pd.Index:
    """Return the New York date of each time; of durations their whole days, of positions themselves."""
    if isinstance(times, pd.TimedeltaIndex):
        return times.floor("D")
    if not isinstance(times, pd.DatetimeIndex):
        return times
    return (times if times.tz is None else times.tz_convert(NEW_YORK).tz_localize(None)).normalize()


def _are_positions(index: pd.Index) -> bool:
    return pd.api.types.is_numeric_dtype(index.dtype) and not pd.api.types.is_bool_dtype(index.dtype)


def _converted(index: pd.Index) -> pd.DatetimeIndex:
    if pd.api.types.is_datetime64_any_dtype(index.dtype) or index.inferred_type in ("date", "datetime64"):
        return pd.DatetimeIndex(index)
    values = index.tolist()
    if all(isinstance(value, str) for value in values):
        return _from_text(index.astype("str"))
    if not all(isinstance(value, date) for value in values):
        raise InputError(f"the index holds {type(values[0]).__name__} such as {values[0]!r}, not a time: {_HINT}")
    zones = {isinstance(value, datetime) and value.tzinfo is not None for value in values}
    if len(zones) > 1:
        raise InputError(f"some of the times have a time zone and some have none: {_HINT}")
    return pd.DatetimeIndex(pd.to_datetime(index, utc=zones.pop()))


def _from_text(index: pd.Index) -> pd.DatetimeIndex:
    text = index.str
    dated = text.match(_ISO)
    if not dated.all():
        raise InputError(f"the index holds text such as {index[~dated][0]!r}, which is not an ISO 8601 date: {_HINT}")
    has_offset = text.fullmatch(_WITH_OFFSET)
    if has_offset.any() and not has_offset.all():
        raise InputError(f"some of the times have a time zone and some have none: {_HINT}")
    return pd.DatetimeIndex(pd.to_datetime(text.strip(), format="ISO8601", utc=bool(has_offset.all())))
