"""The soak: kill -9 of whatever runs, again and again, with faults in the source's answers; then everything is counted.

    .venv/bin/python tools/soak.py [--kills 100] [--between 20] [--seed 7] [--log soak.jsonl] [--json soak.json]

``stocks stream`` runs on an embedded stack of its own. Victims (producer, consumer, loader, broker, S3) and instants
are drawn from the seed. ``between`` is a consumer that is killed after an object of its was uploaded and before Kafka
was told: the lake is watched, the consumer is killed the moment a new object shows, and the kill counts only when
Kafka's committed offset is then still at or before the object's first one. Each kill is a line of JSON: victim,
instant, what was confirmed, landed, committed and published then, and how long it took until a quote of after the kill
was published and everything that had been confirmed was too. At the end the confirmed events of every run are compared
with the lake's lines and with silver, event by event, the ledger is asked, and gold is compared with a rebuild.
"""

import argparse
import http.client
import json
import logging
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from stocklib.errors import StocksError
from stocklib.lake import Lake, name_stream, parse_key
from stocklib.monitoring.heartbeat import read_heartbeats
from stocklib.pipeline.reconcile import balance
from stocklib.pipeline.transform import rebuild, transform
from stocklib.settings import Settings, read_settings
from stocklib.warehouse import open_warehouse
from workbench import embedded
from workbench.embedded import processes

FAULTS = (
    "duplicate=0.01,late=0.01:30,drop=0.005,cut=0.005,429=0.002:2,5xx=0.002:2,slow=0.01:0.3,truncated=0.005,"
    "zeros=0.01,nan=0.005,negative=0.005,clock=0.002:60"
)
VICTIMS = ("producer", "consumer", "loader", "kafka", "s3")
# a kill that is not made good by then ends the soak
PATIENCE = 600.0
WATCH_SECONDS = 8.0

Event = tuple[str, str, int]


@dataclass
class Kill:
    """One kill: who, when, how far everything was, and when it was made good."""

    number: int
    victim: str
    at: str
    pid: int
    between: bool = False
    confirmed: int = 0
    published: int = 0
    load_id: int = 0
    committed: dict[str, int] = field(default_factory=dict)
    landed: str = ""
    seconds: float | None = None


@dataclass
class Summary:
    """What a soak found; the times from a kill to caught up are in seconds."""

    seed: int
    kills: int
    victims: dict[str, int]
    between_upload_and_commit: int
    attempts_between: int
    caught_up_p50: float
    caught_up_p95: float
    caught_up_max: float
    by_victim: dict[str, dict[str, float]]
    minutes: float
    runs: int
    confirmed: int
    landed_lines: int
    landed_events: int
    silver_events: int
    accepted_events: int
    times_seen: int
    lost: int
    doubled: int
    strangers: int
    faults: dict[str, int]
    ledger_balanced: bool
    ledger_problems: list[str]
    same_as_rebuild: bool

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.doubled or self.strangers) and self.ledger_balanced and self.same_as_rebuild


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--between", type=int, default=20, help="at least so many between upload and commit")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--log", type=Path, default=Path("soak.jsonl"), help="a line a kill")
    parser.add_argument("--json", type=Path, help="where the summary goes")
    chosen = parser.parse_args()
    logging.basicConfig(level="WARNING")
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    home = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        done = soak(home, kills=chosen.kills, between=chosen.between, seed=chosen.seed, log=chosen.log)
        shutil.rmtree(home)
    except BaseException:
        print(f"what it left is in {home}", file=sys.stderr)
        raise
    text = json.dumps(asdict(done), indent=2)
    print(text)
    if chosen.json:
        chosen.json.write_text(text + "\n")
    return 0 if done.is_good else 1


def soak(home: Path, *, kills: int, between: int, seed: int, log: Path, is_short: bool = False) -> Summary:
    """Kill and count; ``log`` gets a line a kill.

    A short one waits until everything is made good after the last kill alone, and compares with no rebuild.
    """
    environ = {
        "STOCKS_HOME": str(home),
        "REPLAY_SPEED": "1",
        "REPLAY_START": "2012-12-14T09:31:00",
        "POLL_SECONDS": "0.5",
        # a long one takes what is shipped; the embedded broker takes half of it for a join, after a kill more than all
        **({"KAFKA_SESSION_TIMEOUT_MS": "2000"} if is_short else {}),
        "BATCH_MAX_SECONDS": "1",
        "LOAD_SECONDS": "1",
        "STOCKS_LOG": "INFO",
    }
    embedded.up(read_settings(environ=environ))
    began = time.monotonic()
    try:
        settings = read_settings(environ=environ)
        with streaming(environ) as stream:
            order_faults(settings, FAULTS, seed=seed)
            run = Soak(settings, random.Random(seed), log, is_short=is_short)
            run.wait_until_caught_up(since=time.time())
            run.kill_all(kills, between=between)
            faults = order_faults(settings, "", seed=seed)
            stream.terminate()
            assert stream.wait(timeout=300) == 0, (home / "stream.log").read_text()
        minutes = (time.monotonic() - began) / 60
        return run.count(faults, seed=seed, minutes=minutes)
    finally:
        embedded.down(read_settings(environ=environ))


@contextmanager
def streaming(environ: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    """``stocks stream`` as a process of its own."""
    log = Path(environ["STOCKS_HOME"]) / "stream.log"
    with log.open("w") as out:
        stream = subprocess.Popen(
            [sys.executable, "-m", "workbench.cli", "stream"],
            env={"PATH": os.environ["PATH"], **environ},
            stdout=out,
            stderr=out,
            text=True,
        )
        try:
            yield stream
        finally:
            stream.kill()
            stream.wait()


def order_faults(settings: Settings, faults: str, *, seed: int) -> dict[str, int]:
    """Order faults; how often each struck so far."""
    at = settings.finnhub_base_url.removeprefix("http://").split("/")[0]
    connection = http.client.HTTPConnection(at, timeout=10)
    try:
        key = {"X-Finnhub-Token": settings.finnhub_api_key.reveal()}
        connection.request("GET", "/replay/faults", headers=key)
        counts: dict[str, int] = json.loads(connection.getresponse().read())["injected"]
        connection.request("POST", "/replay/faults", json.dumps({"faults": faults, "seed": seed}), headers=key)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()
        return counts
    finally:
        connection.close()


class Soak:
    """One soak on a stream that runs."""

    def __init__(self, settings: Settings, dice: random.Random, log: Path, *, is_short: bool) -> None:
        self.settings = settings
        self.is_short = is_short
        self.warehouse = open_warehouse(settings)
        self.lake = Lake(settings)
        self.dice = dice
        self.log = log
        self.kills: list[Kill] = []
        self.attempts = 0
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")

    def kill_all(self, kills: int, *, between: int) -> None:
        """Kill so often, and on until so many of the kills were between upload and commit."""
        victims: list[str] = []
        while len(self.kills) < kills or self.between < between:
            # each once before one is drawn again
            victims = victims or self.dice.sample(VICTIMS, len(VICTIMS))
            left = kills - len(self.kills)
            wants = self.between < between and (
                left <= between - self.between or self.dice.random() < 2 * between / kills
            )
            time.sleep(self.dice.uniform(0.1, 1.0 if self.is_short else 4.0))
            kill = self.kill_between() if wants else self.kill_one(victims.pop())
            began = time.time()
            self.kills.append(kill)
            if not self.is_short or (len(self.kills) >= kills and self.between >= between):
                self.wait_until_caught_up(since=began)
                kill.seconds = round(time.time() - began, 2)
            with self.log.open("a") as file:
                file.write(json.dumps(asdict(kill)) + "\n")

    @property
    def between(self) -> int:
        return sum(kill.between for kill in self.kills)

    def kill_one(self, victim: str) -> Kill:
        """kill -9, at once."""
        while True:
            pid = self.pid_of(victim)
            kill = self.note(victim, pid)
            # it may just have ended by itself, over what was killed before it
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return kill

    def kill_between(self) -> Kill:
        """Kill the consumer the moment an object of quotes shows; whether Kafka had been told is found out then."""
        self.attempts += 1
        pid = self.pid_of("consumer")
        kill = self.note("consumer", pid)
        topic, partitions = self.settings.kafka_topic, range(self.settings.kafka_partitions)
        last = {n: max(self.keys(topic, n), default="") for n in partitions}
        deadline = time.monotonic() + WATCH_SECONDS
        while time.monotonic() < deadline:
            for n in partitions:
                if new := self.keys(topic, n, after=last[n]):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                    kill.landed = new[0]
                    kill.at = _now()
                    kill.committed = self.committed()
                    first = int(parse_key(new[0]).what.split("+")[2].split("-")[0])
                    kill.between = kill.committed.get(f"{topic}/{n}", 0) <= first
                    return kill
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return kill

    def keys(self, topic: str, partition: int, *, after: str = "") -> list[str]:
        """The objects of a partition that landed this hour."""
        hour = datetime.now(UTC)
        found = self.lake.list_stream("stock_quotes", name_stream(topic, partition), hour=hour, after=after)
        return [one.key for one in found]

    def note(self, victim: str, pid: int) -> Kill:
        """How far everything is, just before the kill."""
        build = self.warehouse.published_build()
        return Kill(
            number=len(self.kills) + 1,
            victim=victim,
            at=_now(),
            pid=pid,
            confirmed=len(confirmed(self.settings)),
            published=sum(self.seen().values()),
            load_id=build.load_id if build else 0,
            committed=self.committed(),
        )

    def committed(self) -> dict[str, int]:
        """What the group has committed, by partition; nothing where Kafka is away."""
        topic = self.settings.kafka_topic
        try:
            client = KafkaConsumer(
                bootstrap_servers=self.settings.kafka_broker,
                group_id=self.settings.kafka_group,
                enable_auto_commit=False,
                bootstrap_timeout_ms=5000,
            )
        except KafkaError:
            return {}
        try:
            found = {n: client.committed(TopicPartition(topic, n)) for n in range(self.settings.kafka_partitions)}
            return {f"{topic}/{n}": offset for n, offset in found.items() if offset is not None}
        except KafkaError:
            return {}
        finally:
            client.close(autocommit=False)

    def pid_of(self, victim: str) -> int:
        """The process that is to be killed; waited for where it is just being started again."""
        if victim in ("kafka", "s3"):
            daemon = processes.recall(self.settings.home / "embedded" / victim)
            assert daemon
            return daemon.pid
        pids: list[int] = []

        def there() -> bool:
            pids[:] = [b.pid for b in read_heartbeats(self.settings.home) if b.kind == victim and b.is_alive]
            return bool(pids)

        wait_until(there, seconds=PATIENCE, what=f"a {victim} that runs")
        return pids[0]

    def seen(self) -> Counter[tuple[str, str]]:
        """How many events of each run and symbol are published."""
        if self.warehouse.published_build() is None:
            return Counter()
        frame = self.warehouse.query(
            "select run_id, symbol, count(*) as n from silver.int_quote_events group by run_id, symbol"
        )
        return Counter({(run, symbol): int(n) for run, symbol, n in frame.itertuples(index=False)})

    def wait_until_caught_up(self, *, since: float) -> None:
        """Until quotes that were confirmed after an instant, and all before them, are published."""
        wanted: dict[tuple[str, str], int] = {}
        began = {beat.run_id: sum(_confirmed_by(beat.facts).values()) for beat in self.producers()}

        def fresh() -> bool:
            for beat in self.producers():
                told = _confirmed_by(beat.facts)
                if beat.is_alive and beat.at > since + 0.5 and sum(told.values()) > began.get(beat.run_id, 0):
                    wanted.update({(beat.run_id, symbol): seq for symbol, seq in told.items()})
            return bool(wanted)

        wait_until(fresh, seconds=PATIENCE, what="a producer that goes on")
        for beat in self.producers():
            for symbol, seq in _confirmed_by(beat.facts).items():
                wanted.setdefault((beat.run_id, symbol), seq)
        wait_until(
            lambda: all(self.seen()[key] >= seq for key, seq in wanted.items()),
            seconds=PATIENCE,
            what="everything confirmed in silver",
        )

    def producers(self) -> list[Any]:
        return [beat for beat in read_heartbeats(self.settings.home, past=True) if beat.kind == "producer"]

    def count(self, faults: dict[str, int], *, seed: int, minutes: float) -> Summary:
        """Compare what was confirmed with the lake and with silver, event by event."""
        said = confirmed(self.settings)
        landed = list(lake_events(self.lake))
        frame = self.warehouse.query("select run_id, symbol, seq, reject_reason from silver.int_quote_events")
        silver = [(run, symbol, int(seq)) for run, symbol, seq, _ in frame.itertuples(index=False)]
        accepted = int(frame["reject_reason"].isna().sum())
        seen = self.warehouse.query("select sum(times_seen) as n from silver.stg_stock_quotes_cleaned")["n"].iloc[0]
        book = balance(self.settings)
        is_same = self.is_short or self.is_same_as_a_rebuild()
        times = [kill.seconds for kill in self.kills if kill.seconds is not None]
        return Summary(
            seed=seed,
            kills=len(self.kills),
            victims=dict(Counter("between" if kill.between else kill.victim for kill in self.kills)),
            between_upload_and_commit=self.between,
            attempts_between=self.attempts,
            caught_up_p50=percentile(times, 50),
            caught_up_p95=percentile(times, 95),
            caught_up_max=max(times, default=math.nan),
            by_victim={
                victim: {"p50": percentile(own, 50), "max": max(own)}
                for victim in VICTIMS
                if (own := [kill.seconds for kill in self.kills if kill.victim == victim and kill.seconds is not None])
            },
            minutes=round(minutes, 1),
            runs=len({run for run, _, _ in said}),
            confirmed=len(said),
            landed_lines=len(landed),
            landed_events=len(set(landed)),
            silver_events=len(silver),
            accepted_events=accepted,
            times_seen=int(seen),
            lost=len(said - set(silver)) + len(set(landed) - set(silver)),
            doubled=len(silver) - len(set(silver)) + abs(int(seen) - accepted),
            strangers=len(set(silver) - set(landed)),
            faults=faults,
            ledger_balanced=book.is_balanced and not book.unchecked,
            ledger_problems=[str(problem) for problem in book.problems] + [str(one) for one in book.unchecked.items()],
            same_as_rebuild=is_same,
        )

    def is_same_as_a_rebuild(self) -> bool:
        """Whether gold is what a rebuild from the lake alone makes; whole tables are tested first."""
        transform(self.settings)
        before = hashes(self.settings)
        rebuild(self.settings)
        return hashes(self.settings) == before


def confirmed(settings: Settings) -> set[Event]:
    """Every event that a producer's heartbeats said is safe."""
    return {
        (beat.run_id, symbol, seq)
        for beat in read_heartbeats(settings.home, past=True)
        if beat.kind == "producer"
        for symbol, last in _confirmed_by(beat.facts).items()
        for seq in range(1, last + 1)
    }


def lake_events(lake: Lake) -> Iterator[Event]:
    """The event of every line of quotes in the lake, read by nobody's help."""
    for found in lake.list("stock_quotes"):
        for line in lake.read(found.key).splitlines():
            record = orjson.loads(line)
            headers = record["headers"]
            yield headers["run_id"], record["key"], int(headers["seq"])


def hashes(settings: Settings) -> dict[str, int]:
    """A number for each gold table that depends on every row, and on no order."""
    warehouse = open_warehouse(settings)
    names = warehouse.query("select table_name from duckdb_tables() where schema_name = 'gold' order by 1")
    return {
        name: int(
            warehouse.query(f"select coalesce(sum(hash(cast(t as varchar))), 0) as n from gold.{name} as t")["n"][0]
        )
        for name in names["table_name"]
    }


def percentile(values: list[float], percent: int) -> float:
    """The nearest-rank percentile.

    >>> percentile([1.0, 2.0, 3.0], 50), percentile([1.0, 2.0, 3.0], 95)
    (2.0, 3.0)
    """
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)] if values else math.nan


def wait_until(truth: Callable[[], bool], *, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if truth():
                return
        except StocksError as error:
            # it may be down at this very moment
            logging.getLogger("soak").debug("%s", error)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} was waited for in vain, {seconds:.0f} s")
        time.sleep(0.2)


def _confirmed_by(facts: Any) -> dict[str, int]:
    return {symbol: seq for symbol, seq in (facts.get("confirmed") or {}).items() if seq}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


if __name__ == "__main__":
    sys.exit(main())
