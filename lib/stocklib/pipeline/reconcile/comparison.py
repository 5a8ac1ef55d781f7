"""What was found in each place, compared with what should be there. Pure: the inputs in, rows and problems out."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC
from typing import Any

from stocklib.errors import LakeError
from stocklib.lake import parse_key
from stocklib.pipeline.reconcile.balance import (
    CONFIRMED,
    KAFKA_LAKE,
    RAW_SILVER,
    Movement,
    Problem,
    RunMovement,
)
from stocklib.pipeline.reconcile.dead_letters import DeadLetter, day_of, once
from stocklib.pipeline.reconcile.evidence import Sighting
from stocklib.pipeline.reconcile.ledger_inputs import LedgerInputs, WarehouseCounts
from stocklib.pipeline.reconcile.ranges import Ranges, group

Event = tuple[str, str]
# topic, topic id, partition
PartitionKey = tuple[str, str, int]


def compare(inputs: LedgerInputs) -> tuple[list[Movement], list[RunMovement], list[Problem]]:
    """Return the balance by partition, day and symbol; by run and symbol; and what is wrong with either."""
    problems: list[Problem] = []
    lost: dict[PartitionKey, int] = {}
    for place, gap in missing_offsets(inputs).items():
        if gap := gap - inputs.empty_offsets.get(place, Ranges()):
            lost[place] = len(gap)
            problems += _lost_offsets(inputs, place, gap)
    runs, found = _compare_runs(inputs)
    problems += found
    for dataset, answers in inputs.answers.items():
        problems += compare_silver(dataset, answers)
    return _movements(inputs, lost), runs, problems


# ── Kafka → lake ──────────────────────────────────────────────────────────────────────────────────────────────────────


def held_offsets(inputs: LedgerInputs) -> defaultdict[PartitionKey, Ranges]:
    """Return the offsets that RAW or the lake holds, by partition."""
    letters = (one.dlq for one in inputs.dead_letters if one.is_landed and not one.is_batch)
    return group(
        itertools.chain(
            ((row[:3], *row[3:]) for answers in inputs.answers.values() for row in answers.offsets),
            ((seen.place, seen.offset, seen.offset) for seen in _landed(inputs)),
            ((dlq[:3], dlq[3], dlq[3]) for dlq in letters),
        )
    )


def missing_offsets(inputs: LedgerInputs) -> dict[PartitionKey, Ranges]:
    """Return the offsets up to the committed one that are in no object and became no dead letter.

    An existing topic counts from 0: what Kafka deleted before anything landed is missing too. A deleted topic counts
    from the first to the last offset that landed. A letter only says where its message was, and anybody may write one:
    it accounts for that offset alone.
    """
    # the messages of other days lie between those of a bounded ledger
    if KAFKA_LAKE in inputs.unchecked or inputs.days is not None:
        return {}
    held = held_offsets(inputs)
    dead = group((letter.origin[:3], letter.offset, letter.last) for letter in inputs.dead_letters)
    committed = {position[:3]: position.committed for position in inputs.kafka.positions}
    missing: dict[PartitionKey, Ranges] = {}
    for place in sorted(held.keys() | committed.keys()):
        first, end = (0, committed[place]) if place in committed else (held[place].first, held[place].last + 1)
        if gap := Ranges.over([(first, end - 1)]) - held[place] - dead[place]:
            missing[place] = gap
    return missing


def _lost_offsets(inputs: LedgerInputs, place: PartitionKey, gap: Ranges) -> Iterator[Problem]:
    topic, topic_id, partition = place
    firsts = {position[:3]: position.first for position in inputs.kafka.positions}
    for pair in gap.pairs:
        lost = Ranges((pair,))
        suspects = tuple(key for key in sorted(inputs.lake.unreadable) if _may_hold(key, topic, partition, lost))
        hint = "an object that cannot be read may hold them" if suspects else "neither the lake nor RAW has them"
        if lost.last < firsts.get(place, 0):
            hint += ", and Kafka has deleted them (see the topic's retention)"
        what = f"{len(lost):,} messages of {topic}/{partition} are lost, offsets {lost} (topic id {topic_id}): {hint}"
        yield Problem(KAFKA_LAKE, "lost", what, suspects, len(lost), f"{topic}/{topic_id}/{partition}/{lost}")


def _may_hold(key: str, topic: str, partition: int, gap: Ranges) -> bool:
    try:
        name = parse_key(key).what.split("+")
        first, last = (int(number) for number in name[2].split("-"))
    except (LakeError, IndexError, ValueError):
        return False
    return name[:2] == [topic, str(partition)] and bool(gap & Ranges.over([(first, last)]))


# ── confirmed → RAW ───────────────────────────────────────────────────────────────────────────────────────────────────


def _compare_runs(inputs: LedgerInputs) -> tuple[list[RunMovement], list[Problem]]:
    """Return how far the events of each run and symbol came: the seqs from 1 to the last confirmed are somewhere.

    Numbers that are missing before a later one that was seen are ``unproven`` where no heartbeat says that Kafka had
    them and more are missing than were seen: anybody can write a message with a run and a seq.
    """
    in_raw = ((row[:2], *row[2:]) for answers in inputs.answers.values() for row in answers.seqs)
    stages = {
        "in_raw": group(itertools.chain(in_raw, seqs(_landed(inputs, loaded=True)))),
        "in_lake": group(seqs(_landed(inputs, loaded=False))),
        "in_kafka": group(seqs(filter(inputs.covers, inputs.kafka.waiting))),
        "dead_letters": group(seqs(filter(inputs.covers, inputs.dead_letters))),
    }
    runs: list[RunMovement] = []
    problems: list[Problem] = []
    events: set[Event] = set().union(*stages.values())
    if inputs.days is None:
        events |= inputs.confirmed.keys()
    for event in sorted(events):
        seen, counts = Ranges(), {}
        for stage, numbers in stages.items():
            counts[stage] = len(numbers[event] - seen)
            seen |= numbers[event]
        confirmed = inputs.confirmed.get(event)
        gap = Ranges()
        if CONFIRMED not in inputs.unchecked:
            gap = _wanted_seqs(seen, confirmed, bounded=inputs.days is not None) - seen
        lost = proven(gap, confirmed, seen=len(seen))
        problems += lost_seqs(*event, lost, confirmed=confirmed)
        runs.append(RunMovement(event[0], event[1], confirmed, **counts, lost=len(lost), unproven=len(gap) - len(lost)))
    return runs, problems


def proven(gap: Ranges, confirmed: int | None, *, seen: int) -> Ranges:
    """Return the part of a gap that is a loss: what a heartbeat says was confirmed.

    Of a run without a heartbeat a gap is one where no more numbers are missing than ``seen``: single messages with any
    number in them are foreign.
    """
    if confirmed is None:
        return gap if len(gap) <= seen else Ranges()
    return gap & Ranges.over([(1, confirmed)])


def _wanted_seqs(seen: Ranges, confirmed: int | None, *, bounded: bool) -> Ranges:
    """Return the seqs that a run must have: from 1 on; in a bounded ledger, from the first seen to the last."""
    if bounded:
        return Ranges.over([(seen.first, seen.last)])
    last = max(confirmed or 0, seen.last if seen else 0)
    return Ranges.over([(min(1, seen.first) if seen else 1, last)])


def lost_seqs(run_id: str, symbol: str, gap: Ranges, *, confirmed: int | None = None) -> Iterator[Problem]:
    """Yield a problem for each gap in the seqs of a run and symbol."""
    confirmed_text = "" if confirmed is None else f"; {confirmed:,} were confirmed"
    for pair in gap.pairs:
        lost = Ranges((pair,))
        what = f"{len(lost):,} events of {symbol} in run {run_id} are lost, seq {lost}{confirmed_text}"
        yield Problem(CONFIRMED, "lost", what, (), len(lost), f"{run_id}/{symbol}/{lost}")


def seqs(found: Iterable[Sighting | DeadLetter]) -> Iterator[tuple[Event, int, int]]:
    """Yield the event of each, with its seq as a range."""
    for one in found:
        if one.event:
            yield one.event[:2], one.event[2], one.event[2]


# ── RAW → silver ──────────────────────────────────────────────────────────────────────────────────────────────────────


def compare_silver(dataset: str, answers: WarehouseCounts) -> list[Problem]:
    """Return what silver lacks and what it has twice, as ``ledger_queries`` found it."""
    problems: list[Problem] = []
    for key, line, event, topic, partition, offset in answers.missing:
        what = f"silver lacks event {event} ({topic}/{partition} offset {offset}), line {line} of {key}"
        problems.append(Problem(RAW_SILVER, "missing", what, (key,)))
    for event, times in answers.doubled:
        what = f"silver has event {event} of {dataset} {times} times"
        problems.append(Problem(RAW_SILVER, "doubled", what, (), times - 1))
    for symbol, day, found, counted in answers.miscounted:
        word = "lost" if counted < found else "doubled"
        what = f"silver has {found:,} events of {symbol} on {day}, and its states count {counted:,}: {word} among them"
        problems.append(Problem(RAW_SILVER, word, what, (), abs(int(found) - int(counted))))
    return problems


# ── the rows ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _movements(inputs: LedgerInputs, lost: Mapping[PartitionKey, int]) -> list[Movement]:
    """Return one row a partition, day and symbol; what is lost in Kafka has neither day nor symbol."""
    held = held_offsets(inputs)
    counts: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    names = ("landed", "loaded", "in_silver", "quarantined", "duplicates", "lost", "waiting")
    for answers in inputs.answers.values():
        for topic, topic_id, partition, day, hour, symbol, *numbers in answers.movements:
            seen = Counter({name: int(n or 0) for name, n in zip(names, (numbers[0], *numbers), strict=True)})
            if hour is not None:
                day = day_of(round(hour.replace(tzinfo=UTC).timestamp() * 1000))
            counts[topic, topic_id, partition, day, symbol] += seen
    for loaded in (False, True):
        for sighting in _landed(inputs, loaded=loaded):
            seen = Counter(landed=1, waiting=1, loaded=int(loaded))
            counts[(*sighting.place, sighting.day, sighting.symbol)] += seen
    for sighting in filter(inputs.covers, inputs.kafka.waiting):
        if sighting.offset not in held[sighting.place]:
            counts[(*sighting.place, sighting.day, sighting.symbol)]["waiting"] += 1
    for letter in filter(inputs.covers, once(inputs.dead_letters)):
        is_readmitted = letter.offset in held[letter.origin[:3]] and letter.is_ours
        counts[(*letter.origin[:3], letter.day, letter.key)] += Counter(
            dead_letters=letter.count, readmitted=int(is_readmitted)
        )
    for place, number in lost.items():
        counts[(*place, None, None)]["lost"] += number
    in_order = sorted(counts, key=lambda key: [str(part or "") for part in key])
    return [
        Movement(topic, topic_id, partition, day, symbol, **counts[topic, topic_id, partition, day, symbol])
        for topic, topic_id, partition, day, symbol in in_order
    ]


def _landed(inputs: LedgerInputs, *, loaded: bool | None = None) -> Iterable[Sighting]:
    """Return what the lake's objects hold: those that are loaded, those that are not, or (None) all."""
    return (
        sighting
        for key, found in inputs.lake.sightings.items()
        if loaded is None or (key in inputs.loaded) is loaded
        for sighting in found
        if inputs.covers(sighting)
    )
