"""Exports into one folder: one at a time, and nothing but whole files stays."""

import csv
import errno
import io
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner
from landed import settings_in
from openpyxl.worksheet.worksheet import Worksheet
from pyarrow import parquet
from recorded_gold import copy

from stocklib import market
from stocklib.errors import InputError, WarehouseBusy, WarehouseError
from stocklib.pipeline.exporting import export, export_answer
from stocklib.settings import Settings
from stocklib.warehouse import Reader, open_warehouse
from stocklib.warehouse.published import published_tables, select_tables
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
def begin(self, folder, *, fmt, tables):
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


def test_what_a_killed_export_left_is_removed_by_the_next_answer(
    settings: Settings, stuck: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    stuck.kill()
    stuck.wait()
    export_answer(settings, "select 1 as one", tmp_path / "out" / "one.csv")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["one.csv"]


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


def test_gold_is_a_workbook_with_the_cells_of_the_warehouse(gold: Settings, tmp_path: Path) -> None:
    (path,) = export(gold, tmp_path / "out", format="xlsx")
    assert [found.name for found in path.parent.iterdir()] == ["gold.xlsx"]
    book = openpyxl.load_workbook(path)
    assert book.sheetnames[0] == "about"
    with open_warehouse(gold).reading() as look:
        published = published_tables(look)
        names = select_tables(published, None)
        assert book.sheetnames[1:] == [name.partition(".")[2] for name in names]
        for name in names:
            assert cells(book[name.partition(".")[2]]) == expected_cells(look, name), name
    kinds = {name: [cell.data_type for cell in book[name][2]] for name in ("gold_kpi", "gold_candlestick")}
    assert kinds["gold_kpi"][:10] == list("snnnsndbdd")
    assert kinds["gold_candlestick"][:8] == list("ssdnnnnn")
    assert book["gold_kpi"]["B1"].comment.text.startswith("The price, as traded: ")


def cells(sheet: Worksheet) -> list[tuple[object, ...]]:
    return sorted(tuple(as_seconds(value) for value in row) for row in sheet.iter_rows(min_row=2, values_only=True))


def as_seconds(value: object) -> object:
    return value.replace(tzinfo=UTC).timestamp() if isinstance(value, datetime) else value


def expected_cells(look: Reader, name: str) -> list[tuple[object, ...]]:
    """The rows of a table as a workbook holds them: instants to the millisecond."""
    asked = look.arrow(f"select * from {name}").to_pylist()
    rows = sorted(tuple(as_cell(value) for value in row.values()) for row in asked)
    return [tuple(pytest.approx(one, abs=0.002) if isinstance(one, Instant) else one for one in row) for row in rows]


class Instant(float):
    """Seconds since 1970."""


def as_cell(value: object) -> object:
    if isinstance(value, datetime):
        return Instant(as_seconds(value))
    if isinstance(value, date):
        return as_seconds(datetime(value.year, value.month, value.day))
    return float(value) if isinstance(value, Decimal) else value


def test_the_first_sheet_explains_the_others(gold: Settings, tmp_path: Path) -> None:
    said: list[tuple[int, int, str]] = []
    asked = ["gold_kpi", "silver.dim_stock_symbols"]
    (path,) = export(gold, tmp_path, format="xlsx", tables=asked, progress=lambda *step: said.append(step))
    assert said == [(0, 10, "gold.gold_kpi"), (5, 10, "silver.dim_stock_symbols")]
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["about", "gold_kpi", "dim_stock_symbols"]
    rows = [tuple(cell.value for cell in row) for row in book["about"]]
    text = "\n".join(" ".join(str(value) for value in row if value is not None) for row in rows)
    assert f"data version {market.data_version(settings=gold)}" in text
    assert "prices as of 2012-12-14 21:00:00 UTC" in text
    assert "terms of the data The data is replayed." in text
    assert ("gold.gold_kpi", 5, None, "The latest price of each symbol and how it changed. One row per symbol.") in rows
    assert ("gold.gold_kpi", "as_of", "UTC", "When the price was true, UTC.") in rows
    assert ("gold.gold_kpi", "is_stale", "boolean") in [row[:3] for row in rows]
    assert ("gold.gold_kpi", "change_percent", "percent") in [row[:3] for row in rows]
    link = next(cell.hyperlink for row in book["about"] for cell in row if cell.value == "silver.dim_stock_symbols")
    assert link.location == "'dim_stock_symbols'!A1"


def test_a_table_that_is_too_long_for_excel_is_refused_before_anything_is_written(
    gold: Settings, tmp_path: Path
) -> None:
    settings = copy(gold, tmp_path / "home", "create table gold.ticks as select range as n from range(1048576)")
    with pytest.raises(InputError, match=r"gold.ticks has 1,048,576 rows .* Write Parquet .* --tables"):
        export(settings, tmp_path / "out", format="xlsx")
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(InputError, match="answer has 1,048,576 rows"):
        export_answer(settings, "select * from gold.ticks", tmp_path / "out" / "ticks.xlsx")
    assert list((tmp_path / "out").iterdir()) == []
    assert [path.name for path in export(settings, tmp_path / "out", tables=["ticks"])] == ["ticks.parquet"]


def test_companies_of_any_size_and_name_keep_both_in_excel(gold: Settings, tmp_path: Path) -> None:
    name = '=1+1 🚀 "Ünïcode" & <b> \'s'
    settings = copy(
        gold,
        tmp_path / "home",
        f"update silver.dim_stock_symbols set company_name = $${name}$$ where symbol = 'IBM'",
        "update gold.gold_treechart set market_cap = 4.5e12, avg_price = 0.0001 where symbol = 'IBM'",
        "update gold.fact_daily_stock_quotes set volume = 10000000000, close_price = 700000, high_price = 700000 "
        "where symbol = 'IBM'",
    )
    (path,) = export(settings, tmp_path / "out", format="xlsx")
    book = openpyxl.load_workbook(path)

    def of_ibm(table: str, *columns: str) -> list[Any]:
        header = [cell.value for cell in book[table][1]]
        row = next(row for row in book[table].iter_rows(min_row=2) if row[header.index("symbol")].value == "IBM")
        return [(row[header.index(name)].value, row[header.index(name)].data_type) for name in columns]

    assert of_ibm("dim_stock_symbols", "company_name") == [(name, "s")]
    assert of_ibm("gold_treechart", "market_cap", "avg_price") == [(4.5e12, "n"), (0.0001, "n")]
    assert of_ibm("fact_daily_stock_quotes", "volume", "close_price") == [(10**10, "n"), (700_000, "n")]


def test_an_answer_becomes_the_file_that_its_name_says(gold: Settings, tmp_path: Path, monkeypatch: Any) -> None:
    sql = "select symbol, quote_date, close_price, '=1' as text from gold.fact_daily_stock_quotes order by all limit 3"
    monkeypatch.setenv("STOCKS_HOME", str(gold.home))
    for ending in ("csv", "parquet", "XLSX"):
        path = tmp_path / "new" / f"answer.{ending}"
        done = CliRunner().invoke(main, ["query", sql, "--out", str(path)])
        assert (done.exit_code, done.output.strip()) == (0, str(path)), done.output
    assert (tmp_path / "new" / "answer.csv").read_text().splitlines()[1] == "AAPL,2005-02-14,84.63,'=1"
    table = parquet.read_table(tmp_path / "new" / "answer.parquet")
    assert table.to_pylist()[0] == {
        "symbol": "AAPL",
        "quote_date": date(2005, 2, 14),
        "close_price": Decimal("84.630000"),
        "text": "=1",
    }
    sheet = openpyxl.load_workbook(tmp_path / "new" / "answer.XLSX")["answer"]
    assert [cell.value for cell in sheet[2]] == ["AAPL", datetime(2005, 2, 14), 84.63, "=1"]
    assert len(list((tmp_path / "new").iterdir())) == 3


def test_an_answer_that_fails_leaves_the_file_that_was_there(gold: Settings, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "a.xlsx").write_text("before")
    with pytest.raises(WarehouseError, match="nothere"):
        export_answer(gold, "select nothere from gold.gold_kpi", tmp_path / "a.xlsx")
    with pytest.raises(InputError, match=r"a\.ods does not end in \.parquet, \.csv, \.xlsx"):
        export_answer(gold, "select 1", tmp_path / "a.ods")

    def fill_the_disk(*given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("xlsxwriter.workbook.Workbook._store_workbook", fill_the_disk)
    with pytest.raises(WarehouseError, match=r"a\.xlsx cannot be written: .*No space left"):
        export_answer(gold, "select 1", tmp_path / "a.xlsx")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.xlsx", "before")]
    monkeypatch.setenv("STOCKS_HOME", str(gold.home))
    both = CliRunner().invoke(main, ["query", "select 1", "--out", str(tmp_path / "b.csv"), "--format", "csv"])
    assert both.exit_code == 2
