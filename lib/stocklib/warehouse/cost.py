"""The cost of statements: a query history in; credits, bytes and seconds of each run and model out. Pure.

Snowflake's resource monitor counts the credits of a whole warehouse, and stops everything when they are used up. It
does not say which run or model used them, and a role that only loads may not read it: this module adds that.

A warehouse costs by the second while it is awake, 60 s at least, and suspends after its auto-suspend time without a
statement. So the cost depends less on the seconds of statements than on how they are spread over the day.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

# Credits an hour by warehouse size, as Snowflake's consumption table has them.
RATES = {
    "X-SMALL": 1, "SMALL": 2, "MEDIUM": 4, "LARGE": 8, "X-LARGE": 16,
    "2X-LARGE": 32, "3X-LARGE": 64, "4X-LARGE": 128, "5X-LARGE": 256, "6X-LARGE": 512,
}  # fmt: skip
SUSPEND_SECONDS = 60.0
_LEAST_SECONDS = 60.0


@dataclass(frozen=True)
class Statement:
    """One statement of the history. ``size`` is empty where it needed no warehouse, and has no relevant cost."""

    tag: str
    began_at: datetime
    seconds: float
    bytes: int
    size: str


@dataclass(frozen=True)
class Cost:
    """The cost of one run and step (a model, or load, publish, read) on one UTC day."""

    day: date
    run: str
    part: str
    statements: int
    bytes: int
    seconds: float
    credits: float
    is_estimated: bool


def add_up(statements: Iterable[Statement], *, metered: Mapping[datetime, float] | None = None) -> list[Cost]:
    """Return costs by day, run and step. ``metered`` has the metered credits of hours; others are estimated.

    An hour's credits are split over its statements by their seconds.
    """
    metered = metered or {}
    by_hour: dict[datetime, list[Statement]] = defaultdict(list)
    for statement in sorted(statements, key=lambda one: one.began_at):
        by_hour[statement.began_at.replace(minute=0, second=0, microsecond=0)].append(statement)
    estimated = _estimate([one for hour in by_hour.values() for one in hour])
    found: dict[tuple[date, str, str], list[tuple[Statement, float, bool]]] = defaultdict(list)
    for hour, those in by_hour.items():
        credits = metered.get(hour, sum(estimated[id(one)] for one in those))
        seconds = sum(one.seconds for one in those if one.size)
        for one in those:
            share = one.seconds / seconds if one.size and seconds else 0.0
            found[(hour.date(), *_parts(one.tag))].append((one, credits * share, hour not in metered))
    return [
        Cost(
            *key,
            statements=len(those),
            bytes=sum(one.bytes for one, _, _ in those),
            seconds=sum(one.seconds for one, _, _ in those),
            credits=sum(credits for _, credits, _ in those),
            is_estimated=any(guessed for _, _, guessed in those),
        )
        for key, those in sorted(found.items())
    ]


def awake(spans: Sequence[tuple[float, float]], *, suspend: float = SUSPEND_SECONDS) -> list[float]:
    """Return for how many seconds each span of work, in seconds and in order of time, keeps a warehouse awake.

    A span that begins while it is awake counts what it adds, so that the sum is the time paid for.

    >>> awake([(0, 10)]), awake([(0, 10), (20, 30)]), awake([(0, 10), (300, 310)])
    ([70.0], [70.0, 20.0], [70.0, 70.0])
    """
    paid, until = [], float("-inf")
    for start, end in spans:
        asleep = max(end + suspend, start + _LEAST_SECONDS)
        paid.append(max(0, asleep - max(start, until)))
        until = max(until, asleep)
    return paid


def _estimate(statements: Sequence[Statement]) -> dict[int, float]:
    """Return each statement's share of its warehouse's awake time."""
    found = {id(one): 0.0 for one in statements}
    for size in {one.size for one in statements if one.size}:
        those = [one for one in statements if one.size == size]
        first = those[0].began_at
        spans = [
            (begins, begins + one.seconds) for one in those if (begins := (one.began_at - first).total_seconds()) >= 0
        ]
        for one, seconds in zip(those, awake(spans), strict=True):
            found[id(one)] = seconds / 3600 * RATES.get(size.upper(), 1)
    return found


def _parts(tag: str) -> tuple[str, str]:
    """Return the run and the step of a tag: stocks:dbt:<run>:<model>, stocks:<verb>:<run>."""
    _, verb, run, model = (*tag.split(":"), "", "", "")[:4]
    return run or "-", model or verb or "other"


def midnight(now: datetime) -> datetime:
    """Return when the UTC day of an instant began."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def next_midnight(now: datetime) -> datetime:
    """Return when the next UTC day begins, and with it the next day's credits."""
    return midnight(now) + timedelta(days=1)
