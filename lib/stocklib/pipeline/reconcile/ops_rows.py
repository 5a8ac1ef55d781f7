"""The ledger as rows of ops: small, one row a partition and day, and one a run."""

from collections import Counter, defaultdict
from typing import Any

from stocklib.pipeline.reconcile.balance import OF_EVENTS, OF_MESSAGES, Balance
from stocklib.warehouse.engine_base import naive


def tables(found: Balance) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of the four tables of ops, in the order of their columns."""
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
