"""The ledger as rows of ops: small, one row a partition and day, and one a run."""

from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

from stocklib.pipeline.reconcile.balance import OF_EVENTS, OF_MESSAGES, Balance


def tables(found: Balance) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of ops.ledger, ledger_runs, ledger_problems and ledger_unchecked, in the order of their columns."""
    at = naive(found.at)
    days: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    for row in found.rows:
        for name in OF_MESSAGES:
            days[row.topic, row.topic_id, row.partition, row.day][name] += getattr(row, name)
    runs: dict[str, Counter[str]] = defaultdict(Counter)
    for run in found.runs:
        for name in OF_EVENTS:
            runs[run.run_id][name] += getattr(run, name) or 0
    return {
        "ledger": [(at, *key, *(sums[name] for name in OF_MESSAGES)) for key, sums in days.items()],
        "ledger_runs": [(at, run_id, *(sums[name] for name in OF_EVENTS)) for run_id, sums in runs.items()],
        "ledger_problems": [(at, p.id, p.hop, p.kind, p.what[:2000], p.count, p.accepted) for p in found.problems],
        "ledger_unchecked": [(at, hop, reason[:2000]) for hop, reason in found.unchecked.items()],
    }


def naive(instant: datetime) -> datetime:
    """Timestamps of the warehouse hold UTC without saying so."""
    return instant.astimezone(UTC).replace(tzinfo=None)
