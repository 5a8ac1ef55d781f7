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
from stocklib.pipeline.reconcile.dead_letters import DeadLetter, day_of, landed_letters, read_count, read_position
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
        """Return its partition, under the id that its topic had."""
        return self.topic, self.topic_id, self.partition

    @property
    def event(self) -> tuple[str, str, int] | None:
        """(run, symbol, seq); None for another program's message."""
        run_id, symbol, seq = self.run_id, self.symbol, self.seq
        return (run_id, symbol, seq) if run_id and symbol and seq is not None else None

    @classmethod
    def of(
        cls, position: tuple[str, str, int, int], timestamp_ms: int, key: Any, payload: Any, headers: Mapping[str, Any]
    ) -> "Sighting":
        """Return the sighting of a message; ``payload`` is its value, decoded from JSON."""
        record = payload if isinstance(payload, dict) else {}
        run_id, symbol = headers.get("run_id"), record.get("symbol") or record.get("s") or key
        return cls(
            *position,
            run_id=None if run_id is None else str(run_id),
            symbol=None if symbol is None else str(symbol),
            seq=event_seq(headers),
            day=day_of(timestamp_ms),
        )


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


def find_empty_offsets(
    settings: Settings, positions: list[Position], missing: Mapping[tuple[str, str, int], Ranges]
) -> dict[tuple[str, str, int], Ranges]:
    """Return which of these offsets no message ever had, by reading them where Kafka would still hold them."""
    empty_offsets = {}
    with Inspector(settings) as inspector:
        for position in positions:
            retained = Ranges.over([(position.first, position.end - 1)])
            asked = missing.get(position[:3], Ranges()) & retained
            held = Ranges.over(
                (found.offset, found.last)
                for first, last in asked.pairs
                for found in inspector.read(position, first=first, end=last + 1)
            )
            if asked - held:
                empty_offsets[position[:3]] = asked - held
    return empty_offsets


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
                evidence.sightings[key] = [found for record in _records(lake, key) if (found := _landed(record))]
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


def _landed(record: dict[str, Any]) -> Sighting | None:
    """Return the message of a line; None for a line that our consumer did not write."""
    position, headers = read_position(record), record.get("headers")
    if position is None:
        return None
    timestamp_ms = read_count(record.get("timestamp")) or 0
    own = headers if isinstance(headers, dict) else {}
    return Sighting.of(position, timestamp_ms, record.get("key"), record.get("payload"), own)


def _sightings(found: Message | UnreadableBatch) -> list[Sighting]:
    """Return the message, or those of an undecodable batch, of which only the offsets are known."""
    if isinstance(found, UnreadableBatch):
        offsets = range(found.offset, found.last + 1)
        return [Sighting(*found[:3], offset, run_id=None, symbol=None, seq=None, day=None) for offset in offsets]
    try:
        payload = orjson.loads(found.value or b"")
    except orjson.JSONDecodeError:
        payload = None
    return [Sighting.of(found[:4], found.timestamp_ms, found.key, payload, found.headers)]
