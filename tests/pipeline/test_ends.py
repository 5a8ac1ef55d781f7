"""How runs end, and what a run that could not do everything says."""

import gzip
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import StartReplay
from kafka import KafkaConsumer
from kafka.errors import KafkaConnectionError

from stocklib.errors import CorruptObject, HistoryMissing, StreamError
from stocklib.lake import Lake
from stocklib.monitoring.heartbeat import read_heartbeats
from stocklib.monitoring.heartbeat_checks import Moment, check_heartbeat
from stocklib.pipeline.history import daily
from stocklib.pipeline.landing import land, run_end
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


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session is over half a second after its last message."""
    monkeypatch.setattr(run_end, "_QUIET_AFTER_CLOSE", 0.5)


@pytest.mark.usefixtures("soon")
def test_landing_until_the_close_ends_after_a_message_of_after_it(service_environ: dict[str, str]) -> None:
    settings = read_settings(environ={**service_environ, "CLOSE_SETTLE_SECONDS": "60"})
    create_topics(settings)
    publish(settings, fetched_at=datetime(2012, 12, 14, 21, 0, 30, tzinfo=UTC))
    assert land(settings, until_close=True, duration=5).ended == "5 seconds are over"
    publish(settings, fetched_at=datetime(2012, 12, 14, 21, 1, 0, tzinfo=UTC))
    done = land(settings, until_close=True, duration=60)
    assert done.ended == "the session is over"
    assert done.messages == 1


def test_what_does_not_come_is_counted_from_the_first_answer_of_kafka_on(
    service_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = read_settings(environ={**service_environ, "KAFKA_PARTITIONS": "1"})
    publish(settings, fetched_at=datetime(2012, 12, 14, 15, 0, tzinfo=UTC))
    polled: list[float] = []

    def connect_slowly(given: Settings) -> None:
        time.sleep(0.6)
        create_topics(given)

    monkeypatch.setattr("stocklib.stream.consumer.create_topics", connect_slowly)
    monkeypatch.setattr(KafkaConsumer, "poll", noting(KafkaConsumer.poll, polled))
    done = land(settings, until_idle=0.3)
    assert (done.messages, done.ended) == (1, "nothing came for 0.3 seconds")
    assert polled


def noting(poll: Callable[..., Any], times: list[float]) -> Callable[..., Any]:
    def noted(*given: Any, **more: Any) -> Any:
        times.append(time.monotonic())
        return poll(*given, **more)

    return noted


@pytest.mark.parametrize("bound", [{"until_idle": 0.2}, {"duration": 1.5}])
def test_a_run_whose_group_does_not_settle_says_so_and_ends_with_an_error(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, bound: dict[str, float]
) -> None:
    monkeypatch.setattr("stocklib.stream.consumer._TROUBLE_SECONDS", 0.2)
    monkeypatch.setattr(run_end, "_UNANSWERED", 1.0)
    monkeypatch.setattr(run_end, "_UNANSWERED_AT_THE_END", 0.5)
    # a client to which the broker never gives a part of the group
    monkeypatch.setattr(KafkaConsumer, "poll", lambda *_, **__: time.sleep(0.05) or {})
    with pytest.raises(StreamError, match="no member of the consumer group could read"):
        land(settings, **bound)
    (beat,) = read_heartbeats(settings.home)
    assert (beat.ended, beat.facts["trouble"][: len("the consumer group")]) == ("error", "the consumer group")
    assert "has not settled for" in beat.facts["trouble"]
    alarm, _ = check_heartbeat(replace(beat, ended=None), [beat], Moment(None, beat.at + 31))
    assert beat.facts["trouble"] in (alarm or "")


@pytest.mark.parametrize("bound", [{}, {"duration": 2.5}])
def test_a_run_that_is_over_while_kafka_is_away_ends_in_order(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, bound: dict[str, float]
) -> None:
    def refuse(*given: Any, **more: Any) -> Any:
        raise KafkaConnectionError("away")

    monkeypatch.setattr(KafkaConsumer, "poll", refuse)
    stop = threading.Event()
    # after several tries, of which each waits longer
    threading.Timer(2.5, stop.set).start()
    done = land(settings, stop=stop, **bound)
    assert done.ended in ("stopped as asked", "2.5 seconds are over")
    (beat,) = read_heartbeats(settings.home, past=True)
    assert beat.ended in ("stopped", "done")
    assert beat.facts["errors"] >= 2


@pytest.mark.embedded_kafka  # Apache Kafka takes no such message
@pytest.mark.usefixtures("soon")
def test_a_message_of_a_time_that_nobody_can_have_seen_ends_no_session(service_environ: dict[str, str]) -> None:
    settings = read_settings(environ={**service_environ, "CLOSE_SETTLE_SECONDS": "60"})
    create_topics(settings)
    publish(settings, fetched_at=datetime(2049, 12, 25, 12, 0, tzinfo=UTC))
    assert land(settings, until_close=True, duration=5).ended == "5 seconds are over"


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
    with pytest.raises(HistoryMissing, match=r"XYZ: .* has no bar of 2012-12-13"):
        done.require_all()
