"""Everything that the ledger compares, gathered; what could not be read is missing, and named."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from stocklib.pipeline.reconcile.dead_letters import DeadLetter
from stocklib.pipeline.reconcile.evidence import KafkaEvidence, LakeEvidence, Sighting
from stocklib.pipeline.reconcile.ranges import Ranges

Rows = Sequence[tuple[Any, ...]]


@dataclass
class WarehouseCounts:
    """What the warehouse answers about one stream: rows as ``ledger_queries`` describes them."""

    movements: Rows = ()
    offsets: Rows = ()
    seqs: Rows = ()
    missing: Rows = ()
    doubled: Rows = ()
    miscounted: Rows = ()


@dataclass
class LedgerInputs:
    """What was found where. ``unchecked`` says why a hop cannot be compared; ``days`` bounds what was asked for.

    ``empty_offsets`` are offsets at which Kafka retains no message, though it does before and after them, by (topic,
    topic id, partition): a broker that died while it wrote has left them. ``loaded`` are the objects that RAW holds;
    before the first build ``answers`` do not cover them, and their messages are counted from the lake.
    """

    confirmed: dict[tuple[str, str], int] = field(default_factory=dict)
    kafka: KafkaEvidence = field(default_factory=KafkaEvidence)
    lake: LakeEvidence = field(default_factory=LakeEvidence)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    loaded: set[str] = field(default_factory=set)
    empty_offsets: dict[tuple[str, str, int], Ranges] = field(default_factory=dict)
    answers: dict[str, WarehouseCounts] = field(default_factory=dict)
    unchecked: dict[str, str] = field(default_factory=dict)
    days: tuple[date, date] | None = None

    def covers(self, seen: Sighting | DeadLetter) -> bool:
        """Return whether it is of a day that was asked for."""
        return self.days is None or (seen.day is not None and self.days[0] <= seen.day <= self.days[1])
