"""Batches of every codec land; one that cannot be decoded becomes a dead letter with its bytes, and stops nobody."""

import base64

import pytest
from click.testing import CliRunner, Result
from kafka import KafkaProducer
from outages import Proxy, wait_for
from streams import damage, landed, landing_in_the_background, pack, produce_batch, quote

from stocklib.pipeline.landing import land
from stocklib.pipeline.loading import load
from stocklib.pipeline.reconcile import balance
from stocklib.settings import Settings, describe, read_settings
from stocklib.stream import Inspector, create_topics
from workbench.cli import main

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

CODECS = ("gzip", "snappy", "lz4", "zstd")


def good(*numbers: int) -> bytes:
    """Quotes of MSFT as a batch that is not compressed."""
    return pack([(1355495400000, b"MSFT", quote("MSFT", n), []) for n in numbers], codec=0)


DAMAGED = [
    damage(good(1, 2, 3), crc=1),
    damage(good(4, 5, 6), codec=2),
    damage(good(7, 8, 9), magic=3),
    damage(good(10, 11, 12), body=good(10, 11, 12)[61:-4]),
]


def done(settings: Settings) -> dict[int, int]:
    """Up to which offset each partition of the quotes is committed."""
    with Inspector(settings) as inspector:
        return {one.partition: one.committed for one in inspector.positions([settings.kafka_topic])}


def ask(environ: dict[str, str], *arguments: str) -> Result:
    names = {name: None for name, _, _ in describe()}
    return CliRunner().invoke(main, arguments, env={**names, **environ})


def test_messages_of_every_codec_land(settings: Settings) -> None:
    create_topics(settings)
    for partition, codec in enumerate(CODECS):
        sender = KafkaProducer(bootstrap_servers=settings.kafka_broker, compression_type=codec, linger_ms=50)
        for n in range(3):
            value = quote(codec.upper(), n)
            sender.send(settings.kafka_topic, value, key=codec.encode(), partition=partition % 2, timestamp_ms=10**12)
        sender.close()
    result = land(settings, until_idle=0.5)
    assert (result.messages, result.dead_letters) == (12, 0)
    assert sorted({line["payload"]["symbol"] for line in landed(settings)}) == sorted(map(str.upper, CODECS))


@pytest.mark.embedded_kafka  # Apache Kafka takes no such batch; disks, and other brokers, may have one
def test_a_batch_that_cannot_be_decoded_is_a_dead_letter_and_what_is_around_it_lands(
    service_environ: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    environ = service_environ | {"KAFKA_PARTITIONS": "2", "BATCH_MAX_SECONDS": "0.2"}
    direct = read_settings(environ=environ)
    create_topics(direct)
    with Proxy(environ["MINIO_ENDPOINT"].removeprefix("http://")) as proxy:
        settings = read_settings(environ=environ | {"MINIO_ENDPOINT": f"http://{proxy.address}"})
        with landing_in_the_background(settings) as (batches, running):
            produce_batch(direct, good(0))
            wait_for(lambda: sum(one.messages for one in batches) == 1 and done(direct)[0] == 1)
            # nothing can land: Kafka must not be told that what cannot be decoded is done
            proxy.cut()
            for packed in DAMAGED:
                produce_batch(direct, packed)
                produce_batch(direct, good(20))
            for n in range(5):
                produce_batch(direct, good(n), partition=1)
            wait_for(lambda: "cannot be decoded" in caplog.text)
            assert done(direct)[0] == 1
            proxy.mend()
            wait_for(lambda: done(direct) == {0: 1 + 4 * 4, 1: 5})
        assert running.result().dead_letters == 3 + 3 + 3 + 1
    assert len(landed(direct)) == 1 + 4 + 2 + 5
    letters = landed(direct, "dead_letters")
    spans = [(letter["offset"], int(letter["headers"]["last_offset"])) for letter in letters]
    assert spans == [(1, 3), (5, 7), (9, 11), (15, 15)]
    for letter, packed in zip(letters, DAMAGED, strict=True):
        # the broker counts offsets, and may note its epoch: neither is in the checksum
        assert base64.b64decode(letter["payload_base64"])[16:] == packed[16:]
        assert letter["partition"] == 0
        assert letter["reason"].startswith("a batch that cannot be decoded, offsets")
    assert "checksum" in letters[0]["reason"]
    for _ in ("landed", "loaded"):
        found = balance(direct)
        assert [str(one) for one in found.problems] == []
        assert sum(row.dead_letters for row in found.rows) == 10
        load(direct)
    said = ask(environ, "dlq", "list")
    assert "4 dead letters" in said.output, said.output
    refused = ask(environ, "dlq", "readmit", "--all")
    assert refused.exit_code == 1
    assert refused.output.count("which cannot be decoded: mend its producer") == 4
    shown = ask(environ, "dlq", "show", f"{direct.kafka_topic}/0/1")
    assert "offsets 1 to 3" in shown.output
    assert letters[0]["payload_base64"] in shown.output
