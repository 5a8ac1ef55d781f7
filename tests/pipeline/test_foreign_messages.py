"""Foreign messages: each lands, is a dead letter or is quarantined, and none keeps the others from readers."""

import pytest
from kafka import KafkaProducer
from streams import landed, only, quote

from stocklib.monitoring.heartbeat import Heartbeat
from stocklib.pipeline.landing import land
from stocklib.pipeline.loading import load
from stocklib.pipeline.reconcile import balance, prepublish_check, record
from stocklib.pipeline.reconcile.balance import RAW_SILVER, UNKNOWN_RUNS
from stocklib.quotes import from_epoch
from stocklib.stream import Producer, create_topics, event_seq
from stocklib.stream.broker import topic_ids
from stocklib.warehouse import open_warehouse

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

T = 1355495400
RUN = ("run_id", b"r1")
OURS = ("source", b"replay")
# what no run of ours has ever numbered an event with
HEADERS: list[list[tuple[str, bytes]]] = [
    *(
        [RUN, OURS, ("seq", seq)]
        for seq in (b"9" * 30, b"9223372036854775807", b"-1", b"0", b"abc", b"1.0", b"\xc2\xb2")
    ),
    *([RUN, OURS, ("seq", seq)] for seq in (b"007", b" 5", b"1000000000001", b"9" * 5000, b"")),
    # nor is it one that lacks another of our headers
    [RUN, ("seq", b"5")],
    [("run_id", b""), OURS, ("seq", b"5")],
    [("run_id", "fröhlich".encode()), ("seq", b"5")],
    [("run_id", b"r\x00 1"), ("seq", b"5")],
    [("run_id", b"\xff\xfe"), ("seq", b"5"), ("bin", bytes(range(256)))],
    [OURS, ("seq", b"5")],
]
# well formed, and of no run that this home knows, or of a number that it never confirmed
FORGED = [[RUN, OURS, ("seq", b"1000000000000")], [("run_id", b"replay-1"), OURS, ("seq", b"900")]]
# places where no message can have been refused
FORGED_LETTERS: list[list[tuple[str, bytes]]] = [
    [("topic", topic), ("topic_id", topic_id), ("partition", partition), ("offset", offset), ("reason", b"odd")]
    for topic, topic_id, partition, offset in (
        (b"<topic>", b"<id>", b"0", b"1000000000000000"),
        (b"<topic>", b"<id>", b"77", b"3"),
        (b"<topic>", b"<id>", b"9000000000000000000", b"3"),
        (b"elsewhere", b"none", b"0", b"0"),
        (b"elsewhere", b"none", b"0", b"9223372036854775807"),
    )
]
FORGED_LETTERS.append([("last_offset", b"1000000000000000")])
REFUSED = [
    quote("aapl"),
    quote(" AAPL "),
    quote("A" * 10_000),
    quote().replace(b"AAPL", b"AA\\u0000PL"),
    quote()[:-1] + b',"c":100.7}',
    b'{"symbol":"X1",' + quote()[1:],
    # a kilobyte in Kafka, and a line that RAW does not hold
    quote(note="x" * 17_000_000),
]


@pytest.mark.parametrize("headers", HEADERS)
def test_a_number_that_no_run_of_ours_gives_is_none(headers: list[tuple[str, bytes]]) -> None:
    assert event_seq({name: text.decode("utf-8", "backslashreplace") for name, text in headers}) is None


def test_foreign_messages_block_no_publish_and_are_all_accounted_for(service_environ: dict[str, str]) -> None:
    settings = only(service_environ)
    create_topics(settings)
    sender = KafkaProducer(bootstrap_servers=settings.kafka_broker, compression_type="zstd", max_request_size=2**25)
    values = [(quote(n=number, t=T + number), headers) for number, headers in enumerate(HEADERS)]
    values += [(quote(n=number, t=T + number), headers) for number, headers in enumerate(FORGED, start=50)]
    for value, headers in [*values, *((value, []) for value in REFUSED), (quote(n=99, t=T + 99, c=511.25), [])]:
        sender.send(settings.kafka_topic, value, key=b"AAPL", headers=headers, timestamp_ms=T * 1000)
    topic_id = topic_ids(settings, [settings.kafka_topic])[settings.kafka_topic]
    ours = {b"<topic>": settings.kafka_topic.encode(), b"<id>": topic_id.encode()}
    for headers in FORGED_LETTERS:
        told = [(name, ours.get(text, text)) for name, text in headers]
        sender.send(settings.kafka_dlq_topic, b"forged", headers=told, timestamp_ms=T * 1000)
    sender.send(
        settings.kafka_dlq_topic, b"\xff" * 17_000_000, headers=[("h", b"x" * 5_000_000)], timestamp_ms=T * 1000
    )
    sender.close()
    # a run of ours, of whose numbers 1 was confirmed
    with Producer(settings, source="replay", run_id="replay-1") as producer:
        producer.publish(settings.kafka_topic, "AAPL", quote(n=98, t=T + 98), timestamp=from_epoch(T))
        producer.flush()
        facts = {"state": "done", "topic": settings.kafka_topic, "confirmed": dict(producer.confirmed)}
    Heartbeat(settings.home, role="producer", run_id="replay-1").end(lambda: facts, ended="done")
    result = land(settings, until_idle=0.5)
    assert result.dead_letters == len(REFUSED)
    assert len(landed(settings)) == len(HEADERS) + len(FORGED) + 2
    # in the lake, and then in RAW, they are judged by the same rules
    assert [str(problem) for problem in balance(settings).problems] == []
    load(settings)
    warehouse = open_warehouse(settings)
    with warehouse.writing():
        wanted = ["--select", "+stg_stock_quotes_cleaned", "+int_trade_events"]
        kinds = [word for kind in ("model", "seed") for word in ("--resource-type", kind)]
        assert warehouse.dbt(["build", *wanted, *kinds], keep=True).success
        prepublish_check.check(settings, warehouse, since=0, upto=warehouse.newest_load())
        states = "select distinct symbol, seq from silver.int_quote_events where reject_reason is null"
        assert {row[1] for row in warehouse.read(states, [])} == {None, 1, 900, 10**12}
        newest = "select current_price from silver.stg_stock_quotes_cleaned order by market_timestamp desc limit 1"
        assert [float(row[0]) for row in warehouse.read(newest, [])] == [511.25]
    found = record(settings, balance(settings))
    assert [str(problem) for problem in found.problems] == []
    assert set(found.unchecked) == {RAW_SILVER, UNKNOWN_RUNS}
    assert f"{settings.home / 'heartbeats'} has no file of run 'r1'" in found.unchecked[UNKNOWN_RUNS]
    assert "of AAPL in run r1" in found.remarks[0]
    assert set(record(settings, found, accept=True).unchecked) == {RAW_SILVER}
    assert set(balance(settings).unchecked) == {RAW_SILVER}
    assert sum(row.dead_letters for row in found.rows) == len(REFUSED) + len(FORGED_LETTERS) + 1
