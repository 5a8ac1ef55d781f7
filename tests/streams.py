"""What goes through the stream in tests, and what is to be seen of it at the other end."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import orjson
from kafka import KafkaConsumer, TopicPartition
from kafka.protocol.producer import ProduceRequest
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.util import calc_crc32c

from stocklib.lake import Lake
from stocklib.pipeline.landing import LandedBatch, LandResult, land
from stocklib.pipeline.loading import load
from stocklib.settings import Settings, read_settings
from stocklib.stream import Consumer, Producer
from stocklib.warehouse import open_warehouse

T0 = datetime(2012, 12, 14, 14, 30, tzinfo=UTC)
LOG_APPEND_TIME, TRANSACTIONAL, CONTROL = 0x08, 0x10, 0x20
Record = tuple[int, bytes | None, bytes | None, Sequence[tuple[str, bytes | None]]]
# Where a batch has what: offset and size of its numbers.
_FIELDS = {"length": (8, 4), "magic": (16, 1), "crc": (17, 4), "delta": (23, 4), "records": (57, 4)}


def pack(wanted: Sequence[Record], *, first: int = 0, codec: int = 3, flags: int = 0, producer: int = -1) -> bytes:
    """A batch as it is sent; ``first`` is the offset of its first record, ``flags`` go to its attributes."""
    known = producer if producer < 0 else 0
    builder = DefaultRecordBatchBuilder(2, codec, False, producer, known, known, 2**30)
    for number, (time, key, value, headers) in enumerate(wanted):
        builder.append(number, time, key, value, list(headers))
    packed = bytearray(builder.build())
    # the broker counts offsets, outside of the checksum
    packed[:8] = first.to_bytes(8, "big")
    packed[22] |= flags
    return _sign(packed)


def damage(packed: bytes, *, codec: int | None = None, body: bytes | None = None, **numbers: int) -> bytes:
    """A batch with another number in a field, codec or body; its checksum is that of the result, unless given."""
    changed = bytearray(packed if body is None else packed[:61] + body)
    if body is not None:
        changed[8:12] = (len(changed) - 12).to_bytes(4, "big")
    if codec is not None:
        changed[22] = changed[22] & ~0x07 | codec
    changed = bytearray(_sign(changed))
    for name, number in numbers.items():
        at, size = _FIELDS[name]
        changed[at : at + size] = number.to_bytes(size, "big", signed=True)
    return bytes(changed) if "crc" in numbers else _sign(changed)


def _sign(packed: bytearray) -> bytes:
    packed[17:21] = calc_crc32c(memoryview(packed)[21:]).to_bytes(4, "big")
    return bytes(packed)


def produce_batch(settings: Settings, packed: bytes, *, topic: str = "", partition: int = 0) -> int:
    """Have Kafka take a batch as it is, whatever it is, and return the offset that it got."""
    place = TopicPartition(topic or settings.kafka_topic, partition)
    named = ProduceRequest.TopicProduceData
    request = ProduceRequest(
        transactional_id=None,
        acks=-1,
        timeout_ms=5000,
        topic_data=[
            named(name=place.topic, partition_data=[named.PartitionProduceData(index=place.partition, records=packed)])
        ],
        max_version=9,
    )
    client = KafkaConsumer(bootstrap_servers=settings.kafka_broker)
    client.partitions_for_topic(place.topic)
    manager = client._client._manager

    async def send() -> Any:
        return await manager.send(request, node_id=manager.cluster.leader_for_partition(place))

    try:
        answer = manager.run(send).responses[0].partition_responses[0]
    finally:
        client.close()
    assert answer.error_code == 0, answer
    return int(answer.base_offset)


def quote(symbol: str = "AAPL", n: int = 0, **changes: Any) -> bytes:
    fields = {"symbol": symbol, "c": 510.5901, "d": None, "dp": None, "h": 515.5, "l": 505.1, "o": 509, "pc": 508.97}
    return orjson.dumps({**fields, "t": 1355495400, "fetched_at": 1355495400 + n, **changes})


def publish(
    settings: Settings, values: list[bytes], *, symbol: str = "AAPL", topic: str = "", run_id: str = "run-1"
) -> None:
    with Producer(settings, source="replay", run_id=run_id) as sender:
        for value in values:
            sender.publish(topic or settings.kafka_topic, symbol, value, timestamp=T0)


def landed(settings: Settings, dataset: str = "stock_quotes") -> list[dict[str, Any]]:
    """Every line of a dataset, in the order of keys."""
    lake = Lake(settings)
    return [json.loads(line) for found in lake.list(dataset) for line in lake.read(found.key).splitlines()]


def events(settings: Settings) -> list[tuple[str, int]]:
    return [(line["key"], int(line["headers"]["seq"])) for line in landed(settings)]


def only(service_environ: dict[str, str], **environ: str) -> Settings:
    return read_settings(environ={**service_environ, "KAFKA_PARTITIONS": "1", **environ})


@contextmanager
def landing_in_the_background(
    settings: Settings, **options: Any
) -> Iterator[tuple[list[LandedBatch], Future[LandResult]]]:
    """land() in a thread of its own; stopped at the end of the block."""
    stop = threading.Event()
    batches: list[LandedBatch] = []
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(land, settings, stop=stop, on_batch=batches.append, **options)
        try:
            yield batches, running
        finally:
            stop.set()


@contextmanager
def consume(project: Path, environ: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """``stocks consume`` as a process of its own."""
    command = [str(Path(sys.executable).with_name("stocks")), "consume"]
    with subprocess.Popen(
        command,
        cwd=project,
        env={"PATH": os.environ["PATH"], **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def committed(settings: Settings) -> int:
    """The offset up to which partition 0 of the quotes is committed."""
    consumer = Consumer(settings, [settings.kafka_topic])
    mark = consumer._client.committed(TopicPartition(settings.kafka_topic, 0))
    consumer.close()
    return mark or 0


def counted_events(settings: Settings) -> list[tuple[str, str, int]]:
    """Every event once the lake is loaded, each counted once by its identity: (run, symbol, seq)."""
    load(settings)
    identity = "record->>'$.headers.run_id', record->>'$.key', cast(record->>'$.headers.seq' as bigint)"
    return sorted(_ask(settings, f"select distinct {identity} from raw.stock_quotes"))


def silver_events(settings: Settings) -> list[tuple[str, str, int]]:
    """Every event that silver counts once the lake is loaded and transformed: (run, symbol, seq).

    The run of a stranger's message is "", and its seq 0.
    """
    load(settings)
    warehouse = open_warehouse(settings)
    with warehouse.writing():
        wanted = ["build", "--select", "+stg_stock_quotes_cleaned", "--resource-type", "model", "seed"]
        result = warehouse.dbt(wanted, keep=True)
    assert result.success, result.failures
    events = _ask(
        settings, "select coalesce(run_id, ''), symbol, coalesce(cast(seq as bigint), 0) from silver.int_quote_events"
    )
    assert _ask(settings, "select sum(times_seen) from silver.stg_stock_quotes_cleaned") == [(len(events),)]
    return sorted(events)


def _ask(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(settings.home / "warehouse" / "build.duckdb", read_only=True) as con:
        return con.execute(sql).fetchall()
