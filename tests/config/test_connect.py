"""The configuration files of Kafka Connect: well formed, about our topics, with options that are documented."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mirrors import ROOT

from stocklib.errors import LakeError
from stocklib.lake import parse_key
from stocklib.lake.keys import start_of_hour
from stocklib.settings import Settings, read_settings

FOLDER = ROOT / "config" / "connect"
SINKS = sorted(FOLDER.glob("*.json"))
# Of the framework (Kafka's documentation, "Configuring Connectors"), for every sink.
FRAMEWORK = {
    "connector.class",
    "tasks.max",
    "topics",
    "key.converter",
    "value.converter",
    "header.converter",
    "value.converter.schemas.enable",
    "errors.tolerance",
    "errors.log.enable",
    "errors.deadletterqueue.topic.name",
}
# Of the connectors' own documentation; by class.
DOCUMENTED = {
    "io.aiven.kafka.connect.s3.AivenKafkaConnectS3SinkConnector": {
        "aws.access.key.id",
        "aws.secret.access.key",
        "aws.s3.bucket.name",
        "aws.s3.endpoint",
        "aws.s3.region",
        "file.name.template",
        "file.compression.type",
        "format.output.type",
        "format.output.fields",
        "format.output.envelope",
        "timestamp.timezone",
        "timestamp.source",
        "kafka.retry.backoff.ms",
        "aws.s3.backoff.max.retries",
    },
    "com.snowflake.kafka.connector.SnowflakeStreamingSinkConnector": {
        "snowflake.url.name",
        "snowflake.user.name",
        "snowflake.private.key",
        "snowflake.role.name",
        "snowflake.database.name",
        "snowflake.schema.name",
        "snowflake.topic2table.map",
        "snowflake.metadata.all",
        "snowflake.streaming.max.client.lag",
        "behavior.on.null.values",
    },
}
SECRETS = ("aws.access.key.id", "aws.secret.access.key", "snowflake.private.key")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings(environ={"STOCKS_HOME": str(tmp_path)})


def config(path: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads(path.read_text())["config"]
    return found


def test_there_is_a_sink_for_each_stream_and_a_worker() -> None:
    assert [path.name for path in SINKS] == ["s3-sink-quotes.json", "s3-sink-trades.json", "snowflake-sink.json"]
    lines = (FOLDER / "worker.properties").read_text().splitlines()
    pairs = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert {"bootstrap.servers", "group.id", "plugin.path", "config.providers", "offset.flush.interval.ms"} <= set(
        pairs
    )


@pytest.mark.parametrize("path", SINKS, ids=lambda path: path.stem)
def test_a_sink_reads_our_topics_with_documented_options_and_holds_no_secret(path: Path, settings: Settings) -> None:
    told = config(path)
    assert set(told) <= FRAMEWORK | DOCUMENTED[told["connector.class"]]
    assert set(told["topics"].split(",")) <= {settings.kafka_topic, settings.kafka_trades_topic}
    assert all(isinstance(value, str) for value in told.values())
    assert all(re.fullmatch(r"\$\{env:[A-Z_]+\}", told[name]) for name in SECRETS if name in told)
    assert told.get("errors.deadletterqueue.topic.name", settings.kafka_dlq_topic) == settings.kafka_dlq_topic


@pytest.mark.parametrize("path", SINKS[:2], ids=lambda path: path.stem)
def test_the_s3_sink_lands_under_the_hour_of_our_keys_and_the_loader_leaves_its_objects_alone(
    path: Path, settings: Settings
) -> None:
    told = config(path)
    assert told["aws.s3.bucket.name"] == settings.minio_bucket
    at = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
    values = {
        "timestamp:unit=yyyy": "2026",
        "timestamp:unit=MM": "01",
        "timestamp:unit=dd": "05",
        "timestamp:unit=HH": "14",
        "topic": told["topics"],
        "partition": "2",
        "start_offset:padding=true": f"{17:020d}",
    }
    key = re.sub(r"\{\{(.+?)\}\}", lambda found: values[found[1]], told["file.name.template"])
    dataset = told["topics"].replace("-", "_")
    assert key.startswith(start_of_hour(dataset, at))
    # it has no last offset and no digest: docs/scale.md says what a loader of such objects would need
    with pytest.raises(LakeError, match="not a key of the lake"):
        parse_key(key)


def test_the_snowflake_sink_gives_each_topic_a_table_of_its_own(settings: Settings) -> None:
    told = config(FOLDER / "snowflake-sink.json")
    tables = dict(pair.split(":") for pair in told["snowflake.topic2table.map"].split(","))
    assert set(tables) == {settings.kafka_topic, settings.kafka_trades_topic}
    assert len(set(tables.values())) == 2
    assert told["snowflake.database.name"] == settings.snowflake_database
