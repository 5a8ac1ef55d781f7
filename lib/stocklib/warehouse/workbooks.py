"""Excel files: Arrow tables in, a workbook out, with typed cells, and a first sheet that explains it.

Rows go to disk as they are written, so that memory holds one table (XlsxWriter's constant memory). A text is written
as text and never as a formula; one that begins like a formula also stays a text when its cell is edited.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stocklib.errors import InputError
from stocklib.warehouse.published import PublishedColumn, kind_of, unit_of
from stocklib.warehouse.spreadsheets import begins_like_a_formula

if TYPE_CHECKING:
    import pyarrow as pa

ABOUT = "about"
# Rows under the header, columns, letters of a cell and of a sheet's name: the limits of the format.
MAX_ROWS, MAX_COLUMNS, MAX_TEXT, MAX_NAME = 1_048_575, 16_384, 32_767, 31
# Excel counts days from here, and takes 1900 for a leap year: an earlier date than March 1900 is written as text.
_EPOCH, _FIRST = 25_569, 61
# An integer above has more digits than Excel keeps: it is written as text.
_EXACT = 10**15
_BATCH = 10_000
# The width of the first sheet's sentences, in characters.
_PROSE = 100
_WIDTHS = {"date": 11, "instant": 19, "boolean": 7}


class Workbook:
    """A workbook that is being written. ``write_workbook`` opens and finishes one."""

    def __init__(self, book: Any, sheets: Sequence[str]) -> None:
        self._book = book
        self._bold = book.add_format({"bold": True, "bottom": 1, "bg_color": "#E8EDF3", "valign": "top"})
        self._title = book.add_format({"bold": True, "font_size": 14})
        self._label = book.add_format({"bold": True, "valign": "top"})
        self._text = book.add_format({"text_wrap": True, "valign": "top"})
        self._count = book.add_format({"num_format": "#,##0", "valign": "top"})
        self._plain = book.add_format()
        # edited in Excel, it would become a formula else
        self._quoted = book.add_format({"quote_prefix": True})
        self._sheets = {name: book.add_worksheet(short) for name, short in sheet_names(sheets).items()}

    def add_about(
        self,
        facts: Mapping[str, Sequence[str]],
        tables: Iterable[tuple[str, int, str]],
        columns: Iterable[tuple[str, str, str, str]],
    ) -> None:
        """Write the first sheet: facts, tables (name, rows, description), columns (table, name, unit, meaning)."""
        sheet, row = self._sheets[ABOUT], 0
        sheet.set_column(0, 0, 28)
        sheet.set_column(1, 1, 26)
        sheet.set_column(2, 2, 22)
        sheet.set_column(3, 3, _PROSE)
        sheet.write_string(row, 0, "Tables of the stocks workbench", self._title)
        for label, sentences in facts.items():
            sheet.write_string(row + 1, 0, label, self._label)
            for sentence in sentences:
                row += 1
                sheet.write_string(row, 1, sentence)
        row += 2
        self._header(sheet, row, ("table", "rows", "", "what it holds, and its grain"))
        for name, count, description in tables:
            row += 1
            short = self._sheets[name].get_name()
            sheet.write_url(row, 0, f"internal:'{short}'!A1", string=name)
            sheet.write_number(row, 1, count, self._count)
            self._prose(sheet, row, description)
        row += 2
        first = row
        self._header(sheet, row, ("table", "column", "unit or type", "what it is"))
        for record in columns:
            row += 1
            for number, text in enumerate(record[:-1]):
                sheet.write_string(row, number, text, self._text)
            self._prose(sheet, row, record[-1])
        sheet.autofilter(first, 0, row, 3)

    def add_table(self, name: str, table: "pa.Table", described: Sequence[PublishedColumn] = ()) -> None:
        """Write a table to its sheet. The meanings of ``described`` columns are notes on the header."""
        check_size(name, table.num_rows, table.num_columns)
        sheet, known = self._sheets[name], {one.name: one for one in described}
        for number, column in enumerate(table.columns):
            heading = table.column_names[number]
            about = known.get(heading) or PublishedColumn(heading, str(column.type), "")
            unit, shown = unit_of(about.name, about.data_type)
            cells = self._book.add_format({"num_format": shown}) if shown else None
            sheet.set_column(number, number, _width(heading, column, shown), cells)
            self._write_text(sheet, 0, number, heading, self._bold)
            if note := about.meaning or (unit if unit == "UTC" else ""):
                sheet.write_comment(0, number, note, {"x_scale": 2.5, "y_scale": 1 + len(note) / 150})
        sheet.freeze_panes(1, 0)
        if table.num_columns:
            sheet.autofilter(0, 0, max(table.num_rows, 1), table.num_columns - 1)
        for start in range(0, table.num_rows, _BATCH):
            part = table.slice(start, _BATCH)
            rows = zip(*(_cells(column) for column in part.columns), strict=True)
            self._rows(sheet, rows, start + 1)

    def _rows(self, sheet: Any, rows: Iterable[tuple[Any, ...]], first: int) -> None:
        for row, values in enumerate(rows, first):
            for number, value in enumerate(values):
                if value is None:
                    continue
                if type(value) is str:
                    self._write_text(sheet, row, number, value)
                elif type(value) is bool:
                    sheet.write_boolean(row, number, value)
                else:
                    sheet.write_number(row, number, value)

    def _header(self, sheet: Any, row: int, names: Iterable[str]) -> None:
        for number, name in enumerate(names):
            sheet.write_string(row, number, name, self._bold)

    def _prose(self, sheet: Any, row: int, text: str) -> None:
        """Write a sentence to the last column of the first sheet, in a row as high as it needs."""
        # letters are narrower than the digits that a width counts
        sheet.set_row(row, 15 * (1 + len(text) // (1.15 * _PROSE)))
        sheet.write_string(row, 3, text, self._text)

    def _write_text(self, sheet: Any, row: int, number: int, text: str, shown: Any = None) -> None:
        """Write a text as it is, if need be cut to what a cell holds."""
        text = text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
        if text.startswith("<r>") and text.endswith("</r>"):
            # XlsxWriter takes it for markup of its own and does not escape it: in two runs it does
            sheet.write_rich_string(row, number, text[0], self._plain, text[1:])
        else:
            sheet.write_string(row, number, text, shown or (self._quoted if begins_like_a_formula(text) else None))


@contextmanager
def write_workbook(path: Path, sheets: Sequence[str], *, created: datetime | None = None) -> Iterator[Workbook]:
    """Yield a workbook with these sheets to fill; it is a file when the block ends well.

    Its rows wait in files next to ``path``. The same tables and ``created`` give the same bytes.
    """
    import xlsxwriter
    from xlsxwriter.exceptions import FileCreateError

    options = {"constant_memory": True, "tmpdir": str(path.parent)}
    book: Any = xlsxwriter.Workbook(str(path), options)
    # more than 4 GB
    book.use_zip64()
    if created:
        book.set_properties({"created": created})
    yield Workbook(book, sheets)
    try:
        book.close()
    except FileCreateError as error:
        raise error.args[0] from error


def check_size(name: str, rows: int, columns: int) -> None:
    """Raise ``InputError`` for a table that does not fit on a sheet."""
    if rows > MAX_ROWS or columns > MAX_COLUMNS:
        raise InputError(
            f"{name} has {rows:,} rows and {columns:,} columns; a sheet of Excel holds {MAX_ROWS:,} under its header "
            f"and {MAX_COLUMNS:,}. Write Parquet instead, leave the table out (`stocks export --tables …`), or "
            'take a part of it: `stocks query "select …" --out part.xlsx`'
        )


def sheet_names(names: Iterable[str]) -> dict[str, str]:
    """Return the name of each one's sheet: unique, not Excel's own ``history``, and not too long.

    >>> sheet_names(["about", "gold.gold_kpi", "ops.ledger", "silver.ledger", "gold.history"])["silver.ledger"]
    'ledger~2'
    """
    taken, found = {"history"}, {}
    for name in names:
        bare = name.rpartition(".")[2]
        tries = (bare[: MAX_NAME - len(end)] + end for end in ("", *(f"~{number}" for number in range(2, 1000))))
        found[name] = next(short for short in tries if short.lower() not in taken)
        taken.add(found[name].lower())
    return found


# ── cells ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _cells(column: "pa.ChunkedArray") -> list[Any]:
    """Return the values as Excel holds them: numbers (dates too, as days), booleans, texts; None is an empty cell."""
    import pyarrow as pa

    kind = kind_of(str(column.type))
    if kind == "date":
        days = column.cast(pa.date32()).cast(pa.int32()).to_pylist()
        return [None if day is None else _day(day + _EPOCH) for day in days]
    if kind == "instant":
        # also of one with a zone, its UTC time
        instants = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).to_pylist()
        return [None if instant is None else _instant(instant) for instant in instants]
    values = column.to_pylist()
    if kind == "number":
        return [None if value is None else _number(float(value)) for value in values]
    if kind == "integer":
        return [value if value is None or -_EXACT < value < _EXACT else str(value) for value in values]
    return values if kind == "boolean" else [None if value is None else str(value) for value in values]


def _day(days: int) -> int | str:
    return days if days >= _FIRST else (date(1970, 1, 1) + timedelta(days - _EPOCH)).isoformat()


def _instant(microseconds: int) -> float | str:
    days = microseconds / 86_400e6 + _EPOCH
    return days if days >= _FIRST else (datetime(1970, 1, 1) + timedelta(microseconds=microseconds)).isoformat(" ")  # noqa: DTZ001


def _number(value: float) -> float | str | None:
    """Return an empty cell for NaN, and a text for infinity, which Excel lacks."""
    if math.isfinite(value):
        return value
    return None if math.isnan(value) else str(value)


def _width(heading: str, column: "pa.ChunkedArray", shown: str) -> float:
    """Return a width in characters, in which no number is cut and a long text is."""
    import pyarrow.compute as pc

    kind = kind_of(str(column.type))
    wide = _WIDTHS.get(kind, 0)
    if kind in ("integer", "number"):
        digits = 2 if "%" in shown else 6 if "." in shown else 0
        ends = pc.min_max(column).as_py().values() if len(column) else ()
        wide = max((len(f"{end:,.{digits}f}") for end in ends if end is not None), default=0)
        wide = wide if shown else min(wide, 12)
    elif kind == "text":
        wide = min(max((len(str(text)) for text in column.slice(0, 1000).to_pylist() if text), default=0), 50)
    # the header has a filter button
    return max(wide + 2, len(heading) + 4, 8)
