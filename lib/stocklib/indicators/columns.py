"""How an indicator meets its data: column by column, each one contiguous, around whatever is missing.

In go series or panels of one shape, out come such of the same shape. A kernel sees only complete stretches.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stocklib.errors import InputError

Values = TypeVar("Values", pd.Series, pd.DataFrame)
Floats = NDArray[np.float64]
Kernel = Callable[..., Any]

# the longest window that TA-Lib takes
_LONGEST = 100_000


def by_window(kernel: Kernel, *inputs: Values) -> Values:
    """Apply a kernel of a fixed window to each complete stretch by itself: it warms up again after a missing bar."""
    return _apply(kernel, inputs, _stretches)


def by_memory(kernel: Kernel, *inputs: Values) -> Values:
    """Apply a kernel that remembers everything to the complete bars, as if the others were not there."""
    return _apply(kernel, inputs, _complete)


def check_window(window: object, *, name: str = "window", at_least: int = 1) -> None:
    """A window is a whole number of bars."""
    if isinstance(window, bool) or not isinstance(window, int | np.integer) or window < at_least:
        raise InputError(f"{name}={window!r} is not possible: a window is a whole number of bars, {at_least} or more")
    if window > _LONGEST:
        raise InputError(f"{name}={window} is not possible: a window has {_LONGEST:,} bars at most")


def check_order(values: pd.Series | pd.DataFrame) -> None:
    """Dates are in order, each there once, and those of one symbol; places (0, 1, 2, …) say nothing about time."""
    index = values.index
    if isinstance(index, pd.MultiIndex):
        raise InputError("the values are those of several symbols in one column: take one, or a panel (unstack them)")
    is_time = isinstance(index, pd.DatetimeIndex | pd.PeriodIndex) or index.inferred_type in ("date", "datetime")
    if is_time and not (index.is_monotonic_increasing and index.is_unique):
        raise InputError("the values must be in order of time, one a date: sort them, and drop what is there twice")


def check_prices(*inputs: pd.Series | pd.DataFrame) -> None:
    """Prices whose ratios mean something are positive, or not there."""
    for values in inputs:
        check_order(values)
        numbers = _numbers(values)
        if (numbers <= 0).any():
            row = int((numbers <= 0).any(axis=1).argmax())
            raise InputError(f"the price of {values.index[row]} is zero or negative, which has no return")


def check_volume(volume: pd.Series | pd.DataFrame) -> None:
    """Shares are counted from zero."""
    if (volume < 0).to_numpy().any():
        raise InputError("a volume is negative")


def check_alike(*inputs: Any) -> None:
    """Inputs that belong together have the same bars, in order of time, and the same symbols."""
    first = inputs[0]
    check_order(first)
    for other in inputs[1:]:
        if type(other) is not type(first) or not other.index.equals(first.index):
            raise InputError("the inputs must be alike: all series or all panels, on the same dates")
        if isinstance(first, pd.DataFrame) and not other.columns.equals(first.columns):
            raise InputError("the panels must have the same symbols, in the same order")


def _apply(kernel: Kernel, inputs: tuple[Values, ...], parts: Callable[..., Iterator[Any]]) -> Values:
    check_alike(*inputs)
    first = inputs[0]
    # columns in one piece each: that is how pandas keeps them, and what TA-Lib reads without a copy
    arrays = [np.asfortranarray(_numbers(values)) for values in inputs]
    answer = np.full(arrays[0].shape, np.nan, order="F")
    for column in range(arrays[0].shape[1]):
        pieces = [array[:, column] for array in arrays]
        for where in parts(pieces):
            answer[where, column] = kernel(*(piece[where] for piece in pieces))
    shaped: Values = _like(first, answer)
    return shaped


def _numbers(values: pd.Series | pd.DataFrame) -> Floats:
    try:
        array = values.to_numpy(dtype="float64", na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise InputError(f"the values must be numbers: {error}") from error
    if not np.isfinite(array).all() and np.isinf(array).any():
        raise InputError("the values must be finite; one of them is infinite")
    return array[:, None] if array.ndim == 1 else array


def _stretches(pieces: list[Floats]) -> Iterator[slice]:
    """The runs of bars on which nothing is missing."""
    good = _is_there(pieces)
    if good.all():
        if len(good):
            yield slice(None)
        return
    edges = np.flatnonzero(np.diff(np.r_[False, good, False].astype(np.int8)))
    for begin, end in edges.reshape(-1, 2):
        yield slice(begin, end)


def _complete(pieces: list[Floats]) -> Iterator[Any]:
    """The bars on which nothing is missing, all together."""
    good = _is_there(pieces)
    if good.any():
        yield slice(None) if good.all() else good


def _is_there(pieces: list[Floats]) -> NDArray[np.bool_]:
    good = ~np.isnan(pieces[0])
    for piece in pieces[1:]:
        good &= ~np.isnan(piece)
    return good


def _like(values: Any, array: Floats) -> Any:
    if isinstance(values, pd.Series):
        return pd.Series(array[:, 0], values.index, name=values.name)
    return pd.DataFrame(array, values.index, values.columns)
