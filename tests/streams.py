"""What goes through the stream in tests, and what is to be seen of it at the other end."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import orjson
from kafka import TopicPartition

from stocklib.lake import Lake
from stocklib.pipeline.landing import LandedBatch, LandResult, land
from stocklib.pipeline.loading import load
from stocklib.settings import Settings, read_settings
from stocklib.stream import Consumer, Producer
from stocklib.warehouse import open_warehouse

T0 = datetime(2012, 12, 14, 14, 30, tzinfo=UTC)


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
        result = warehouse.dbt(["run", "--select", "+stg_stock_quotes_cleaned"])
    assert result.success, result.failures
    events = _ask(
        settings, "select coalesce(run_id, ''), symbol, coalesce(cast(seq as bigint), 0) from silver.int_quote_events"
    )
    assert _ask(settings, "select sum(times_seen) from silver.stg_stock_quotes_cleaned") == [(len(events),)]
    return sorted(events)


def _ask(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(settings.home / "warehouse" / "build.duckdb", read_only=True) as con:
        return con.execute(sql).fetchall()
