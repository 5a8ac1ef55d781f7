"""How fast Kafka lands in S3: against one object a message, and against a consumer that only decodes.

    .venv/bin/python benchmarks/landing_throughput.py [--messages 100000] [--objects 500] [--rounds 3]

All read the same topic on the same servers, as groups of their own; the clock runs from the first messages that are
read to the last commit, so that joining a group, which takes the embedded broker seconds, is in none of them. Prints
ratios of medians measured in one run; STOCKS_TEST_KAFKA=apache takes Apache Kafka for the embedded broker.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import orjson
from conftest import pair_of_its_own
from record import record
from streams import T0, quote

from stocklib.lake import Lake, name_batch
from stocklib.pipeline.landing import lander, validation
from stocklib.settings import Settings, read_settings
from stocklib.stream import Consumer, Message, Partition, Producer

GROUPS = count()


class Clocked(Consumer):
    """A consumer that notes when the first messages came."""

    began = 0.0

    def poll(self, seconds: float, *, limit: int = 5000) -> dict[Partition, list[Message]]:
        """The same, and a glance at the clock."""
        found = super().poll(seconds, limit=limit)
        if found and not Clocked.began:
            Clocked.began = time.perf_counter()
        return found


def fill(settings: Settings, messages: int) -> None:
    """Quotes of a hundred symbols."""
    with Producer(settings, source="replay") as sender:
        for n in range(messages):
            symbol, at = f"S{n % 100:03d}", T0 + timedelta(seconds=n // 100)
            sender.publish(settings.kafka_topic, symbol, quote(symbol, n // 100), timestamp=at)


def land(settings: Settings, messages: int) -> None:
    """What ships."""
    assert lander.land(settings, max_quotes=messages).messages == messages


def read(settings: Settings, messages: int, use: Callable[[list[Message]], None]) -> None:
    """A consumer that commits what it read, and lets ``use`` do the rest."""
    consumer = Clocked(settings, [settings.kafka_topic])
    done = 0
    while done < messages:
        for partition, found in consumer.poll(0.2, limit=min(5000, messages - done)).items():
            use(found)
            done += len(found)
            consumer.commit({partition: found[-1].offset + 1})
    finished = time.perf_counter()
    consumer.close()
    # leaving the group counts for nobody
    Clocked.began += time.perf_counter() - finished


def decode(settings: Settings, messages: int) -> None:
    """Nothing but messages, and their JSON."""

    def parse(found: list[Message]) -> None:
        for message in found:
            orjson.loads(message.value or b"")

    read(settings, messages, parse)


def one_object_a_message(settings: Settings, messages: int) -> None:
    """The plain way: what comes is put, one by one."""
    lake = Lake(settings)
    lake.ensure_bucket()

    def put(found: list[Message]) -> None:
        for message in found:
            what = name_batch(message.topic, message.partition, first=message.offset, last=message.offset)
            lake.write("stock_quotes", what, [validation.format_line(message)], landed=datetime.now(UTC))

    read(settings, messages, put)


def measure(work: Callable[[Settings, int], None], environ: dict[str, str], messages: int) -> float:
    """Messages a second, as a group that nobody was before."""
    number = next(GROUPS)
    own = {"KAFKA_GROUP": f"benchmark-{number}", "MINIO_BUCKET": f"benchmark-{number}"}
    Clocked.began = 0.0
    work(read_settings(environ=environ | own), messages)
    return messages / (time.perf_counter() - Clocked.began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000, help="landed, and decoded")
    parser.add_argument("--objects", type=int, default=500, help="so many messages are put one by one")
    parser.add_argument("--rounds", type=int, default=3, help="each measured in turn")
    chosen = parser.parse_args()
    lander.Consumer = Clocked  # type: ignore[misc]
    works = {
        "only decoding": (decode, chosen.messages),
        "one object a message": (one_object_a_message, chosen.objects),
        "landing": (land, chosen.messages),
    }
    rates: dict[str, list[float]] = {name: [] for name in works}
    with pair_of_its_own() as environ:
        environ |= {"KAFKA_PARTITIONS": "3", "BATCH_MAX_SECONDS": "60"}
        print(f"publishing {chosen.messages:,} quotes …", flush=True)
        fill(read_settings(environ=environ), chosen.messages)
        for _ in range(chosen.rounds):
            for name, (work, messages) in works.items():
                rates[name].append(measure(work, environ, messages))
    rate = {name: statistics.median(found) for name, found in rates.items()}
    print(f"\nmessages a second, medians of {chosen.rounds} rounds\n")
    for name, found in rates.items():
        print(f"{name:22}{rate[name]:>10,.0f}   ({min(found):,.0f} to {max(found):,.0f})")
    print(f"\nlanding / one object a message: {rate['landing'] / rate['one object a message']:8.1f}   (at least 100)")
    print(f"landing / only decoding:        {rate['landing'] / rate['only decoding']:8.2f}   (at least 0.5)")
    record(
        {f"messages a second: landing / {other}": rate["landing"] / rate[other] for other in rate if other != "landing"}
    )


if __name__ == "__main__":
    main()
