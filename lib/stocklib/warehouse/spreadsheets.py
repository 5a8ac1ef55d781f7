"""CSV that is safe in a spreadsheet program: a text that begins like a formula gets a ``'``.

Names of companies, reasons and payloads of refused messages come from outside, and Excel, LibreOffice and Google Sheets
run a cell that begins with ``=``, ``+``, ``-`` or ``@``, in the first line too. Only text is changed: a number keeps
its sign.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# Also after spaces and what does not show, as full-width and small letters, and a tab or line end, at which some
# programs begin another cell: https://owasp.org/www-community/attacks/CSV_Injection. Python, Arrow and DuckDB read it
# alike.
_UNSEEN = "\\x00-\\x20\\x7f\u0085\u00a0\u00ad\u1680\u2000-\u200f\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
FORMULA = f"^[{_UNSEEN}]*[=+@＝＋－＠﹦﹢﹣﹫-]|^[\\t\\r\\n]"
_BEGINS = re.compile(FORMULA).match


def begins_like_a_formula(text: str) -> bool:
    """Return whether a spreadsheet may run a text as a formula."""
    return _BEGINS(text) is not None


def to_csv(frame: "pd.DataFrame") -> str:
    """Return the frame as CSV without a text that a spreadsheet runs as a formula."""
    import csv

    harmless = _harmless_frame(frame)
    text = harmless.to_csv(index=False)
    # pandas does not quote a carriage return, at which a spreadsheet begins another row
    return harmless.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC) if "\r" in text else text


def harmless_table(table: "pa.Table") -> "pa.Table":
    """Return the Arrow table without a text that a spreadsheet runs as a formula."""
    import pyarrow as pa
    from pyarrow import compute

    for number, column in enumerate(table.columns):
        texts = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        if pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type):
            marked = compute.binary_join_element_wise("'", texts, "")
            harmless = compute.if_else(compute.match_substring_regex(texts, FORMULA), marked, texts)
            table = table.set_column(number, table.column_names[number], harmless)
    return table.rename_columns([_harmless(name) for name in table.column_names])


def harmless_select(rows: Callable[[str], list[tuple[Any, ...]]], table: str) -> str:
    """Return the SELECT of a DuckDB table without a text that a spreadsheet runs as a formula."""
    shown = []
    for name, kind, *_ in rows(f"describe {table}"):
        cell = column = _quoted(name)
        if kind.startswith(("VARCHAR", "ENUM")):
            cell = f"if(regexp_matches({column}, '{FORMULA}'), '''' || {column}, {column})"
        shown.append(f"{cell} as {_quoted(_harmless(name))}")
    return f"select {', '.join(shown)} from {table}"  # noqa: S608


def _harmless_frame(frame: "pd.DataFrame") -> "pd.DataFrame":
    frame = frame.copy()
    for number, kind in enumerate(frame.dtypes):
        if kind in ("object", "str", "string", "category"):
            frame.isetitem(number, frame.iloc[:, number].astype(object).map(_harmless).array)
    frame.columns = [_harmless(name) for name in frame.columns]
    return frame


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and begins_like_a_formula(value) else value
