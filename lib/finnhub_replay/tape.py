"""The tape: every recorded bar by symbol and date, with splits, dividends and companies, for fast lookups."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any


@dataclass(frozen=True, slots=True)
class Bar:
    """One recorded day: prices in dollars as traded, volume in shares."""

    symbol: str
    day: date
    open: float
    high: float
    low: float
    close: float
    volume: int


@dataclass(frozen=True, slots=True)
class Split:
    """``old`` shares became ``new`` ones before the opening bell of ``day``."""

    symbol: str
    day: date
    old: float
    new: float


@dataclass(frozen=True, slots=True)
class Dividend:
    """``amount`` dollars a share, as paid, with ``day`` as ex date."""

    symbol: str
    day: date
    amount: float


@dataclass
class Tape:
    """Every bar of every symbol by date, with their splits, dividends and companies."""

    bars: dict[str, list[Bar]]
    splits: dict[str, list[Split]] = field(default_factory=dict)
    dividends: dict[str, list[Dividend]] = field(default_factory=dict)
    companies: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._days = {symbol: [bar.day for bar in bars] for symbol, bars in self.bars.items()}

    @property
    def symbols(self) -> list[str]:
        """Every symbol that has a bar."""
        return sorted(self.bars)

    def bar(self, symbol: str, day: date) -> Bar | None:
        """Return the bar of a day, or None."""
        found = self.before(symbol, day, included=True)
        return found if found is not None and found.day == day else None

    def before(self, symbol: str, day: date, *, included: bool = False) -> Bar | None:
        """Return the last bar before a day (or on it, when it is included), or None."""
        search = bisect_right if included else bisect_left
        place = search(self._days.get(symbol, []), day)
        return self.bars[symbol][place - 1] if place else None

    def between(self, symbol: str, first: date, last: date) -> Sequence[Bar]:
        """Return the bars from ``first`` to ``last``, both included."""
        days = self._days.get(symbol, [])
        return self.bars.get(symbol, [])[bisect_left(days, first) : bisect_right(days, last)]

    def factor(self, symbol: str, after: date, upto: date) -> float:
        """Return how many shares one share of ``after`` is at ``upto``: the product of the splits between them."""
        factor = 1.0
        for split in self.splits.get(symbol, []):
            if after < split.day <= upto:
                factor *= split.new / split.old
        return factor
