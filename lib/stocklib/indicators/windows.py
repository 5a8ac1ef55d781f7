"""Sums over a moving window without rounding errors of values that left it. Compiled once and cached.

A running total keeps the rounding error of a value that is gone: after one price of 1e12 a quiet series has a deviation
that is wrong in its first digits. Here blocks are as long as the window, so that each window is the end of one block
and the beginning of the next; its sum is that of the two parts, and nothing is subtracted. Each bar is read twice, for
any length of the window.

Arrays are bars × symbols; a window that is not full, or holds a NaN, gives NaN.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def mean(values: Floats, window: int) -> Floats:
    """The mean of each window."""
    return _by_window(_total, window, values) / window


def total(values: Floats, window: int) -> Floats:
    """The sum of each window."""
    return _by_window(_total, window, values)


def weighted_mean(values: Floats, window: int) -> Floats:
    """The mean of each window, its oldest value counted once and its newest ``window`` times."""
    return _by_window(_ramp, window, values) / (window * (window + 1) / 2)


def deviation(values: Floats, window: int, *, ddof: int) -> Floats:
    """The standard deviation of each window."""
    return np.sqrt(_by_window(_squares, window, values) / (window - ddof))


def covariance(mine: Floats, theirs: Floats, window: int, *, ddof: int) -> Floats:
    """The covariance of each window of ``mine`` and of ``theirs``, which is one column."""
    return _by_window(_products, window, mine, theirs) / (window - ddof)


def _by_window(work: Callable[..., Any], window: int, *arrays: Floats) -> Floats:
    answer = np.full(arrays[0].shape, np.nan, order="F")
    if len(answer) >= window:
        compiled(work)(*(np.asfortranarray(array) for array in arrays), window, answer)
    return answer


@cache
def compiled(work: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of arrays compiled. Programs that only draw do not wait for numba, imported here."""
    from numba import njit

    made: Callable[..., Any] = njit(cache=True)(work)
    return made


def _total(values, window, answer):  # type: ignore[no-untyped-def]
    ends = np.empty(window)
    starts = len(values) - window + 1
    for symbol in range(values.shape[1]):
        for block in range(0, starts, window):
            middle, ended = block + window, 0.0
            for place in range(window - 1, -1, -1):
                ended += values[block + place, symbol]
                ends[place] = ended
            answer[middle - 1, symbol] = ended
            begun = 0.0
            for place in range(1, min(window, starts - block)):
                begun += values[middle + place - 1, symbol]
                answer[middle + place - 1, symbol] = ends[place] + begun


def _ramp(values, window, answer):  # type: ignore[no-untyped-def]
    """Σ (place in the window, from 1) × value."""
    ends = np.empty(window)
    starts = len(values) - window + 1
    for symbol in range(values.shape[1]):
        for block in range(0, starts, window):
            middle, ended, ramp = block + window, 0.0, 0.0
            for place in range(window - 1, -1, -1):
                ended += values[block + place, symbol]
                ramp += ended
                ends[place] = ramp
            answer[middle - 1, symbol] = ramp
            begun, ramp = 0.0, 0.0
            for place in range(1, min(window, starts - block)):
                value = values[middle + place - 1, symbol]
                begun += value
                ramp += place * value
                answer[middle + place - 1, symbol] = ends[place] + (window - place) * begun + ramp


def _squares(values, window, answer):  # type: ignore[no-untyped-def]
    """Σ (x - mean of x)², each end's by Welford's formula and both together by Chan's.

    Sources: B. P. Welford, Note on a Method for Calculating Corrected Sums of Squares and Products (1962); T. F. Chan,
    G. H. Golub, R. J. LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample Variances (1979).
    """
    means, ends, shares = np.empty(window), np.empty(window), 1.0 / np.arange(1, window + 1)
    starts = len(values) - window + 1
    for symbol in range(values.shape[1]):
        for block in range(0, starts, window):
            middle, mean, summed = block + window, values[block + window - 1, symbol], 0.0
            for place in range(window - 1, -1, -1):
                apart = values[block + place, symbol] - mean
                mean += apart * shares[window - 1 - place]
                summed += apart * (values[block + place, symbol] - mean)
                means[place], ends[place] = mean, summed
            answer[middle - 1, symbol] = summed
            mean, summed = values[min(middle, len(values) - 1), symbol], 0.0
            for place in range(1, min(window, starts - block)):
                value = values[middle + place - 1, symbol]
                apart = value - mean
                mean += apart * shares[place - 1]
                summed += apart * (value - mean)
                between = mean - means[place]
                part = between * between * (place * (window - place) * shares[window - 1])
                answer[middle + place - 1, symbol] = ends[place] + summed + part


def _products(mine, theirs, window, answer):  # type: ignore[no-untyped-def]
    """Σ (x - mean of x) (y - mean of y), as ``_squares``."""
    x_means, y_means, ends = np.empty(window), np.empty(window), np.empty(window)
    shares, starts = 1.0 / np.arange(1, window + 1), len(mine) - window + 1
    for symbol in range(mine.shape[1]):
        for block in range(0, starts, window):
            middle, summed = block + window, 0.0
            x_mean, y_mean = mine[middle - 1, symbol], theirs[middle - 1, 0]
            for place in range(window - 1, -1, -1):
                x, y, share = mine[block + place, symbol], theirs[block + place, 0], shares[window - 1 - place]
                apart = x - x_mean
                x_mean += apart * share
                y_mean += (y - y_mean) * share
                summed += apart * (y - y_mean)
                x_means[place], y_means[place], ends[place] = x_mean, y_mean, summed
            answer[middle - 1, symbol] = summed
            first, summed = min(middle, len(mine) - 1), 0.0
            x_mean, y_mean = mine[first, symbol], theirs[first, 0]
            for place in range(1, min(window, starts - block)):
                x, y, share = mine[middle + place - 1, symbol], theirs[middle + place - 1, 0], shares[place - 1]
                apart = x - x_mean
                x_mean += apart * share
                y_mean += (y - y_mean) * share
                summed += apart * (y - y_mean)
                between = (x_mean - x_means[place]) * (y_mean - y_means[place])
                part = between * (place * (window - place) * shares[window - 1])
                answer[middle + place - 1, symbol] = ends[place] + summed + part
