"""The lake: keys round-trip, objects are written once, listings are bounded, damage is named."""

import gzip
import string
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stocklib.errors import CorruptObject, LakeError
from stocklib.lake import DATASETS, KeyParts, Lake, check, format_key, name_batch, name_history, objects, parse_key
from stocklib.lake.objects import unpack
from stocklib.settings import Settings, read_settings

HOUR = datetime(2026, 11, 21, 6, tzinfo=UTC)
NAMES = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=40)


@given(
    st.sampled_from(DATASETS),
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),
    st.lists(NAMES, min_size=1, max_size=4).map("+".join),
    st.text("0123456789abcdef", min_size=12, max_size=12),
)
def test_a_key_says_what_it_was_made_from(dataset: str, landed: datetime, what: str, digest: str) -> None:
    parts = KeyParts(dataset, landed.replace(minute=0, second=0, microsecond=0, tzinfo=UTC), what, digest)
    assert parse_key(format_key(parts)) == parts


@pytest.mark.parametrize(
    "key",
    [
        "",
        "stock_quotes/landed=0001-01-01T00/q+0+1-2+0123456789ab.ndjson.gz",
        "stock_quotes/landed=2026-01-01T24/q+0+1-2+0123456789ab.ndjson.gz",
        "stock_quotes",
        "stock_quotes/landed=2026-13-01T00/q+0+1-2+0123456789ab.ndjson.gz",
        "stock_quotes/landed=2026-01-01T00/q+0+1-2+0123456789ab.ndjson",
        "stock_quotes/landed=2026-01-01T00/../q+0+1-2+0123456789ab.ndjson.gz",
        "other/landed=2026-01-01T00/q+0123456789ab.ndjson.gz",
        "stock_quotes/landed=2026-01-01T00/'; drop table+0123456789ab.ndjson.gz",
    ],
)
def test_a_strange_key_is_refused(key: str) -> None:
    with pytest.raises(LakeError, match="not a key"):
        parse_key(key)


def test_a_key_sorts_by_landing_hour_and_then_by_offset() -> None:
    keys = [
        format_key(
            KeyParts("stock_quotes", HOUR + timedelta(hours=hour), name_batch("q", 0, first=at, last=at), "a" * 12)
        )
        for hour in (0, 3, 4)
        for at in (9, 10, 99, 100)
    ]
    assert keys == sorted(keys)


@pytest.fixture
def lake(settings: Settings) -> Lake:
    lake = Lake(settings)
    lake.ensure_bucket()
    return lake


@pytest.mark.stack
def test_what_is_written_is_read_and_listed(lake: Lake) -> None:
    lines = [b'{"symbol":"BRK.B"}', b'{"symbol":"^GSPC"}', '{"name":"Société"}'.encode()]
    key = lake.write("stock_quotes", name_batch("q", 0, first=1, last=3), lines, landed=HOUR)
    assert lake.read(key) == b"\n".join(lines) + b"\n"
    (listed,) = lake.list("stock_quotes")
    assert (listed.key, listed.dataset, listed.landed_hour) == (key, "stock_quotes", HOUR)
    assert listed.size > 0


@pytest.mark.stack
def test_the_same_lines_are_written_once(lake: Lake) -> None:
    what = name_batch("q", 0, first=1, last=1)
    first = lake.write("stock_quotes", what, [b"{}"], landed=HOUR)
    assert lake.write("stock_quotes", what, [b"{}"], landed=HOUR + timedelta(minutes=9)) == first
    # whatever is under the key stays: writing again never replaces
    lake._s3.pipe_file(f"{lake.bucket}/{first}", b"damaged")
    lake.write("stock_quotes", what, [b"{}"], landed=HOUR)
    assert lake._s3.cat_file(f"{lake.bucket}/{first}") == b"damaged"
    other = lake.write("stock_quotes", what, [b'{"a":1}'], landed=HOUR)
    assert other != first
    assert len(list(lake.list("stock_quotes"))) == 2


@pytest.mark.stack
def test_history_is_one_object_a_round(lake: Lake) -> None:
    fetched_at = datetime(2012, 12, 14, 21, 0, 0, 500_000, tzinfo=UTC)
    records = [{"symbol": "AAPL", "close": 510.5901}, {"symbol": "'; drop table", "close": 1.0}]
    key = lake.write_history(
        "ytd_historical_quotes", records, first=date(2012, 1, 3), last=date(2012, 12, 13), fetched_at=fetched_at
    )
    assert parse_key(key).what == name_history(date(2012, 1, 3), date(2012, 12, 13), fetched_at=fetched_at)
    assert [line.count(b"symbol") for line in lake.read(key).splitlines()] == [1, 1]


@pytest.mark.stack
def test_a_listing_goes_past_a_thousand_and_starts_at_the_hour_asked_for(lake: Lake) -> None:
    parts = [KeyParts("stock_quotes", HOUR + timedelta(hours=n % 3), f"q+0+{n:020d}", "a" * 12) for n in range(2_100)]
    lake._s3.pipe({f"{lake.bucket}/{format_key(part)}": b"x" for part in parts}, batch_size=8)
    lake._s3.pipe_file(f"{lake.bucket}/stock_quotes/landed=2026-11-21T06/stranger.txt", b"x")
    assert len(list(lake.list("stock_quotes"))) == 2_100
    late = list(lake.list("stock_quotes", since=HOUR + timedelta(hours=2, minutes=59)))
    assert len(late) == 700
    assert {found.landed_hour for found in late} == {HOUR + timedelta(hours=2)}
    assert [found.key for found in late] == sorted(found.key for found in late)
    assert list(lake.list("stock_trades")) == []


@pytest.mark.stack
@pytest.mark.parametrize("damage", ["truncated", "flipped", "not gzip", "other lines", "empty"])
def test_a_damaged_object_is_named(lake: Lake, damage: str) -> None:
    lines = [f'{{"n":{n},"noise":"{hash(n * 7919)}"}}'.encode() for n in range(2_000)]
    key = lake.write("stock_quotes", name_batch("q", 0, first=0, last=1_999), lines, landed=HOUR)
    path = f"{lake.bucket}/{key}"
    whole = lake._s3.cat_file(path)
    lake._s3.pipe_file(
        path,
        {
            "truncated": whole[:-40],
            "flipped": whole[:500] + bytes([whole[500] ^ 255]) + whole[501:],
            "not gzip": b"<html>",
            "other lines": gzip.compress(b"{}\n"),
            "empty": b"",
        }[damage],
    )
    with pytest.raises(CorruptObject, match=key.rsplit("/", 1)[1].replace("+", "\\+")):
        lake.read(key)


@cache
def bomb() -> bytes:
    """Return a megabyte that unpacks to 10⁹ zeros."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([*(packer.compress(bytes(10**6)) for _ in range(1000)), packer.flush()])


# functions, since every process of a test run imports this module, and one of them packs
@pytest.mark.parametrize(
    ("pack", "why"),
    [
        (bomb, "unpacks to more than 1,000,000 bytes"),
        # what its trailer says is a lie
        (lambda: bomb()[:-4] + bytes(4), "unpacks to more than 1,000,000 bytes"),
        (lambda: gzip.compress(bytes(600_000)) * 2, "unpacks to more than 1,000,000 bytes"),
        (lambda: gzip.compress(b"") * 100_000, "more than 100 pieces"),
        (lambda: gzip.compress(b"line\n")[:-3], "cut off"),
        (lambda: gzip.compress(b"line\n")[:12], "cut off"),
        (lambda: b"", "empty"),
        (lambda: gzip.compress(b"line\n") + b"rest", "header"),
        (lambda: b"PK\x03\x04", "header"),
    ],
    ids=["bomb", "lying bomb", "many halves", "empty pieces", "cut", "header alone", "nothing", "rest", "zip"],
)
def test_what_does_not_unpack_costs_neither_memory_nor_time(pack: Callable[[], bytes], why: str) -> None:
    packed = pack()
    tracemalloc.start()
    began = time.monotonic()
    with pytest.raises((ValueError, zlib.error), match=why):
        unpack(packed, most=1_000_000)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
    assert time.monotonic() - began < 5


def test_what_was_packed_in_pieces_or_padded_is_whole() -> None:
    assert unpack(gzip.compress(b"a\n") + gzip.compress(b"b\n") + bytes(512), most=4) == b"a\nb\n"
    # the limit itself is allowed
    assert unpack(gzip.compress(bytes(1000)), most=1000) == bytes(1000)


@pytest.mark.stack
def test_an_object_that_is_too_large_is_named(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [b'{"a":1}' for _ in range(1000)]
    key = lake.write("stock_quotes", name_batch("q", 0, first=0, last=999), lines, landed=HOUR)
    lake._settings = replace(lake._settings, batch_max_bytes=4000)
    for name, most, why in (
        ("_MOST_BYTES", 7_999, "unpacks to more than 8,000 bytes"),
        ("_MOST_LINES", 999, "has more than 999 lines"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(objects, name, most)
            if name == "_MOST_BYTES":
                lake.read(key)
                lake._settings = replace(lake._settings, batch_max_bytes=3_999)
                why = "unpacks to more than 7,999 bytes"
            with pytest.raises(CorruptObject, match=f"{key.rsplit('/', 1)[1].replace('+', chr(92) + '+')}.*{why}"):
                lake.read(key)
    with monkeypatch.context() as patched:
        patched.setattr(objects, "_MOST_BYTES", 10)
        lake._settings = replace(lake._settings, batch_max_bytes=5)
        # it is not even fetched
        with pytest.raises(CorruptObject, match=r"has \d+ bytes"):
            lake.read(key)


@pytest.mark.stack
def test_an_object_that_is_not_there_is_named(lake: Lake) -> None:
    key = format_key(KeyParts("stock_quotes", HOUR, "q+0+1-1", "a" * 12))
    with pytest.raises(LakeError, match="has no stock_quotes/landed="):
        lake.read(key)


@pytest.mark.stack
def test_the_first_write_makes_the_bucket(settings: Settings) -> None:
    lake = Lake(settings)
    with pytest.raises(LakeError, match="MINIO_BUCKET"):
        list(lake.list("stock_quotes"))
    lake.write("stock_quotes", "q+0+1-1", [b"{}"], landed=HOUR)
    assert len(list(lake.list("stock_quotes"))) == 1


@pytest.mark.stack
def test_wrong_keys_are_an_error_that_names_the_settings(service_environ: dict[str, str]) -> None:
    settings = read_settings(environ={**service_environ, "MINIO_SECRET_KEY": "wrong-secret"})
    with pytest.raises(LakeError, match="MINIO_SECRET_KEY") as raised:
        check(settings)
    assert "wrong-secret" not in str(raised.value)


def test_a_dead_endpoint_is_an_error_that_names_the_setting(tmp_path) -> None:
    environ = {
        "STOCKS_HOME": str(tmp_path),
        "MINIO_ENDPOINT": "http://127.0.0.1:1",
        "MINIO_ACCESS_KEY": "a",
        "MINIO_SECRET_KEY": "b",
    }
    with pytest.raises(LakeError, match=r"127\.0\.0\.1:1 .*MINIO_ENDPOINT"):
        check(read_settings(environ=environ))


def test_profiles_and_files_of_the_aws_tools_have_no_say(
    hiccups: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "aws"
    elsewhere.write_text("[profile there]\nendpoint_url = http://127.0.0.1:1\n[broken\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(elsewhere))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(elsewhere))
    environ = {
        "STOCKS_HOME": str(tmp_path),
        "MINIO_ENDPOINT": hiccups,
        "MINIO_ACCESS_KEY": "a",
        "MINIO_SECRET_KEY": "b",
    }
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.setenv(name, "nope")
        assert "is empty" in check(read_settings(environ=environ))


class Hiccups(BaseHTTPRequestHandler):
    """Answers 503 twice, then that the bucket is empty."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        body = b'<?xml version="1.0"?><ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>'
        self.send_response(503 if self.asked <= 2 else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def hiccups() -> Iterator[str]:
    Hiccups.asked = 0
    server = HTTPServer(("127.0.0.1", 0), Hiccups)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_server_that_is_busy_for_a_moment_is_asked_again(hiccups: str, tmp_path) -> None:
    environ = {
        "STOCKS_HOME": str(tmp_path),
        "MINIO_ENDPOINT": hiccups,
        "MINIO_ACCESS_KEY": "a",
        "MINIO_SECRET_KEY": "b",
    }
    assert "is empty" in check(read_settings(environ=environ))
    assert Hiccups.asked == 3
