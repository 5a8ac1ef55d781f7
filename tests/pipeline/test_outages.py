"""Outages of S3 while messages land: reading pauses, the group is kept, and everything lands in the end."""

import json
import random
import time
from collections.abc import Callable, Iterator

import pytest
from kafka import KafkaConsumer
from outages import Proxy, wait_for
from streams import events, landing_in_the_background, only, publish, quote

from stocklib.errors import LakeError
from stocklib.lake import Lake, objects
from stocklib.pipeline.landing import lander, run_end, uploads
from stocklib.settings import Settings

pytestmark = pytest.mark.stack

FULL = b"<Error><Code>XMinioStorageFull</Code><Message>it is full</Message></Error>"
FULL = b"HTTP/1.1 507 Insufficient Storage\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(FULL), FULL)
OUTAGES: dict[str, Callable[[Proxy], None]] = {
    "refuses": Proxy.cut,
    "stalls": Proxy.stall,
    "is full": lambda proxy: proxy.say(FULL),
}


@pytest.fixture
def proxy(service_environ: dict[str, str]) -> Iterator[Proxy]:
    """Between the lake and its S3."""
    with Proxy(service_environ["MINIO_ENDPOINT"].removeprefix("http://")) as between:
        yield between


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group that replaces a member that does not poll for two seconds; short pauses between tries."""
    monkeypatch.setitem(KafkaConsumer.DEFAULT_CONFIG, "max_poll_interval_ms", 2500)
    monkeypatch.setattr(uploads, "_LONGEST_PAUSE", 0.3)


@pytest.mark.parametrize("outage", OUTAGES)
def test_while_s3_is_out_the_group_is_kept_the_memory_is_bounded_and_then_everything_lands_once(
    service_environ: dict[str, str],
    proxy: Proxy,
    outage: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(run_end, "_POLL_MESSAGES", 100)
    settings = only(service_environ, MINIO_ENDPOINT=f"http://{proxy.address}", BATCH_MAX_QUOTES="50")
    direct = only(service_environ)
    publish(direct, [quote(n=n) for n in range(50)])
    with landing_in_the_background(settings) as (landed, running):
        wait_for(lambda: len(landed) == 1)
        OUTAGES[outage](proxy)
        publish(direct, [quote(n=n) for n in range(700)], symbol="MSFT")
        # longer than the session, and longer than a member may go without a poll
        most = watch(settings, seconds=3.5)
        assert len(landed) == 1
        assert 100 <= most <= 500
        proxy.mend()
        wait_for(lambda: sum(batch.messages for batch in landed) >= 750, seconds=60)
    assert running.result().messages == 750
    published = [*(("AAPL", n) for n in range(1, 51)), *(("MSFT", n) for n in range(1, 701))]
    assert sorted(events(direct)) == sorted(published)
    assert "will be read again" not in caplog.text
    if outage == "is full":
        assert "507 XMinioStorageFull): see the server's log; its disk may be full" in caplog.text


def held(settings: Settings) -> int:
    """How many messages a consumer holds, by its heartbeat."""
    (path,) = (settings.home / "heartbeats").glob("consumer-*.json")
    return int(json.loads(path.read_bytes())["held"])


def watch(settings: Settings, *, seconds: float) -> int:
    """How many it holds at the most."""
    most, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        most = max(most, held(settings))
        time.sleep(0.1)
    return most


def test_an_object_lands_over_a_line_that_is_slower_than_the_patience_for_small_ones(
    service_environ: dict[str, str], proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "_SILENT_SECONDS", ((2_000, 1), (float("inf"), 20)))
    settings = only(service_environ, MINIO_ENDPOINT=f"http://{proxy.address}", BATCH_MAX_SECONDS="0.2")
    direct = only(service_environ)
    Lake(direct).ensure_bucket()
    # 20 KB that gzip cannot make smaller: two seconds at 10 KB/s
    publish(direct, [quote(n=n, note=random.Random(n).randbytes(100).hex()) for n in range(200)])
    proxy.slow(10_000)
    with landing_in_the_background(settings) as (landed, running):
        wait_for(lambda: sum(batch.messages for batch in landed) >= 200, seconds=60)
    assert running.result().messages == 200
    assert sorted(events(direct)) == [("AAPL", n) for n in range(1, 201)]


def test_a_stop_while_s3_never_answers_ends_the_run_soon_and_says_what_did_not_land(
    service_environ: dict[str, str], proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lander, "_LAST_CHANCE", 0.5)
    settings = only(service_environ, MINIO_ENDPOINT=f"http://{proxy.address}", BATCH_MAX_QUOTES="20")
    direct = only(service_environ)
    publish(direct, [quote(n=n) for n in range(20)])
    with landing_in_the_background(settings) as (landed, running):
        wait_for(lambda: len(landed) == 1)
        proxy.stall()
        publish(direct, [quote(n=n) for n in range(30)], symbol="MSFT")
        wait_for(lambda: held(settings) > 0)
    began = time.monotonic()
    with pytest.raises(LakeError, match=r"\d+ messages did not land; Kafka keeps them.*MINIO_ENDPOINT"):
        running.result()
    assert time.monotonic() - began < 10
