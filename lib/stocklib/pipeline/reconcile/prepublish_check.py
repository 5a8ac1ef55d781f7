"""The check before a publish: what was built since the last one must be whole, each event once.

It asks the warehouse alone, and its cost follows what is new. If a seq is missing, heartbeats and Kafka are asked: it
may be unconfirmed or a dead letter. What a full ledger found, and recorded, stops the publish as well until a later one
balances.
"""

import logging
from collections.abc import Iterable

from stocklib.errors import LedgerUnbalanced, StreamError
from stocklib.pipeline.reconcile import object_checks
from stocklib.pipeline.reconcile.balance import Problem
from stocklib.pipeline.reconcile.comparison import Event, compare_silver, lost_seqs, proven, seqs
from stocklib.pipeline.reconcile.dead_letters import DeadLetter, loaded_letters, read_letters
from stocklib.pipeline.reconcile.evidence import read_confirmed
from stocklib.pipeline.reconcile.ledger import accepted, recorded_problems
from stocklib.pipeline.reconcile.ledger_inputs import WarehouseCounts
from stocklib.pipeline.reconcile.ledger_queries import STREAMS, Span, Stream, miscounted_states, missing_events, select
from stocklib.pipeline.reconcile.ranges import Ranges, group
from stocklib.settings import Settings
from stocklib.warehouse import DATASETS, Warehouse

log = logging.getLogger(__name__)

_SHOWN = 10
_ROWS_OF = "select '{0}' as dataset, count(*) as found from raw.{0}"


def check(settings: Settings, warehouse: Warehouse, *, since: int, upto: int, gaps: bool = True) -> None:
    """Raise ``LedgerUnbalanced``, which names what is missing or doubled in the loads after ``since`` up to ``upto``.

    Without ``gaps``, runs may lack seqs: a user chose to rebuild without an object.
    """
    span = Span(since=since, upto=upto)
    with warehouse.writing():
        problems = _miscounted(warehouse)
        for stream in STREAMS:
            problems += _silver(warehouse, stream, span)
            if gaps:
                problems += _gaps(settings, warehouse, stream, span)
        problems += recorded_problems(warehouse)
        known = set(accepted(warehouse)) if problems else set()
    if wrong := {one.id: one for one in problems if one.id not in known}:
        raise LedgerUnbalanced(_explain(list(wrong.values())))


def _miscounted(warehouse: Warehouse) -> list[Problem]:
    counts = " union all ".join(map(_ROWS_OF.format, DATASETS))
    wrong = [dataset for (dataset,) in select(warehouse, "miscounted_datasets", there=counts)]
    return object_checks.miscounted(warehouse, None, datasets=wrong)


def _silver(warehouse: Warehouse, stream: Stream, span: Span) -> list[Problem]:
    # an event that was known before is not among the new ones: only then are all looked at
    missing = missing_events(warehouse, stream, span, known_since=span.since)
    if missing and span.since:
        missing = missing_events(warehouse, stream, span)
    miscounted = miscounted_states(warehouse, stream, span)
    return compare_silver(stream.dataset, WarehouseCounts(missing=missing, miscounted=miscounted))


def _gaps(settings: Settings, warehouse: Warehouse, stream: Stream, span: Span) -> list[Problem]:
    """Return the gaps in what new runs had confirmed, without what became a dead letter."""
    missing: list[tuple[Event, int, int]] = []
    seen: dict[Event, int] = {}
    for run_id, symbol, seq in select(warehouse, "after_gaps", stream=stream, span=span):
        # the size of a gap is queried only where there is one
        ((before, seen[run_id, symbol]),) = select(warehouse, "before_gap", [seq, run_id, symbol], stream=stream)
        missing.append(((run_id, symbol), before + 1, seq - 1))
    gaps: dict[Event, Ranges] = group(missing)
    if gaps:
        confirmed, _ = read_confirmed(settings.home, {str(settings.kafka_topic), str(settings.kafka_trades_topic)})
        proved = {event: proven(gap, confirmed.get(event), seen=seen[event]) for event, gap in gaps.items()}
        gaps = {event: gap for event, gap in proved.items() if gap}
    if gaps:
        gaps = _without(gaps, loaded_letters(warehouse))
    if gaps:
        gaps = _without(gaps, _letters_in_kafka(settings))
    return [problem for event, gap in gaps.items() for problem in lost_seqs(*event, gap)]


def _without(gaps: dict[Event, Ranges], letters: Iterable[DeadLetter]) -> dict[Event, Ranges]:
    dead = group(seqs(letters))
    left = {event: gap - dead[event] for event, gap in gaps.items()}
    return {event: gap for event, gap in left.items() if gap}


def _letters_in_kafka(settings: Settings) -> list[DeadLetter]:
    try:
        return read_letters(settings, landed=True)
    except StreamError as error:
        log.warning("Kafka could not be asked whether what is missing became a dead letter: %s", error)
        return []


def _explain(problems: list[Problem]) -> str:
    shown = "\n".join(f"  {problem}" for problem in problems[:_SHOWN])
    more = f"\n  and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return (
        f"the ledger does not balance, and readers still see the last good version:\n{shown}{more}\n"
        "`stocks ledger` shows it all and clears what was mended; `stocks ledger --accept` takes note of a loss that "
        "cannot be mended"
    )
