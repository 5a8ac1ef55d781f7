"""From published gold to files that other programs read: every table, all of one version, whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from pyarrow import parquet

from stocklib.errors import InputError, WarehouseBusy, WarehouseError
from stocklib.host import lock
from stocklib.settings import Settings
from stocklib.warehouse import Reader, open_warehouse
from stocklib.warehouse.data_terms import terms_of
from stocklib.warehouse.published import PublishedTable, kind_of, published_tables, row_counts, select_tables
from stocklib.warehouse.spreadsheets import to_csv
from stocklib.warehouse.workbooks import ABOUT, check_size, write_workbook

FORMATS = ("parquet", "csv", "xlsx")
_UNFINISHED = ".export-"
# How long an export waits for another one into the same folder, in seconds.
_LOCK_SECONDS = 60.0
Progress = Callable[[int, int, str], None]
_READ_ME = (
    "Instants are UTC, trade dates are New York's.",
    "Prices are as traded unless a name says otherwise. Percent columns are in percent: 1.5 is 1.5 %.",
    "An empty cell is an unknown value. Text is text, also where it begins like a formula.",
)


def export(
    settings: Settings,
    folder: Path,
    *,
    format: str = "parquet",
    tables: Collection[str] | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write gold to ``folder``, all of one version; a file there is replaced whole or not at all.

    Parquet and CSV: a file a table. Excel: ``gold.xlsx``, a sheet a table, typed cells, and a sheet that explains them.
    ``tables`` are names such as ``gold_kpi``; by default every table of gold, the symbols and the ledger. A workbook
    takes minutes for millions of cells: ``progress`` is called with the rows written, all rows, and the table.

    Raise ``InputError`` for an unknown format or table, and for a table that is too long for Excel.
    """
    if format not in FORMATS:
        raise InputError(f"there is no export format {format!r}: one of {', '.join(FORMATS)}")
    folder = folder.expanduser().resolve()
    with _written_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with _unfinished(folder) as unfinished:
            if format == "xlsx":
                written = [_write_gold(settings, unfinished / "gold.xlsx", tables, progress)]
            else:
                written = open_warehouse(settings).export(unfinished, fmt=format, tables=tables)
            for path in written:
                path.replace(folder / path.name)
    return [folder / path.name for path in written]


def export_answer(settings: Settings, sql: str, path: Path) -> Path:
    """Write the answer of a query as CSV, Parquet or Excel, by the ending of ``path``, whole or not at all.

    Raise ``InputError`` for another ending, and for an answer that is too long for Excel.
    """
    path = path.expanduser().resolve()
    form = path.suffix.lower().removeprefix(".")
    if form not in FORMATS:
        raise InputError(f"{path.name} does not end in {', '.join(f'.{name}' for name in FORMATS)}: rename it")
    with open_warehouse(settings).reading() as look, _written_to(path):
        answer = look.query(sql) if form == "csv" else look.arrow(sql, exact=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        with _unfinished(path.parent) as unfinished:
            half = unfinished / path.name
            if isinstance(answer, pd.DataFrame):
                half.write_text(to_csv(answer), encoding="utf-8", newline="")
            elif form == "parquet":
                parquet.write_table(answer, half)
            else:
                with write_workbook(half, ["answer"]) as book:
                    book.add_table("answer", answer)
            half.replace(path)
    return path


def _write_gold(settings: Settings, path: Path, tables: Collection[str] | None, progress: Progress | None) -> Path:
    """Write the tables as one workbook, unless one of them is too long for it."""
    with open_warehouse(settings).reading() as look:
        published = published_tables(look)
        names = select_tables(published, tables)
        counts = row_counts(look, names)
        for name in names:
            check_size(name, counts[name], len(published[name].columns))
        build = look.published_build()
        columns = [(name, column) for name in names for column in published[name].columns]
        with write_workbook(path, [ABOUT, *names], created=build.finished_at if build else None) as book:
            book.add_about(
                _facts(look, published),
                [(name, counts[name], published[name].description) for name in names],
                [(name, one.name, one.unit or kind_of(one.data_type), one.meaning) for name, one in columns],
            )
            written = 0
            for name in names:
                if progress:
                    progress(written, sum(counts.values()), name)
                written += counts[name]
                places = ", ".join(str(number + 1) for number in range(len(published[name].columns)))
                sql = f"select * from {name} order by {places}"  # noqa: S608 - names of the catalogue
                book.add_table(name, look.arrow(sql, exact=True), published[name].columns)
    return path


def _facts(look: Reader, published: Mapping[str, PublishedTable]) -> dict[str, Sequence[str]]:
    """Return what the first sheet says of the whole, by label."""
    build = look.published_build()
    facts: dict[str, Sequence[str]] = {"data version": [build.version if build else "unpublished"]}
    kpi = published.get("gold.gold_kpi")
    if kpi and "as_of" in [column.name for column in kpi.columns]:
        (newest,) = look.query("select max(as_of) as newest from gold.gold_kpi")["newest"]
        facts["prices as of"] = ["there are no prices" if pd.isna(newest) else f"{newest:%Y-%m-%d %H:%M:%S} UTC"]
    return {**facts, "terms of the data": terms_of(look), "reading it": _READ_ME}


@contextmanager
def _written_to(path: Path) -> Iterator[None]:
    """Name the file or folder in an error of the disk."""
    try:
        yield
    except OSError as error:
        hint = "; is it open in another program?" if isinstance(error, PermissionError) else ""
        raise WarehouseError(f"{path} cannot be written: {error}{hint}") from error


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """Yield a folder within this one for unfinished files; remove it afterwards, and those of killed exports before."""
    with _alone_in(folder) as alone:
        if alone:
            for left in folder.glob(f"{_UNFINISHED}*"):
                shutil.rmtree(left, ignore_errors=True)
        unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=folder))
        try:
            yield unfinished
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def _alone_in(folder: Path) -> Iterator[bool]:
    """Lock the folder: one export into it at a time. No lock file lies among the tables.

    Yield False where a folder cannot be locked (some network shares, Windows): another export may run there.
    """
    if os.name == "nt":
        yield False
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            locked, lockable = lock(handle, wait=_LOCK_SECONDS), True
        except OSError:
            locked, lockable = False, False
        if lockable and not locked:
            raise WarehouseBusy(f"another export is writing to {folder}: wait for it to finish, and try again")
        yield locked
    finally:
        os.close(handle)
