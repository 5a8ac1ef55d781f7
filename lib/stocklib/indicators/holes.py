"""Windows over bars of which a few are missing, by the rules of gold's columns (docs/numbers.md, Holes).

A missing bar is a NaN on its session's row, as ``prices(…, holes="nan")`` gives it. A window may miss a tenth of its
bars, rounded up. A figure of prices takes the last n bars that exist; a figure of returns takes the last n sessions.
Arrays are bars × symbols.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def allowed(window: int) -> int:
    """Return how many bars a window of this length may lack.

    >>> allowed(7), allowed(30), allowed(90)
    (1, 3, 9)
    """
    return -(-window // 10)


def is_too_wide(there: NDArray[np.bool_], window: int) -> NDArray[np.bool_]:
    """Return, for each existing bar of a symbol, whether its last ``window`` bars span more rows than allowed."""
    places = np.flatnonzero(there)
    wide = np.zeros(len(places), dtype=bool)
    if len(places) >= window:
        wide[window - 1 :] = places[window - 1 :] - places[: len(places) - window + 1] >= window + allowed(window)
    return wide


def over_bars(work: Callable[[Floats], Floats], window: int, values: Floats) -> Floats:
    """Apply ``work``, which computes a figure of each window, to the existing bars; NaN on the others."""
    answer = work(values)
    for column in np.flatnonzero(np.isnan(values).any(axis=0)):
        there = ~np.isnan(values[:, column])
        found = work(values[there, column][:, None])[:, 0]
        found[is_too_wide(there, window)] = np.nan
        answer[:, column] = np.nan
        answer[there, column] = found
    return answer


def over_sessions(
    full: Floats, values: Floats, there: NDArray[np.bool_], window: int, *, reduce: Callable[..., Any], at_least: int
) -> Floats:
    """Return ``full``, the figure of each complete window, filled in for windows that lack a few values.

    ``there`` says which bars exist. A window is that of a bar that exists, and begins no earlier than the first value
    of a symbol without holes would. ``reduce`` takes windows × values, NaN where one is missing, and an axis.
    """
    fewest = max(at_least, window - allowed(window))
    for column in np.flatnonzero(np.isnan(values).any(axis=0)):
        known, bars = ~np.isnan(values[:, column]), np.flatnonzero(there[:, column])
        if not known.any() or len(known) < window:
            continue
        counts = np.convolve(known, np.ones(window, dtype=int))[: len(known)]
        # returns begin one bar after the prices; other values with the first bar
        begins = bars[0] + int(not known[bars[0]]) + window - 1
        rows = bars[(counts[bars] < window) & (counts[bars] >= fewest) & (bars >= begins)]
        if len(rows):
            stretches = sliding_window_view(values[:, column], window)[rows - window + 1]
            full[rows, column] = reduce(stretches, axis=1)
    return full
