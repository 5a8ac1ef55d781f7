"""The cost of statements: a query history in; credits, bytes and seconds of each run and model out. Pure.

Snowflake's resource monitor counts the credits of a whole warehouse, and stops everything when they are used up. It
does not say which run or model used them, and a role that only loads may not read it: this module adds that.

A warehouse costs by the second while it is awake, 60 s at least, and suspends after its auto-suspend time without a
statement. So the cost depends less on the seconds of statements than on how they are spread over the day.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

# Credits an hour by warehouse size, as Snowflake's consumption table has them.
RATES = {
    "X-SMALL": 1, "SMALL": 2, "MEDIUM": 4, "LARGE": 8, "X-LARGE": 16,
    "2X-LARGE": 32, "3X-LARGE": 64, "4X-LARGE": 128, "5X-LARGE": 256, "6X-LARGE": 512,
}  # fmt: skip
# How long after a statement a warehouse suspends; it is awake for 60 s at least.
_SUSPEND = timedelta(minutes=1)


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
    ordered = sorted(statements, key=lambda one: one.began_at)
    by_hour: dict[datetime, list[tuple[Statement, float]]] = defaultdict(list)
    for one, credits in zip(ordered, _estimate(ordered), strict=True):
        by_hour[one.began_at.replace(minute=0, second=0, microsecond=0)].append((one, credits))
    found: dict[tuple[date, str, str], list[tuple[Statement, float, bool]]] = defaultdict(list)
    for hour, those in by_hour.items():
        credits = metered.get(hour, sum(estimated for _, estimated in those))
        seconds = sum(one.seconds for one, _ in those if one.size)
        for one, _ in those:
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


def _estimate(ordered: Iterable[Statement]) -> Iterator[float]:
    """Yield the credits of each statement, in order of time: of the time that it adds to its warehouse's awake time."""
    until: dict[str, datetime] = {}
    for one in ordered:
        asleep = one.began_at + timedelta(seconds=one.seconds) + _SUSPEND
        before = until.get(one.size, one.began_at)
        until[one.size] = max(before, asleep)
        awake = max(timedelta(), asleep - max(one.began_at, before))
        yield awake / timedelta(hours=1) * RATES.get(one.size.upper(), 1) if one.size else 0.0


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
