"""How an indicator reads its data: once as doubles, then column by column, skipping missing values.

Series or panels of one shape in, series or panels of the same shape out. ``read`` checks every indicator's inputs. A
kernel sees only complete bars.
"""

import math
import numbers
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stocklib.errors import InputError
from stocklib.indicators.holes import is_too_wide
from stocklib.indicators.times import in_order, read_times

Values = TypeVar("Values", pd.Series, pd.DataFrame)
Floats = NDArray[np.float64]
Kernel = Callable[..., Any]

# the longest window that TA-Lib takes
_LONGEST = 100_000
# Prices, volumes and returns are far smaller; squares and products of smaller values stay finite.
LARGEST, SMALLEST = 1e50, 1e-50
# How far rounding to six decimals can move a price beyond its bar's range.
ROUNDED = 1e-6


def by_window(kernel: Kernel, window: int, *inputs: Values) -> Values:
    """Apply a kernel of a fixed window to the complete bars; NaN where the window's bars span too many (``holes``)."""
    return _apply(kernel, inputs, window=window)


def by_memory(kernel: Kernel, *inputs: Values) -> Values:
    """Apply a kernel that uses all bars so far to the complete bars, skipping the others."""
    return _apply(kernel, inputs, window=None)


def check_window(window: object, *, name: str = "window", at_least: int = 1) -> None:
    """Raise ``InputError`` where a window is not a whole number of bars."""
    if isinstance(window, bool) or not isinstance(window, int | np.integer) or window < at_least:
        raise InputError(
            f"{name}={shown(window)} is not possible: a window is a whole number of bars, {at_least} or more"
        )
    if window > _LONGEST:
        raise InputError(f"{name}={window} is not possible: a window has {_LONGEST:,} bars at most")


def check_number(
    name: str, value: object, *, expected: str, within: Callable[[Any], bool] = lambda value: True
) -> None:
    """Raise ``InputError`` where a value is not a finite number ``within`` its bounds; ``expected`` describes it."""
    is_number = isinstance(value, numbers.Real | Decimal) and not isinstance(value, bool | np.bool_)
    if not (is_number and math.isfinite(value) and within(value)):  # type: ignore[arg-type]
        raise InputError(f"{name}={shown(value)} is not possible: it is {expected}")


def check_type(name: str, value: object, kind: Any, *, expected: str) -> None:
    """Raise ``InputError`` where an argument is of another type; ``expected`` describes the right one."""
    if not isinstance(value, kind):
        raise InputError(f"{name} must be {expected}, not {type(value).__name__}")


def shown(value: object) -> str:
    """Return a value as one short line, for an error."""
    text = repr(value)
    return text if len(text) <= 40 and "\n" not in text else type(value).__name__


def read(*inputs: Values) -> tuple[Values, ...]:
    """Return the inputs as doubles on their own index; NaN stays NaN.

    ``InputError`` for what is neither a series nor a panel (dates × symbols) of numbers, for infinite values, for
    unordered or duplicate dates, and for inputs whose dates or symbols differ.
    """
    for values in inputs:
        if not isinstance(values, pd.Series | pd.DataFrame):
            raise InputError(
                f"the values must be a series, or a panel of dates × symbols, not {type(values).__name__}: "
                "pd.Series(values, dates)"
            )
    first = inputs[0]
    if not in_order(read_times(first.index)):
        raise InputError("the values must be in order of time, one a date: sort them, and drop duplicates")
    for other in inputs[1:]:
        if type(other) is not type(first) or not other.index.equals(first.index):
            raise InputError("the inputs must be alike: all series or all panels, on the same dates")
        if isinstance(first, pd.DataFrame) and not other.columns.equals(first.columns):
            raise InputError("the panels must have the same symbols, in the same order")
    return tuple(_as_doubles(values) for values in inputs)


def read_prices(*inputs: Values) -> tuple[Values, ...]:
    """Return ``read`` of prices that must be positive or missing, since their ratios are taken."""
    checked = read(*inputs)
    for values in checked:
        array = numbers_of(values)
        wrong = array < SMALLEST
        if wrong.any():
            row = int(wrong.any(axis=1).argmax())
            raise InputError(f"the price of {values.index[row]} is zero or negative, which has no return")
    return checked


def read_volume(volume: Values) -> Values:
    """Return ``read`` of a volume in shares, which must not be negative."""
    (checked,) = read(volume)
    if (numbers_of(checked) < 0).any():
        raise InputError("a volume is negative")
    return checked


def check_ranges(high: Values, low: Values, **within: Values) -> None:
    """Raise ``InputError`` for a bar whose high is not its highest price, or its low not the lowest."""
    top, bottom = numbers_of(high), numbers_of(low)
    _refuse_above(high, bottom, top, "has a high below its low")
    for name, values in within.items():
        array = numbers_of(values)
        for lower, upper in ((array, top), (bottom, array)):
            _refuse_above(high, lower, upper, f"has its {name} outside its low and high")


def to_doubles(values: pd.Series, *, name: str = "values") -> Floats:
    """Return a column's numbers as doubles, NaN where one is missing; ``InputError`` for text, booleans and dates."""
    dtype = values.dtype
    is_number = pd.api.types.is_numeric_dtype(dtype) and not (
        pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_complex_dtype(dtype)
    )
    if not is_number and not (pd.api.types.is_object_dtype(dtype) and _are_numbers(values)):
        shown = next((value for value in values if not pd.isna(value)), None)
        raise InputError(f"the {name} must be numbers, not {dtype} such as {shown!r}: read them with pd.to_numeric")
    try:
        array: Floats = values.to_numpy(dtype="float64", na_value=np.nan)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"the {name} must be numbers: {error}") from error
    return array


def check_size(array: Floats, *, name: str = "values") -> None:
    """Raise ``InputError`` for a value that is infinite, or so large that a formula could become infinite."""
    if (array > LARGEST).any() or (array < -LARGEST).any():
        raise InputError(f"the {name} must be finite; one of them is infinite, or larger than {LARGEST:g}")


def numbers_of(values: pd.Series | pd.DataFrame) -> Floats:
    """Return the values of ``read`` as an array of bars × symbols."""
    array: Floats = values.to_numpy(dtype="float64")
    return array[:, None] if array.ndim == 1 else array


def like(values: Any, array: Floats) -> Any:
    """Return an array of bars × symbols in the shape of ``values``."""
    if isinstance(values, pd.Series):
        return pd.Series(array[:, 0], values.index, name=values.name)
    return pd.DataFrame(array, values.index, values.columns)


def _as_doubles(values: Any) -> Any:
    dtypes = [values.dtype] if isinstance(values, pd.Series) else list(values.dtypes)
    if any(dtype != np.float64 for dtype in dtypes):
        values = _converted(values)
    check_size(numbers_of(values))
    return values


def _converted(values: Any) -> Any:
    if isinstance(values, pd.Series):
        return pd.Series(to_doubles(values), values.index, name=values.name)
    columns = [to_doubles(values.iloc[:, place], name=f"values of {name}") for place, name in enumerate(values)]
    return pd.DataFrame(np.column_stack(columns), values.index, values.columns)


def _are_numbers(values: pd.Series) -> bool:
    missing = (None, pd.NA, pd.NaT)
    return all(
        (isinstance(value, numbers.Real | Decimal) and not isinstance(value, bool | np.bool_))
        or any(value is each for each in missing)
        for value in values
    )


def _refuse_above(values: Any, lower: Floats, upper: Floats, why: str) -> None:
    """Raise ``InputError`` for the first bar where ``lower`` is above ``upper`` by more than rounding."""
    wrong = lower > upper
    if wrong.any() and (wrong := lower - upper > ROUNDED * np.abs(upper)).any():
        row = int(wrong.any(axis=1).argmax())
        column = "" if isinstance(values, pd.Series) else f" of {values.columns[int(wrong[row].argmax())]}"
        raise InputError(f"the bar{column} of {values.index[row]} {why}")


def _apply(kernel: Kernel, inputs: tuple[Values, ...], *, window: int | None) -> Values:
    inputs = read(*inputs)
    # contiguous columns: pandas stores them so, and TA-Lib reads them without a copy
    arrays = [np.asfortranarray(numbers_of(values)) for values in inputs]
    answer = np.full(arrays[0].shape, np.nan, order="F")
    lacks = np.any([np.isnan(array).any(axis=0) for array in arrays], axis=0) | (len(answer) == 0)
    for column in np.flatnonzero(~lacks):
        answer[:, column] = kernel(*(array[:, column] for array in arrays))
    for column in np.flatnonzero(lacks):
        pieces = [array[:, column] for array in arrays]
        there = ~np.any([np.isnan(piece) for piece in pieces], axis=0)
        if there.any():
            found = kernel(*(piece[there] for piece in pieces))
            if window is not None:
                found[is_too_wide(there, window)] = np.nan
            answer[there, column] = found
    shaped: Values = like(inputs[0], answer)
    return shaped
