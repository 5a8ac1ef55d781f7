"""Build, test, publish: readers see gold that passed its tests, or the version before."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from landed import DAY, gold_hashes, landed, messages, settings_in
from story import Story, history, session_polls

from stocklib.errors import CorruptObject, InputError, OtherRelease, TransformFailed, WarehouseError
from stocklib.lake import Lake
from stocklib.pipeline.exporting import export
from stocklib.pipeline.loading import load
from stocklib.pipeline.transform import rebuild, run_dbt, transform
from stocklib.settings import Settings
from stocklib.warehouse import LandedObject, open_warehouse
from workbench.demo import adopt_warehouse

ROOT = Path(__file__).resolve().parents[2]


def six_weeks() -> list[LandedObject]:
    """Six weeks of history, and a session of quotes in two objects."""
    lines = messages(session_polls(every=300))
    half = len(lines) // 2
    return [
        *history(date(2012, 11, 1), date(2012, 12, 13), "2012-12-14T14:00", name="h"),
        landed("stock_quotes", lines[:half], name="q0"),
        landed("stock_quotes", lines[half:], name="q1"),
    ]


@pytest.fixture(scope="module")
def told_at_once(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """All of it in one load, transformed."""
    story = Story(settings_in(tmp_path_factory.mktemp("at-once")))
    story.tell(*six_weeks())
    story.note("gold")
    return story


def private_file(settings: Settings) -> "duckdb.DuckDBPyConnection":
    return duckdb.connect(settings.home / "warehouse" / "build.duckdb")


def test_one_warehouse_through_failure_repair_and_change(told_at_once: Story, tmp_path: Path) -> None:
    """Steps of one story, since each costs a dbt run."""
    settings = settings_in(tmp_path)
    story = Story(settings)
    *past, first, second = six_weeks()
    story.tell(*past)
    before = gold_hashes(settings)

    # a failed test: what failed is named, readers see the last good version
    with private_file(settings) as con:
        con.execute(
            "insert into gold.fact_daily_stock_quotes (symbol, quote_date, open_price, high_price, low_price, "
            "close_price, split_factor, is_final, data_source) "
            "values ('AAPL', '2012-12-25', 2, 1, 3, 2, 1, true, 'finnhub')"
        )
    open_warehouse(settings).load([first])
    with pytest.raises(TransformFailed) as failed:
        transform(settings)
    assert "fact_daily_stock_quotes" in str(failed.value)
    assert "readers still see the last good version" in str(failed.value)
    assert str(settings.home / "logs" / "dbt.log") in str(failed.value)
    assert gold_hashes(settings) == before

    # the next build makes good what this one left undone
    with private_file(settings) as con:
        con.execute("delete from gold.fact_daily_stock_quotes where high_price < low_price")
    transform(settings)
    minutes = story.query("select count(*) as n from gold.gold_candlestick where resolution = '1m'")
    assert minutes["n"].iloc[0] > 0
    runs = story.query("select verb || ' ' || status as run from ops.pipeline_runs order by started_at")
    expected = ["load succeeded", "transform succeeded", "load succeeded", "transform failed", "transform succeeded"]
    assert runs["run"].tolist() == expected
    assert transform(settings).models == 0

    # a selection builds that alone, and the rest catches up afterwards
    open_warehouse(settings).load([second])
    assert transform(settings, select="gold_candlestick").models == 1
    assert transform(settings).models > 5
    assert gold_hashes(settings) == told_at_once.hashes["gold"]

    # a setting that gold depends on builds everything again
    assert transform(settings_in(settings.home, CLOSE_SETTLE_SECONDS="1200")).full_refresh
    final = story.query(f"select distinct is_final from gold.fact_daily_stock_quotes where quote_date = '{DAY}'")
    assert final["is_final"].tolist() == [False]


def test_a_transform_that_is_killed_is_made_good_by_the_next(told_at_once: Story, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    warehouse = open_warehouse(settings)
    warehouse.initialise()
    warehouse.load(six_weeks())
    code = f"""
import sys, time
sys.path[:0] = [{str(ROOT / "lib")!r}, {str(ROOT / "tests")!r}]
from pathlib import Path
from landed import settings_in
from stocklib.pipeline.transform import transform
def stop(node):
    if node == "fact_daily_stock_quotes":
        print("there", flush=True)
        time.sleep(60)
transform(settings_in(Path({str(settings.home)!r})), on_node=stop)
"""
    killed = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    assert killed.stdout.readline().strip() == "there"
    killed.kill()
    killed.wait()
    killed.stdout.close()
    assert warehouse.published_build() is None
    transform(settings)
    assert gold_hashes(settings) == told_at_once.hashes["gold"]


@pytest.mark.stack
def test_a_rebuild_from_the_lake_alone_hashes_the_same(told_at_once: Story, settings: Settings) -> None:
    lake = Lake(settings)
    zero = settings_in(settings.home, **{name: str(value) for name, value in _services(settings)})
    for number, one in enumerate(six_weeks()):
        landed_at = datetime(2012, 12, 14, 14 + number, tzinfo=UTC)
        lake.write(one.dataset, f"o{number}", one.read().splitlines(), landed=landed_at)
    damaged = lake.write("stock_quotes", "o9", [b"{}"], landed=datetime(2012, 12, 14, 1, tzinfo=UTC))
    lake._s3.pipe_file(f"{lake.bucket}/{damaged}", b"no gzip")
    # what is there was made by another release: the command that it is told is this one
    open_warehouse(zero).initialise()
    of_another_release(zero)
    with pytest.raises(OtherRelease, match=r"schema version 1 .* run `stocks rebuild`"):
        load(zero)
    done = rebuild(zero, without_corrupt=True)
    assert (done.loaded.objects, done.loaded.load_id) == (5, 1)
    assert gold_hashes(zero) == told_at_once.hashes["gold"]
    # what was rebuilt is gone on with, and what was left out is not forgotten
    after = load(zero)
    assert (after.objects, len(after.corrupt)) == (0, 1)
    assert damaged in after.corrupt[0]
    assert transform(zero).models == 0
    # the demo makes such a warehouse again by itself, and lets its own be
    adopt_warehouse(zero, print)
    of_another_release(zero)
    with pytest.raises(CorruptObject, match="not rebuilt"):
        adopt_warehouse(zero, print)
    assert {path.name for path in (zero.home / "warehouse").iterdir()} == {
        "build.duckdb",
        "dbt",
        "lock",
        "published.duckdb",
    }


def of_another_release(settings: Settings) -> None:
    with private_file(settings) as con:
        con.execute("update ops.schema_version set version = 1")


def _services(settings: Settings) -> Iterator[tuple[str, str]]:
    for name in ("MINIO_ENDPOINT", "MINIO_ACCESS_KEY", "MINIO_BUCKET"):
        yield name, getattr(settings, name.lower())
    yield "MINIO_SECRET_KEY", settings.minio_secret_key.reveal()


def test_gold_is_exported_whole_and_exactly(told_at_once: Story, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    written = export(told_at_once.settings, folder)
    names = {path.name for path in written}
    assert {"fact_daily_stock_quotes.parquet", "gold_candlestick.parquet", "gold_kpi.parquet"} <= names
    assert names == {path.name for path in folder.iterdir()}
    bars = pd.read_parquet(folder / "fact_daily_stock_quotes.parquet")
    assert len(bars) == len(told_at_once.frames["gold/fact_daily_stock_quotes"])
    assert isinstance(bars["close_price"].iloc[0], Decimal)
    export(told_at_once.settings, folder, format="csv")
    assert (folder / "gold_kpi.csv").read_text().startswith("symbol,current_price,")
    with pytest.raises(InputError, match="parquet, csv"):
        export(told_at_once.settings, folder, format="ods")
    (tmp_path / "file").write_text("")
    with pytest.raises(WarehouseError, match="cannot be written"):
        export(told_at_once.settings, tmp_path / "file" / "out")


def test_dbts_unit_tests_pass_and_dbt_answers_with_its_exit_code(told_at_once: Story) -> None:
    assert run_dbt(told_at_once.settings, ["test", "--select", "test_type:unit"]) == 0
    assert run_dbt(told_at_once.settings, ["no-such-verb"]) == 1
