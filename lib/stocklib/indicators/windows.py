"""Sums over a moving window that know nothing of what has left it.

A running total keeps what rounding left of a value that is gone: after one price of 1e12 a quiet series has a deviation
that is wrong in its first digits. Here the bars are cut into blocks as long as the window, so that each window is the
end of one block and the beginning of the next; its sum is that of the two ends, and nothing is ever subtracted. It
costs the same few passes over the data however long the window is.

Arrays are bars × symbols; a window that is not full, or holds a NaN, gives NaN.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# So many numbers at once stay in the processor's memory.
_CHUNK = 100_000


def mean(values: Floats, window: int) -> Floats:
    """The mean of each window."""
    return _by_window(lambda blocks: blocks.total() / window, window, values)


def total(values: Floats, window: int) -> Floats:
    """The sum of each window."""
    return _by_window(lambda blocks: blocks.total(), window, values)


def weighted_mean(values: Floats, window: int) -> Floats:
    """The mean of each window, its oldest value counted once and its newest ``window`` times."""
    return _by_window(lambda blocks: blocks.ramp() / (window * (window + 1) / 2), window, values)


def deviation(values: Floats, window: int, *, ddof: int) -> Floats:
    """The standard deviation of each window."""
    return np.sqrt(covariance(values, values, window, ddof=ddof))


def covariance(mine: Floats, theirs: Floats, window: int, *, ddof: int) -> Floats:
    """The covariance of each window; of a column with itself, its variance."""
    count = window - ddof
    return _by_window(lambda blocks, others: blocks.products(others) / count, window, mine, theirs)


def _by_window(work: Callable[..., Floats], window: int, *arrays: Floats) -> Floats:
    bars, symbols = np.broadcast_shapes(*(array.shape for array in arrays))
    answer = np.full((bars, symbols), np.nan, order="F")
    if bars < window:
        return answer
    for columns in _parts(symbols, max(1, _CHUNK // max(bars, window))):
        # a variance is a covariance with itself, whose blocks are made once
        made = {id(array): _Blocks.of(array if array.shape[1] == 1 else array[:, columns], window) for array in arrays}
        blocks = [made[id(array)] for array in arrays]
        answer[window - 1 :, columns] = work(*blocks).T
    return answer


def _parts(count: int, size: int) -> Iterator[slice]:
    for begin in range(0, count, size):
        yield slice(begin, min(begin + size, count))


@dataclass(frozen=True)
class _Blocks:
    """Symbols × blocks × places; ``starts`` is how many windows there are."""

    values: Floats
    starts: int

    @classmethod
    def of(cls, values: Floats, window: int) -> "_Blocks":
        bars, symbols = values.shape
        count = -(-bars // window) + 1
        padded = np.zeros((symbols, count * window))
        padded[:, :bars] = values.T
        return cls(padded.reshape(symbols, count, window), bars - window + 1)

    def total(self) -> Floats:
        return self._ends(self.values) + self._beginnings(self.values)

    def ramp(self) -> Floats:
        """Σ (place in the window, from 1) × value."""
        window = self.values.shape[2]
        places = np.arange(window)
        ends = self._ends(_suffix_sums(self.values))
        begun = self._beginnings(self.values * (places + 1))
        # what stands before the beginning of a block in its window
        before = np.resize(window - places, self.values.shape[1] * window)[: self.starts]
        return ends + begun + before * self._beginnings(self.values)

    def products(self, others: "_Blocks") -> Floats:
        """Σ (x - mean of x) (y - mean of y), from both ends' sums by Chan's formula.

        Each end is measured about a value of its own, so that a high level does not eat the digits.
        Source: T. F. Chan, G. H. Golub, R. J. LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample
        Variances (1979).
        """
        window = self.values.shape[2]
        places = np.resize(np.arange(window), self.values.shape[1] * window)[: self.starts]
        left, right = window - places, places
        x_end, x_from = self._about(-1)
        y_end, y_from = (x_end, x_from) if others is self else others._about(-1)
        x_begin, x_first = self._about(0)
        y_begin, y_first = (x_begin, x_first) if others is self else others._about(0)
        ends = self._ends(x_end * y_end) - (sx := self._ends(x_end)) * (sy := self._ends(y_end)) / left
        some = np.maximum(right, 1)
        bx, by = self._beginnings(x_begin), self._beginnings(y_begin)
        begun = self._beginnings(x_begin * y_begin) - bx * by / some
        apart_x = self._next(x_first) + bx / some - self._here(x_from) - sx / left
        apart_y = others._next(y_first) + by / some - others._here(y_from) - sy / left
        between = np.where(right > 0, apart_x * apart_y * (left * right / window), 0.0)
        summed: Floats = ends + np.where(right > 0, begun, 0.0) + between
        return np.maximum(summed, 0.0) if others is self else summed

    def _about(self, place: int) -> tuple[Floats, Floats]:
        own = self.values[:, :, place]
        return self.values - own[:, :, None], own

    def _ends(self, values: Floats) -> Floats:
        """For each window the sum of its part in the block where it begins."""
        return self._flat(_suffix_sums(values))[:, : self.starts]

    def _beginnings(self, values: Floats) -> Floats:
        """For each window the sum of its part in the block after that: nothing where it is a whole block."""
        sums = np.zeros_like(values)
        np.cumsum(values[:, :, :-1], axis=2, out=sums[:, :, 1:])
        window = values.shape[2]
        return self._flat(sums)[:, window : window + self.starts]

    def _here(self, own: Floats) -> Floats:
        return np.repeat(own, self.values.shape[2], axis=1)[:, : self.starts]

    def _next(self, own: Floats) -> Floats:
        window = self.values.shape[2]
        return np.repeat(own, window, axis=1)[:, window : window + self.starts]

    def _flat(self, values: Any) -> Floats:
        flat: Floats = values.reshape(len(values), -1)
        return flat


def _suffix_sums(values: Floats) -> Floats:
    """Σ from each place to the end of its block."""
    sums: Floats = np.cumsum(values[:, :, ::-1], axis=2)[:, :, ::-1]
    return sums
