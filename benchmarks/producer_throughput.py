"""How fast quotes are published: with the shipped settings, and with the client's defaults.

    .venv/bin/python benchmarks/producer_throughput.py [--messages 50000] [--one-by-one 300] [--rounds 3]

The same quotes with the same keys and headers go to the same topic, each confirmed by the brokers before the clock
stops. ``shipped`` is ``stocklib.stream.Producer``, which also numbers every message and checks every confirmation;
``defaults`` is kafka-python's own producer as it comes; ``one by one`` is the same with each confirmation awaited
before the next. Prints ratios of medians measured in one run; STOCKS_TEST_KAFKA=apache takes Apache Kafka for the
embedded broker.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from conftest import pair_of_its_own
from kafka import KafkaProducer
from record import record
from streams import T0, quote

from stocklib.quotes import to_epoch
from stocklib.settings import Settings, read_settings
from stocklib.stream import Producer


def quotes(messages: int) -> Iterator[tuple[str, bytes, int]]:
    """A symbol, its quote, and the number of it."""
    for n in range(messages):
        symbol = f"S{n % 100:03d}"
        yield symbol, quote(symbol, n // 100), n // 100 + 1


def shipped(settings: Settings, messages: int) -> float:
    """What ships."""
    sender = Producer(settings, source="replay", run_id="benchmark")
    began = time.perf_counter()
    for symbol, value, _ in quotes(messages):
        sender.publish(settings.kafka_topic, symbol, value, timestamp=T0)
    sender.flush()
    seconds = time.perf_counter() - began
    assert sum(sender.confirmed.values()) == messages
    sender.close()
    return seconds


def by_the_client(settings: Settings, messages: int, *, one_by_one: bool) -> float:
    """kafka-python's producer with what it is set to by itself."""
    client = KafkaProducer(bootstrap_servers=settings.kafka_broker)
    client.partitions_for(settings.kafka_topic)
    at = round(to_epoch(T0) * 1000)
    began = time.perf_counter()
    promises = []
    for symbol, value, seq in quotes(messages):
        headers = [("run_id", b"benchmark"), ("source", b"replay"), ("seq", b"%d" % seq)]
        promise = client.send(settings.kafka_topic, key=symbol.encode(), value=value, headers=headers, timestamp_ms=at)
        if one_by_one:
            promise.get(timeout=30)
        else:
            promises.append(promise)
    for promise in promises:
        promise.get(timeout=60)
    seconds = time.perf_counter() - began
    client.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=50_000, help="published in each round")
    parser.add_argument("--one-by-one", type=int, default=300, help="so many are confirmed one by one")
    parser.add_argument("--rounds", type=int, default=3, help="each measured in turn")
    chosen = parser.parse_args()
    works: dict[str, tuple[Callable[[Settings, int], float], int]] = {
        "defaults": (lambda s, n: by_the_client(s, n, one_by_one=False), chosen.messages),
        "one by one": (lambda s, n: by_the_client(s, n, one_by_one=True), chosen.one_by_one),
        "shipped": (shipped, chosen.messages),
    }
    rates: dict[str, list[float]] = {name: [] for name in works}
    with pair_of_its_own() as environ:
        settings = read_settings(environ=environ | {"KAFKA_PARTITIONS": "3"})
        # the topic is made, and both sides are warm
        shipped(settings, 2000)
        for _ in range(chosen.rounds):
            for name, (work, messages) in works.items():
                rates[name].append(messages / work(settings, messages))
    rate = {name: statistics.median(found) for name, found in rates.items()}
    print(f"confirmed messages a second, medians of {chosen.rounds} rounds\n")
    for name, found in rates.items():
        print(f"{name:12}{rate[name]:>10,.0f}   ({min(found):,.0f} to {max(found):,.0f})")
    print(f"\nshipped / defaults:   {rate['shipped'] / rate['defaults']:8.2f}")
    print(f"shipped / one by one: {rate['shipped'] / rate['one by one']:8.1f}")
    record(
        {
            "messages a second: ours / the client's defaults": rate["shipped"] / rate["defaults"],
            "messages a second: ours / each confirmation awaited": rate["shipped"] / rate["one by one"],
        }
    )


if __name__ == "__main__":
    main()
