"""What only Apache Kafka itself can show: groups of several members and their deaths, retention, limits, lag."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from outages import wait_for
from streams import T0, consume, landed, landing_in_the_background, only, publish, quote

from stocklib.errors import StreamError
from stocklib.lake import Lake
from stocklib.monitoring.heartbeat import read_heartbeats
from stocklib.monitoring.heartbeat_checks import Moment, check_heartbeat
from stocklib.pipeline.landing import land
from stocklib.pipeline.reconcile import balance
from stocklib.settings import Settings, read_settings
from stocklib.stream import Consumer, Message, Partition, Producer, create_topics

pytestmark = [pytest.mark.stack, pytest.mark.apache]

SYMBOLS = tuple(f"S{number:02d}" for number in range(24))


@contextmanager
def administration(settings: Settings) -> Iterator[Any]:
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka_broker)
    try:
        yield admin
    finally:
        admin.close()


def members(settings: Settings) -> int:
    """How many members the group has settled on; 0 while it has not."""
    with administration(settings) as admin:
        group = admin.describe_groups([settings.kafka_group])[settings.kafka_group]
    return len(group["members"]) if group["group_state"] == "Stable" else 0


def safe(settings: Settings) -> int:
    """How many messages of the quotes' topic are committed."""
    with administration(settings) as admin:
        offsets = admin.list_group_offsets([settings.kafka_group])[settings.kafka_group]
    return sum(mark.offset for native, mark in offsets.items() if native.topic == settings.kafka_topic)


class Feed:
    """Publishes until told otherwise, and knows what it published."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sender = Producer(settings, source="replay", run_id="feed")
        self._rounds = count()

    def publish_until(self, truth: Callable[[], bool], *, seconds: float = 60) -> None:
        def one_more_round() -> bool:
            n = next(self._rounds)
            for symbol in SYMBOLS:
                self._sender.publish(self._settings.kafka_topic, symbol, quote(symbol, n), timestamp=T0)
            self._sender.flush()
            return truth()

        wait_for(one_more_round, seconds=seconds)

    def end(self) -> dict[str, int]:
        """The last seq of each symbol."""
        self._sender.close()
        return self._sender.confirmed


def assert_landed_whole(settings: Settings, sent: dict[str, int]) -> None:
    """Every event is in the lake, and what is there twice is the same message."""
    lines = landed(settings)
    events = {(line["key"], int(line["headers"]["seq"])) for line in lines}
    assert events == {(symbol, seq) for symbol, last in sent.items() for seq in range(1, last + 1)}
    assert len({(line["partition"], line["offset"]) for line in lines}) == len(events)


@pytest.fixture
def crowd(service_environ: dict[str, str], project: Path) -> Iterator[tuple[Settings, list["subprocess.Popen[str]"]]]:
    """Three ``stocks consume`` over six partitions, each in a process of its own."""
    environ = {**service_environ, "KAFKA_PARTITIONS": "6", "BATCH_MAX_SECONDS": "0.3", "BATCH_MAX_QUOTES": "200"}
    settings = read_settings(environ=environ)
    create_topics(settings)
    Lake(settings).ensure_bucket()
    with ExitStack() as running:
        started = [running.enter_context(consume(project, environ)) for _ in range(3)]
        wait_for(lambda: members(settings) == 3, seconds=60)
        yield settings, started


def test_a_member_that_is_killed_is_replaced_and_nothing_is_lost(
    crowd: tuple[Settings, list["subprocess.Popen[str]"]],
) -> None:
    settings, (first, second, third) = crowd
    feed = Feed(settings)
    feed.publish_until(lambda: safe(settings) > 500)
    second.kill()
    feed.publish_until(lambda: members(settings) == 2)
    # a rebalance in the middle of batches, by a member that leaves as it should
    third.send_signal(signal.SIGTERM)
    said, _ = third.communicate(timeout=30)
    assert third.returncode == 0, said
    feed.publish_until(lambda: members(settings) == 1)
    sent = feed.end()
    wait_for(lambda: safe(settings) == sum(sent.values()))
    assert first.poll() is None
    assert_landed_whole(settings, sent)


def test_a_member_that_slept_while_others_took_over_commits_nothing(
    crowd: tuple[Settings, list["subprocess.Popen[str]"]],
) -> None:
    settings, (first, *_) = crowd
    feed = Feed(settings)
    feed.publish_until(lambda: safe(settings) > 500)
    # it has read messages, and does not know that its session expires
    os.kill(first.pid, signal.SIGSTOP)
    feed.publish_until(lambda: members(settings) == 2)
    sent = feed.end()
    wait_for(lambda: safe(settings) == sum(sent.values()))
    os.kill(first.pid, signal.SIGCONT)
    wait_for(lambda: members(settings) == 3)
    # what it held is not committed over what the others did since
    assert safe(settings) == sum(sent.values())
    assert_landed_whole(settings, sent)


def test_records_of_2012_stay_in_our_topics_and_go_from_those_with_the_default_retention(settings: Settings) -> None:
    theirs = f"{settings.kafka_topic}-of-others"
    with administration(settings) as admin:
        admin.create_topics({theirs: {"num_partitions": 1}})
    with Producer(settings, source="replay") as sender:
        for n in range(100):
            for topic in (theirs, settings.kafka_topic):
                sender.publish(topic, "AAPL", quote(n=n), timestamp=T0 + timedelta(seconds=n))
    with administration(settings) as admin:

        def first_offset(topic: str, number: int) -> int:
            native = TopicPartition(topic, number)
            return int(admin.list_partition_offsets({native: OffsetSpec.EARLIEST})[native].offset)

        wait_for(lambda: first_offset(theirs, 0) == 100)
        assert [first_offset(settings.kafka_topic, number) for number in range(2)] == [0, 0]
    assert land(settings, max_quotes=100).messages == 100


def test_a_broker_that_refuses_large_messages_gets_dead_letters_cut_and_says_so_of_events(settings: Settings) -> None:
    create_topics(settings)
    limit = 110_000
    with administration(settings) as admin:
        admin.alter_configs(
            [
                ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": str(limit)})
                for topic in (settings.kafka_topic, settings.kafka_dlq_topic)
            ]
        )
    # noise, since what compresses well is not too large
    noise = os.urandom(3 * limit)
    with Producer(settings, source="landing") as sender:
        for offset in range(3):
            value = noise if offset == 1 else b"small"
            sender.forward(settings.kafka_dlq_topic, "AAPL", value, timestamp_ms=1, headers={"offset": str(offset)})
    letters = read(settings, settings.kafka_dlq_topic, 3)
    assert [letter.headers["offset"] for letter in letters] == ["0", "1", "2"]
    assert letters[1].headers["full_bytes"] == str(len(noise))
    assert noise.startswith(letters[1].value or b"-")
    sender = Producer(settings, source="replay")
    sender.publish(settings.kafka_topic, "AAPL", quote(), timestamp=T0)
    sender.flush()
    sender.publish(settings.kafka_topic, "AAPL", noise, timestamp=T0)
    with pytest.raises(StreamError, match=r"did not confirm 1 messages .*TooLarge.*{'AAPL': 1}"):
        sender.flush()
    sender.close(flush=False)


def test_a_clock_that_is_far_ahead_is_said_at_once(settings: Settings) -> None:
    create_topics(settings)
    sender = Producer(settings, source="replay")
    sender.publish(settings.kafka_topic, "AAPL", quote(), timestamp=datetime.now(UTC) + timedelta(hours=2))
    with pytest.raises(StreamError, match=r"did not confirm 1 messages .*InvalidTimestamp.*clock"):
        sender.flush()
    sender.close(flush=False)


def test_lag_is_what_kafka_holds_beyond_what_was_read(settings: Settings) -> None:
    with Producer(settings, source="replay") as sender:
        for n in range(500):
            sender.publish(settings.kafka_topic, SYMBOLS[n % len(SYMBOLS)], b"%d" % n, timestamp=T0)
    consumer = Consumer(settings, [settings.kafka_topic])
    seen: dict[Partition, int] = {}

    def read_some() -> bool:
        for partition, messages in consumer.poll(0.1, limit=60).items():
            seen[partition] = messages[-1].offset + 1
        return len(seen) == 2

    wait_for(read_some)
    with administration(settings) as admin:
        ends = admin.list_partition_offsets({TopicPartition(*partition): OffsetSpec.LATEST for partition in seen})
    assert consumer.lag() == {p: ends[TopicPartition(*p)].offset - read for p, read in seen.items()}
    assert 0 < sum(consumer.lag().values()) == 500 - sum(seen.values())
    consumer.close()


def read(settings: Settings, topic: str, most: int) -> list[Message]:
    """The first messages of a topic with one partition."""
    consumer = Consumer(settings, [topic])
    messages: list[Message] = []

    def enough() -> bool:
        for found in consumer.poll(0.1).values():
            messages.extend(found)
        return len(messages) >= most

    wait_for(enough)
    consumer.close()
    return messages


# ── what others do to the topics ──────────────────────────────────────────────────────────────────────────────────────


def delete_before(settings: Settings, offset: int) -> None:
    with administration(settings) as admin:
        admin.delete_records({TopicPartition(settings.kafka_topic, 0): offset})


def test_what_kafka_deleted_before_it_was_read_is_an_error_an_alarm_and_lost(
    service_environ: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = only(service_environ)
    publish(settings, [quote(n=n) for n in range(10)])
    assert land(settings, max_quotes=4).messages == 4
    delete_before(settings, 7)
    assert land(settings, until_idle=0.5).messages == 3
    assert "offsets 4 to 6 before they were read" in caplog.text
    (beat,) = read_heartbeats(settings.home)
    assert beat.facts["deleted"] == [f"{settings.kafka_topic}/0 4-6"]
    alarm, _ = check_heartbeat(beat, [beat], Moment(None, beat.at))
    assert "4-6" in (alarm or "")
    (problem, _) = balance(settings).problems
    assert "offsets 4-6" in str(problem)
    assert "Kafka has deleted them" in str(problem)
    # of a group that has landed nothing yet the first are missing too
    own = {"KAFKA_GROUP": f"other-{settings.kafka_group}", "STOCKS_HOME": str(tmp_path / "other")}
    other = only({**service_environ, **own, "MINIO_BUCKET": f"other-{settings.minio_bucket}"})
    assert any("offsets 0-6" in str(problem) for problem in balance(other).problems)


def test_partitions_that_a_topic_gets_while_it_is_read_are_read_soon(
    service_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stocklib.stream.consumer._METADATA_MS", 500)
    settings = only(service_environ)
    publish(settings, [quote(n=0)])
    with landing_in_the_background(settings) as (batches, _):
        wait_for(lambda: sum(batch.messages for batch in batches) == 1)
        with administration(settings) as admin:
            admin.create_partitions({settings.kafka_topic: 3})
        sender = KafkaProducer(bootstrap_servers=settings.kafka_broker)
        for partition in (1, 2):
            sender.send(settings.kafka_topic, quote(n=partition), partition=partition).get(10)
        sender.close()
        wait_for(lambda: {batch.partition for batch in batches} == {0, 1, 2})


def test_a_topic_that_is_deleted_while_it_is_read_is_named(
    service_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stocklib.stream.consumer._IDENTITY_SECONDS", 0.3)
    settings = only(service_environ)
    publish(settings, [quote(n=0)])
    with landing_in_the_background(settings) as (batches, _):
        wait_for(lambda: sum(batch.messages for batch in batches) == 1)
        with administration(settings) as admin:
            admin.delete_topics([settings.kafka_topic])
        wait_for(lambda: settings.kafka_topic in read_heartbeats(settings.home)[0].state)
        (beat,) = read_heartbeats(settings.home)
        assert beat.state == f"waiting for the topic {settings.kafka_topic}"
        assert f"no topic {settings.kafka_topic}" in beat.facts["trouble"]
        publish(settings, [quote(n=1)])
        wait_for(lambda: sum(batch.messages for batch in batches) == 2)
    assert read_heartbeats(settings.home)[0].facts["trouble"] is None


def test_an_aborted_transaction_lands_nowhere_and_leaves_no_loss(service_environ: dict[str, str]) -> None:
    settings = only(service_environ)
    create_topics(settings)
    sender = KafkaProducer(bootstrap_servers=settings.kafka_broker, transactional_id=f"t-{settings.kafka_group}")
    sender.init_transactions()
    for n, end in enumerate((sender.commit_transaction, sender.abort_transaction, sender.commit_transaction)):
        sender.begin_transaction()
        sender.send(settings.kafka_topic, quote(n=n), key=b"AAPL", timestamp_ms=1355495400000).get(10)
        end()
    sender.close()
    publish(settings, [quote(n=3)])
    assert land(settings, until_idle=0.5).messages == 3
    # the offsets of the aborted message and of the marks that end transactions are nobody's
    assert [line["offset"] for line in landed(settings)] == [0, 4, 6]
    assert [str(problem) for problem in balance(settings).problems] == []
