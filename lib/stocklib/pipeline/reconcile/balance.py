"""The ledger's result: rows of the balance, problems, and hops that could not be checked. Plain records."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from typing import Any

from stocklib.warehouse.engine_base import naive

# The hops, in the order of the pipeline.
CONFIRMED, KAFKA_LAKE, LAKE_RAW, RAW_SILVER = "confirmed → RAW", "Kafka → lake", "lake → RAW", "RAW → silver"

# These hops only have a reason for being unchecked, never a problem.
UNKNOWN_RUNS = "confirmed → RAW of runs without a heartbeat"
SPOOLED = "spool → Kafka"


@dataclass(frozen=True)
class Movement:
    """The messages of one symbol and day in one partition, by stage. ``waiting`` are in flight."""

    topic: str
    topic_id: str
    partition: int
    day: date | None
    symbol: str | None
    landed: int = 0
    loaded: int = 0
    in_silver: int = 0
    quarantined: int = 0
    duplicates: int = 0
    waiting: int = 0
    dead_letters: int = 0
    readmitted: int = 0
    lost: int = 0


@dataclass(frozen=True)
class RunMovement:
    """The events of one run and symbol, each counted at the stage that it reached.

    ``confirmed`` is the producer's own count, None where no heartbeat is left. ``unproven`` numbers are missing before
    a later one, and no heartbeat shows that Kafka confirmed them.
    """

    run_id: str
    symbol: str
    confirmed: int | None
    in_raw: int = 0
    in_lake: int = 0
    in_kafka: int = 0
    dead_letters: int = 0
    lost: int = 0
    unproven: int = 0


# The counts of a day's messages, and of a run's events: in the order of the columns of ops.ledger and ops.ledger_runs.
OF_MESSAGES = (
    *("landed", "loaded", "in_silver", "quarantined", "duplicates"),
    *("waiting", "dead_letters", "readmitted", "lost"),
)
OF_EVENTS = ("confirmed", "in_raw", "in_lake", "in_kafka", "dead_letters", "lost")


@dataclass(frozen=True)
class Problem:
    """One thing that does not balance: where (``hop``), what in a sentence, which objects, how many messages.

    ``subject`` identifies the problem, independent of its sentence; ``known_as`` is the id under which it was recorded.
    ``is_earlier``: an earlier ledger found it, and its hop cannot be checked now.
    """

    hop: str
    kind: str
    what: str
    objects: tuple[str, ...] = ()
    count: int = 1
    subject: str = ""
    accepted: bool = False
    known_as: str = ""
    is_earlier: bool = False

    @property
    def id(self) -> str:
        """Return the problem's id, the same in every ledger; another extent is another problem."""
        return (
            self.known_as
            or hashlib.sha256(f"{self.hop}|{self.kind}|{self.subject or self.what}".encode()).hexdigest()[:12]
        )

    def __str__(self) -> str:
        where = f" [{', '.join(self.objects[:5])}{' …' if len(self.objects) > 5 else ''}]" if self.objects else ""
        return f"{self.hop}: {self.what}{where}{' (accepted)' if self.accepted else ''}"


@dataclass(frozen=True)
class Balance:
    """The whole ledger at an instant. ``unchecked`` gives the reason for each hop that could not be checked.

    ``unknown_runs`` published messages, but no heartbeat holds what they had confirmed.
    """

    at: datetime
    rows: tuple[Movement, ...] = ()
    runs: tuple[RunMovement, ...] = ()
    problems: tuple[Problem, ...] = ()
    unchecked: dict[str, str] = field(default_factory=dict)
    unknown_runs: tuple[str, ...] = ()

    @property
    def is_balanced(self) -> bool:
        """Return whether every checked hop balances; an accepted loss does not count as a problem."""
        return all(problem.accepted for problem in self.problems)

    @property
    def exit_status(self) -> int:
        """0: balances; 1: does not; 2: no problem was found, but a hop could not be checked."""
        found = any(not problem.accepted and not problem.is_earlier for problem in self.problems)
        return 1 if found else 2 if self.unchecked else 0

    def total(self, name: str) -> int:
        """Return the sum of a column over all rows."""
        return sum(getattr(row, name) for row in self.rows)

    @property
    def remarks(self) -> list[str]:
        """Return remarks that are not problems, one sentence each."""
        doubtful = [run for run in self.runs if run.unproven]
        if not doubtful:
            return []
        most = max(doubtful, key=lambda run: run.unproven)
        return [
            f"{len(doubtful):,} runs and symbols lack numbers that no heartbeat of this home says were confirmed "
            f"({most.unproven:,} of {most.symbol[:40]} in run {most.run_id[:80]}): their messages are foreign, or "
            "of a producer with another STOCKS_HOME; no loss is counted"
        ]

    def accepting(self, accepted: Sequence[str]) -> "Balance":
        """Return the same ledger with these problems and runs accepted."""
        known = set(accepted)
        problems = tuple(replace(one, accepted=True) if one.id in known else one for one in self.problems)
        unknown = tuple(run_id for run_id in self.unknown_runs if id_of_run(run_id) not in known)
        unchecked = {hop: reason for hop, reason in self.unchecked.items() if unknown or hop != UNKNOWN_RUNS}
        return replace(self, problems=problems, unknown_runs=unknown, unchecked=unchecked)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON, with the result."""
        shown = ("hop", "kind", "what", "objects", "count", "accepted")
        return {
            "at": self.at.isoformat(),
            "is_balanced": self.is_balanced,
            "unchecked": self.unchecked,
            "remarks": self.remarks,
            "problems": [
                {"id": problem.id} | {name: getattr(problem, name) for name in shown} for problem in self.problems
            ],
            "rows": [asdict(row) for row in self.rows],
            "runs": [asdict(run) for run in self.runs],
        }

    def to_tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return the rows of four tables of ops, in the order of their columns."""
        at = naive(self.at)
        days = sums(self.rows, ("topic", "topic_id", "partition", "day"), OF_MESSAGES)
        runs = sums(self.runs, ("run_id",), OF_EVENTS)
        return {
            "ledger": [(at, *key, *counts.values()) for key, counts in days.items()],
            "ledger_runs": [(at, *key, *counts.values()) for key, counts in runs.items()],
            "ledger_problems": [(at, p.id, p.hop, p.kind, p.what[:2000], p.count, p.accepted) for p in self.problems],
            "ledger_unchecked": [(at, hop, reason[:2000]) for hop, reason in self.unchecked.items()],
        }

    def __str__(self) -> str:
        confirmed = sum(run.confirmed or 0 for run in self.runs)
        counts = (
            f"{confirmed:,} quotes and trades confirmed, {self.total('landed'):,} landed, {self.total('loaded'):,} "
            f"loaded, {self.total('in_silver'):,} in silver, {self.total('quarantined'):,} quarantined, "
            f"{self.total('duplicates'):,} duplicates removed, {self.total('dead_letters'):,} dead letters, "
            f"{self.total('waiting'):,} waiting"
        )
        open_ones = [problem for problem in self.problems if not problem.accepted]
        reasons: dict[str, list[str]] = {}
        for hop, reason in self.unchecked.items():
            reasons.setdefault(reason, []).append(hop)
        unchecked = "; ".join(f"{', '.join(hops)}: {reason}" for reason, hops in reasons.items())
        if self.exit_status == 1:
            rest = f". Not everything could be checked: {unchecked}" if unchecked else ""
            return f"the ledger does not balance ({len(open_ones)} problems): {counts}{rest}"
        if self.unchecked:
            rest = (
                f"{len(open_ones)} problems that an earlier ledger found there still stop the publish"
                if open_ones
                else "Nothing else is wrong"
            )
            return f"the ledger could not be checked everywhere: {unchecked}. {rest}: {counts}"
        accepted = sum(problem.count for problem in self.problems)
        return f"the ledger balances{f' ({accepted:,} losses accepted)' if accepted else ''}: {counts}"


def id_of_run(run_id: str) -> str:
    """Return the id under which a run without a heartbeat is accepted."""
    return Problem(UNKNOWN_RUNS, "unknown", run_id).id


def sums(rows: Iterable[Any], keys: Sequence[str], counts: Sequence[str]) -> dict[tuple[Any, ...], dict[str, int]]:
    """Return the sums of these counts of the rows, by the values of their keys."""
    found: dict[tuple[Any, ...], dict[str, int]] = defaultdict(lambda: dict.fromkeys(counts, 0))
    for row in rows:
        into = found[tuple(getattr(row, key) for key in keys)]
        for name in counts:
            into[name] += getattr(row, name) or 0
    return found
