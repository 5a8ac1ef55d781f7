"""The inputs of figures: read frames and series once, and check their times and numbers."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from stocklib.errors import InputError
from stocklib.indicators.columns import SMALLEST, check_size, to_doubles
from stocklib.indicators.times import in_order, read_times

_ORDER = "must be in order of time, one a date: sort them, and drop duplicates"


def need(frame: pd.DataFrame, *columns: str) -> None:
    """Raise ``InputError`` where a frame lacks these columns or has no rows."""
    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"this figure must be drawn from a frame, not {type(frame).__name__}")
    missing = [str(column) for column in columns if not isinstance(column, str) or column not in frame.columns]
    if missing:
        raise InputError(f"the frame lacks {', '.join(missing)}; it has {', '.join(map(str, frame.columns))}")
    if frame.empty:
        raise InputError("the frame has no rows, so there is nothing to draw")


def with_times(frame: pd.DataFrame) -> pd.DataFrame:
    """Return bars with a column of their times where those are the index, as ``prices(…, index=True)`` returns them."""
    name = frame.index.name if isinstance(frame, pd.DataFrame) else None
    if name not in ("date", "time") or name in frame:
        return frame
    # the values stay the index, on which lines over the bars are
    return frame.assign(**{str(name): frame.index}).rename_axis(index=None)


def read_numbers(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Return the frame with these columns as doubles, NaN where missing; ``InputError`` for an invalid number."""
    need(frame, *columns)
    numbers = {}
    for name in columns:
        if not isinstance(frame[name], pd.Series):
            raise InputError(f"the frame has several columns {name}: keep one")
        numbers[name] = to_doubles(frame[name], name=f"numbers of the column {name}")
        check_size(numbers[name], name=f"numbers of the column {name}")
    return frame.assign(**numbers)


def read_dates(frame: pd.DataFrame, *, name: str = "date", of: Any = None) -> pd.DataFrame:
    """Return the frame with a column of times as datetimes; in order within each of ``of``, where that is given."""
    need(frame, name)
    times = read_times(frame[name])
    if not isinstance(times, pd.DatetimeIndex):
        raise InputError(f"the column {name} holds no dates: make them datetimes, with pd.to_datetime(…)")
    dated = frame.assign(**{name: times})
    if of is not None and dated.groupby(of)[name].apply(lambda one: not in_order(pd.Index(one))).any():
        raise InputError(f"the bars {_ORDER}")
    return dated


def read_curve(values: pd.Series, *, positive: bool = False) -> pd.Series:
    """Return a series by date as doubles on datetimes; NaN is a gap.

    ``InputError`` for anything but a series, for one without dates or values, for unordered, invalid or infinite ones,
    and where ``positive``, for missing, zero or negative ones.
    """
    if not isinstance(values, pd.Series):
        raise InputError(f"the values must be a series by date, not {type(values).__name__}: pd.Series(values, dates)")
    if values.empty:
        raise InputError("the series has no values, so there is nothing to draw")
    times = read_times(values.index)
    if not isinstance(times, pd.DatetimeIndex):
        raise InputError("the figure needs values by date: use set_index('date')")
    if not in_order(times):
        raise InputError(f"the values {_ORDER}")
    numbers = to_doubles(values)
    check_size(numbers)
    if positive and not (numbers >= SMALLEST).all():
        raise InputError(
            f"the value of {times[~(numbers >= SMALLEST)][0]} is missing, zero or negative: drop or fill it first"
        )
    curve = pd.Series(numbers, times, name=values.name)
    curve.attrs = values.attrs
    return curve


def read_curves(curves: Mapping[str, pd.Series], *, positive: bool = False) -> dict[str, pd.Series]:
    """Return ``read_curve`` of each named series."""
    if not isinstance(curves, Mapping):
        raise InputError(f"the curves must be named series by date in a dict, not {type(curves).__name__}")
    return {str(name): read_curve(values, positive=positive) for name, values in curves.items()}
