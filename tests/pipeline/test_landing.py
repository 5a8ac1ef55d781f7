"""Landing: what Kafka holds is in the lake, untouched, whatever is killed, cut or fed to it."""

import base64
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from conftest import start_again
from hypothesis import given
from hypothesis import strategies as st
from outages import Proxy, kill, wait_for
from streams import T0, committed, consume, events, landed, landing_in_the_background, only, publish, quote

from stocklib.errors import LakeError, StreamError
from stocklib.lake import Lake, parse_key
from stocklib.pipeline.landing import LandedBatch, land, lander, validation
from stocklib.settings import Settings, read_settings
from stocklib.stream import Message, Producer, topic_ids

# ── the form of a line ────────────────────────────────────────────────────────────────────────────────────────────────


def message(value: bytes | None, **changes: Any) -> Message:
    fields = {"topic": "q", "topic_id": "id", "partition": 0, "offset": 7, "timestamp_ms": 1, "key": "AAPL"}
    return Message(**{**fields, "value": value, "headers": {"seq": "1"}, **changes})


def test_a_payload_lands_byte_for_byte() -> None:
    value = b'{"symbol":"AAPL",\r\n "c":1.10, "big":12345678901234567890123, "t":1e3,"u":"\\u00e9\xc3\xa9"}'
    line = validation.format_line(message(value))
    assert line.endswith(b'"payload":' + value.replace(b"\r\n", b"  ") + b"}")
    assert b"\n" not in line
    assert line.startswith(
        b'{"topic":"q","topic_id":"id","partition":0,"offset":7,"timestamp":1,"key":"AAPL","headers":{"seq":"1"},'
    )
    assert json.loads(line)["payload"]["u"] == "éé"


@given(st.text(), st.none() | st.text(), st.dictionaries(st.text(), st.text()), st.integers(0, 2**62))
def test_a_line_is_one_json_object_whatever_key_and_headers_hold(
    note: str, key: str | None, headers: dict[str, str], offset: int
) -> None:
    try:
        value = quote(note=note)
    except TypeError:
        return  # a lone surrogate, which no JSON holds
    read = json.loads(validation.format_line(message(value, key=key, headers=headers, offset=offset)))
    assert (read["key"], read["headers"], read["offset"]) == (key, headers, offset)
    assert read["payload"]["note"] == note


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "no value"),
        (b"", "not JSON"),
        (b"\xff\xfe", "UTF-8"),
        (b"{", "not JSON"),
        (b"[1]", "not a JSON object"),
        (quote() + quote(), "not JSON"),
        (quote().replace(b"510.5901", b"NaN"), "not JSON"),
        (quote().replace(b"510.5901", b"-Infinity"), "not JSON"),
        (quote(c=None), "c is missing or no finite number"),
        (quote(c="510.59"), "c is missing or no finite number"),
        (quote(h=True), "h is missing or no finite number"),
        (quote(fetched_at=None), "fetched_at is missing"),
        (quote(symbol=""), "symbol is missing"),
        (quote(symbol=7), "symbol is missing"),
        *(
            (quote(symbol=odd), "symbol malformed")
            for odd in ("aapl", " AAPL ", "A\0PL", "🚀", "'; drop table", "A" * 33)
        ),
        (quote()[:-1] + b',"c":1}', "the key 'c' is there twice"),
        (quote(x={"a": 1})[:-2] + b',"a":2}}', "the key 'a' is there twice"),
        (b'{"symbol":"AAPL"}', "c is missing"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_a_message_that_is_no_quote_is_refused_with_the_reason(value: bytes | None, reason: str) -> None:
    assert reason in (validation.validate_quote(value) or "")


def test_what_looks_odd_and_is_a_quote_is_accepted() -> None:
    # their meaning is judged later, by those who know more than the form
    for value in (
        quote(c=-1),
        quote(c=0),
        quote(d=None),
        quote(more={"a": [1]}),
        b" " + quote() + b"\r\n",
    ):
        assert validation.validate_quote(value) is None
    trade = {"s": "AAPL", "p": 510.59, "t": 1355495400123, "v": 100, "c": ["1"], "fetched_at": 1355495400.5}
    assert validation.validate_trade(orjson.dumps(trade)) is None
    assert "s is missing" in (validation.validate_trade(quote()) or "")
    assert "symbol malformed" in (validation.validate_trade(orjson.dumps({**trade, "s": "aapl"})) or "")
    assert validation.validate_trade(orjson.dumps({**trade, "s": "BINANCE:BTCUSDT"})) is None


# ── what lands ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.stack
def test_every_message_lands_once_and_only_once(settings: Settings) -> None:
    for symbol in ("AAPL", "BRK.B", "MSFT"):
        publish(settings, [quote(symbol, n) for n in range(400)], symbol=symbol)
    batches: list[LandedBatch] = []
    result = land(settings, max_quotes=1200, on_batch=batches.append)
    assert (result.messages, result.dead_letters) == (1200, 0)
    assert result.objects == len(batches) == len(list(Lake(settings).list("stock_quotes")))
    assert sum(batch.messages for batch in batches) == 1200
    lines = landed(settings)
    assert sorted((line["key"], int(line["headers"]["seq"])) for line in lines) == [
        (symbol, seq) for symbol in ("AAPL", "BRK.B", "MSFT") for seq in range(1, 401)
    ]
    topic_id = topic_ids(settings, [settings.kafka_topic])[settings.kafka_topic]
    assert {(line["topic"], line["topic_id"], line["timestamp"]) for line in lines} == {
        (settings.kafka_topic, topic_id, 1355495400000)
    }
    assert lines[0]["payload"] == json.loads(quote(lines[0]["key"], 0))
    assert lines[0]["headers"].pop("received_at")
    assert lines[0]["headers"] == {"run_id": "run-1", "source": "replay", "seq": "1"}
    for batch in batches:
        assert parse_key(batch.key).what == f"{batch.topic}+{batch.partition}+{batch.first:020d}-{batch.last:020d}"
        assert batch.last - batch.first + 1 == batch.messages
    # what is committed is not read again
    assert land(settings, until_idle=0.4).messages == 0


@pytest.mark.stack
def test_a_batch_is_closed_by_count_by_bytes_and_by_age(service_environ: dict[str, str]) -> None:
    settings = only(service_environ, BATCH_MAX_QUOTES="100", BATCH_MAX_SECONDS="0.5")
    publish(settings, [quote(n=n) for n in range(250)])
    began = time.monotonic()
    with landing_in_the_background(settings) as (batches, _):
        wait_for(lambda: len(batches) == 3)
        assert time.monotonic() - began >= 0.5
    assert [batch.messages for batch in batches] == [100, 100, 50]
    line = len(validation.format_line(message(quote()))) + 150
    small = only(service_environ, BATCH_MAX_BYTES=str(line * 10), KAFKA_GROUP="another" + settings.kafka_group)
    batches = []
    land(small, max_quotes=250, on_batch=batches.append)
    assert len(batches) > 10
    assert all(batch.bytes <= line * 11 for batch in batches)


@pytest.mark.stack
def test_a_run_ends_after_so_many_messages_and_the_next_one_goes_on_there(service_environ: dict[str, str]) -> None:
    settings = only(service_environ)
    publish(settings, [quote(n=n) for n in range(100)])
    assert land(settings, max_quotes=70).messages == 70
    assert land(settings, max_quotes=30).messages == 30
    assert events(settings) == [("AAPL", seq) for seq in range(1, 101)]
    assert land(settings, duration=0.2).ended == "0.2 seconds are over"


@pytest.mark.stack
def test_garbage_goes_to_the_dead_letters_with_its_reason_and_lands_there(service_environ: dict[str, str]) -> None:
    settings = only(service_environ, BATCH_MAX_SECONDS="0.2")
    garbage = [b"\xff\xfe garbage", b'{"symbol":"AAPL","c":NaN}', b"", b"null"]
    publish(settings, [quote(n=1), *garbage, quote(n=2)])
    with landing_in_the_background(settings) as (batches, _):
        wait_for(lambda: sum(batch.messages for batch in batches) == 6)
    assert [line["offset"] for line in landed(settings)] == [0, 5]
    (found,) = Lake(settings).list("stock_quotes")
    assert "+00000000000000000000-00000000000000000005+" in found.key
    letters = landed(settings, "dead_letters")
    assert [letter.get("payload") for letter in letters] == [None, '{"symbol":"AAPL","c":NaN}', "", "null"]
    assert base64.b64decode(letters[0]["payload_base64"]) == garbage[0]
    assert all(letter["reason"] == letter["headers"]["reason"] for letter in letters)
    assert "UTF-8" in letters[0]["reason"]
    origin = topic_ids(settings, [settings.kafka_topic])[settings.kafka_topic]
    assert all(letter["headers"].pop("received_at") for letter in letters)
    assert [letter["headers"] for letter in letters] == [
        {
            "run_id": "run-1",
            "source": "replay",
            "seq": str(offset + 1),
            "topic": settings.kafka_topic,
            "topic_id": origin,
            "partition": "0",
            "offset": str(offset),
            "reason": letters[offset - 1]["reason"],
        }
        for offset in (1, 2, 3, 4)
    ]
    assert {letter["topic"] for letter in letters} == {settings.kafka_dlq_topic}
    # a batch of garbage alone is committed too
    publish(settings, [b"more garbage"])
    assert land(settings, max_quotes=1).dead_letters == 1
    assert committed(settings) == 7


@pytest.mark.stack
def test_garbage_as_large_as_a_message_may_be_keeps_nothing_from_landing(service_environ: dict[str, str]) -> None:
    settings = only(service_environ, BATCH_MAX_SECONDS="0.2")
    garbage = b"x" * (2**20 - 200)
    publish(settings, [quote(n=1), garbage, quote(n=2)])
    with landing_in_the_background(settings) as (batches, _):
        wait_for(lambda: sum(batch.messages for batch in batches) == 3)
    (letter,) = landed(settings, "dead_letters")
    assert letter["payload"].encode() == garbage
    assert "full_bytes" not in letter["headers"]
    assert [line["offset"] for line in landed(settings)] == [0, 2]
    assert committed(settings) == 3


@pytest.mark.stack
def test_trades_land_in_a_dataset_of_their_own(settings: Settings) -> None:
    trade = {"s": "AAPL", "p": 510.59, "t": 1355495400123, "v": 100, "c": ["1"], "fetched_at": 1355495400.5}
    publish(settings, [orjson.dumps(trade), quote()], topic=settings.kafka_trades_topic)
    result = land(settings, max_quotes=2)
    assert result.dead_letters == 1
    assert [line["payload"] for line in landed(settings, "stock_trades")] == [trade]
    assert landed(settings, "stock_quotes") == []


# ── kills, cuts and rebalances ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.stack
def test_a_kill_between_the_write_and_the_commit_loses_nothing(service_environ: dict[str, str], project: Path) -> None:
    environ = {**service_environ, "KAFKA_PARTITIONS": "1", "BATCH_MAX_QUOTES": "50"}
    settings = read_settings(environ=environ)
    lake = Lake(settings)
    lake.ensure_bucket()
    publish(settings, [quote(n=n) for n in range(120)])
    with consume(project, environ) as running:
        # a written object is there for a moment before its commit: kill at the first sight of one
        wait_for(lambda: any(lake.list("stock_quotes")))
        running.kill()
        running.wait()
    there = sorted(set(events(settings)))
    assert there
    assert committed(settings) < len(there)
    # other batches this time: those of the same messages would be the same objects
    rest = 120 - committed(settings)
    land(read_settings(environ={**environ, "BATCH_MAX_QUOTES": "30"}), max_quotes=rest)
    assert sorted(set(events(settings))) == [("AAPL", seq) for seq in range(1, 121)]
    assert len(events(settings)) > 120
    # what is there twice is the same message
    lines = {(line["offset"], json.dumps(line)) for line in landed(settings)}
    assert len(lines) == 120


@pytest.mark.stack
def test_a_sigterm_leaves_nothing_unflushed(service_environ: dict[str, str], project: Path) -> None:
    environ = {**service_environ, "KAFKA_PARTITIONS": "1", "BATCH_MAX_QUOTES": "50", "BATCH_MAX_SECONDS": "3600"}
    settings = read_settings(environ=environ)
    lake = Lake(settings)
    lake.ensure_bucket()
    publish(settings, [quote(n=n) for n in range(120)])
    with consume(project, environ) as running:
        wait_for(lambda: len(list(lake.list("stock_quotes"))) == 2)
        running.send_signal(signal.SIGTERM)
        said, _ = running.communicate(timeout=30)
    assert running.returncode == 0, said
    assert "landed 120 messages in 3 objects" in said
    assert events(settings) == [("AAPL", seq) for seq in range(1, 121)]
    assert committed(settings) == 120


@pytest.mark.stack
def test_a_run_that_is_stopped_while_s3_is_away_says_what_did_not_land_and_the_next_one_lands_it(
    service_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lander, "_LAST_CHANCE", 0.5)
    with Proxy(service_environ["MINIO_ENDPOINT"].removeprefix("http://")) as proxy:
        settings = only(service_environ, MINIO_ENDPOINT=f"http://{proxy.address}", BATCH_MAX_QUOTES="20")
        direct = only(service_environ)
        publish(direct, [quote(n=n) for n in range(20)])
        with landing_in_the_background(settings) as (batches, running):
            wait_for(lambda: len(batches) == 1)
            proxy.cut()
            publish(direct, [quote(n=n) for n in range(30)], symbol="MSFT")
            wait_for(lambda: "what was read is kept" in caplog.text)
        with pytest.raises(LakeError, match=r"(20|30) messages did not land; Kafka keeps them.*MINIO_ENDPOINT"):
            running.result()
    assert land(direct, max_quotes=30).messages == 30
    assert sorted(set(events(direct))) == sorted(
        [("AAPL", seq) for seq in range(1, 21)] + [("MSFT", seq) for seq in range(1, 31)]
    )


def test_servers_that_are_down_at_the_start_are_named_at_once(tmp_path: Path) -> None:
    environ = {
        "STOCKS_HOME": str(tmp_path),
        "KAFKA_BROKER": "127.0.0.1:1",
        "MINIO_ENDPOINT": "http://127.0.0.1:1",
        "MINIO_ACCESS_KEY": "a",
        "MINIO_SECRET_KEY": "b",
    }
    with pytest.raises(LakeError, match="MINIO_ENDPOINT"):
        land(read_settings(environ=environ), duration=1)


@pytest.mark.stack
def test_a_kafka_that_is_down_at_the_start_is_named_at_once(service_environ: dict[str, str]) -> None:
    with pytest.raises(StreamError, match="KAFKA_BROKER"):
        land(read_settings(environ={**service_environ, "KAFKA_BROKER": "127.0.0.1:1"}), duration=1)


@pytest.mark.stack
def test_two_landers_share_the_partitions_and_one_takes_over_from_the_other(service_environ: dict[str, str]) -> None:
    settings = read_settings(environ={**service_environ, "BATCH_MAX_SECONDS": "0.2"})
    sender = Producer(settings, source="replay", run_id="run-1")

    def publish_until(truth: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not truth():
            assert time.monotonic() < deadline
            for symbol in ("AAPL", "MSFT", "IBM", "GOOG", "FB", "F"):
                sender.publish(settings.kafka_topic, symbol, quote(symbol), timestamp=T0)
            sender.flush()
            time.sleep(0.05)

    def partitions(batches: list[LandedBatch]) -> set[int]:
        return {batch.partition for batch in batches}

    with landing_in_the_background(settings) as (first, _):
        publish_until(lambda: partitions(first) == {0, 1})
        with landing_in_the_background(settings) as (second, _):
            # the group settles again in the middle of batches
            publish_until(lambda: len(partitions(second)) == 1)
        alone = len(first)
        publish_until(lambda: partitions(first[alone:]) == {0, 1})
    sender.close()
    lines = landed(settings)
    by_partition: dict[int, set[int]] = {}
    for line in lines:
        by_partition.setdefault(line["partition"], set()).add(line["offset"])
    # no offset is missing, and one that landed twice is the same line
    assert all(offsets == set(range(max(offsets) + 1)) for offsets in by_partition.values())
    assert len({json.dumps(line) for line in lines}) == sum(map(len, by_partition.values()))


@pytest.mark.stack
def test_servers_that_are_killed_and_come_back_lose_nothing(
    spare: Settings, spare_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stocklib.pipeline.landing.uploads._LONGEST_PAUSE", 0.3)
    publish(spare, [quote(n=n) for n in range(300)])
    with landing_in_the_background(spare) as (batches, running):
        wait_for(lambda: sum(batch.messages for batch in batches) == 300)
        kill(spare_home, "s3")
        kill(spare_home, "kafka")
        start_again(spare_home)
        publish(spare, [quote(n=n) for n in range(300)], symbol="MSFT")
        wait_for(lambda: sum(batch.messages for batch in batches) >= 600 and len(set(events(spare))) == 600, seconds=60)
        assert not running.done()
    running.result()
    assert sorted(set(events(spare))) == sorted(
        [("AAPL", seq) for seq in range(1, 301)] + [("MSFT", seq) for seq in range(1, 301)]
    )
