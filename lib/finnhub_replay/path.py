"""A day's bar as a path through the session, a price each second: reconstructed, since only the bar was recorded.

The log price is one Brownian bridge that is reflected at the high and the low, so that its volatility is the same all
day and the extremes lie as far apart in time as that volatility needs. Seeded by (symbol, date): every machine and
every run sees the same path. The open, the high, the low and the close are the recorded numbers to the last digit;
prices between are rounded to cents, those below a dollar to four significant digits, and those of a
narrow range that cents do not fit to finer ones.
"""

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from finnhub_replay.tape import Bar

Floats = NDArray[np.float64]

# Share of a day's volume by half hour from the open on, and the closing auction's: four sessions of a large US fund.
_HALF_HOURS = np.array([11.8, 7.4, 5.6, 5.8, 4.4, 3.6, 3.8, 3.8, 3.7, 6.5, 6.2, 8.1, 21.1])
_AUCTION = 8.2
# So many different prices fit into the range of a bar that is finer than cents, at least.
_LEVELS = 20


@dataclass(frozen=True)
class SessionPath:
    """The prices of one session: ``price[k]`` is that of ``k`` seconds after the open, the last one the close."""

    price: Floats

    @cached_property
    def high(self) -> Floats:
        """The highest price up to each second."""
        return np.maximum.accumulate(self.price)

    @cached_property
    def low(self) -> Floats:
        """The lowest price up to each second."""
        return np.minimum.accumulate(self.price)


def session_path(bar: Bar, seconds: int) -> SessionPath:
    """Return the path of a bar through a session of so many seconds: ``seconds + 1`` prices.

    >>> from datetime import date
    >>> path = session_path(Bar("AAPL", date(2012, 12, 14), 514.75, 518.13, 505.58, 509.79, 36056400), 23400)
    >>> [price.item() for price in (path.price[0], path.price.max(), path.price.min(), path.price[-1])]
    [514.75, 518.13, 505.58, 509.79]
    """
    return SessionPath(_prices(bar, seconds))


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
    """Walk from the open to one extreme, to the other, and to the close.

    A walk that turns back at its extremes is as likely as the one that goes straight on (the reflection principle). So
    the walk is one bridge whose first extreme is at ``top`` and whose second at ``2 * top``, and is then folded.
    """
    if bar.high == bar.low:
        return np.full(seconds + 1, bar.close, dtype=np.float64)
    random = generator(bar)
    top, opened, closed = (math.log(price / bar.low) for price in (bar.high, bar.open, bar.close))
    # a random walk's range is about 1.6 times its standard deviation
    deviation = top / 1.6
    # the shorter order of the extremes is the likelier one
    is_high_first = random.random() * (1 + math.exp(4 * top * (closed - opened) / deviation**2)) < 1
    if not is_high_first:
        opened, closed = top - opened, top - closed
    walk = _bridge(random, opened, 2 * top + closed, deviation / math.sqrt(seconds), seconds)
    # floor, since numpy's mod takes eight times as long
    from_first = np.abs(walk - 2 * top * np.floor(walk / (2 * top)) - top)
    heights = top - from_first if is_high_first else from_first
    prices: Floats = np.clip(np.round(bar.low * np.exp(heights), _decimals(bar)), bar.low, bar.high)
    first, second = int(np.argmax(walk >= top)), int(np.argmax(walk >= 2 * top))
    prices[first], prices[min(second, seconds - 1)] = (bar.high, bar.low) if is_high_first else (bar.low, bar.high)
    prices[0], prices[-1] = bar.open, bar.close
    return prices


def _decimals(bar: Bar) -> int:
    """Return the decimals of the prices of a bar: cents from a dollar on, else four digits, at most a millionth.

    A bar that is itself finer than cents, such as that of an exchange rate, has as many as its range needs.
    """
    if bar.low < 1:
        return min(3 - math.floor(math.log10(bar.low)), 6)
    is_finer = any(round(price, 2) != price for price in (bar.open, bar.high, bar.low, bar.close))
    return min(max(2, math.ceil(math.log10(_LEVELS / (bar.high - bar.low)))), 6) if is_finer else 2


def _bridge(random: np.random.Generator, left: float, right: float, step: float, length: int) -> Floats:
    """Return a random walk from left to right, of so many steps of this standard deviation."""
    walk = np.concatenate([[0.0], np.cumsum(random.normal(0.0, step, length))])
    bridge: Floats = left + walk + np.linspace(0.0, right - left - walk[-1], length + 1)
    bridge[-1] = right
    return bridge


def generator(bar: Bar, use: str = "") -> np.random.Generator:
    """Return the random numbers of a bar, others for each use: on every machine and in every run the same."""
    digest = hashlib.sha256(f"{bar.symbol}|{bar.day.isoformat()}{use}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
