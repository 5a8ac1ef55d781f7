"""Exports into one folder: one at a time, and nothing but whole files stays."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from landed import settings_in

from stocklib.errors import WarehouseBusy
from stocklib.pipeline.exporting import export
from stocklib.settings import Settings
from stocklib.warehouse import open_warehouse

ROOT = Path(__file__).resolve().parents[2]
# the table of gold that is there, and the books beside it
WHOLE = {f"{name}.parquet" for name in ("gold_kpi", "freshness", "ledger", "pipeline_runs")}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A warehouse with one published gold table."""
    settings = settings_in(tmp_path / "home")
    open_warehouse(settings).initialise()
    with duckdb.connect(settings.home / "warehouse" / "build.duckdb") as con:
        con.execute("create schema gold")
        con.execute("create table gold.gold_kpi as select 'AAPL' as symbol")
    open_warehouse(settings).publish()
    return settings


@pytest.fixture
def stuck(settings: Settings, tmp_path: Path) -> "Iterator[subprocess.Popen[str]]":
    """Another process, halfway through its export into ``out``."""
    code = f"""
import sys, time
sys.path[:0] = [{str(ROOT / "lib")!r}, {str(ROOT / "tests")!r}]
from pathlib import Path
from landed import settings_in
from stocklib.pipeline.exporting import export
from stocklib.warehouse.local import LocalWarehouse
def begin(self, folder, *, fmt):
    (folder / "gold_kpi.parquet").write_bytes(b"half")
    print("there", flush=True)
    time.sleep(60)
LocalWarehouse.export = begin
export(settings_in(Path({str(settings.home)!r})), Path({str(tmp_path / "out")!r}))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "there"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_what_a_killed_export_left_is_removed_by_the_next(
    settings: Settings, stuck: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    stuck.kill()
    stuck.wait()
    assert [path.name[:8] for path in folder.iterdir()] == [".export-"]
    export(settings, folder)
    assert {path.name for path in folder.iterdir()} == WHOLE


@pytest.mark.usefixtures("stuck")
def test_an_export_waits_for_the_one_that_runs_and_leaves_its_files_alone(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stocklib.pipeline.exporting._PATIENCE", 0.2)
    with pytest.raises(WarehouseBusy, match=r"another export is writing to .*out"):
        export(settings, tmp_path / "out")
    (running,) = (tmp_path / "out").iterdir()
    assert (running / "gold_kpi.parquet").read_bytes() == b"half"
    # another folder is nobody's
    assert {path.name for path in export(settings, tmp_path / "other")} == WHOLE
