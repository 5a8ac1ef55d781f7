"""The evidence of Kafka, the lake and the heartbeats, read before the warehouse.

It is read in the direction in which data moves: confirmed seqs of the producer, then messages of Kafka beyond the
committed offsets, then objects of the lake. A message that moves during the reads is seen twice, never missed.
"""

import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from stocklib.errors import CorruptObject
from stocklib.lake import Lake
from stocklib.monitoring import heartbeat
from stocklib.pipeline.reconcile.dead_letters import DeadLetter, day_of, landed_letters, read_count
from stocklib.pipeline.reconcile.ranges import Ranges
from stocklib.settings import Settings
from stocklib.stream import Inspector, Message, Position, UnreadableBatch, event_seq
from stocklib.warehouse import DATASETS

log = logging.getLogger(__name__)


class Sighting(NamedTuple):
    """A message that was seen outside the warehouse."""

    topic: str
    topic_id: str
    partition: int
    offset: int
    run_id: str | None
    symbol: str | None
    seq: int | None
    day: date | None

    @property
    def place(self) -> tuple[str, str, int]:
        """Its partition, under the id that its topic had."""
        return self.topic, self.topic_id, self.partition


@dataclass
class KafkaEvidence:
    """Every partition's position, the messages beyond the committed offsets, and dead letters that have not landed."""

    positions: list[Position] = field(default_factory=list)
    waiting: list[Sighting] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)


@dataclass
class LakeEvidence:
    """Landed objects that are not loaded: their messages and dead letters, and the unreadable ones."""

    sightings: dict[str, list[Sighting]] = field(default_factory=dict)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)


def read_confirmed(home: Path, topics: set[str]) -> tuple[dict[tuple[str, str], int], list[str]]:
    """Return, by (run, symbol), the seq up to which Kafka confirmed every event of these topics.

    Also return a sentence for each damaged heartbeat: the confirmed seqs of its run are unknown.
    """
    confirmed: dict[tuple[str, str], int] = {}
    beats, damaged = heartbeat.read_confirmed(home)
    for beat in beats:
        if beat.get("topic") in topics | {None}:
            for symbol, seq in beat["confirmed"].items():
                event = (str(beat["run_id"]), str(symbol))
                confirmed[event] = max(confirmed.get(event, 0), seq)
    return confirmed, [str(error) for error in damaged]


def find_unknown_runs(home: Path, runs: Iterable[str]) -> list[str]:
    """Return the runs without a heartbeat in this home: their confirmed seqs are unknown."""
    known = {str(beat["run_id"]) for beat in heartbeat.read_confirmed(home)[0]}
    return sorted(set(runs) - known)


def look_at_kafka(settings: Settings) -> KafkaEvidence:
    """Return Kafka's evidence; ``StreamError`` when it does not answer."""
    evidence = KafkaEvidence()
    with Inspector(settings) as inspector:
        # dead letters last: one is written before the offset of its message is committed
        evidence.positions = inspector.positions([settings.kafka_topic, settings.kafka_trades_topic])
        for position in evidence.positions:
            beyond = inspector.read(position, first=position.committed, end=position.end)
            evidence.waiting += itertools.chain.from_iterable(map(_sightings, beyond))
        for position in inspector.positions([settings.kafka_dlq_topic]):
            evidence.positions.append(position)
            beyond = inspector.read(position, first=position.committed, end=position.end)
            evidence.dead_letters += [DeadLetter.of_message(found) for found in beyond if isinstance(found, Message)]
    return evidence


def find_holes(
    settings: Settings, positions: list[Position], missing: Mapping[tuple[str, str, int], Ranges]
) -> dict[tuple[str, str, int], Ranges]:
    """Return which of these offsets no message ever had, by reading them where Kafka would still hold them."""
    holes = {}
    with Inspector(settings) as inspector:
        for position in positions:
            place = (position.topic, position.topic_id, position.partition)
            retained = Ranges.over([(position.first, position.end - 1)])
            asked = missing.get(place, Ranges()) & retained
            held = Ranges.over(
                (found.offset, found.last)
                for first, last in asked.pairs
                for found in inspector.read(position, first=first, end=last + 1)
            )
            if asked - held:
                holes[place] = asked - held
    return holes


def list_lake(lake: Lake) -> dict[str, set[str]]:
    """Return every object's key, by dataset; ``LakeError`` when the lake does not answer."""
    return {dataset: {found.key for found in lake.list(dataset)} for dataset in DATASETS}


def read_objects(lake: Lake, keys: list[str]) -> LakeEvidence:
    """Return the contents of these objects of the stream's datasets."""
    evidence = LakeEvidence()
    for key in keys:
        try:
            if key.startswith("dead_letters/"):
                evidence.dead_letters += landed_letters(_records(lake, key), place=key)
            else:
                evidence.sightings[key] = [_landed(record) for record in _records(lake, key) if _has_place(record)]
        except CorruptObject as error:
            evidence.unreadable[key] = str(error)
    return evidence


def _records(lake: Lake, key: str) -> Iterator[dict[str, Any]]:
    """Yield the lines that are JSON objects; the loader names the others."""
    for line in lake.read(key).split(b"\n"):
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(record, dict):
            yield record


def _has_place(record: Mapping[str, Any]) -> bool:
    """Return whether a line is a message as our consumer writes it."""
    return bool(record.get("topic")) and None not in (read_count(record.get(name)) for name in ("partition", "offset"))


def _landed(record: dict[str, Any]) -> Sighting:
    headers = record.get("headers")
    if not isinstance(headers, dict):
        headers = {}
    return _make(record, headers, record.get("payload"), read_count(record.get("timestamp")), record.get("key"))


def _sightings(found: Message | UnreadableBatch) -> Iterator[Sighting]:
    """Yield the message, or those of an undecodable batch, of which only the offsets are known."""
    if isinstance(found, Message):
        yield _sighting(found)
    else:
        for offset in range(found.offset, found.last + 1):
            yield Sighting(found.topic, found.topic_id, found.partition, offset, None, None, None, None)


def _sighting(message: Message) -> Sighting:
    try:
        payload = orjson.loads(message.value or b"")
    except orjson.JSONDecodeError:
        payload = None
    place = {name: getattr(message, name) for name in ("topic", "topic_id", "partition", "offset")}
    return _make(place, message.headers, payload, message.timestamp_ms, message.key)


def _make(place: dict[str, Any], headers: Any, payload: Any, timestamp_ms: Any, key: Any) -> Sighting:
    record = payload if isinstance(payload, dict) else {}
    symbol = record.get("symbol") or record.get("s") or key
    return Sighting(
        str(place["topic"]),
        str(place.get("topic_id", "")),
        int(place["partition"]),
        int(place["offset"]),
        None if (run_id := headers.get("run_id")) is None else str(run_id),
        None if symbol is None else str(symbol),
        event_seq(headers),
        day_of(int(timestamp_ms or 0)),
    )
