"""From a real S3 into RAW: only what is new, each object once, whatever is broken among them."""

import gzip
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from landed import messages
from story import session_polls

from stocklib.errors import LakeError
from stocklib.lake import KeyParts, Lake, format_key
from stocklib.pipeline.listing import Listing
from stocklib.pipeline.loading import load, load_objects
from stocklib.settings import Settings, read_settings
from stocklib.warehouse import open_warehouse

pytestmark = pytest.mark.stack

NOON = datetime(2012, 12, 14, 17, 30, tzinfo=UTC)


def land(settings: Settings, number: int = 0, *, hour: datetime = NOON, size: int = 5) -> str:
    """An object of a few quotes; its key."""
    lines = messages(session_polls()[:size], run_id=f"run-{number}", first_offset=100 * number)
    return Lake(settings).write("stock_quotes", f"stock-quotes+0+{number:020d}-{number:020d}", lines, landed=hour)


def put_raw(settings: Settings, name: str, content: bytes) -> str:
    """An object as somebody else might leave it."""
    lake = Lake(settings)
    lake.ensure_bucket()
    key = format_key(KeyParts("stock_quotes", NOON, name, "0123456789ab"))
    lake._s3.pipe_file(f"{lake.bucket}/{key}", content)
    return key


def test_an_empty_lake_is_nothing_to_load(settings: Settings) -> None:
    assert str(load(settings)) == "nothing new in the lake"


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
