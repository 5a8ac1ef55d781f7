"""What was found in each place, compared with what should be there. Pure: the inputs in, rows and problems out."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
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
from stocklib.pipeline.reconcile.dead_letters import once
from stocklib.pipeline.reconcile.evidence import Sighting
from stocklib.pipeline.reconcile.ledger_inputs import LedgerInputs, WarehouseCounts
from stocklib.pipeline.reconcile.ranges import Ranges

Event = tuple[str, str]
# topic, topic id, partition
PartitionKey = tuple[str, str, int]


def compare(inputs: LedgerInputs) -> tuple[list[Movement], list[RunMovement], list[Problem]]:
    """Return the balance by partition, day and symbol; by run and symbol; and what is wrong with either."""
    problems: list[Problem] = []
    held = _held_offsets(inputs)
    lost: dict[PartitionKey, int] = {}
    for place, gap in missing_offsets(inputs).items():
        if gap := gap - inputs.holes.get(place, Ranges()):
            lost[place] = len(gap)
            problems += _lost_offsets(inputs, place, gap)
    runs, found = _compare_runs(inputs)
    problems += found
    for dataset, answers in inputs.answers.items():
        problems += compare_silver(dataset, answers)
    return _movements(inputs, held, lost), runs, problems


# ── Kafka → lake ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _held_offsets(inputs: LedgerInputs) -> dict[PartitionKey, Ranges]:
    """The offsets that RAW or the lake holds, by partition."""
    pairs: dict[PartitionKey, list[tuple[int, int]]] = defaultdict(list)
    for answers in inputs.answers.values():
        for topic, topic_id, partition, first, last in answers.offsets:
            pairs[topic, topic_id, partition].append((first, last))
    for sighting in _landed(inputs):
        pairs[sighting.place].append((sighting.offset, sighting.offset))
    for letter in inputs.dead_letters:
        if letter.is_landed and not letter.is_batch:
            pairs[letter.dlq[:3]].append((letter.dlq[3], letter.dlq[3]))
    return {place: Ranges.over(found) for place, found in pairs.items()}


def missing_offsets(inputs: LedgerInputs) -> dict[PartitionKey, Ranges]:
    """Return the offsets up to the committed one that are in no object and became no dead letter.

    An existing topic counts from 0: what Kafka deleted before anything landed is missing too. A deleted topic counts
    from the first to the last offset that landed. A letter only says where its message was, and anybody may write one:
    it accounts for that offset alone.
    """
    # the messages of other days lie between those of a bounded ledger
    if KAFKA_LAKE in inputs.unchecked or inputs.days is not None:
        return {}
    held = _held_offsets(inputs)
    dead: dict[PartitionKey, list[tuple[int, int]]] = defaultdict(list)
    for letter in inputs.dead_letters:
        dead[letter.origin[:3]].append((letter.offset, letter.last))
    live = {(p.topic, p.topic_id, p.partition): p for p in inputs.kafka.positions}
    missing: dict[PartitionKey, Ranges] = {}
    for place in sorted(held.keys() | live.keys()):
        landed = held.get(place, Ranges())
        if position := live.get(place):
            wanted = Ranges.over([(0, position.committed - 1)])
        else:
            wanted = Ranges.over([(landed.first, landed.last)])
        if gap := wanted - landed - Ranges.over(dead[place]):
            missing[place] = gap
    return missing


def _lost_offsets(inputs: LedgerInputs, place: PartitionKey, gap: Ranges) -> Iterator[Problem]:
    topic, topic_id, partition = place
    firsts = {(p.topic, p.topic_id, p.partition): p.first for p in inputs.kafka.positions}
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
    raw: dict[Event, list[tuple[int, int]]] = defaultdict(list)
    for answers in inputs.answers.values():
        for run_id, symbol, first, last in answers.seqs:
            raw[run_id, symbol].append((first, last))
    for event, numbers in _seqs(_landed(inputs, loaded=True)).items():
        raw[event] += numbers.pairs
    lake, kafka = _seqs(_landed(inputs, loaded=False)), _seqs(filter(inputs.covers, inputs.kafka.waiting))
    dead = _grouped(letter.event for letter in filter(inputs.covers, inputs.dead_letters))
    runs: list[RunMovement] = []
    problems: list[Problem] = []
    everyone = raw.keys() | lake.keys() | kafka.keys() | dead.keys()
    if inputs.days is None:
        everyone |= inputs.confirmed.keys()
    for event in sorted(everyone):
        in_raw, in_lake = Ranges.over(raw.get(event, [])), lake.get(event, Ranges())
        in_kafka, letters = kafka.get(event, Ranges()), dead.get(event, Ranges())
        seen = in_raw | in_lake | in_kafka | letters
        confirmed = inputs.confirmed.get(event)
        gap = Ranges()
        if CONFIRMED not in inputs.unchecked:
            gap = _wanted_seqs(seen, confirmed, bounded=inputs.days is not None) - seen
        lost = proven(gap, confirmed, seen=len(seen))
        problems += lost_seqs(*event, lost, confirmed=confirmed)
        runs.append(
            RunMovement(
                *event,
                confirmed,
                in_raw=len(in_raw),
                in_lake=len(in_lake - in_raw),
                in_kafka=len(in_kafka - in_raw - in_lake),
                dead_letters=len(letters - in_raw - in_lake - in_kafka),
                lost=len(lost),
                unproven=len(gap) - len(lost),
            )
        )
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
    """A run counts from 1; of a bounded ledger only what lies between the first and the last that was seen is known."""
    if bounded:
        return Ranges.over([(seen.first, seen.last)])
    last = max(confirmed or 0, seen.last if seen else 0)
    return Ranges.over([(min(1, seen.first) if seen else 1, last)])


def lost_seqs(run_id: str, symbol: str, gap: Ranges, *, confirmed: int | None = None) -> Iterator[Problem]:
    """Yield a problem for each gap in the seqs of a run and symbol."""
    said = "" if confirmed is None else f"; {confirmed:,} were confirmed"
    for pair in gap.pairs:
        lost = Ranges((pair,))
        what = f"{len(lost):,} events of {symbol} in run {run_id} are lost, seq {lost}{said}"
        yield Problem(CONFIRMED, "lost", what, (), len(lost), f"{run_id}/{symbol}/{lost}")


def _seqs(sightings: Iterable[Sighting]) -> dict[Event, Ranges]:
    return _grouped((s.run_id, s.symbol, s.seq) for s in sightings)


def _grouped(events: Iterable[tuple[str | None, str | None, int | None] | None]) -> dict[Event, Ranges]:
    numbers: dict[Event, list[int]] = defaultdict(list)
    for event in events:
        if event and event[0] and event[1] and event[2] is not None:
            numbers[event[0], event[1]].append(event[2])
    return {event: Ranges.of(found) for event, found in numbers.items()}


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


def _movements(
    inputs: LedgerInputs, held: Mapping[PartitionKey, Ranges], lost: Mapping[PartitionKey, int]
) -> list[Movement]:
    """Return one row a partition, day and symbol; what is lost in Kafka has neither day nor symbol."""
    counts: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    names = ("loaded", "in_silver", "quarantined", "duplicates", "lost", "waiting")
    for answers in inputs.answers.values():
        for row in answers.movements:
            counts[row[:5]] += Counter({name: int(n or 0) for name, n in zip(names, row[5:], strict=True)})
            counts[row[:5]]["landed"] += int(row[5])
    for loaded in (False, True):
        for sighting in _landed(inputs, loaded=loaded):
            seen = Counter(landed=1, waiting=1, loaded=int(loaded))
            counts[(*sighting.place, sighting.day, sighting.symbol)] += seen
    for sighting in filter(inputs.covers, inputs.kafka.waiting):
        if sighting.offset not in held.get(sighting.place, Ranges()):
            counts[(*sighting.place, sighting.day, sighting.symbol)]["waiting"] += 1
    for letter in filter(inputs.covers, once(inputs.dead_letters)):
        again = letter.origin[3] in held.get(letter.origin[:3], Ranges()) and letter.is_ours
        counts[(*letter.origin[:3], letter.day, letter.key)] += Counter(
            dead_letters=letter.count, readmitted=int(again)
        )
    for place, number in lost.items():
        counts[(*place, None, None)]["lost"] += number
    return sorted(itertools.starmap(_movement, counts.items()), key=_order)


def _movement(key: tuple[Any, ...], found: Mapping[str, int]) -> Movement:
    topic, topic_id, partition, day, symbol = key
    return Movement(topic, topic_id, partition, day, symbol, **found)


def _order(row: Movement) -> tuple[str, ...]:
    return tuple(str(part or "") for part in (row.topic, row.topic_id, row.partition, row.day, row.symbol))


def _landed(inputs: LedgerInputs, *, loaded: bool | None = None) -> Iterable[Sighting]:
    """Return what the lake's objects hold: those that are loaded, those that are not, or (None) all."""
    return (
        sighting
        for key, found in inputs.lake.sightings.items()
        if loaded is None or (key in inputs.loaded) is loaded
        for sighting in found
        if inputs.covers(sighting)
    )
