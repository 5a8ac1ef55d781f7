"""Whole numbers as ranges: offsets and seqs, of which there are millions and almost no gaps.

Pure: pairs (first, last), both included, in; a sorted, disjoint set of them out.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Ranges:
    """A set of whole numbers.

    >>> print(Ranges.of([7, 3, 1, 2]), len(Ranges.of([7, 3, 1, 2])))
    1-3, 7 4
    """

    pairs: tuple[tuple[int, int], ...] = ()

    @classmethod
    def over(cls, pairs: Iterable[tuple[int, int]]) -> "Ranges":
        """Return the numbers of these ranges, in any order, overlapping or not; an empty range (last < first) has none.

        >>> print(Ranges.over([(5, 9), (1, 3), (4, 6), (8, 2)]))
        1-9
        """
        merged: list[tuple[int, int]] = []
        for first, last in sorted(pair for pair in pairs if pair[0] <= pair[1]):
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        return cls(tuple(merged))

    @classmethod
    def of(cls, numbers: Iterable[int]) -> "Ranges":
        """These numbers."""
        return cls.over((number, number) for number in numbers)

    def __or__(self, other: "Ranges") -> "Ranges":
        return Ranges.over((*self.pairs, *other.pairs))

    def __sub__(self, other: "Ranges") -> "Ranges":
        """
        >>> print(Ranges.over([(1, 10)]) - Ranges.over([(3, 4), (9, 20)]))
        1-2, 5-8
        """
        left: list[tuple[int, int]] = []
        gone = iter(other.pairs)
        cut = next(gone, None)
        for first, last in self.pairs:
            start = first
            while cut and cut[0] <= last:
                if cut[1] >= start:
                    left.append((start, cut[0] - 1))
                    start = cut[1] + 1
                if cut[1] > last:
                    break
                cut = next(gone, None)
            left.append((start, last))
        return Ranges.over(left)

    def __and__(self, other: "Ranges") -> "Ranges":
        return self - (self - other)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.pairs)

    def __bool__(self) -> bool:
        return bool(self.pairs)

    def __iter__(self) -> Iterator[int]:
        for first, last in self.pairs:
            yield from range(first, last + 1)

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and any(first <= number <= last for first, last in self.pairs)

    def __str__(self) -> str:
        return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in self.pairs)

    @property
    def first(self) -> int:
        """Return the least number; ``IndexError`` where there is none."""
        return self.pairs[0][0]

    @property
    def last(self) -> int:
        """Return the greatest number; ``IndexError`` where there is none."""
        return self.pairs[-1][1]


def group(found: Iterable[tuple[Key, int, int]]) -> defaultdict[Key, Ranges]:
    """Return the numbers of each key, from (key, first, last).

    >>> print(group([("a", 1, 3), ("b", 9, 9), ("a", 4, 4)])["a"])
    1-4
    """
    pairs: dict[Key, list[tuple[int, int]]] = defaultdict(list)
    for key, first, last in found:
        pairs[key].append((first, last))
    return defaultdict(Ranges, {key: Ranges.over(some) for key, some in pairs.items()})
