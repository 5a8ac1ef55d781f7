"""Messages of strangers: each lands, is a dead letter or is quarantined, and none keeps the others from readers."""

import pytest
from kafka import KafkaProducer
from streams import landed, only, quote

from stocklib.pipeline.landing import land
from stocklib.pipeline.ledger import balance, gate
from stocklib.pipeline.loading import load
from stocklib.stream import create_topics, event_seq
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
REFUSED = [
    quote("aapl"),
    quote(" AAPL "),
    quote("A" * 10_000),
    quote().replace(b"AAPL", b"AA\\u0000PL"),
    quote()[:-1] + b',"c":100.7}',
    b'{"symbol":"X1",' + quote()[1:],
]


@pytest.mark.parametrize("headers", HEADERS)
def test_a_number_that_no_run_of_ours_gives_is_none(headers: list[tuple[str, bytes]]) -> None:
    assert event_seq({name: text.decode("utf-8", "backslashreplace") for name, text in headers}) is None


def test_messages_of_strangers_block_no_publish_and_are_all_accounted_for(service_environ: dict[str, str]) -> None:
    settings = only(service_environ)
    create_topics(settings)
    sender = KafkaProducer(bootstrap_servers=settings.kafka_broker, compression_type="zstd")
    values = [(quote(n=number, t=T + number), headers) for number, headers in enumerate(HEADERS)]
    for value, headers in [*values, *((value, []) for value in REFUSED), (quote(n=99, t=T + 99, c=511.25), [])]:
        sender.send(settings.kafka_topic, value, key=b"AAPL", headers=headers, timestamp_ms=T * 1000)
    sender.close()
    result = land(settings, until_idle=0.5)
    assert result.dead_letters == len(REFUSED)
    assert len(landed(settings)) == len(HEADERS) + 1
    # in the lake, and then in RAW, they are judged by the same rules
    assert [str(problem) for problem in balance(settings).problems] == []
    load(settings)
    warehouse = open_warehouse(settings)
    with warehouse.writing():
        assert warehouse.dbt(["run", "--select", "+stg_stock_quotes_cleaned", "+int_trade_events"]).success
        gate.check(settings, warehouse, since=0, upto=warehouse.newest_load())
        states = "select distinct symbol, seq from silver.int_quote_events where reject_reason is null"
        assert warehouse.read(states, []) == [("AAPL", None)]
        newest = "select current_price from silver.stg_stock_quotes_cleaned order by market_timestamp desc limit 1"
        assert [float(row[0]) for row in warehouse.read(newest, [])] == [511.25]
    found = balance(settings)
    assert [str(problem) for problem in found.problems] == []
    assert sum(row.dead_letters for row in found.rows) == len(REFUSED)
