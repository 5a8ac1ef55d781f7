"""The look-ahead guard: run a strategy again with another future, and compare its past decisions."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stocklib.backtest import kernel
from stocklib.backtest.bar_arrays import PRICES, bar_times, day_of, read_bars
from stocklib.backtest.engine import check_kind, same_times
from stocklib.errors import InputError
from stocklib.indicators.columns import check_type, check_window, to_doubles
from stocklib.sessions import NEW_YORK

Strategy = Callable[[pd.DataFrame], pd.Series | pd.DataFrame]

# After so many years the calendar repeats, with weekdays and leap years.
_CYCLE = pd.DateOffset(years=28)
# Other weekdays, months and years.
_OTHER_DAYS = pd.DateOffset(days=1003)
# Another future: the same bars in another order, at these multiples of their prices.
_LEVELS = (3.0, 0.3)
_WHEN = ("symbol", "date", "time")
_BLIND = (
    "It cannot see a column of the bars that looks ahead itself, parameters or symbols chosen with all the data known, "
    "outside data without dates, or a look ahead only on bars between those."
)


@dataclass(frozen=True, repr=False)
class LookAheadCheck:
    """What ``check_no_look_ahead`` compared without finding a difference; its text says that in sentences.

    The strategy ran on all bars (``times``), on those up to each time of ``cuts``, and on ``futures`` other futures,
    two after each time of ``futures_from``.
    """

    times: pd.Index
    cuts: pd.Index
    futures_from: pd.Index
    futures: int

    @property
    def bars(self) -> int:
        """The number of times at which a symbol has a bar."""
        return len(self.times)

    def __repr__(self) -> str:
        return (
            f"No look-ahead found in {self.bars:,} bars, {_range(self.times)}: the strategy decided the same with data "
            f"that ended at {len(self.cuts)} of them, {_range(self.cuts)}, and with {self.futures} other futures after "
            f"{len(self.futures_from)} of them, {_range(self.futures_from)}.\n{_BLIND}"
        )

    def _repr_html_(self) -> str:
        """Return the sentences as paragraphs, which a notebook wraps at words; only dates and numbers vary."""
        return "".join(f"<p>{sentence}</p>" for sentence in repr(self).splitlines())


def check_no_look_ahead(prices: pd.DataFrame, strategy: Strategy, *, cuts: int = 10) -> LookAheadCheck:
    """Run a strategy again with a missing and with another future; ``InputError`` when a past decision differs.

    Return what was compared: how many bars, cuts and other futures, at which dates.

    ``strategy`` maps bars to weights. It is run on bars that end at ``cuts`` dates from the first quarter to the end,
    and at as many bars on which a weight changed, where a peek at the next bar shows; and on bars whose future is
    shuffled and multiplied, from as many dates of the whole and of those bars on. Each weight up to that date must be
    the same to within 1e-9 as on the whole data. More cuts find more: ``cuts=len(bars)`` leaves out no bar.

    It must return one weight for each bar, and the same weights for the same bars dated 28 years later, when the
    calendar repeats. So the guard finds a strategy that reads a frame from outside, or repeats the answer of its first
    call; and one that decides only by a bar's position, when its weights fit the next bars better than the same weights
    moved by any number of bars. Put outside data that it may use into columns of the bars: they are cut and shuffled as
    well.

    What it cannot catch: a column of the bars that looks ahead itself (a figure restated later, an average over the
    future); parameters, or a choice of symbols, made with all the data known; outside data without dates, such as a
    number; and a look ahead only on bars between the cuts.
    """
    check_window(cuts, name="cuts")
    check_type("the strategy", strategy, Callable, expected="a function of bars")
    times = _read(prices)
    if len(times) < 8:
        raise InputError(f"{len(times)} bars are too few to cut: 8 or more")
    when = bar_times(prices)

    def up_to(place: int) -> pd.DataFrame:
        return prices[np.asarray(when <= times[place])]

    first = len(times) // 4
    # before the strategy sees all bars: a cached answer would not match the next call
    begun = _decided(strategy, up_to(first), f"the bars up to {day_of(times[first])}")
    whole = _decided(strategy, prices, "all the bars")
    _compare(begun, whole, times[first], "")
    _check_dates(prices, strategy, whole)
    _check_places(prices, strategy, whole)
    ends, begins = _places(whole, times, cuts, begin=first, least=7), _places(whole, times, cuts, begin=1, least=1)
    for place in ends:
        earlier = _decided(strategy, up_to(place), f"the bars up to {day_of(times[place])}")
        _compare(earlier, whole, times[place], "")
    for place in begins:
        for other in _other_futures(prices, np.asarray(when > times[place]), seed=place):
            changed = _decided(strategy, other, f"bars with another future after {day_of(times[place])}")
            _compare(changed, whole, times[place], " and another future")
    return LookAheadCheck(times, times[ends], times[begins], len(_LEVELS) * len(begins))


def _range(times: pd.Index) -> str:
    return f"from {day_of(times[0])} to {day_of(times[-1])}"


def _read(prices: pd.DataFrame) -> pd.Index:
    if not isinstance(prices, pd.DataFrame):
        raise InputError(f"the guard cuts and shuffles a frame of bars, not {type(prices).__name__}")
    return read_bars(prices).times


def _decided(strategy: Strategy, bars: pd.DataFrame, which: str) -> pd.DataFrame:
    """Return the strategy's weights, one for each bar."""
    try:
        weights = strategy(bars)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"the strategy failed on {which} ({type(error).__name__}: {error}): it must decide only from "
            "the bars that it is given"
        ) from error
    times = bar_times(bars).unique().sort_values()
    check_kind(weights, times)
    if not same_times(weights.index, times):
        raise InputError(
            f"the strategy looks ahead: it returned {len(weights)} weights for {which}, which are {len(times)}, or on "
            "other dates. It must decide from the bars that it is given, not from data outside or from an earlier call"
        )
    frame = weights.to_frame("weight") if isinstance(weights, pd.Series) else weights
    return frame.set_axis(times).astype("float64")


def _compare(changed: pd.DataFrame, whole: pd.DataFrame, last: Any, future: str) -> None:
    """Raise ``InputError`` where a weight up to ``last`` differs."""
    for symbol in changed:
        if symbol not in whole:
            raise InputError(f"the strategy has weights of {symbol} that it lacks with all the bars")
        then = changed[symbol][changed.index <= last]
        now = whole[symbol].reindex(then.index)
        differs = ~np.isclose(then, now, rtol=0, atol=kernel.TOLERANCE, equal_nan=True)
        if differs.any():
            raise InputError(
                f"the strategy looks ahead: with data up to {day_of(last)}{future} it decided "
                f"{then[differs].iloc[0]:g} on {day_of(then.index[differs][0])}, and {now[differs].iloc[0]:g} once it "
                "had seen what came after"
            )


def _places(weights: pd.DataFrame, times: pd.Index, count: int, *, begin: int, least: int) -> Any:
    """Return positions spread over the bars, and over those on which a weight changed."""
    spread = np.linspace(begin, len(times) - 2, count).astype(int)
    moved = (weights.diff().abs() > kernel.TOLERANCE).any(axis=1).to_numpy()
    changes = times.get_indexer(weights.index[moved])
    # with a bar after it, and enough bars before it
    changes = changes[(changes >= least) & (changes <= len(times) - 2)]
    chosen = np.linspace(0, len(changes) - 1, min(count, len(changes))).astype(int)
    return np.unique(np.r_[spread, changes[chosen]])


def _other_futures(prices: pd.DataFrame, later: Any, *, seed: int) -> Iterator[pd.DataFrame]:
    """Return the bars, from a date on in another order and at other prices; each bar stays whole, on its symbol."""
    symbols = pd.factorize(prices["symbol"])[0] if "symbol" in prices else np.zeros(len(prices), dtype=int)
    kept = [name for name in _WHEN if name in prices]
    for number, level in enumerate(_LEVELS):
        rng = np.random.default_rng((seed, number))
        order = np.arange(len(prices))
        for symbol in np.unique(symbols[later]):
            rows = np.flatnonzero(later & (symbols == symbol))
            order[rows] = rng.permutation(rows)
        other = prices.iloc[order].set_axis(prices.index)
        moved = np.where(later, level * np.exp(rng.normal(0, 0.2, len(prices))), 1.0)
        prices_of = {name: to_doubles(other[name]) * moved for name in PRICES if name in other}
        yield other.assign(**{name: prices[name] for name in kept}, **prices_of)


def _check_dates(prices: pd.DataFrame, strategy: Strategy, whole: pd.DataFrame) -> None:
    """Raise ``InputError`` where the same bars dated 28 years later have other weights."""
    later = _on_other_dates(prices, _years_later)
    if later is not prices and not _agree(_decided(strategy, later, "the same bars dated 28 years later"), whole):
        raise InputError(
            "the strategy looks ahead: on the same bars dated 28 years later, when the calendar is the same, it "
            "decides differently, so it knows these dates from data outside the bars or from an earlier call. Data "
            "that it may use belong in columns of the bars"
        )


def _check_places(prices: pd.DataFrame, strategy: Strategy, whole: pd.DataFrame) -> None:
    """Raise ``InputError`` where weights ignore the bars and their dates, and fit the next bars best."""
    if not (whole.diff().abs() > kernel.TOLERANCE).to_numpy().any():
        return
    other = next(_other_futures(prices, np.ones(len(prices), dtype=bool), seed=0))
    other = _on_other_dates(other, lambda times: times + _OTHER_DAYS)
    if not _agree(_decided(strategy, other, "other bars on other days"), whole):
        return
    weights = whole.to_numpy()
    bars = read_bars(prices)
    closes = pd.DataFrame(bars.close, columns=bars.symbols).ffill()
    changes = (closes.shift(-1) / closes - 1).fillna(0.0).to_numpy()
    gains = [float(np.nansum(np.roll(weights, by, axis=0) * changes)) for by in range(len(weights))]
    if gains[0] > max(gains[1:]) + kernel.TOLERANCE:
        raise InputError(
            "the strategy looks ahead: it decides the same for any bars and dates, and its weights fit the "
            "bars that follow better than if they were moved by any number of bars, so they come from data outside. "
            "Data that it may use belong in columns of the bars"
        )


def _on_other_dates(prices: pd.DataFrame, move: Callable[[pd.DatetimeIndex], pd.DatetimeIndex]) -> pd.DataFrame:
    """Return the bars with other times, unchanged where their times are no datetimes."""
    name = next((column for column in ("time", "date") if column in prices), None)
    times = prices.index if name is None else prices[name]
    if not pd.api.types.is_datetime64_any_dtype(times.dtype):
        return prices
    moved = move(pd.DatetimeIndex(times))
    return prices.set_axis(moved) if name is None else prices.assign(**{name: moved})


def _agree(answer: pd.DataFrame, whole: pd.DataFrame) -> bool:
    """Return whether the weights of other dates are those of the whole data, bar by bar."""
    there = answer.reindex(columns=whole.columns).to_numpy()
    return np.allclose(there, whole, rtol=0, atol=kernel.TOLERANCE, equal_nan=True)


def _years_later(times: pd.DatetimeIndex) -> pd.DatetimeIndex:
    if times.tz is None:
        return times + _CYCLE
    # in New York time, which has summer time on the same dates then
    there = times.tz_convert(NEW_YORK).tz_localize(None) + _CYCLE
    return there.tz_localize(NEW_YORK, ambiguous=True, nonexistent="shift_forward").tz_convert(times.tz)
