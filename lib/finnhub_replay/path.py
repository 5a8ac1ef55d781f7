"""A day's bar as a path through the session, a price each second: reconstructed, since only the bar was recorded.

Three Brownian bridges of the log price lead from the open to one extreme, to the other, and to the close; the path is
reflected where it would leave the bar. Seeded by (symbol, date): every machine and every run sees the same path.
The open, the high, the low and the close are the recorded numbers to the last digit; prices between are rounded to
cents.
"""

import hashlib
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from finnhub_replay.tape import Bar

Floats = NDArray[np.float64]

# Share of a day's volume by half hour from the open on, and the closing auction's: four sessions of a large US fund.
_HALF_HOURS = np.array([11.8, 7.4, 5.6, 5.8, 4.4, 3.6, 3.8, 3.8, 3.7, 6.5, 6.2, 8.1, 21.1])
_AUCTION = 8.2


@dataclass(frozen=True)
class SessionPath:
    """The prices of one session: ``price[k]`` is that of ``k`` seconds after the open, the last one the close.

    ``high`` and ``low`` are the extremes up to then.
    """

    price: Floats
    high: Floats
    low: Floats


def session_path(bar: Bar, seconds: int) -> SessionPath:
    """Return the path of a bar through a session of so many seconds: ``seconds + 1`` prices.

    >>> from datetime import date
    >>> path = session_path(Bar("AAPL", date(2012, 12, 14), 514.75, 518.13, 505.58, 509.79, 36056400), 23400)
    >>> [price.item() for price in (path.price[0], path.price.max(), path.price.min(), path.price[-1])]
    [514.75, 518.13, 505.58, 509.79]
    """
    prices = _prices(bar, seconds)
    return SessionPath(prices, np.maximum.accumulate(prices), np.minimum.accumulate(prices))


def minute_volumes(volume: int, minutes: int) -> NDArray[np.int64]:
    """Return a day's volume by minute: a usual profile, the closing auction in the last minute, the sum exact."""
    halves = np.interp(np.linspace(0, 13, minutes + 1), np.arange(14), np.concatenate([[0], np.cumsum(_HALF_HOURS)]))
    shape = np.diff(halves)
    shape[-1] += _AUCTION
    reached = np.floor(np.cumsum(shape) / shape.sum() * volume + 1e-6).astype(np.int64)
    reached[-1] = volume
    minutely: NDArray[np.int64] = np.diff(reached, prepend=0)
    return minutely


def _prices(bar: Bar, seconds: int) -> Floats:
    if bar.high == bar.low:
        return np.full(seconds + 1, bar.close, dtype=np.float64)
    random = generator(bar)
    first, second = sorted(random.choice(np.arange(1, seconds), size=2, replace=False).tolist())
    extremes = (bar.high, bar.low) if random.random() < 0.5 else (bar.low, bar.high)
    knots = [(0, bar.open), (first, extremes[0]), (second, extremes[1]), (seconds, bar.close)]
    # a random walk's range is about 1.6 times its standard deviation
    step = np.log(bar.high / bar.low) / 1.6 / np.sqrt(seconds)
    walk = _bridges(random, knots, step)
    prices: Floats = np.clip(np.round(np.exp(_fold(walk, np.log(bar.low), np.log(bar.high))), 2), bar.low, bar.high)
    for place, price in knots:
        prices[place] = price
    return prices


def _bridges(random: np.random.Generator, knots: list[tuple[int, float]], step: float) -> Floats:
    pieces = []
    for (begin, left), (end, right) in pairwise(knots):
        length = end - begin
        walk = np.concatenate([[0.0], np.cumsum(random.normal(0.0, step, length))])
        drift = np.linspace(0.0, 1.0, length + 1)
        pieces.append((np.log(left) + walk + drift * (np.log(right / left) - walk[-1]))[:-1])
    return np.concatenate([*pieces, [np.log(knots[-1][1])]])


def _fold(walk: Floats, low: float, high: float) -> Floats:
    """Reflect a walk at both ends of its range until it stays inside."""
    width = high - low
    along: Floats = np.mod(walk - low, 2 * width)
    return low + np.where(along > width, 2 * width - along, along)


def generator(bar: Bar, use: str = "") -> np.random.Generator:
    """Return the random numbers of a bar, others for each use: on every machine and in every run the same."""
    digest = hashlib.sha256(f"{bar.symbol}|{bar.day.isoformat()}{use}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
