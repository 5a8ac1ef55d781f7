"""How runs end, and what a run that could not do everything says."""

import gzip
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from conftest import StartReplay

from stocklib.errors import CorruptObject
from stocklib.lake import Lake
from stocklib.pipeline.history import daily
from stocklib.pipeline.landing import land
from stocklib.pipeline.transform import rebuild
from stocklib.quotes import Quote
from stocklib.settings import Settings, read_settings
from stocklib.stream import Producer, create_topics

pytestmark = pytest.mark.stack

ANSWER = {"c": 509.79, "d": -19.9, "dp": -3.7567, "h": 518.13, "l": 505.58, "o": 514.75, "pc": 529.69, "t": 1355518800}


def publish(settings: Settings, *, fetched_at: datetime) -> None:
    quote = Quote.parse("AAPL", ANSWER, fetched_at=fetched_at)
    with Producer(settings, source="replay") as producer:
        producer.publish(settings.kafka_topic, "AAPL", quote.to_json(), timestamp=fetched_at)
        producer.flush()


def test_landing_until_the_close_ends_after_a_message_of_after_it(service_environ: dict[str, str]) -> None:
    settings = read_settings(environ={**service_environ, "CLOSE_SETTLE_SECONDS": "60"})
    create_topics(settings)
    publish(settings, fetched_at=datetime(2012, 12, 14, 21, 0, 30, tzinfo=UTC))
    assert land(settings, until_close=True, duration=12).ended == "12 seconds are over"
    publish(settings, fetched_at=datetime(2012, 12, 14, 21, 1, 0, tzinfo=UTC))
    done = land(settings, until_close=True, duration=60)
    assert done.ended == "the session is over"
    assert done.messages == 1


@pytest.mark.embedded_kafka  # Apache Kafka takes no such message
def test_a_message_of_a_time_that_nobody_can_have_seen_ends_no_session(service_environ: dict[str, str]) -> None:
    settings = read_settings(environ={**service_environ, "CLOSE_SETTLE_SECONDS": "60"})
    create_topics(settings)
    publish(settings, fetched_at=datetime(2049, 12, 25, 12, 0, tzinfo=UTC))
    assert land(settings, until_close=True, duration=12).ended == "12 seconds are over"


def test_a_rebuild_over_a_damaged_object_leaves_the_warehouse_alone(settings: Settings) -> None:
    lake = Lake(settings)
    lake.ensure_bucket()
    key = lake.write("stock_quotes", "quotes+0+1-1", [b"{}"], landed=datetime(2012, 12, 14, 15, tzinfo=UTC))
    lake._s3.pipe_file(f"{settings.minio_bucket}/{key}", gzip.compress(b"{}")[:-6])
    before = settings.home / "warehouse"
    with pytest.raises(CorruptObject, match=r"as it was.*--without-corrupt"):
        rebuild(settings)
    assert not list(before.glob("*.duckdb"))


def test_a_day_that_the_source_does_not_have_is_a_failure(
    replay: StartReplay, service_environ: dict[str, str], tmp_path: Path
) -> None:
    bars = tmp_path / "bars.csv"
    bars.write_text("symbol,date,open,high,low,close,volume\nXYZ,2012-12-12,1,2,1,2,100\nXYZ,2012-12-14,1,2,1,2,100\n")
    (tmp_path / "companies.csv").write_text("ticker,name,ipo,shareOutstanding\nXYZ,Xyz Inc,2000-01-03,1\n")
    environ = {**service_environ, "STOCKS_WATCHLIST": str(tmp_path / "symbols.json")}
    (tmp_path / "symbols.json").write_text('{"symbols": ["XYZ"]}')
    settings = replay(options=["--data", str(bars)], environ=environ)
    done = daily(settings, date(2012, 12, 13))
    assert list(done.failed) == ["XYZ"]
    assert "no bar of 2012-12-13" in done.failed["XYZ"]
