"""The stream: keyed, numbered, confirmed, read again until committed; and it says which setting is wrong."""

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import start_again
from kafka import KafkaAdminClient, TopicPartition
from kafka.errors import MessageSizeTooLargeError
from kafka.producer.future import FutureProduceResult, FutureRecordMetadata
from outages import kill, wait_for

from stocklib.errors import SettingsError, StreamError
from stocklib.settings import Settings, read_settings
from stocklib.stream import Consumer, Message, Partition, Producer, check, create_topics, producer, topic_ids

T0 = datetime(2012, 12, 14, 14, 30, tzinfo=UTC)


def publish(settings: Settings, count: int, *, symbols: tuple[str, ...] = ("AAPL",)) -> Producer:
    with Producer(settings, source="replay") as sender:
        for n in range(count):
            sender.publish(settings.kafka_topic, symbols[n % len(symbols)], b'{"n":%d}' % n, timestamp=T0)
    return sender


def drain(consumer: Consumer, count: int, *, seconds: float = 90) -> list[Message]:
    """Read until there are so many; a consumer whose group has not settled is replaced after 30 seconds."""
    read: list[Message] = []
    deadline = time.monotonic() + seconds
    while len(read) < count and time.monotonic() < deadline:
        for messages in consumer.poll(0.1).values():
            read += messages
    return read


def commit(consumer: Consumer, messages: list[Message]) -> bool:
    return consumer.commit({Partition(m.topic, m.partition): m.offset + 1 for m in messages})


@pytest.mark.stack
def test_a_message_says_whose_when_from_which_run_and_with_which_number(settings: Settings) -> None:
    create_topics(settings)
    create_topics(settings)
    with Producer(settings, source="replay", run_id="run-1") as sender:
        seqs = [
            sender.publish(settings.kafka_topic, symbol, b'{"c":1.10}', timestamp=T0 + timedelta(milliseconds=1500))
            for symbol in ("AAPL", "BRK.B", "AAPL", "^GSPC", "AAPL")
        ]
        sender.flush()
        assert sender.confirmed == {"AAPL": 3, "BRK.B": 1, "^GSPC": 1}
        assert sender.unconfirmed == 0
    assert seqs == [1, 1, 2, 1, 3]
    consumer = Consumer(settings, [settings.kafka_topic])
    read = drain(consumer, 5)
    assert len(consumer.assigned) == settings.kafka_partitions
    assert set(consumer.lag().values()) == {0}
    consumer.close()
    apple = [message for message in read if message.key == "AAPL"]
    # by this machine's clock
    assert all(abs(time.time() - int(message.headers.pop("received_at")) / 1000) < 600 for message in apple)
    assert [message.headers for message in apple] == [
        {"run_id": "run-1", "source": "replay", "seq": seq} for seq in ("1", "2", "3")
    ]
    assert {message.partition for message in apple} == {apple[0].partition}
    assert [message.offset for message in apple] == sorted(message.offset for message in apple)
    assert {message.timestamp_ms for message in read} == {1355495401500}
    assert {message.value for message in read} == {b'{"c":1.10}'}
    assert {message.topic_id for message in read} == set(topic_ids(settings, [settings.kafka_topic]).values())
    assert settings.kafka_topic in check(settings)


@pytest.mark.stack
def test_what_is_not_committed_is_read_again(settings: Settings) -> None:
    publish(settings, 30)
    first = Consumer(settings, [settings.kafka_topic])
    read = drain(first, 30)
    assert commit(first, read[:20])
    first.close()
    second = Consumer(settings, [settings.kafka_topic])
    assert [message.offset for message in drain(second, 10)] == list(range(20, 30))
    second.close()


@pytest.mark.stack
def test_a_paused_consumer_reads_nothing_and_stays_a_member(settings: Settings) -> None:
    publish(settings, 3)
    consumer = Consumer(settings, [settings.kafka_topic])
    drain(consumer, 3)
    member = consumer._client.group_metadata().member_id
    publish(settings, 5)
    consumer.pause()
    until = time.monotonic() + settings.kafka_session_timeout_ms / 1000 * 1.5
    while time.monotonic() < until:
        assert consumer.poll(0.1) == {}
    consumer.resume()
    assert len(drain(consumer, 5)) == 5
    assert consumer._client.group_metadata().member_id == member
    consumer.close()


@pytest.mark.stack
def test_a_member_that_joins_takes_partitions_over_and_the_other_is_told(settings: Settings) -> None:
    publish(settings, 60, symbols=("AAPL", "MSFT", "IBM", "GOOG", "FB", "F"))
    lost: list[set[Partition]] = []
    first = Consumer(settings, [settings.kafka_topic], on_lost=lost.append)
    read = drain(first, 60)
    assert len({message.partition for message in read}) == 2
    second: list[Message] = []
    done = threading.Event()

    def join() -> None:
        consumer = Consumer(settings, [settings.kafka_topic])
        while not done.is_set():
            for messages in consumer.poll(0.1).values():
                second.extend(messages)
        consumer.close()

    other = threading.Thread(target=join)
    other.start()
    wait_for(lambda: first.poll(0.1) == {} and bool(second) and len(first.assigned) == 1)
    done.set()
    other.join()
    first.close()
    # nothing was committed, so what went over was read from its start, and again if a busy machine cost a membership
    assert lost
    assert {Partition(m.topic, m.partition) for m in second} <= set.union(*lost)
    for number in {m.partition for m in second}:
        offsets = [m.offset for m in second if m.partition == number]
        assert offsets[0] == 0
        assert all(after in (0, before + 1) for before, after in pairwise(offsets))


@pytest.mark.stack
def test_a_client_that_does_not_get_into_its_group_is_replaced(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stocklib.stream.consumer._TROUBLE_SECONDS", 0.5)
    monkeypatch.setattr("stocklib.stream.consumer._REPLACE_SECONDS", 0.1)
    publish(settings, 5)
    consumer = Consumer(settings, [settings.kafka_topic])
    first = consumer._client
    # the group never hands out its partitions to this client
    monkeypatch.setattr(first, "poll", lambda **_: time.sleep(0.05) or {})
    wait_for(lambda: consumer.poll(0.1) == {} and consumer.trouble is not None)
    assert settings.kafka_group in (consumer.trouble or "")
    assert len(drain(consumer, 5)) == 5
    assert consumer._client is not first
    assert consumer.trouble is None
    consumer.close()


@pytest.mark.stack
def test_a_join_that_ends_between_two_polls_is_one(settings: Settings) -> None:
    create_topics(settings)
    consumer = Consumer(settings, [settings.kafka_topic])
    try:
        polls, coordinator = 0, consumer._client._coordinator
        while consumer.is_joining and polls < 10:
            consumer.poll(0.05)
            polls += 1
            # busy with something else, as on a machine that others use too
            deadline = time.monotonic() + 20
            while (task := coordinator._join_task) and not task.is_done and time.monotonic() < deadline:
                time.sleep(0.01)
        assert not consumer.is_joining
        assert polls < 5
    finally:
        consumer.close()


@pytest.mark.stack
def test_a_leader_who_leaves_while_others_join_blocks_nobody(settings: Settings) -> None:
    publish(settings, 30)
    first = Consumer(settings, [settings.kafka_topic])
    assert commit(first, drain(first, 30)[:20])
    second = Consumer(settings, [settings.kafka_topic])
    # it is known to the group, and has not been told its part
    until = time.monotonic() + 0.3
    while time.monotonic() < until:
        assert second.poll(0.05) == {}
    first.close()
    assert [message.offset for message in drain(second, 10, seconds=20)] == list(range(20, 30))
    publish(settings, 10)
    # nor does the name under which it joined keep a later one out
    second.close()
    third = Consumer(settings, [settings.kafka_topic])
    assert len(drain(third, 20, seconds=20)) == 20
    third.close()


@pytest.mark.stack
def test_a_topic_made_anew_has_another_id_and_is_read_from_its_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stocklib.stream.consumer._IDENTITY_SECONDS", 0.2)
    publish(settings, 30)
    lost: list[set[Partition]] = []
    consumer = Consumer(settings, [settings.kafka_topic], on_lost=lost.append)
    before = drain(consumer, 30)
    commit(consumer, before)
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka_broker)
    admin.delete_topics([settings.kafka_topic])
    admin.close()
    publish(settings, 40)
    after: list[Message] = []

    def read_on() -> bool:
        for messages in consumer.poll(0.1).values():
            after.extend(messages)
        return len({m.offset for m in after if m.topic_id != before[0].topic_id}) == 40

    wait_for(read_on)
    consumer.close()
    assert lost
    new = [m for m in after if m.topic_id != before[0].topic_id]
    assert sorted({m.value for m in new}) == sorted(b'{"n":%d}' % n for n in range(40))


@pytest.mark.stack
def test_a_broker_that_is_killed_and_comes_back_costs_nothing(spare: Settings, spare_home: Path) -> None:
    with Producer(spare, source="replay") as sender:
        for n in range(4000):
            sender.publish(spare.kafka_topic, ("AAPL", "MSFT")[n % 2], b"%d" % n, timestamp=T0)
            if n == 1500:
                kill(spare_home, "kafka")
                threading.Timer(1.0, start_again, [spare_home]).start()
        sender.flush()
        assert sender.confirmed == {"AAPL": 2000, "MSFT": 2000}
    assert_whole(spare, 2000)


@pytest.mark.stack
@pytest.mark.embedded_kafka  # which fails while its S3 is away
def test_a_client_that_fails_for_good_is_replaced_and_sends_again_with_the_same_numbers(
    spare: Settings, spare_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer, "_REQUEST_MS", 1500)
    monkeypatch.setattr(producer, "_DELIVERY_MS", 3000)
    sender = Producer(spare, source="replay")
    first = sender._client
    for n in range(3000):
        sender.publish(spare.kafka_topic, ("AAPL", "MSFT")[n % 2], b"%d" % n, timestamp=T0)
        if n == 1500:
            # the broker has nowhere to write to, and refuses
            kill(spare_home, "s3")
    wait_for(lambda: sender.unconfirmed > 0 and sender._failure is not None)
    start_again(spare_home)
    sender.close()
    assert sender._client is not first
    assert sender.confirmed == {"AAPL": 1500, "MSFT": 1500}
    assert_whole(spare, 1500)


def assert_whole(settings: Settings, seqs: int) -> None:
    """Of AAPL and MSFT every seq is there, and what is doubled is the same event."""
    consumer = Consumer(settings, [settings.kafka_topic])
    events: dict[tuple[str | None, int], bytes | None] = {}

    def complete() -> bool:
        for messages in consumer.poll(0.2).values():
            for message in messages:
                event = (message.key, int(message.headers["seq"]))
                assert events.setdefault(event, message.value) == message.value
        return len(events) >= 2 * seqs

    wait_for(complete)
    consumer.close()
    assert set(events) == {(symbol, seq) for symbol in ("AAPL", "MSFT") for seq in range(1, seqs + 1)}
    values = [events["AAPL", seq] or b"" for seq in range(1, seqs + 1)]
    assert all(int(a) < int(b) for a, b in pairwise(values))


@pytest.mark.stack
def test_a_broker_that_stays_away_is_an_error_that_says_what_is_not_confirmed(
    spare: Settings, spare_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer, "_STUCK_SECONDS", 1.0)
    sender = Producer(spare, source="replay")
    sender.publish(spare.kafka_topic, "AAPL", b"1", timestamp=T0)
    sender.flush()
    kill(spare_home, "kafka")
    sender.publish(spare.kafka_topic, "AAPL", b"2", timestamp=T0)
    sender.publish(spare.kafka_topic, "AAPL", b"3", timestamp=T0)
    with pytest.raises(StreamError, match=r"did not confirm 2 messages .*KAFKA_BROKER.*{'AAPL': 1}"):
        sender.flush()
    assert sender.confirmed == {"AAPL": 1}
    # it has given up, and does not pretend otherwise
    with pytest.raises(StreamError, match="did not confirm 2 messages"):
        sender.publish(spare.kafka_topic, "AAPL", b"4", timestamp=T0)
    with pytest.raises(StreamError):
        sender.close()


@pytest.mark.stack
def test_a_run_that_is_to_end_does_not_wait_a_minute_for_a_broker_that_is_away(
    spare: Settings, spare_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer, "_STUCK_SECONDS_AT_THE_END", 1.0)
    stop = threading.Event()
    sender = Producer(spare, source="replay", stop=stop)
    sender.publish(spare.kafka_topic, "AAPL", b"1", timestamp=T0)
    sender.flush()
    kill(spare_home, "kafka")
    sender._failure = OSError("the client failed")
    threading.Timer(1.0, stop.set).start()
    began = time.monotonic()
    with pytest.raises(StreamError, match="KAFKA_BROKER"):
        sender.publish(spare.kafka_topic, "AAPL", b"2", timestamp=T0)
    assert 1 <= time.monotonic() - began < 5
    with pytest.raises(StreamError):
        sender.close()


@pytest.mark.stack
@pytest.mark.parametrize("refused_by", ["client", "broker"])
def test_what_is_forwarded_and_too_large_is_cut_and_says_of_what(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, refused_by: str
) -> None:
    value = b"x" + "é".encode() * 200_000
    headers = {"much": "m" * 40_000, **{f"more-{n}": "m" * 1000 for n in range(40)}, "topic": "quotes", "offset": "7"}
    if refused_by == "client":
        monkeypatch.setattr(producer, "_MAX_BYTES", 120_000)
    with Producer(settings, source="landing") as sender:
        if refused_by == "broker":
            refuse_above(120_000, sender, monkeypatch)
        sender.forward(settings.kafka_dlq_topic, None, b"small", timestamp_ms=1, headers={"offset": "6"})
        sender.forward(settings.kafka_dlq_topic, "k" * 9000, value, timestamp_ms=1, headers=headers)
        sender.forward(settings.kafka_dlq_topic, None, None, timestamp_ms=1, headers={"offset": "8"})
    consumer = Consumer(settings, [settings.kafka_dlq_topic])
    small, cut, empty = sorted(drain(consumer, 3), key=lambda message: message.headers["offset"])
    consumer.close()
    assert (small.value, small.headers) == (b"small", {"offset": "6"})
    assert cut.value == value[:65_535]
    assert cut.key == "k" * 2048
    assert cut.headers["full_bytes"] == "400001"
    assert cut.headers["full_sha256"] == hashlib.sha256(value).hexdigest()
    assert (cut.headers["topic"], cut.headers["offset"]) == ("quotes", "7")
    assert "more-39" in cut.headers
    assert "much" not in cut.headers
    assert (empty.key, empty.value, empty.headers) == (None, b"", {"offset": "8"})


def refuse_above(limit: int, sender: Producer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client answer like a broker that takes no message of so many bytes."""
    send = sender._client.send

    def refuse(topic: str, *, value: bytes, **rest: object) -> FutureRecordMetadata:
        if len(value) <= limit:
            return send(topic, value=value, **rest)
        produced = FutureProduceResult(TopicPartition(topic, 0))
        refused = FutureRecordMetadata(produced, 0, 0, None, 0, 0, 0)
        produced.failure(MessageSizeTooLargeError())
        return refused

    monkeypatch.setattr(sender._client, "send", refuse)


def kafka_at(tmp_path: Path, **environ: str) -> Settings:
    return read_settings(environ={"STOCKS_HOME": str(tmp_path), **environ})


@pytest.mark.parametrize("broker", ["127.0.0.1", "localhost:port", "http://127.0.0.1", ":9092"])
def test_a_broker_that_is_no_address_is_named(tmp_path: Path, broker: str) -> None:
    with pytest.raises(StreamError, match=r"KAFKA_BROKER=.*expected host:port"):
        check(kafka_at(tmp_path, KAFKA_BROKER=broker))


def test_a_dead_broker_is_named_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(StreamError, match=r"127\.0\.0\.1:1: Connection refused.*KAFKA_BROKER"):
        check(kafka_at(tmp_path, KAFKA_BROKER="127.0.0.1:1"))
    with pytest.raises(StreamError, match=r"no-such-host\.invalid"):
        check(kafka_at(tmp_path, KAFKA_BROKER="no-such-host.invalid:9092"))
    assert time.monotonic() - began < 10


def test_something_that_is_no_kafka_is_named_with_the_security_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stocklib.stream.broker._CONNECT_MS", 1500)
    said = r"was reached, but .*KAFKA_SECURITY_PROTOCOL \(now PLAINTEXT\)"
    with socket.create_server(("127.0.0.1", 0)) as deaf, pytest.raises(StreamError, match=said):
        check(kafka_at(tmp_path, KAFKA_BROKER=f"127.0.0.1:{deaf.getsockname()[1]}"))


@pytest.mark.stack
def test_the_wrong_security_is_named(stack: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stocklib.stream.broker._CONNECT_MS", 1500)
    monkeypatch.setattr("stocklib.stream.broker._REACH_SECONDS", 0.5)
    broker = stack["KAFKA_BROKER"]
    with pytest.raises(StreamError, match=r"KAFKA_SECURITY_PROTOCOL \(now SSL\)"):
        check(kafka_at(tmp_path, KAFKA_BROKER=broker, KAFKA_SECURITY_PROTOCOL="SSL"))
    sasl = {
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": "me",
        "KAFKA_SASL_PASSWORD": "hunter2",
    }
    with pytest.raises(StreamError, match="KAFKA_SASL_MECHANISM, _USERNAME, _PASSWORD") as raised:
        check(kafka_at(tmp_path, KAFKA_BROKER=broker, **sasl))
    assert "hunter2" not in str(raised.value)
    with pytest.raises(SettingsError, match="KAFKA_SASL_PASSWORD is not set"):
        check(kafka_at(tmp_path, KAFKA_BROKER=broker, **{**sasl, "KAFKA_SASL_PASSWORD": ""}))
    authority = str(tmp_path / "nowhere.pem")
    with pytest.raises(StreamError, match="KAFKA_SSL_CAFILE"):
        check(kafka_at(tmp_path, KAFKA_BROKER=broker, KAFKA_SECURITY_PROTOCOL="SSL", KAFKA_SSL_CAFILE=authority))


@pytest.fixture(autouse=True)
def no_thread_is_left_behind() -> Iterator[None]:
    """A client that is closed, or given up, takes its threads along."""
    before = set(threading.enumerate())
    yield
    wait_for(lambda: not [t for t in set(threading.enumerate()) - before if "kafka" in t.name], seconds=10)
