"""How long a quote takes from the source's answer to gold, hop by hop, while `stocks stream` runs.

    .venv/bin/python benchmarks/quote_to_gold.py [--rows 100000] [--symbols 5] [--seconds 40] [--warm-up 10] [--poll 1]
        [--json FILE]

An embedded stack of its own, with so many quotes of past sessions in RAW already, built and published. A replay at the
market's own pace is polled every `--poll` seconds; the first `--warm-up` seconds after the first two batches are
not counted: what came while the first build was under way takes some batches to catch up. The hops of a quote:

- fetched: the producer has the answer (the header `received_at` of its message)
- Kafka: another consumer, which does nothing else, has read the message
- landed: its object is in the lake, and Kafka knows
- loaded: its batch is in RAW
- published: readers see it in gold

Each time is the wall clock's of one machine. Prints p50 and p95 of each hop and of the whole.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from kafka import KafkaConsumer, TopicPartition
from many import fill
from soak import percentile

from stocklib.pipeline.transform import transform
from stocklib.sessions import sessions
from stocklib.settings import Settings, read_settings
from stocklib.warehouse import open_warehouse
from workbench import embedded

DAY = date(2012, 12, 14)
HOPS = ("fetched → Kafka", "Kafka → landed", "landed → loaded", "loaded → published", "fetched → published")

Place = tuple[int, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="quotes in RAW before it begins")
    parser.add_argument("--symbols", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=40, help="how long it is measured")
    parser.add_argument("--warm-up", type=float, default=10, help="seconds before that")
    parser.add_argument("--poll", type=float, default=1, help="POLL_SECONDS")
    parser.add_argument("--start", default="10:00", help="New York time of the replay's start")
    parser.add_argument("--json", type=Path, help="where the figures go")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quote-to-gold-") as folder:
        home = Path(folder)
        names = [f"S{number:03d}" for number in range(chosen.symbols)]
        bars = home / "bars.csv"
        write_bars(bars, names)
        environ = {
            "STOCKS_HOME": str(home),
            "REPLAY_DATA": str(bars),
            "REPLAY_SPEED": "1",
            "REPLAY_START": f"{DAY}T{chosen.start}:00",
            "POLL_SECONDS": str(chosen.poll),
        }
        began = time.monotonic()
        rows = fill(read_settings(environ=environ), names, rows=chosen.rows, before=DAY)
        print(f"{rows:,} quotes in RAW after {time.monotonic() - began:.0f} s; building gold …", flush=True)
        print(f"  {transform(read_settings(environ=environ))}", flush=True)
        figures = measure(environ, warm_up=chosen.warm_up, seconds=chosen.seconds)
    report(figures)
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")


def write_bars(path: Path, names: list[str]) -> None:
    """Daily bars of so many symbols, for the replay."""
    days = [s.session_date for s in sessions(date(2012, 12, 3), DAY)]
    lines = [
        f"{name},{day},100,{101 + n % 7},{99 - n % 5},100.5,1000000" for n, name in enumerate(names) for day in days
    ]
    path.write_text("\n".join(["symbol,date,open,high,low,close,volume", *lines]) + "\n")


def measure(environ: dict[str, str], *, warm_up: float, seconds: float) -> dict[str, object]:
    """Run the stream for so long, and read from its records when each quote was where."""
    embedded.up(read_settings(environ=environ))
    settings = read_settings(environ=environ)
    try:
        with Tap(settings) as tap, streaming(environ) as stream:
            wait_for_batches(settings, 2)
            began = time.time() + warm_up
            time.sleep(warm_up + seconds)
            stream.terminate()
            stream.communicate(timeout=180)
        return figures_of(settings, tap, since=began, until=began + seconds)
    finally:
        embedded.down(settings)


@contextmanager
def streaming(environ: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    stream = subprocess.Popen(
        [sys.executable, "-m", "workbench.cli", "stream"],
        env={"PATH": os.environ["PATH"], **environ},
        stdout=subprocess.DEVNULL,
        stderr=sys.stderr,
    )
    try:
        yield stream
    finally:
        stream.kill()
        stream.wait()


class Tap:
    """Reads the topic next to the stream and notes when each message could be had; no member of any group."""

    def __init__(self, settings: Settings) -> None:
        self.seen: dict[Place, tuple[float, float]] = {}
        self._settings = settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> "Tap":
        from stocklib.stream import create_topics

        create_topics(self._settings)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _read(self) -> None:
        topic = self._settings.kafka_topic
        client = KafkaConsumer(
            bootstrap_servers=self._settings.kafka_broker, fetch_max_wait_ms=200, max_partition_fetch_bytes=4 * 2**20
        )
        client.assign([TopicPartition(topic, n) for n in range(self._settings.kafka_partitions)])
        client.seek_to_beginning()
        while not self._stop.is_set():
            for records in client.poll(timeout_ms=200).values():
                now = time.time()
                for record in records:
                    fetched = int(dict(record.headers)["received_at"]) / 1000
                    self.seen[record.partition, record.offset] = (fetched, now)
        client.close()


def wait_for_batches(settings: Settings, count: int) -> None:
    deadline = time.monotonic() + 300
    while len(events(settings, "loader")) < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"the loader made no batch; see {settings.home / 'logs'}")
        time.sleep(0.2)


def events(settings: Settings, part: str) -> list[dict[str, object]]:
    """What a part of the stream wrote down."""
    path = settings.home / "logs" / f"stream-{part}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def figures_of(settings: Settings, tap: Tap, *, since: float, until: float) -> dict[str, object]:
    batches = [batch for batch in events(settings, "loader") if batch["load_id"]]
    published = {batch["load_id"]: batch["at"] for batch in batches}
    landed = {event["key"]: event for event in events(settings, "consumer")}
    loads = open_warehouse(settings).read(
        "select object_key, load_id, epoch(loaded_at) from raw.load_history where dataset = 'stock_quotes'"
    )
    seconds: dict[str, list[float]] = {hop: [] for hop in HOPS}
    for key, load_id, loaded_at in loads:
        event = landed.get(key)
        if event is None or load_id not in published:
            continue
        for offset in range(event["first"], event["last"] + 1):
            at = tap.seen.get((event["partition"], offset))
            if at is None or not since <= at[0] < until:
                continue
            # a load's instant is that of its beginning, and an object may have landed since
            instants = [*at, event["at"], max(loaded_at, event["at"]), published[load_id]]
            for hop, (a, b) in zip(HOPS, pairwise(instants), strict=False):
                seconds[hop].append(b - a)
            seconds[HOPS[-1]].append(instants[-1] - instants[0])
    mine = [batch for batch in batches if since <= batch["at"] < until + 30]
    return {
        "quotes": len(seconds[HOPS[-1]]),
        "hops": {hop: {"p50": percentile(own, 50), "p95": percentile(own, 95)} for hop, own in seconds.items()},
        "batches": len(mine),
        "steps": {
            step: percentile([batch["seconds"].get(step, 0.0) for batch in mine], 50)
            for step in ("list", "load", "build", "test", "ledger", "publish")
        },
        "rows": open_warehouse(settings).read("select count(*) from raw.stock_quotes")[0][0],
        "load_average": os.getloadavg()[0],
    }


def report(figures: dict[str, object]) -> None:
    print(
        f"\n{figures['quotes']:,} quotes, {figures['rows']:,} rows in RAW, load average {figures['load_average']:.1f}\n"
    )
    print(f"{'':22}{'p50 s':>8}{'p95 s':>8}")
    for hop, own in figures["hops"].items():
        print(f"{hop:22}{own['p50']:8.2f}{own['p95']:8.2f}")
    steps = ", ".join(f"{step} {seconds:.2f}" for step, seconds in figures["steps"].items())
    print(f"\n{figures['batches']} batches; the median one, in seconds: {steps}")


if __name__ == "__main__":
    main()
