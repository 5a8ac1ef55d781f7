"""The ledger: what the producer confirmed, Kafka, the lake, RAW and silver, compared message by message.

Everything is computed from what is there: Kafka where it is retained, the lake's objects, the warehouse's rows. Nothing
relies on a counter that a crash would lose. A message on its way is waiting; one that should be there and is nowhere is
lost. Both are named by run, symbol and seq, by topic, partition and offset, and by object.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial

from stocklib.errors import LakeError, StocksError, StreamError
from stocklib.lake import Lake
from stocklib.pipeline.loading import OnProgress
from stocklib.pipeline.reconcile import comparison, object_checks
from stocklib.pipeline.reconcile.balance import (
    CONFIRMED,
    KAFKA_LAKE,
    LAKE_RAW,
    RAW_SILVER,
    SPOOLED,
    UNKNOWN_RUNS,
    Balance,
    Problem,
    id_of_run,
)
from stocklib.pipeline.reconcile.dead_letters import loaded_letters
from stocklib.pipeline.reconcile.evidence import (
    find_empty_offsets,
    find_unknown_runs,
    list_lake,
    look_at_kafka,
    read_confirmed,
    read_objects,
)
from stocklib.pipeline.reconcile.ledger_inputs import LedgerInputs, WarehouseCounts
from stocklib.pipeline.reconcile.ledger_queries import (
    STREAMS,
    Span,
    Stream,
    loaded_keys,
    miscounted_states,
    missing_events,
    select,
)
from stocklib.settings import Settings
from stocklib.stream.spool import damaged_spools
from stocklib.warehouse import Warehouse, open_warehouse
from stocklib.warehouse.engine_base import naive

log = logging.getLogger(__name__)

_STEPS = 4


def balance(
    settings: Settings,
    *,
    since: date | None = None,
    day: date | None = None,
    on_progress: OnProgress | None = None,
) -> Balance:
    """Return the ledger now. ``since`` and ``day`` bound it to messages fetched on those New York dates.

    A full ledger reads the identity of every message in RAW once, the objects that are not loaded, and what Kafka
    holds beyond the committed offsets. Where Kafka or the lake is down, ``unchecked`` names the hop; without the
    warehouse ``WarehouseError`` is raised.
    """
    say = on_progress or (lambda done, total=None, text="": None)
    inputs = LedgerInputs(days=_days(since, day))
    lake, warehouse = Lake(settings), open_warehouse(settings)
    topics = {str(settings.kafka_topic), str(settings.kafka_trades_topic)}
    inputs.confirmed, damaged = read_confirmed(settings.home, topics)
    say(0, _STEPS, "asking Kafka")
    with _unless_away(inputs, StreamError, CONFIRMED, KAFKA_LAKE):
        inputs.kafka = look_at_kafka(settings)
    say(1, _STEPS, "listing the lake")
    listed: dict[str, set[str]] = {}
    with _unless_away(inputs, LakeError, CONFIRMED, KAFKA_LAKE, LAKE_RAW):
        lake.ensure_bucket()
        listed = list_lake(lake)
    say(2, _STEPS, "reading every message's identity in the warehouse")
    problems = []
    with warehouse.writing():
        warehouse.initialise()
        loaded = {dataset: loaded_keys(warehouse, dataset) for dataset in listed}
        inputs.loaded = set().union(*loaded.values())
        built = warehouse.last_build()
        if built is None:
            inputs.unchecked[RAW_SILVER] = "nothing has been built yet: run `stocks transform`"
        else:
            span = Span(upto=built.load_id, days=inputs.days)
            inputs.answers = {stream.dataset: _answers(warehouse, stream, span) for stream in STREAMS}
        inputs.dead_letters = loaded_letters(warehouse)
        problems += object_checks.miscounted(warehouse, lake if listed else None) + object_checks.rejects(warehouse)
    say(3, _STEPS, "reading the objects that are not loaded yet")
    if listed:
        with _unless_away(inputs, LakeError, CONFIRMED, KAFKA_LAKE, LAKE_RAW):
            # before the first build only the objects themselves say what they hold
            inputs.lake = read_objects(lake, object_checks.to_read(listed, loaded if built else {}))
            problems += object_checks.gone(lake, listed, loaded)
            problems += object_checks.stranded(listed, loaded, inputs.lake.unreadable)
    inputs.dead_letters = [*inputs.dead_letters, *inputs.lake.dead_letters, *inputs.kafka.dead_letters]
    if missing := comparison.missing_offsets(inputs):
        with _unless_away(inputs, StreamError, KAFKA_LAKE):
            inputs.empty_offsets = find_empty_offsets(settings, inputs.kafka.positions, missing)
    rows, runs, found = comparison.compare(inputs)
    if damaged:
        # only now: the other runs have been checked
        inputs.unchecked.setdefault(CONFIRMED, "; ".join(damaged))
    say(_STEPS, _STEPS, "done")
    if torn := damaged_spools(settings.home):
        inputs.unchecked[SPOOLED] = "; ".join(torn)
    known = accepted(warehouse)
    nameless = [] if damaged or inputs.days else find_unknown_runs(settings.home, (run.run_id for run in runs))
    if unknown := [run_id for run_id in nameless if id_of_run(run_id) not in known]:
        inputs.unchecked[UNKNOWN_RUNS] = _explain_unknown(settings, unknown)
    done = Balance(datetime.now(UTC), tuple(rows), tuple(runs), (*found, *problems), inputs.unchecked, tuple(unknown))
    return done.accepting(known)


def _explain_unknown(settings: Settings, runs: list[str]) -> str:
    folder, more = settings.home / "heartbeats", f" and {len(runs) - 1:,} more" if len(runs) > 1 else ""
    return (
        f"{folder} has no file of run {runs[0]!r:.80}{more}: deleted, of a producer with another STOCKS_HOME, or of "
        "foreign messages. `stocks ledger --accept` accepts it"
    )


def accepted(warehouse: Warehouse) -> list[str]:
    """Return the ids of the problems that were accepted as known losses."""
    with warehouse.writing():
        return [str(row[0]) for row in warehouse.read("select problem from ops.ledger_accepted")]


def recorded_problems(warehouse: Warehouse) -> list[Problem]:
    """Return what the last recorded ledger found wrong, without what was accepted."""
    rows = warehouse.read("select hop, kind, what, messages, problem from ops.ledger_problems where not accepted")
    return [Problem(hop, kind, what, (), count, known_as=problem) for hop, kind, what, count, problem in rows]


def record(settings: Settings, found: Balance, *, accept: bool = False) -> Balance:
    """Record a full ledger in ops, where an imbalance stops the publish until a later ledger balances.

    What an earlier one found at a hop that could not be checked now stays. ``accept`` records all problems as known
    losses. Where nothing waits to be published, readers see the ledger at once.
    """
    warehouse = open_warehouse(settings)
    with warehouse.writing():
        known = {one.id for one in found.problems}
        still = [one for one in recorded_problems(warehouse) if one.hop in found.unchecked and one.id not in known]
        found = replace(found, problems=(*found.problems, *(replace(one, is_earlier=True) for one in still)))
        rows = found.to_tables()
        if accept:
            kept = [tuple(row) for row in warehouse.read("select problem, accepted_at, what from ops.ledger_accepted")]
            fresh = [(one.id, one.what) for one in found.problems if not one.accepted]
            fresh += [(id_of_run(run_id), f"run {run_id[:200]} has no heartbeat") for run_id in found.unknown_runs]
            rows["ledger_accepted"] = [*kept, *((known_as, naive(found.at), what) for known_as, what in fresh)]
            found = found.accepting([*(one.id for one in found.problems), *(known_as for known_as, _ in fresh)])
            rows |= found.to_tables()
        warehouse.replace_ops(rows)
        build, published = warehouse.last_build(), warehouse.published_build()
        is_current = build is not None and build == published and build.load_id == warehouse.newest_load()
        if found.is_balanced and is_current:
            warehouse.publish()
    return found


def _answers(warehouse: Warehouse, stream: Stream, span: Span) -> WarehouseCounts:
    ask = partial(select, warehouse, stream=stream, span=span)
    moved = ask("movements")
    return WarehouseCounts(
        movements=moved,
        offsets=ask("offset_ranges"),
        seqs=ask("seq_ranges"),
        missing=missing_events(warehouse, stream, span) if any(row[9] for row in moved) else [],
        doubled=ask("doubled_events"),
        miscounted=miscounted_states(warehouse, stream, span),
    )


@contextmanager
def _unless_away(inputs: LedgerInputs, kind: type[StocksError], *hops: str) -> Iterator[None]:
    """Mark these hops as unchecked where the block cannot reach what it asks."""
    try:
        yield
    except kind as error:
        log.warning("%s", error)
        for hop in hops:
            inputs.unchecked.setdefault(hop, str(error))


def _days(since: date | None, day: date | None) -> tuple[date, date] | None:
    if since is None and day is None:
        return None
    return (day or since or date(1970, 1, 1), day or date.max)
