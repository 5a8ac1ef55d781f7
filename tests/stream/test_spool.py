"""The spool: what Kafka has not confirmed is on disk, whole and in order, whatever is cut, killed or full."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from conftest import StartReplay, start_again
from hypothesis import given
from hypothesis import strategies as st
from outages import drain, files_of_at_most, kill, wait_for

from stocklib.errors import StreamError
from stocklib.pipeline.ingest import produce
from stocklib.settings import Settings, read_settings
from stocklib.stream import Producer, SpoolingProducer, spooling
from stocklib.stream.sent import Sent
from stocklib.stream.spool import Spool, abandoned, decode, discard, encode, read_spool

T0 = datetime(2012, 12, 14, 14, 30, tzinfo=UTC)


def sent(seq: int, value: bytes = b"{}", *, symbol: str = "AAPL") -> Sent:
    headers = [("run_id", b"run-1"), ("source", b"replay"), ("seq", b"%d" % seq)]
    return Sent("stock-quotes", symbol.encode(), value, 1355495400000 + seq, headers, symbol, seq)


def events(messages: list[Sent]) -> list[tuple[bytes | None, bytes | None, int, int]]:
    return [(message.key, message.value, message.timestamp_ms, message.seq) for message in messages]


@given(st.lists(st.binary(max_size=60), max_size=12), st.data())
def test_any_beginning_of_a_file_yields_its_whole_records_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, values: list[bytes], data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.spool"
    messages = [sent(n, value) for n, value in enumerate(values, start=1)]
    lines = [encode(message, number=message.seq, confirmed=0) for message in messages]
    cut = data.draw(st.integers(0, sum(map(len, lines))))
    path.write_bytes(b"".join(lines)[:cut])
    whole = sum(1 for n in range(len(lines)) if sum(map(len, lines[: n + 1])) <= cut)
    found = list(read_spool(path))
    assert events(found) == events(messages[:whole])
    assert [message.headers for message in found] == [message.headers for message in messages[:whole]]


@given(st.binary(max_size=80), st.binary(min_size=1, max_size=40))
def test_a_line_of_garbage_is_no_record(value: bytes, garbage: bytes) -> None:
    line = encode(sent(1, value), number=1, confirmed=0)
    assert decode(line)
    assert line.count(b"\n") == 1
    spoiled = line[:20] + garbage + line[20:]
    assert decode(spoiled) is None
    assert decode(garbage) is None


@given(st.lists(st.sampled_from(["send", "wait", "take", "confirm"]), max_size=60))
def test_whatever_is_written_sent_and_confirmed_the_file_holds_what_is_not_confirmed(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    spool = Spool(tmp_path_factory.getbasetemp() / "model", run_id="run-1")
    unconfirmed: list[int] = []
    waiting: list[int] = []
    seq = 0
    for step in steps:
        if step == "wait" or (step == "send" and not waiting):
            seq += 1
            spool.append(sent(seq, b"x" * (seq % 7)), waits=step == "wait")
            unconfirmed.append(seq)
            waiting += [seq] if step == "wait" else []
        elif step == "take" and waiting:
            assert spool.next_waiting().seq == waiting.pop(0)
        elif step == "confirm" and len(unconfirmed) > len(waiting):
            unconfirmed.pop(0)
            spool.confirm()
        assert (spool.held, spool.waiting) == (len(unconfirmed), len(waiting))
        # after a kill, at most what was confirmed since the last record was written is sent once more
        left = [message.seq for message in read_spool(spool.path)]
        assert left[len(left) - len(unconfirmed) :] == unconfirmed
        assert left == sorted(set(left))
    spool.close()
    assert spool.path.exists() == bool(unconfirmed)
    discard(spool.path)


def test_a_file_whose_beginning_is_confirmed_does_not_grow(tmp_path: Path) -> None:
    spool = Spool(tmp_path, run_id="run-1")
    value = b"x" * 10_000
    for seq in range(1, 2001):
        spool.append(sent(seq, value), waits=False)
        if seq > 5:
            spool.confirm()
    assert spool.size < 70_000
    assert spool.path.stat().st_size < 3_000_000
    assert [message.seq for message in read_spool(spool.path)][-5:] == list(range(1996, 2001))
    spool.append(sent(2001), waits=True)
    assert spool.next_waiting().seq == 2001
    spool.close()


def test_a_disk_too_full_for_a_file_to_be_written_anew_loses_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, run_id="run-1")
    for seq in range(1, 401):
        spool.append(sent(seq, b"x" * 10_000), waits=seq > 300)
    with files_of_at_most(500_000):
        for _ in range(300):
            spool.confirm()
    assert [message.seq for message in read_spool(spool.path)][-100:] == list(range(301, 401))
    assert [path.name for path in spool.path.parent.iterdir()] == [spool.path.name]
    assert [spool.next_waiting().seq for _ in range(100)] == list(range(301, 401))
    spool.close()


def test_a_file_is_abandoned_when_its_process_is_gone(tmp_path: Path) -> None:
    spool = Spool(tmp_path, run_id="alive")
    spool.append(sent(1), waits=True)
    with abandoned(tmp_path) as found:
        assert found == []
    spool.close()
    with abandoned(tmp_path) as found:
        assert found == [spool.path]
        # one run sends it, not two
        with abandoned(tmp_path) as again:
            assert again == []


# ── against a broker ──────────────────────────────────────────────────────────────────────────────────────────────────


def publish(
    producer: Producer, topic: str, count: int, *, symbols: tuple[str, ...] = ("AAPL", "MSFT"), padding: int = 0
) -> None:
    for n in range(count):
        producer.publish(topic, symbols[n % len(symbols)], b'{"n":%d}' % n + b" " * padding, timestamp=T0)


def seqs(settings: Settings, count: int) -> dict[tuple[str, str], list[int]]:
    """What is in Kafka, by run and symbol, as it lies there; a doubled event shows."""
    found: dict[tuple[str, str], list[int]] = {}
    for message in drain(settings, count=count):
        found.setdefault((message.headers["run_id"], message.key or ""), []).append(int(message.headers["seq"]))
    return found


def has_failed(producer: SpoolingProducer) -> bool:
    """Whether the client has found out that its broker is gone."""
    producer.maintain()
    return producer._failure is not None


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that cannot send says so soon."""
    monkeypatch.setattr("stocklib.stream.producer._REQUEST_MS", 1000)
    monkeypatch.setattr("stocklib.stream.producer._DELIVERY_MS", 1500)
    monkeypatch.setattr("stocklib.stream.producer.MAX_UNCONFIRMED", 50)
    monkeypatch.setattr(spooling, "MAX_UNCONFIRMED", 50)
    monkeypatch.setattr(spooling, "_AWAY_SECONDS", 0.3)


@pytest.mark.stack
def test_what_is_on_its_way_to_a_kafka_that_is_well_does_not_wait_on_disk(settings: Settings) -> None:
    on_its_way = 0
    with SpoolingProducer(settings, source="replay", run_id="run-1") as sender:
        for _ in range(50):
            publish(sender, settings.kafka_topic, 2)
            on_its_way = max(on_its_way, sender.unconfirmed)
            # it is on disk too, but KafkaOutOfReach goes by this
            assert sender.spooled == 0
        assert on_its_way > 0
        # a message that waits too long: away, also where a new client could be made, until something is confirmed
        sender._is_stuck = True
        publish(sender, settings.kafka_topic, 2)
        assert (sender.is_away, sender.spooled) == (bool(sender.unconfirmed), sender.unconfirmed)
        sender.flush()
        assert not sender.is_away


@pytest.mark.stack
def test_while_kafka_is_away_publishing_goes_on_and_then_everything_goes_out_in_order(
    spare: Settings, spare_home: Path, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    with SpoolingProducer(spare, source="replay", run_id="run-1") as sender:
        publish(sender, spare.kafka_topic, 20)
        sender.flush()
        assert (sender.spooled, sender.is_away) == (0, False)
        kill(spare_home, "kafka")
        began = time.monotonic()
        publish(sender, spare.kafka_topic, 400)
        assert time.monotonic() - began < 5
        wait_for(partial(has_failed, sender))
        publish(sender, spare.kafka_topic, 400)
        assert sender.is_away
        assert sender.spooled == sender.unconfirmed == 800
        assert "confirms nothing: 800 events wait on disk" in (sender.trouble or "")
        assert sender.confirmed == {"AAPL": 10, "MSFT": 10}
        # memory holds the first ones only
        assert len(sender._open) == 50
        start_again(spare_home)
        wait_for(lambda: sender.maintain() is None and sender.unconfirmed == 0, seconds=60)
        assert sender.confirmed == {"AAPL": 410, "MSFT": 410}
        assert (sender.spooled, sender.trouble) == (0, None)
    assert "does not confirm: quotes wait in" in caplog.text
    assert "confirms again" in caplog.text
    found = seqs(spare, 820)
    assert {key: sorted(set(numbers)) for key, numbers in found.items()} == {
        ("run-1", symbol): list(range(1, 411)) for symbol in ("AAPL", "MSFT")
    }
    assert list((spare.home / "spool").iterdir()) == []


@pytest.mark.stack
def test_a_spool_that_is_full_or_cannot_be_written_ends_the_run_and_the_next_one_sends_what_it_holds(
    spare: Settings, spare_home: Path, quick: None
) -> None:
    small = read_settings(environ={**environ_of(spare), "PRODUCER_SPOOL_MB": "1"})
    full = SpoolingProducer(small, source="replay", run_id="full")
    unwritable = SpoolingProducer(small, source="replay", run_id="unwritable")
    for sender in (full, unwritable):
        sender.publish(spare.kafka_topic, "AAPL", b"{}", timestamp=T0)
        sender.flush()
    kill(spare_home, "kafka")
    for sender in (full, unwritable):
        sender.publish(spare.kafka_topic, "AAPL", b"{}", timestamp=T0)
        wait_for(partial(has_failed, sender))
    with pytest.raises(StreamError, match=r"full\.spool is full, see PRODUCER_SPOOL_MB.*{'AAPL': 1}"):
        publish(full, spare.kafka_topic, 1000, symbols=("AAPL",), padding=10_000)
    kept = full.spooled
    assert 90 < kept < 110
    with files_of_at_most(1_000), pytest.raises(StreamError, match=r"unwritable\.spool cannot be written.*AAPL': 1}"):
        publish(unwritable, spare.kafka_topic, 10, symbols=("AAPL",))
    for sender in (full, unwritable):
        # it has given up, and does not pretend otherwise
        with pytest.raises(StreamError, match="did not confirm"):
            sender.publish(spare.kafka_topic, "AAPL", b"{}", timestamp=T0)
        with pytest.raises(StreamError, match="the next run sends it"):
            sender.close()
    start_again(spare_home)
    with SpoolingProducer(small, source="replay", run_id="next") as sender:
        assert sender.confirmed == {}
    assert list((spare.home / "spool").iterdir()) == []
    found = seqs(spare, 2 + kept)
    assert sorted(set(found["full", "AAPL"])) == list(range(1, kept + 2))
    assert set(found["unwritable", "AAPL"]) >= {1, 2}


@pytest.mark.stack
def test_a_full_disk_stops_no_stream_as_long_as_kafka_takes_it(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with SpoolingProducer(settings, source="replay", run_id="run-1") as sender, files_of_at_most(100):
        publish(sender, settings.kafka_topic, 50)
        sender.flush()
        assert sender.confirmed == {"AAPL": 25, "MSFT": 25}
        assert sender.spooled == 0
    assert caplog.text.count("a kill now loses the events in flight") == 1
    assert len(drain(settings, count=50)) == 50


@pytest.mark.stack
def test_a_run_killed_while_kafka_is_away_loses_nothing_that_it_fetched(
    spare: Settings, spare_home: Path, replay: StartReplay
) -> None:
    settings = replay(start="2012-12-14T10:00:00", environ=environ_of(spare))
    with produce_in_a_process(settings) as running:
        wait_for(lambda: heartbeat(settings).get("messages", 0) > 20, seconds=60)
        kill(spare_home, "kafka")
        wait_for(lambda: heartbeat(settings).get("spooled", 0) > 300, seconds=60)
        wait_for(lambda: "Kafka is away" in heartbeat(settings)["state"])
        running.kill()
        running.wait()
    before = heartbeat(settings)
    assert sum(before["confirmed"].values()) < before["messages"]
    fetched = asked_for(settings)
    start_again(spare_home)
    after = produce(settings, max_quotes=5)
    found = seqs(spare, fetched - 1 + 5)
    mine = {symbol: numbers for (run_id, symbol), numbers in found.items() if run_id == before["run_id"]}
    assert all(sorted(set(numbers)) == list(range(1, max(numbers) + 1)) for numbers in mine.values())
    # the one that was on the wire when the run was killed was nobody's yet
    assert fetched - 1 <= sum(map(max, mine.values())) <= fetched
    assert sum(len(numbers) for (run_id, _), numbers in found.items() if run_id == after.run_id) == 5
    assert list((settings.home / "spool").iterdir()) == []


def environ_of(settings: Settings) -> dict[str, str]:
    """The settings of a test as an environment."""
    names = [name for name, origin in settings.origins.items() if origin == "environment"]
    values = {name: settings.values[name] for name in names}
    return {name: value.reveal() if hasattr(value, "reveal") else str(value) for name, value in values.items()}


@contextmanager
def produce_in_a_process(settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    """``stocks produce`` as a process of its own."""
    command = [str(Path(sys.executable).with_name("stocks")), "produce"]
    environ = {"PATH": os.environ["PATH"], **environ_of(settings)}
    log = settings.home / "produce.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env=environ, stdout=output, stderr=output, cwd=settings.root) as running,
    ):
        try:
            yield running
        finally:
            running.kill()


def heartbeat(settings: Settings) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((settings.home / "heartbeats" / "producer.json").read_bytes())
        return found
    except FileNotFoundError:
        return {}


def asked_for(settings: Settings) -> int:
    """How many quotes a replay has answered."""
    key = settings.finnhub_api_key.reveal()
    with urlopen(f"{str(settings.finnhub_base_url).replace('/api/v1', '/replay/faults')}?token={key}") as answer:
        return int(json.load(answer)["calls"]["/quote"])
