"""The books: everything that a verdict needs, gathered; what could not be had is missing, and named."""

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from stocklib.pipeline.reconcile.dead_letters import DeadLetter
from stocklib.pipeline.reconcile.evidence import KafkaEvidence, LakeEvidence, Sighting
from stocklib.pipeline.reconcile.ranges import Ranges


@dataclass
class WarehouseCounts:
    """What the warehouse said of one stream: rows as ``questions`` describes them."""

    movements: list[tuple[Any, ...]] = field(default_factory=list)
    offsets: list[tuple[Any, ...]] = field(default_factory=list)
    seqs: list[tuple[Any, ...]] = field(default_factory=list)
    missing: list[tuple[Any, ...]] = field(default_factory=list)
    doubled: list[tuple[Any, ...]] = field(default_factory=list)
    miscounted: list[tuple[Any, ...]] = field(default_factory=list)


@dataclass
class LedgerInputs:
    """What was found where. ``unchecked`` says of a hop why it cannot be judged; ``days`` bounds what was asked for.

    ``holes`` are offsets that Kafka retains no message at, though it does before and after them, by (topic, topic id,
    partition): a broker that died while it wrote has left them. ``loaded`` are the objects that RAW holds; before the
    first build no ``answers`` speak of them, and their messages are counted from the lake.
    """

    confirmed: dict[tuple[str, str], int] = field(default_factory=dict)
    kafka: KafkaEvidence = field(default_factory=KafkaEvidence)
    lake: LakeEvidence = field(default_factory=LakeEvidence)
    letters: list[DeadLetter] = field(default_factory=list)
    loaded: set[str] = field(default_factory=set)
    holes: dict[tuple[str, str, int], Ranges] = field(default_factory=dict)
    answers: dict[str, WarehouseCounts] = field(default_factory=dict)
    unchecked: dict[str, str] = field(default_factory=dict)
    days: tuple[date, date] | None = None

    def covers(self, seen: Sighting | DeadLetter) -> bool:
        """Whether it is of a day that was asked for."""
        return self.days is None or (seen.day is not None and self.days[0] <= seen.day <= self.days[1])
