"""Whatever repeats on the way, silver counts each event once: topics created again, offsets from zero, lost answers."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from conftest import KAFKA, run_apache_kafka
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import MemberToRemove
from outages import Proxy, kill, wait_for
from streams import T0, counted_events, landed, landing_in_the_background, only, publish, quote, silver_events
from tenacity import wait_none

from stocklib.lake import Lake
from stocklib.pipeline.landing import LandedBatch, land
from stocklib.pipeline.landing import uploads as batches_module
from stocklib.settings import Settings, read_settings
from stocklib.stream import Consumer, Partition, Producer
from workbench.embedded import kafka, processes

pytestmark = pytest.mark.stack


def sent(*runs: str, symbol: str = "AAPL", last: int) -> list[tuple[str, str, int]]:
    return sorted((run, symbol, seq) for run in runs for seq in range(1, last + 1))


def messages(batches: list[LandedBatch]) -> int:
    return sum(batch.messages for batch in batches)


# ── answers that are lost ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Landing tries S3 again at once, and looks often whether topics are still the same."""
    monkeypatch.setattr(Lake._run.retry, "wait", wait_none())
    monkeypatch.setattr(batches_module, "_LONGEST_PAUSE", 0.1)
    monkeypatch.setattr("stocklib.stream.consumer._IDENTITY_SECONDS", 0.2)


@pytest.mark.parametrize("hour", ["stays", "passes"])
@pytest.mark.usefixtures("impatient")
def test_an_upload_whose_answer_is_lost_counts_once(
    service_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, hour: str
) -> None:
    hours = count()

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime(2026, 3, 2, 12, 59, tzinfo=UTC) + timedelta(hours=next(hours) if hour == "passes" else 0)

    monkeypatch.setattr(batches_module, "datetime", Clock)
    direct = only(service_environ, BATCH_MAX_QUOTES="50")
    lake = Lake(direct)
    publish(direct, [quote(n=n) for n in range(50)])
    with Proxy(service_environ["MINIO_ENDPOINT"].removeprefix("http://")) as proxy:
        through = only(service_environ, BATCH_MAX_QUOTES="50", MINIO_ENDPOINT=f"http://{proxy.address}")
        with landing_in_the_background(through) as (batches, _):
            wait_for(lambda: messages(batches) == 50)
            proxy.swallow()
            publish(direct, [quote(n=n) for n in range(50)], run_id="run-2")
            wait_for(lambda: len(list(lake.list("stock_quotes"))) >= (3 if hour == "passes" else 2))
            # written, and landing does not know
            assert proxy.swallowed
            assert messages(batches) == 50
            proxy.mend()
            wait_for(lambda: messages(batches) == 100)
    assert (len(landed(direct)) > 100) == (hour == "passes")
    assert counted_events(direct) == sent("run-1", "run-2", last=50)


# ── partitions that are lost ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.timeout(240)
def test_a_rebalance_in_the_middle_of_batches_counts_nothing_twice(service_environ: dict[str, str]) -> None:
    # what is read beyond full batches is held, and read again by whom the partition goes to
    settings = read_settings(environ={**service_environ, "BATCH_MAX_SECONDS": "3600", "BATCH_MAX_QUOTES": "70"})
    symbols = ("AAPL", "MSFT", "IBM", "GOOG", "FB", "F")
    sender = Producer(settings, source="replay", run_id="run-1")

    def publish_until(truth: Callable[[], bool]) -> None:
        def one_more_round() -> bool:
            for symbol in symbols:
                sender.publish(settings.kafka_topic, symbol, quote(symbol), timestamp=T0)
            sender.flush()
            return truth()

        wait_for(one_more_round, seconds=60)

    with landing_in_the_background(settings) as (first, _):
        publish_until(lambda: len(first) >= 3)
        with landing_in_the_background(settings) as (second, _):
            publish_until(lambda: len(second) >= 2)
        alone = len(first)
        publish_until(lambda: {batch.partition for batch in first[alone:]} == {0, 1})
    sender.close()
    # what the last round published may have come after the last poll
    land(settings, until_idle=1)
    assert counted_events(settings) == sorted(
        ("run-1", symbol, seq) for symbol, last in sender.confirmed.items() for seq in range(1, last + 1)
    )


def test_a_member_that_is_put_out_of_the_group_commits_nothing_and_reads_again(service_environ: dict[str, str]) -> None:
    settings = only(service_environ)
    publish(settings, [quote(n=n) for n in range(100)])
    consumer = Consumer(settings, [settings.kafka_topic])
    partition = Partition(settings.kafka_topic, 0)
    offsets: list[int] = []

    def read(last: int) -> Callable[[], bool]:
        def has_read() -> bool:
            for found in consumer.poll(0.1).values():
                offsets.extend(message.offset for message in found)
            return bool(offsets) and offsets[-1] == last

        return has_read

    wait_for(read(99))
    assert consumer.commit({partition: 40})
    put_out(settings, consumer)
    assert not consumer.commit({partition: 100})
    # of a partition that it never had it cannot speak either
    assert not consumer.commit({Partition(settings.kafka_topic, 7): 1})
    offsets.clear()
    wait_for(read(99))
    assert offsets == list(range(40, 100))
    assert consumer.commit({partition: 100})
    consumer.close()


def put_out(settings: Settings, consumer: Consumer) -> None:
    """As the brokers do with a member that they have not heard of for too long."""
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka_broker)
    member = consumer._client.group_metadata().member_id
    admin.remove_group_members(settings.kafka_group, [MemberToRemove(member_id=member)])
    admin.close()


# ── topics and brokers that begin again ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("impatient")
def test_a_topic_made_anew_while_it_lands_counts_the_same_offsets_as_other_messages(
    service_environ: dict[str, str],
) -> None:
    settings = only(service_environ)
    with landing_in_the_background(settings) as (batches, _):
        publish(settings, [quote(n=n) for n in range(50)])
        publish_as_a_stranger(settings, 10)
        wait_for(lambda: messages(batches) == 60)
        admin = KafkaAdminClient(bootstrap_servers=settings.kafka_broker)
        admin.delete_topics([settings.kafka_topic])
        admin.close()
        publish(settings, [quote(n=n) for n in range(50)], run_id="run-2")
        publish_as_a_stranger(settings, 10)
        wait_for(lambda: messages(batches) >= 120)
    lines = landed(settings)
    assert len({line["topic_id"] for line in lines}) == 2
    assert {line["offset"] for line in lines} == set(range(60))
    # the strangers' twenty have no run and no seq: the message is all that tells them apart
    assert silver_events(settings) == [("", "AAPL", 0)] * 20 + sent("run-1", "run-2", last=50)


def publish_as_a_stranger(settings: Settings, number: int) -> None:
    """Quotes without our headers."""
    client = KafkaProducer(bootstrap_servers=settings.kafka_broker)
    for n in range(number):
        client.send(settings.kafka_topic, key=b"AAPL", value=quote(n=1000 + n), partition=0)
    client.close()


@pytest.fixture
def forgetful(service_environ: dict[str, str], guard: Callable[[Path], None], tmp_path: Path) -> Settings:
    """Settings on a broker that forgets everything when it is started again."""
    if KAFKA not in ("", "apache"):
        pytest.skip(f"the Kafka at {KAFKA} is another's, and not ours to empty")
    guard(tmp_path / "forgetful")
    return only(service_environ, KAFKA_BROKER=start_from_nothing(tmp_path / "forgetful"))


def start_from_nothing(home: Path) -> str:
    """Start a broker without any topic, where it was before; its address."""
    folder = home / "embedded" / "kafka"
    if KAFKA == "apache":
        shutil.rmtree(folder / "data", ignore_errors=True)
        return run_apache_kafka(home)
    before = processes.recall(folder)
    ports = processes.free_ports(["kafka"], wanted=before.ports if before else {})
    address = f"127.0.0.1:{ports['kafka']}"
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(kafka.find_binary(folder)), "--silent", "--storage-engine", "memory://tansu/"]
    command += ["--listener-url", f"tcp://{address}", "--advertised-listener-url", f"tcp://{address}"]
    daemon = processes.start("Kafka", command, folder=folder, ports=ports, environ={})
    processes.wait_until(daemon, lambda: kafka.complaint(daemon), seconds=30)
    return address


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("impatient")
def test_a_broker_that_comes_back_empty_counts_its_messages_from_zero_as_others(
    forgetful: Settings, tmp_path: Path
) -> None:
    with landing_in_the_background(forgetful) as (batches, running):
        publish(forgetful, [quote(n=n) for n in range(80)])
        wait_for(lambda: messages(batches) == 80)
        kill(tmp_path / "forgetful", "kafka")
        assert start_from_nothing(tmp_path / "forgetful") == forgetful.kafka_broker
        publish(forgetful, [quote(n=n) for n in range(80)], run_id="run-2")
        # the embedded broker may wait long for the member that its predecessor knew
        wait_for(lambda: messages(batches) >= 160, seconds=120)
        assert not running.done()
    lines = landed(forgetful)
    assert {line["offset"] for line in lines} == set(range(80))
    assert counted_events(forgetful) == sent("run-1", "run-2", last=80)
