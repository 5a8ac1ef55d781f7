"""CSV that a spreadsheet program opens without running anything: a text cell that begins like a formula gets a ``'``.

Names of companies, reasons and payloads of refused messages come from outside, and Excel, LibreOffice and Google Sheets
run a cell that begins with ``=``, ``+``, ``-`` or ``@``. Text alone is touched: a number keeps its sign.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# Also after spaces, as full-width letters, and a tab or line end, at which some programs begin a cell anew:
# https://owasp.org/www-community/attacks/CSV_Injection. Python, Arrow and DuckDB read it alike.
FORMULA = "^[ \t\r\n]*[=+@＝＋－＠-]|^[\t\r\n]"


def to_csv(frame: "pd.DataFrame") -> str:
    """The frame as CSV, no text of which is taken for a formula."""
    import csv

    harmless = _harmless_frame(frame)
    text = harmless.to_csv(index=False)
    # pandas quotes no carriage return, at which a spreadsheet begins another row
    return harmless.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC) if "\r" in text else text


def harmless_table(table: "pa.Table") -> "pa.Table":
    """The Arrow table, no text of which is taken for a formula."""
    import pyarrow as pa
    from pyarrow import compute

    for number, column in enumerate(table.columns):
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            marked = compute.binary_join_element_wise("'", column, "")
            harmless = compute.if_else(compute.match_substring_regex(column, FORMULA), marked, column)
            table = table.set_column(number, table.column_names[number], harmless)
    return table


def harmless_select(con: Any, table: str) -> str:
    """The SELECT that gives a table of DuckDB, no text of which is taken for a formula."""
    described = con.execute(f"describe {table}").fetchall()
    texts = ['"' + name.replace('"', '""') + '"' for name, kind, *_ in described if kind == "VARCHAR"]
    marked = ", ".join(f"if(regexp_matches({text}, '{FORMULA}'), '''' || {text}, {text}) as {text}" for text in texts)
    return f"select *{f' replace ({marked})' if marked else ''} from {table}"  # noqa: S608


def _harmless_frame(frame: "pd.DataFrame") -> "pd.DataFrame":
    import re

    begins = re.compile(FORMULA).match

    def harmless(value: object) -> object:
        return f"'{value}" if isinstance(value, str) and begins(value) else value

    frame = frame.copy()
    for number, kind in enumerate(frame.dtypes):
        if kind in ("object", "str"):
            frame.isetitem(number, frame.iloc[:, number].map(harmless).array)
    return frame
