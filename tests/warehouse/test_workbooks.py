"""Excel files: each cell has the type and value of its row, and no text is a formula. openpyxl opens them again."""

import math
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pytest
from openpyxl.utils.escape import unescape
from openpyxl.worksheet.worksheet import Worksheet

from stocklib.errors import InputError
from stocklib.warehouse.published import PublishedColumn
from stocklib.warehouse.workbooks import MAX_COLUMNS, MAX_ROWS, sheet_names, write_workbook

NAMES = [
    "=1+1", "+1-800-FLOWERS", "-2+3", "@SUM(A1)", '=HYPERLINK("http://x.example")', "\t=1", "{=1}",
    'Acme 🚀 "Q" & Söhne <b>', "  spaces ", "line\nbreak", "_x0041_", "\x01\x0b", "https://x.example", "0012", "1e5",
    "TRUE",
    "<r><t>a</t></r></is></c><c r='Z9'><f>1+1</f></c><c t='inlineStr'><is><r><t>b</t></r>", "", None,
]  # fmt: skip


def written(path: Path, table: pa.Table, *described: PublishedColumn) -> Worksheet:
    with write_workbook(path, ["answer"]) as book:
        book.add_table("answer", table, described)
    return openpyxl.load_workbook(path)["answer"]


def column(sheet: Worksheet, number: int) -> list[Any]:
    return [row[number].value for row in sheet.iter_rows(min_row=2)]


def test_a_text_stays_the_same_text_and_is_never_a_formula(tmp_path: Path) -> None:
    sheet = written(tmp_path / "a.xlsx", pa.table({"=name": NAMES, "number": range(len(NAMES))}))
    assert sheet["A1"].value == "=name"
    # Excel reads the escapes of control characters, openpyxl leaves them
    assert [name and unescape(name) for name in column(sheet, 0)] == NAMES
    assert {cell.data_type for row in sheet.iter_rows() for cell in row if isinstance(cell.value, str)} == {"s"}
    assert [sheet.cell(row, 1).quotePrefix for row in range(2, 9)] == [True] * 6 + [False]
    assert sheet.max_column == 2
    with zipfile.ZipFile(tmp_path / "a.xlsx") as parts:
        assert b"<f>" not in parts.read("xl/worksheets/sheet1.xml")


def test_numbers_of_any_size_are_numbers(tmp_path: Path) -> None:
    prices = [Decimal("0.0001"), Decimal("700000.123456"), Decimal("26.812"), None]
    caps = [Decimal("4500000000000.250000"), Decimal("-1.5"), None, Decimal(0)]
    ratios = [math.nan, math.inf, -math.inf, 0.1]
    table = pa.table(
        {
            "close_price": pa.array(prices, pa.decimal128(18, 6)),
            "market_cap": pa.array(caps, pa.decimal128(36, 6)),
            "volume": pa.array([10_000_000_000, 0, None, -1]),
            "change_percent": pa.array([1.5, None, math.nan, -3.756159]),
            "ratio": ratios,
            "kafka_offset": pa.array([10**15, 2**62, 10**15 - 1, -(10**15)]),
        }
    )
    sheet = written(tmp_path / "a.xlsx", table)
    assert column(sheet, 0) == [0.0001, 700000.123456, 26.812, None]
    assert column(sheet, 1) == [4500000000000.25, -1.5, None, 0]
    assert column(sheet, 2) == [10_000_000_000, 0, None, -1]
    assert column(sheet, 3) == [1.5, None, None, -3.756159]
    assert column(sheet, 4) == [None, "inf", "-inf", 0.1]
    # more digits than Excel keeps
    assert column(sheet, 5) == [str(10**15), str(2**62), 10**15 - 1, str(-(10**15))]
    formats = [sheet.cell(row, number).number_format for number, row in enumerate((2, 2, 2, 2, 5, 4), 1)]
    assert formats == ["#,##0.00####", "#,##0", "#,##0", '0.00" %"', "#,##0.00####", "0"]
    widths = [sheet.column_dimensions[letter].width for letter in "AB"]
    assert widths[0] >= len("700,000.123456")
    assert widths[1] >= len("4,500,000,000,000")


def test_dates_are_dates_instants_are_utc_and_booleans_are_booleans(tmp_path: Path) -> None:
    instants = [datetime(2026, 11, 27, 21, 0, 0, 250_000, UTC), datetime(1900, 1, 1, tzinfo=UTC), None]
    table = pa.table(
        {
            "quote_date": pa.array([date(2012, 12, 14), date(1899, 5, 1), None]),
            "as_of": pa.array([at and at.replace(tzinfo=None) for at in instants], pa.timestamp("us")),
            "aware": pa.array(instants, pa.timestamp("ns", "America/New_York")),
            "is_final": pa.array([True, False, None]),
            "row": [1, 2, 3],
        }
    )
    described = PublishedColumn("quote_date", "DATE", "The trading date.")
    sheet = written(tmp_path / "a.xlsx", table, described)
    assert column(sheet, 0) == [datetime(2012, 12, 14), "1899-05-01", None]
    for number in (1, 2):
        assert column(sheet, number) == [datetime(2026, 11, 27, 21, 0, 0, 250_000), "1900-01-01 00:00:00", None]
        assert sheet.cell(1, number + 1).comment.text == "UTC"
    assert column(sheet, 3) == [True, False, None]
    assert [cell.data_type for cell in sheet[2]] == ["d", "d", "d", "b", "n"]
    assert [cell.number_format for cell in sheet[2]][:2] == ["yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss"]
    assert sheet["A1"].comment.text == "The trading date."


def test_the_header_is_bold_frozen_and_has_a_filter(tmp_path: Path) -> None:
    sheet = written(tmp_path / "a.xlsx", pa.table({"symbol": ["A", "B"], "note": ["x" * 40_000, "y"]}))
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("A2", "A1:B3")
    assert all(cell.font.bold for cell in sheet[1])
    assert sheet.column_dimensions["B"].width < 60
    # a cell holds no more
    assert sheet["B2"].value == "x" * 32_766 + "…"
    empty = written(tmp_path / "empty.xlsx", pa.table({"symbol": pa.array([], pa.string())}))
    assert (empty["A1"].value, empty.max_row) == ("symbol", 1)
    twice = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    assert column(written(tmp_path / "twice.xlsx", twice), 1) == [2]


def test_the_same_rows_give_the_same_file(tmp_path: Path) -> None:
    table, at = pa.table({"symbol": ["A"], "close_price": [1.5]}), datetime(2012, 12, 14, 21, tzinfo=UTC)
    for name in ("a", "b"):
        with write_workbook(tmp_path / name, ["answer"], created=at) as book:
            book.add_table("answer", table)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_names_of_sheets_are_short_and_differ() -> None:
    long = "silver." + "quarantined_" * 4
    names = sheet_names(["about", "gold.about", "gold.history", long, long.upper(), "gold.gold_kpi"])
    assert names["gold.gold_kpi"] == "gold_kpi"
    assert names["gold.about"] == "about~2"
    assert len({name.lower() for name in names.values()} - {"history"}) == len(names)
    assert max(map(len, names.values())) == 31


@pytest.mark.parametrize(
    "table",
    [pa.table({"n": pa.nulls(MAX_ROWS + 1)}), pa.table({f"c{number}": [1] for number in range(MAX_COLUMNS + 1)})],
    ids=["rows", "columns"],
)
def test_what_does_not_fit_on_a_sheet_is_refused(table: pa.Table, tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"answer has .* columns; a sheet of Excel holds 1,048,575 .* Write Parquet"),
        write_workbook(tmp_path / "a.xlsx", ["answer"]) as book,
    ):
        book.add_table("answer", table)
    assert not (tmp_path / "a.xlsx").exists()


def test_a_frame_is_written_by_pandas_and_read_again(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"symbol": ["AAPL", "=1+1"], "date": pd.to_datetime(["2012-12-14", None]), "close": [1.5, None]}
    )
    with pd.ExcelWriter(tmp_path / "a.xlsx") as writer:
        assert writer.engine == "xlsxwriter"
    safe = {"options": {"strings_to_formulas": False}}
    frame.to_excel(tmp_path / "a.xlsx", index=False, engine_kwargs=safe)
    pd.testing.assert_frame_equal(pd.read_excel(tmp_path / "a.xlsx"), frame, check_dtype=False)
