"""From a real S3 into RAW: only what is new, each object once, whatever is broken among them."""

import gzip
import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from landed import messages
from story import session_polls

from stocklib.errors import LakeError
from stocklib.lake import KeyParts, Lake, format_key
from stocklib.lake import objects as lake_objects
from stocklib.pipeline.loading.loader import load, load_objects
from stocklib.pipeline.loading.new_objects import Listing
from stocklib.pipeline.reconcile import object_checks
from stocklib.settings import Settings, read_settings
from stocklib.warehouse import open_warehouse

pytestmark = pytest.mark.stack

NOON = datetime(2012, 12, 14, 17, 30, tzinfo=UTC)


def land(settings: Settings, number: int = 0, *, hour: datetime = NOON, size: int = 5) -> str:
    """An object of a few quotes; its key."""
    lines = messages(session_polls()[:size], run_id=f"run-{number}", first_offset=100 * number)
    return Lake(settings).write("stock_quotes", f"stock-quotes+0+{number:020d}-{number:020d}", lines, landed=hour)


def put_raw(settings: Settings, name: str, content: bytes) -> str:
    """An object as another program might leave it."""
    lake = Lake(settings)
    lake.ensure_bucket()
    key = format_key(KeyParts("stock_quotes", NOON, name, "0123456789ab"))
    lake._s3.pipe_file(f"{lake.bucket}/{key}", content)
    return key


def test_an_empty_lake_is_nothing_to_load(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        assert str(load(settings)) == "nothing new in the lake"
    assert "nothing new in the lake" in caplog.text
    assert "None" not in caplog.text


def test_what_landed_is_loaded_once_and_only_what_is_new(settings: Settings) -> None:
    told: list[tuple[int, int | None]] = []
    land(settings, 1)
    land(settings, 2)
    first = load(settings, on_progress=lambda done, total=None, text="": told.append((done, total)))
    assert (first.load_id, first.objects, first.rows) == (1, 2, 10)
    assert told == [(1, 2), (2, 2)]
    assert load(settings).objects == 0
    # the same hour, the hour before, a later one
    keys = {
        land(settings, 3),
        land(settings, 4, hour=NOON - timedelta(hours=1)),
        land(settings, 5, hour=NOON + timedelta(hours=9)),
    }
    second = load(settings)
    assert (second.load_id, second.objects) == (2, 3)
    assert keys < open_warehouse(settings).known_keys("stock_quotes")


def test_objects_that_are_offered_again_are_not_loaded_again(settings: Settings) -> None:
    keys = [land(settings, number) for number in (1, 2)]
    load(settings)
    lake, warehouse = Lake(settings), open_warehouse(settings)
    keys.append(land(settings, 3))
    done = load_objects(lake, warehouse, dict.fromkeys(keys, "stock_quotes"))
    assert (done.objects, done.rows) == (1, 5)
    assert warehouse.read("select count(*), count(distinct object_key) from raw.stock_quotes") == [(15, 3)]


def test_a_listing_that_begins_where_another_loader_ended_offers_only_what_is_new(
    service_environ: dict[str, str],
) -> None:
    now = datetime.now(UTC)
    settings = read_settings(environ={**service_environ, "KAFKA_TOPIC": "stock-quotes"})
    first = land(settings, 1, hour=now)
    load(settings)
    lake, warehouse = Lake(settings), open_warehouse(settings)
    listing = Listing(settings, lake)
    assert listing.is_new()
    assert listing.new_objects(warehouse) == {}
    # what the whole listing knew is looked at once more, partition by partition, and then no more
    assert list(listing._newest()) == [first]
    assert listing.new_objects(warehouse) == {}
    assert not listing.is_new()
    second = land(settings, 2, hour=now)
    assert listing.is_new()
    assert list(listing.new_objects(warehouse)) == [second]


def test_the_load_looks_back_an_hour_and_no_further(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    land(settings, 1)
    load(settings)
    asked: list[tuple[str, Any]] = []
    listing = Lake.list

    def listen(lake: Lake, dataset: str, *, since: datetime | None = None) -> Any:
        asked.append((dataset, since))
        return listing(lake, dataset, since=since)

    monkeypatch.setattr(Lake, "list", listen)
    load(settings)
    assert dict(asked)["stock_quotes"] == datetime(2012, 12, 14, 16, tzinfo=UTC)
    assert dict(asked)["company_profiles"] is None


def test_corrupt_objects_are_named_and_the_rest_loads(settings: Settings) -> None:
    whole = gzip.compress(b'{"payload":{}}\n' * 1000)
    broken = [put_raw(settings, "cut", whole[: len(whole) // 2]), put_raw(settings, "plain", b"no gzip")]
    broken.append(put_raw(settings, "other-content", whole))
    good = land(settings, 1)
    result = load(settings)
    assert (result.objects, len(result.corrupt)) == (1, 3)
    for key in broken:
        assert any(key in reason for reason in result.corrupt)
        assert key in str(result)
    assert open_warehouse(settings).known_keys("stock_quotes") == {good}
    # still broken, still named, nothing else again
    assert (load(settings).objects, len(load(settings).corrupt)) == (0, 3)


def test_an_unreadable_object_is_tried_until_it_loads_however_late_that_is(settings: Settings) -> None:
    key = land(settings, 1)
    lake = Lake(settings)
    path = f"{lake.bucket}/{key}"
    whole = lake._s3.cat_file(path)
    lake._s3.pipe_file(path, whole[:-6])
    land(settings, 2, hour=NOON + timedelta(hours=9))
    assert load(settings).objects == 1
    # nine hours before the newest object, where nothing is listed any more
    for _ in range(2):
        again = load(settings)
        assert (again.load_id, len(again.corrupt)) == (None, 1)
        assert key in str(again)
    lake._s3.pipe_file(path, whole)
    made_good = load(settings)
    assert (made_good.load_id, made_good.objects, made_good.corrupt) == (2, 1, ())
    assert open_warehouse(settings).unreadable() == []
    assert str(load(settings)) == "nothing new in the lake"


def test_an_unreadable_object_that_is_removed_from_the_lake_is_forgotten(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    key = put_raw(settings, "cut", b"no gzip")
    land(settings, 1, hour=NOON + timedelta(hours=9))
    assert len(load(settings).corrupt) == 1
    lake = Lake(settings)
    lake._s3.rm_file(f"{lake.bucket}/{key}")
    assert load(settings).corrupt == ()
    assert f"has no {key}" in caplog.text
    assert open_warehouse(settings).unreadable() == []


def test_an_object_of_a_future_hour_is_loaded_and_hides_nothing(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    now = datetime.now(UTC)
    land(settings, 1, hour=now - timedelta(hours=9))
    future = [land(settings, number, hour=datetime(year, 1, 1, tzinfo=UTC)) for number, year in ((2, 2099), (3, 9999))]
    assert load(settings).objects == 3
    for key in future:
        assert f"{key} has a future hour of landing" in caplog.text
    # the loader was away: what landed in that time lies between
    later = [land(settings, 10 + hours, hour=now - timedelta(hours=hours)) for hours in (8, 5, 1, 0)]
    assert load(settings).objects == 4
    # a clock that is ahead of ours by minutes is no future
    later.append(land(settings, 20, hour=now + timedelta(minutes=59)))
    assert load(settings).objects == 1
    assert open_warehouse(settings).known_keys("stock_quotes") > {*later, *future}
    assert load(settings).objects == 0
    # and the ledger takes what has just landed for what it is
    land(settings, 21, hour=now)
    listed = {"stock_quotes": {found.key for found in Lake(settings).list("stock_quotes")}}
    loaded = {"stock_quotes": open_warehouse(settings).known_keys("stock_quotes")}
    assert object_checks.stranded(listed, loaded, {}) == []


def test_hours_of_the_future_leave_the_listing_of_the_last_ones_as_cheap_as_it_was(
    service_environ: dict[str, str],
) -> None:
    settings = read_settings(environ={**service_environ, "KAFKA_TOPIC": "stock-quotes"})
    for year in range(2090, 2096):
        land(settings, year, hour=datetime(year, 1, 1, tzinfo=UTC))
    land(settings, 1, hour=datetime.now(UTC))
    lake, warehouse = Lake(settings), open_warehouse(settings)
    warehouse.initialise()
    listing = Listing(settings, lake)
    found = listing.new_objects(warehouse)
    assert len(found) == 7
    load_objects(lake, warehouse, found)
    listing.mark_offered(found)
    assert not listing.is_new()
    second = land(settings, 2, hour=datetime.now(UTC))
    assert list(listing.new_objects(warehouse)) == [second]


def test_what_is_no_line_of_ours_is_rejected_or_left_out_and_named_and_the_rest_loads(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # smaller than in earnest, and quicker
    monkeypatch.setattr(lake_objects, "_MOST_BYTES", 32_000_000)
    monkeypatch.setattr(lake_objects, "_MOST_LINES", 500_000)

    def put(name: str, content: bytes, *, packed: bytes | None = None) -> str:
        lake = Lake(settings)
        lake.ensure_bucket()
        digest = hashlib.sha256(content).hexdigest()[:12]
        key = format_key(KeyParts("stock_quotes", NOON, name, digest))
        lake._s3.pipe_file(f"{lake.bucket}/{key}", gzip.compress(content, 1) if packed is None else packed)
        return key

    good = b'{"payload":{}}'
    put("long-line", b'{"a":"' + b"x" * 17_000_000 + b'"}\n' + good + b"\n")
    put("other-encodings", b"\n".join(['{"ü":1}'.encode("latin-1"), '{"a":1}'.encode("utf-16"), bytes(40), good]))
    put("mark", b"\xef\xbb\xbf" + good + b"\r\n" + good + b"\r\n\r\n")
    put("no-lines", b"\n\n")
    deep = put("deep", b"[" * 100_000 + b"\n" + b'{"a":' * 900 + b"1" + b"}" * 900)
    bad = [
        put("bomb", bytes(40_000_000)),
        put("blank-bomb", b"\n" * 600_000),
        put("zero-bytes", good, packed=b""),
        put("cut", good, packed=gzip.compress(good)[:-9]),
    ]
    done = load(settings)
    assert (done.objects, len(done.corrupt)) == (5, 4)
    for key in bad:
        assert any(key in reason for reason in done.corrupt)
    rejected = open_warehouse(settings).read(
        "select regexp_extract(object_key, '/([a-z-]+)[+]', 1), line_no, length(raw_text) from raw.rejected_lines "
        "order by all"
    )
    assert [(name, line) for name, line, _ in rejected] == [
        *(("deep", 1), ("long-line", 1), ("mark", 1)),
        *(("other-encodings", number) for number in (1, 2, 3)),
    ]
    # the long ones are kept by their beginning
    assert max(size for _, _, size in rejected) < 100_100
    assert deep in open_warehouse(settings).known_keys("stock_quotes")


def test_two_loads_at_once_load_everything_once(settings: Settings) -> None:
    for number in range(6):
        land(settings, number)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: load(settings), range(2)))
    assert sorted(result.objects for result in results) == [0, 6]


def test_a_lake_that_is_down_is_one_clear_error_and_loads_nothing(
    service_environ: dict[str, str], settings: Settings
) -> None:
    land(settings, 1)
    down = read_settings(environ={**service_environ, "MINIO_ENDPOINT": "http://127.0.0.1:9"})
    with pytest.raises(LakeError, match="MINIO_ENDPOINT"):
        load(down)
    assert load(settings).objects == 1
