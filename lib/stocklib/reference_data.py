"""Reference data that a user edits under ``config/``: renamed symbols and sectors.

Each function takes the project's folder.
"""

import csv
from dataclasses import dataclass
from datetime import date
from io import StringIO
from pathlib import Path

from stocklib.errors import SettingsError, SymbolError
from stocklib.quotes import check_symbol
from stocklib.state_files import write_state
from stocklib.text_files import read_text

_SECTOR_COLUMNS = ("symbol", "sector", "industry")


@dataclass(frozen=True)
class SymbolChange:
    """A company's symbol was ``old`` and is ``new`` from ``since`` on."""

    old: str
    new: str
    since: date


def read_symbol_changes(root: Path) -> list[SymbolChange]:
    """Return the renamed symbols of ``config/symbol_changes.csv`` by date; no file is no change.

    ``SettingsError`` names the first malformed line: an invalid symbol or date, a symbol that was renamed twice or that
    two companies took, a circle.
    """
    path = root / "config" / "symbol_changes.csv"
    rows = _rows(path, ("old", "new", "date"))
    found: list[SymbolChange] = []
    for number, row in enumerate(rows[1:], 2):
        if any(cell.strip() for cell in row):
            change = _symbol_change(row, f"{path}, line {number}")
            if any(change.old == other.old or change.new == other.new for other in found):
                raise SettingsError(f"{path}, line {number}: {change.old} or {change.new} is in its column twice")
            found.append(change)
    return _in_order(found, path)


def check_sectors(root: Path) -> None:
    """Raise ``SettingsError`` where ``config/sectors.csv`` is not what dbt can read: its text, its first line."""
    _rows(_sectors_path(root), _SECTOR_COLUMNS)


def read_sectors(root: Path) -> dict[str, tuple[str, str]]:
    """Return sector and industry of each symbol of ``config/sectors.csv``; ``SettingsError`` for a malformed file."""
    rows = _rows(_sectors_path(root), _SECTOR_COLUMNS)[1:]
    return {row[0].strip(): (row[1].strip(), row[2].strip()) for row in rows if len(row) == len(_SECTOR_COLUMNS)}


def write_sector(root: Path, symbol: str, sector: str, industry: str) -> None:
    """Write the sector and industry of a symbol to ``config/sectors.csv``, atomically, before the next symbol."""
    path = _sectors_path(root)
    header, *rows = _rows(path, _SECTOR_COLUMNS) or [list(_SECTOR_COLUMNS)]
    before = path.read_bytes().decode("utf-8") if rows else ""
    kept = [row for row in rows if not row or row[0].strip() != symbol]
    place = next((number for number, row in enumerate(kept) if row and row[0].strip() > symbol), len(kept))
    out = StringIO()
    writer = csv.writer(out, lineterminator="\r\n" if "\r\n" in before else "\n")
    writer.writerows([header, *kept[:place], [symbol, sector, industry], *kept[place:]])
    mark = "\ufeff" if before.startswith("\ufeff") else ""
    write_state(path.resolve(), (mark + out.getvalue()).encode(), durable=True)


def _sectors_path(root: Path) -> Path:
    return root / "config" / "sectors.csv"


def _rows(path: Path, columns: tuple[str, ...]) -> list[list[str]]:
    """The rows of a CSV file under ``config/``, its header first; no file is no rows."""
    try:
        rows = list(csv.reader(StringIO(read_text(path))))
    except FileNotFoundError:
        return []
    except csv.Error as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    if not rows or tuple(name.strip() for name in rows[0]) != columns:
        found = ",".join(rows[0])[:60] if rows else ""
        raise SettingsError(f"{path} must begin with the line {','.join(columns)}; it begins with {found!r}")
    return rows


def _symbol_change(row: list[str], where: str) -> SymbolChange:
    try:
        old, new, since = (cell.strip() for cell in row)
        change = SymbolChange(check_symbol(old), check_symbol(new), date.fromisoformat(since))
    except (ValueError, SymbolError) as error:
        raise SettingsError(f"{where} must be like FB,META,2022-06-09: {error}") from None
    if change.old == change.new:
        raise SettingsError(f"{where}: {old} cannot become itself")
    return change


def _in_order(changes: list[SymbolChange], path: Path) -> list[SymbolChange]:
    """By date; what a symbol became must have become something else later, not earlier, which leaves out circles."""
    became = {change.old: change for change in changes}
    for change in changes:
        later = became.get(change.new)
        if later and later.since <= change.since:
            raise SettingsError(
                f"{path}: {change.old} became {change.new} on {change.since}, which became {later.new} before it was "
                f"there, on {later.since}"
            )
    return sorted(changes, key=lambda change: (change.since, change.old))
