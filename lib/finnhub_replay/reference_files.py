"""The small CSV files next to the bars: splits, dividends, companies; rows in, checked values out."""

import csv
import math
from collections.abc import Callable, Collection, Iterable
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any

from stocklib.errors import EmbeddedError, SettingsError, SymbolError
from stocklib.quotes import check_symbol
from stocklib.text_files import read_text


def _positive(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{text} is not above zero")
    return number


_Read = Callable[[str], Any]
_MUST: dict[str, dict[str, _Read]] = {
    "splits.csv": {"symbol": check_symbol, "date": date.fromisoformat, "fromFactor": _positive, "toFactor": _positive},
    "dividends.csv": {"symbol": check_symbol, "date": date.fromisoformat, "amount": _positive},
    "companies.csv": {"ticker": check_symbol},
}
_MAY: dict[str, _Read] = {"ipo": date.fromisoformat, "shareOutstanding": _positive}


def read_companion(path: Path) -> list[dict[str, Any]]:
    """Return the rows of one of these files, none where it is missing; ``EmbeddedError`` names line and column."""
    if not path.exists():
        return []
    must = _MUST[path.name]
    try:
        reader = csv.DictReader(StringIO(read_text(path)))
        reader.fieldnames = column_names(path, reader.fieldnames or [], [*must, *_MAY])
        missing = [column for column in must if column not in reader.fieldnames]
        if missing:
            raise EmbeddedError(f"{path} lacks the column {', '.join(missing)}; it must hold {', '.join(must)}")
        return [_row(path, reader.line_num, row, must) for row in reader]
    except SettingsError as error:
        raise EmbeddedError(str(error)) from error
    except csv.Error as error:
        raise EmbeddedError(f"{path} cannot be read: {error}") from error


def column_names(path: Path, written: Iterable[Any], known: Collection[str]) -> list[str]:
    """Return a file's column names, the known ones as ``known`` has them, whatever their case was.

    ``EmbeddedError`` where two columns are one of the known.
    """
    written, ours = [str(name).strip() for name in written], {name.lower(): name for name in known}
    names = [ours.get(name.lower(), name) for name in written]
    for column in known:
        if names.count(column) > 1:
            both = " and ".join(was for was, name in zip(written, names, strict=True) if name == column)
            raise EmbeddedError(f"{path} has two columns for {column}: {both}; keep the one that counts")
    return names


def _row(path: Path, line: int, row: dict[str, Any], must: dict[str, _Read]) -> dict[str, Any]:
    values: dict[str, Any] = {column: (value or "").strip() for column, value in row.items() if column}
    for column in values:
        read_value = must.get(column) or (_MAY.get(column) if values[column] else None)
        if read_value is None:
            continue
        try:
            values[column] = read_value(values[column])
        except (ValueError, SymbolError) as error:
            raise EmbeddedError(f"{path}, line {line}: {column}: {error}") from None
    return values
