"""The trades of a session, reconstructed: prints along its path whose minutes add up to the minutes' candles.

Each minute prints its first, highest, lowest and last price, and a few in between; the last minute prints the closing
bell's price too. A minute's volume is divided among its prints, to the last share. Seeded by (symbol, date).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finnhub_replay.path import SessionPath, generator, minute_volumes
from finnhub_replay.tape import Bar

# Prints between the four that make a minute's candle.
_BETWEEN = 2
# Share of the last minute's volume that prints at the bell.
_AT_THE_BELL = 0.5


@dataclass(frozen=True)
class Prints:
    """A session's trades in the order of time: seconds after the open, prices, shares."""

    second: NDArray[np.int64]
    price: NDArray[np.float64]
    volume: NDArray[np.int64]

    def between(self, after: int, upto: int) -> slice:
        """Return those later than ``after`` seconds from the open, up to and with ``upto``."""
        first, last = np.searchsorted(self.second, [after, upto], side="right")
        return slice(int(first), int(last))


def session_prints(bar: Bar, path: SessionPath) -> Prints:
    """Return the trades of a bar along its path.

    >>> from datetime import date
    >>> from finnhub_replay.path import session_path
    >>> bar = Bar("AAPL", date(2012, 12, 14), 514.75, 518.13, 505.58, 509.79, 36056400)
    >>> prints = session_prints(bar, session_path(bar, 23400))
    >>> [price.item() for price in (prints.price[0], prints.price.max(), prints.price.min(), prints.price[-1])]
    [514.75, 518.13, 505.58, 509.79]
    >>> int(prints.volume.sum()), int(prints.second[-1])
    (36056400, 23400)
    """
    random = generator(bar, "|trades")
    seconds = len(path.price) - 1
    minutes = path.price[:seconds].reshape(-1, 60)
    volumes = minute_volumes(bar.volume, len(minutes))
    found = []
    for number, volume in enumerate(volumes.tolist()):
        is_last = number == len(minutes) - 1
        chosen = _choose(path.price[60 * number : 60 * number + 60 + is_last], random)
        found.append((chosen + 60 * number, _share(volume, len(chosen), random, at_the_bell=is_last)))
    second = np.concatenate([chosen for chosen, _ in found])
    return Prints(second, path.price[second], np.concatenate([shares for _, shares in found]))


def _choose(prices: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.int64]:
    """Return the seconds of a minute's prints: its first, highest, lowest and last price, and some more."""
    needed = [0, int(prices.argmax()), int(prices.argmin()), len(prices) - 1]
    chosen: NDArray[np.int64] = np.unique([*needed, *random.integers(0, len(prices), _BETWEEN)])
    return chosen


def _share(volume: int, parts: int, random: np.random.Generator, *, at_the_bell: bool) -> NDArray[np.int64]:
    """Return a minute's volume in so many parts: whole shares, at least one each where there are enough."""
    weights = random.random(parts) + 0.1
    if at_the_bell:
        weights[-1] = weights[:-1].sum() * _AT_THE_BELL / (1 - _AT_THE_BELL)
    each = int(volume >= parts)
    reached = np.floor(np.cumsum(weights) / weights.sum() * (volume - each * parts) + 1e-6).astype(np.int64)
    reached[-1] = volume - each * parts
    shares: NDArray[np.int64] = np.diff(reached, prepend=0) + each
    return shares
