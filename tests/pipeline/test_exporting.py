"""Exports into one folder: one at a time, and nothing but whole files stays."""

import csv
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner
from landed import settings_in

from stocklib.errors import WarehouseBusy, WarehouseError
from stocklib.pipeline.exporting import export
from stocklib.settings import Settings
from stocklib.warehouse import open_warehouse
from stocklib.warehouse.spreadsheets import harmless_table, to_csv
from workbench.cli import main

ROOT = Path(__file__).resolve().parents[2]
# the table of gold that is there, and the ledger next to it
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
    monkeypatch.setattr("stocklib.pipeline.exporting._LOCK_SECONDS", 0.2)
    with pytest.raises(WarehouseBusy, match=r"another export is writing to .*out"):
        export(settings, tmp_path / "out")
    (running,) = (tmp_path / "out").iterdir()
    assert (running / "gold_kpi.parquet").read_bytes() == b"half"
    # another folder is nobody's
    assert {path.name for path in export(settings, tmp_path / "other")} == WHOLE


FORMULAS = [
    "=HYPERLINK(\"http://x.example\")", "=1+1", "+1-800-FLOWERS", "-2+3+cmd|' /C calc'!A0", "@SUM(A1)",
    "\t=1", "\r=1", "\n=1", "  =1+1", "＝1", "＋1", "－1", "＠a", "-1.5",
    "\v=1", "\f@a", "\u00a0=1", "\ufeff=1", "\u200b\t+1", "\u3000＝1", "﹦1", "=cmd|' /C calc'!A0", "@SUM(1)|'a'!A0",
]  # fmt: skip
TEXTS = ["AT&T", "a=b", "Berkshire -B", "^GSPC", "'=1", "", " plain", "3M", None]


def test_a_text_that_a_spreadsheet_would_run_gets_an_apostrophe_and_a_number_keeps_its_sign(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = pd.DataFrame({"n": range(len(FORMULAS + TEXTS)), 'na"me': pd.array(FORMULAS + TEXTS, dtype="str")})
    with duckdb.connect(settings.home / "warehouse" / "build.duckdb") as con:
        con.register("names", names)
        numbers = "-1.5 as change, (-2)::double as ratio, -3 as count, date '2012-12-14' as quote_date"
        con.execute(f"create table gold.names as select *, {numbers} from names")
        con.execute("""create table gold.odd as select '=1'::enum('=1') as "=1+1", '-a' as "-b""c", -1 as n""")
    open_warehouse(settings).publish()
    expected = [f"'{text}" for text in FORMULAS] + [text or "" for text in TEXTS]

    files = {path.name: path for path in export(settings, tmp_path / "out", format="csv")}
    path = files["names.csv"]
    assert files["odd.csv"].read_text().splitlines() == ['\'=1+1,"\'-b""c",n', "'=1,'-a,-1"]
    monkeypatch.setenv("STOCKS_HOME", str(settings.home))
    asked = CliRunner().invoke(main, ["query", "select * from gold.names order by n", "--format", "csv"]).stdout_bytes
    with path.open(newline="", encoding="utf-8") as file:
        written = sorted(csv.DictReader(file), key=lambda row: int(row["n"]))
    for rows in (written, list(csv.DictReader(io.StringIO(asked.decode(), newline="")))):
        assert [row['na"me'] for row in rows] == expected
        assert {float(row["change"]) for row in rows} == {-1.5}
        assert {(float(row["ratio"]), row["count"], row["quote_date"][:10]) for row in rows} == {
            (-2.0, "-3", "2012-12-14")
        }
    # Snowflake's answers are Arrow; a file for programs is exact
    table = pa.table({"name": FORMULAS + TEXTS, "change": [-1.5] * len(FORMULAS + TEXTS)})
    assert harmless_table(table).to_pydict()["name"] == [*expected[:-1], None]
    assert harmless_table(table).column("change").equals(table.column("change"))
    # a name of a column is a cell of the first line
    assert harmless_table(table.rename_columns(["=n", "-c"])).column_names == ["'=n", "'-c"]
    kinds = pd.DataFrame({"=1+1": pd.Categorical(["=1"]), "@a": pd.array(["+1"], dtype="string"), "n": [-1]})
    assert to_csv(kinds) == "'=1+1,'@a,n\n'=1,'+1,-1\n"
    assert to_csv(pd.DataFrame({"a": ["x\r=1+1"], "b": [-1]})) == '"a","b"\n"x\r=1+1",-1\n'
    export(settings, tmp_path / "out")
    assert set(pd.read_parquet(tmp_path / "out" / "names.parquet")['na"me']) >= set(FORMULAS)


REFUSED = [
    "insert into gold.gold_kpi values ('X')", "update gold.gold_kpi set symbol = 'X'", "delete from gold.gold_kpi",
    "drop table gold.gold_kpi", "create table gold.more as select 1", "select 1; drop table gold.gold_kpi",
    "copy gold.gold_kpi to '{folder}/kpi.csv'", "export database '{folder}/all'", "attach '{folder}/other.duckdb'",
    "select * from read_text('{folder}/secret.txt')", "select * from read_csv('{folder}/secret.txt')",
    "select * from '{folder}/secret.txt'", "select * from glob('{folder}/*')", "install httpfs", "load httpfs",
    "select * from read_parquet('s3://bucket/key')", "select * from read_json('https://x.example/y')",
    "set enable_external_access = true", "create secret (type s3)",
]  # fmt: skip


def test_a_question_changes_nothing_and_reaches_no_file_and_no_network(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("a secret")
    before = sorted(path.name for path in tmp_path.iterdir())
    for sql in REFUSED:
        with pytest.raises(WarehouseError) as refused:
            open_warehouse(settings).query(sql.format(folder=tmp_path))
        assert "a secret" not in str(refused.value), sql
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert open_warehouse(settings).query("select symbol from gold.gold_kpi")["symbol"].tolist() == ["AAPL"]
