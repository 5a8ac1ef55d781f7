"""The memory of a consumer that lands an hour's worth of messages at full speed.

    .venv/bin/python benchmarks/consumer_memory.py [--symbols 50] [--seconds 3600]

An hour of quotes, one a second of each symbol, waits in Kafka; a process of its own lands it, and says after each
object how much memory it holds. Prints the resident size over the hour, and the last one against that after a sixth of
it, when every buffer has been full once: flat is 1.0. STOCKS_TEST_KAFKA=apache takes Apache Kafka for the embedded
broker.
"""

import argparse
import os
import statistics
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import psutil
from conftest import pair_of_its_own
from record import record
from streams import T0, quote

from stocklib.pipeline.landing import LandedBatch, land
from stocklib.settings import read_settings
from stocklib.stream import Producer

WARM, POINTS = 1 / 6, 12


def consume(messages: int) -> None:
    """Land so many, and print how many are landed and how much memory is held, object by object."""
    process = psutil.Process()
    landed = 0

    def say(batch: LandedBatch) -> None:
        nonlocal landed
        landed += batch.messages
        print(landed, process.memory_info().rss, flush=True)

    land(read_settings(), max_quotes=messages, on_batch=say)


def fill(environ: dict[str, str], *, symbols: int, seconds: int) -> None:
    """An hour of quotes, one a second of each symbol."""
    settings = read_settings(environ=environ)
    with Producer(settings, source="replay") as sender:
        for second in range(seconds):
            for number in range(symbols):
                symbol, at = f"S{number:03d}", T0 + timedelta(seconds=second)
                sender.publish(settings.kafka_topic, symbol, quote(symbol, second), timestamp=at)


def report(seen: list[tuple[int, int]], messages: int) -> None:
    """The memory at some points, and the ratio: single sizes jump, so each is the median of the objects around it."""
    step = messages / POINTS
    points = []
    print(f"{'landed':>12}{'resident MB':>14}")
    for number in range(1, POINTS + 1):
        sizes = [size for landed, size in seen if (number - 1) * step < landed <= number * step]
        if sizes:
            points.append((number * step, statistics.median(sizes)))
            print(f"{points[-1][0]:>12,.0f}{points[-1][1] / 1e6:>14.1f}")
    warm = next(size for landed, size in points if landed >= messages * WARM)
    print(f"\nlast / after warm-up: {points[-1][1] / warm:.2f}; highest / after warm-up: ", end="")
    print(f"{max(size for landed, size in points if landed >= messages * WARM) / warm:.2f}")
    record({"memory: after a sixth of the messages / after all": warm / points[-1][1]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=50, help="each quoted once a second")
    parser.add_argument("--seconds", type=int, default=3600, help="so many seconds of quotes")
    parser.add_argument("--consume", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.consume:
        consume(chosen.consume)
        return
    messages = chosen.symbols * chosen.seconds
    with pair_of_its_own() as environ:
        environ |= {"KAFKA_PARTITIONS": "3", "BATCH_MAX_SECONDS": "60"}
        print(f"publishing {messages:,} quotes …", flush=True)
        fill(environ, symbols=chosen.symbols, seconds=chosen.seconds)
        said = subprocess.run(
            [sys.executable, __file__, "--consume", str(messages)],
            env={"PATH": os.environ["PATH"], **environ},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
    report([(int(landed), int(size)) for landed, size in map(str.split, said.splitlines())], messages)


if __name__ == "__main__":
    main()
