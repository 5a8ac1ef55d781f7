"""Candles of a tape at an instant: only finished ones, daily ones split-adjusted as of the instant's date.

A row is (epoch second of its start, open, high, low, close, volume). Daily, weekly and monthly candles begin at 00:00
UTC of their first calendar day; an unfinished week or month holds its finished days. Intraday candles are as
traded, and at most a month of them comes in one call.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby, pairwise

from finnhub_replay.path import SessionPath, minute_volumes
from finnhub_replay.tape import Bar, Tape
from stocklib.sessions import new_york_date, session

Row = tuple[int, float, float, float, float, float]
ToPath = Callable[[Bar], SessionPath]

MINUTES = {"1": 1, "5": 5, "15": 15, "30": 30, "60": 60}
PERIODS: dict[str, Callable[[date], date]] = {
    "D": lambda day: day,
    "W": lambda day: day - timedelta(day.weekday()),
    "M": lambda day: day.replace(day=1),
}
_MONTH = timedelta(days=31)
_LAST_EPOCH = 4_102_444_800


def daily_candles(tape: Tape, symbol: str, resolution: str, *, first: int, last: int, now: datetime) -> Iterator[Row]:
    """Yield the candles of days, weeks or months that begin from ``first`` to ``last`` (epoch seconds)."""
    start, today = PERIODS[resolution], new_york_date(now)
    finished = today if _is_over(today, now) else today - timedelta(1)
    bars = tape.between(symbol, _utc_date(first), min(_utc_date(last) + _MONTH, finished))
    # a period that began before ``first`` or begins after ``last`` is left out, with all its days
    bars = [bar for bar in bars if first <= _midnight(start(bar.day)) <= last]
    for begin, group in groupby(bars, key=lambda bar: start(bar.day)):
        yield _midnight(begin), *_adjusted([(bar, tape.factor(symbol, bar.day, today)) for bar in group])


def intraday_candles(
    tape: Tape, symbol: str, resolution: str, *, first: int, last: int, now: datetime, path: ToPath
) -> Iterator[Row]:
    """Yield the candles of so many minutes that begin from ``first`` to ``last`` (epoch seconds)."""
    span = MINUTES[resolution] * 60
    last = min(last, int(now.timestamp()) - span)
    first = max(first, last - int(_MONTH.total_seconds()))
    for bar in tape.between(symbol, _utc_date(first) - timedelta(1), _utc_date(last)):
        for candle in _session_candles(bar, path(bar), span):
            if first <= candle[0] <= last:
                yield candle


def _session_candles(bar: Bar, path: SessionPath, span: int) -> Iterator[Row]:
    """Return a session's candles, aligned to UTC; the price at the closing bell belongs to the last one."""
    found, prices = session(bar.day), path.price
    if found is None:
        return
    seconds, opened = len(prices) - 1, int(found.open.timestamp())
    volumes = minute_volumes(bar.volume, seconds // 60)
    edges = [0, *range(span - opened % span, seconds, span), seconds]
    for begin, end in pairwise(edges):
        part = prices[begin : end + (end == seconds)]
        traded = volumes[begin // 60 : end // 60].sum()
        row = (part[0], part.max(), part.min(), part[-1], traded)
        yield (opened + begin) // span * span, *(float(value) for value in row)


def _adjusted(bars: Sequence[tuple[Bar, float]]) -> tuple[float, float, float, float, float]:
    return (
        bars[0][0].open / bars[0][1],
        max(bar.high / factor for bar, factor in bars),
        min(bar.low / factor for bar, factor in bars),
        bars[-1][0].close / bars[-1][1],
        sum(bar.volume * factor for bar, factor in bars),
    )


def _is_over(day: date, now: datetime) -> bool:
    found = session(day)
    return found is not None and found.close <= now


def _midnight(day: date) -> int:
    return int(datetime.combine(day, time.min, UTC).timestamp())


def _utc_date(epoch: int) -> date:
    return datetime.fromtimestamp(min(max(epoch, 0), _LAST_EPOCH), UTC).date()
