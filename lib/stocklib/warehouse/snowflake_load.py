"""One load into Snowflake: checked objects in; RAW rows, ``load_history`` and rejected lines out.

    lines with their object key and number → gzip files → PUT → COPY into a transient VARIANT table → one transaction

Until the transaction commits, RAW knows nothing of the load, and afterwards everything: whatever a crash left on disk,
in the stage or in the transient table has a name that no later load reads, and the next load removes it. What is loaded
is told by ``load_history``, not by COPY, which forgets a file after 64 days.
"""

import gzip
import logging
import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from stocklib.errors import CorruptObject, WarehouseError
from stocklib.warehouse import DATASETS, LandedObject, LoadResult
from stocklib.warehouse.raw_lines import CheckedObject, UnreadObject, refuse_other_kind
from stocklib.warehouse.snowflake_lock import WriterLock
from stocklib.warehouse.snowflake_session import SnowflakeSession

log = logging.getLogger(__name__)

# Snowflake recommends files of 100 to 250 MB compressed; lines of quotes compress to a tenth of their size.
_FILE_BYTES = 1_000_000_000
_ASKED_AT_ONCE = 256
_HISTORY = {
    "dataset": "varchar",
    "object_key": "varchar",
    "lines": "bigint",
    "loaded_lines": "bigint",
    "rejected_lines": "bigint",
    "bytes": "bigint",
}
_REJECTED = {
    "dataset": "varchar",
    "object_key": "varchar",
    "line_no": "integer",
    "raw_text": "varchar",
    "reason": "varchar",
}


@dataclass(frozen=True)
class _Loaded:
    """What is remembered of an object."""

    dataset: str
    key: str
    size: int
    good: int
    bad: int


class SnowflakeLoad:
    """One load: lines gathered in files, staged and inserted at the end."""

    def __init__(self, session: SnowflakeSession, lock: WriterLock, folder: Path) -> None:
        self._session = session
        self._lock = lock
        self._name = uuid.uuid4().hex
        self._folder = folder / self._name
        self._loaded_at = datetime.now(UTC).replace(tzinfo=None)
        row = session.row("select kind from ops.warehouse_source")
        self._held: str | None = row[0] if row else None
        self._kind = self._held
        self._first_key = ""
        self._objects: list[_Loaded] = []
        self._unread: list[UnreadObject] = []
        self._file: gzip.GzipFile | None = None
        self._files = self._written = self._lines = 0
        _remove_leftovers(session, folder)
        self._folder.mkdir(parents=True)

    def not_loaded(self, objects: Iterable[LandedObject]) -> Iterator[LandedObject]:
        """Those of the objects that no load has brought: whatever a caller lists, nothing is loaded twice."""
        coming, seen = iter(objects), set[str]()
        while some := list(islice(coming, _ASKED_AT_ONCE)):
            marks = ", ".join("?" * len(some))
            seen |= {
                row[0]
                for row in self._session.rows(
                    f"select object_key from raw.load_history where object_key in ({marks})",  # noqa: S608
                    [landed.key for landed in some],
                )
            }
            for landed in some:
                if landed.key not in seen:
                    seen.add(landed.key)
                    yield landed

    def add(self, checked: CheckedObject) -> None:
        """Take one object; WrongSource ends the load, and nothing of it stays."""
        self._kind = refuse_other_kind(self._kind, checked)
        self._first_key = self._first_key or checked.key
        key = orjson.dumps(checked.key)
        for number, line in zip(checked.numbers, checked.good, strict=True):
            self._write(checked.dataset, b'"k":%b,"n":%d,"r":%b' % (key, number, line))
        for number, text, reason in checked.bad:
            row = [checked.dataset, checked.key, number, text, reason]
            self._write("rejected_lines", b'"r":' + orjson.dumps(dict(zip(_REJECTED, row, strict=True))))
        done = _Loaded(checked.dataset, checked.key, checked.size, len(checked.good), len(checked.bad))
        row = [done.dataset, done.key, done.good + done.bad, done.good, done.bad, done.size]
        self._write("load_history", b'"r":' + orjson.dumps(dict(zip(_HISTORY, row, strict=True))))
        self._objects.append(done)

    def leave_out(self, unread: UnreadObject) -> None:
        """Go on without an object: a damaged one is tried again by later loads, one that is gone is not."""
        self._unread.append(unread)

    def finish(self) -> LoadResult:
        """Stage, copy, commit, clean up; without a single readable object it is no load."""
        corrupt = tuple(str(unread.error) for unread in self._unread if isinstance(unread.error, CorruptObject))
        if not self._objects:
            with self._session.transaction():
                self._lock.confirm(self._session)
                self._remember_unread()
            return LoadResult(None, 0, 0, 0, corrupt)
        self._close_file()
        self._stage()
        with self._session.transaction():
            self._lock.confirm(self._session)
            load_id = self._insert()
        self._clean()
        rows, rejected = sum(done.good for done in self._objects), sum(done.bad for done in self._objects)
        return LoadResult(load_id, len(self._objects), rows, rejected, corrupt)

    def forget(self) -> None:
        """Remove the files of this load from this machine."""
        if self._file is not None:
            self._file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # ── lines to the transient table ──────────────────────────────────────────────────────────────────────────────

    def _write(self, table: str, rest: bytes) -> None:
        if self._file is None or self._written >= _FILE_BYTES:
            self._close_file()
            self._files += 1
            path = self._folder / f"{self._name}-{self._files:04}.ndjson.gz"
            self._file = gzip.open(path, "wb", compresslevel=1)  # noqa: SIM115 - closed when it is full
        line = b'{"d":"%b",%b}\n' % (table.encode(), rest)
        self._file.write(line)
        self._written += len(line)
        self._lines += 1

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._written = None, 0

    def _stage(self) -> None:
        """Files into the stage, the stage into the transient table; a file that got lost on the way ends the load."""
        session = self._session
        files = str(self._folder / "*").replace("'", "\\'")
        session.rows(
            f"put 'file://{files}' @raw.landing/{self._name} "
            "auto_compress = false source_compression = gzip parallel = 8 overwrite = true"
        )
        session.run("create or replace transient table raw.incoming (line variant)")
        session.rows(f"copy into raw.incoming from @raw.landing/{self._name} file_format = (type = json)")
        counted = session.row("select count(*) from raw.incoming")
        if counted is None or int(counted[0]) != self._lines:
            raise WarehouseError(
                f"the stage raw.landing gave {counted[0] if counted else 0} of the {self._lines} lines that were put "
                "there; nothing was loaded, and nothing is lost: `stocks load` tries again"
            )

    # ── the transaction ───────────────────────────────────────────────────────────────────────────────────────────

    def _insert(self) -> int:
        session, stamp = self._session, self._loaded_at
        newest = session.row("select coalesce(max(load_id), 0) from raw.load_history")
        load_id = int(newest[0] if newest else 0) + 1
        there = {done.dataset for done in self._objects if done.good}
        for dataset in (name for name in DATASETS if name in there):
            session.run(
                f"insert into raw.{dataset} (record, object_key, line_no, load_id, loaded_at) "  # noqa: S608
                "select line:r, line:k::varchar, line:n::integer, ?, ? from raw.incoming where line:d::varchar = ?",
                [load_id, stamp, dataset],
            )
        for table, columns in (("load_history", _HISTORY), ("rejected_lines", _REJECTED)):
            chosen = ", ".join(f"line:r.{name}::{kind}" for name, kind in columns.items())
            session.run(
                f"insert into raw.{table} ({', '.join(columns)}, load_id, loaded_at) "  # noqa: S608
                f"select {chosen}, ?, ? from raw.incoming where line:d::varchar = ?",
                [load_id, stamp, table],
            )
        if self._kind is not None and self._held is None:
            session.run("insert into ops.warehouse_source values (?, ?)", [self._kind, self._first_key])
        self._remember_newest(load_id)
        self._remember_unread()
        session.run(
            "delete from ops.unreadable_objects where object_key in "
            "(select object_key from raw.load_history where load_id = ?)",
            [load_id],
        )
        rows, rejected = sum(done.good for done in self._objects), sum(done.bad for done in self._objects)
        finished = datetime.now(UTC).replace(tzinfo=None)
        session.run(
            "insert into ops.pipeline_runs values ('load', 'succeeded', ?, ?, ?, ?)",
            [load_id, f"{rows} lines, {rejected} rejected", stamp, finished],
        )
        return load_id

    def _remember_newest(self, load_id: int) -> None:
        newest: dict[str, str] = {}
        for done in self._objects:
            newest[done.dataset] = max(newest.get(done.dataset, ""), done.key)
        for dataset, key in newest.items():
            kept = self._session.row("select last_object from ops.freshness where dataset = ?", [dataset])
            self._session.run("delete from ops.freshness where dataset = ?", [dataset])
            last = max(key, kept[0]) if kept else key
            self._session.run(
                "insert into ops.freshness values (?, ?, ?, ?)", [dataset, last, load_id, self._loaded_at]
            )

    def _remember_unread(self) -> None:
        for unread in self._unread:
            known = self._session.row(
                "select first_seen_at from ops.unreadable_objects where object_key = ?", [unread.key]
            )
            self._session.run("delete from ops.unreadable_objects where object_key = ?", [unread.key])
            if isinstance(unread.error, CorruptObject):
                row: list[Any] = [unread.dataset, unread.key, str(unread.error)]
                row += [known[0] if known else self._loaded_at, self._loaded_at]
                self._session.run("insert into ops.unreadable_objects values (?, ?, ?, ?, ?)", row)

    def _clean(self) -> None:
        """What is committed needs no stage; what cannot be removed now, the next load removes."""
        try:
            self._session.rows(f"remove @raw.landing/{self._name}")
            self._session.run("drop table if exists raw.incoming")
        except WarehouseError as error:
            log.warning("loaded; the staged files stay until the next load: %s", error)


def _remove_leftovers(session: SnowflakeSession, folder: Path) -> None:
    """What loads that were killed left behind: the caller is the one writer."""
    shutil.rmtree(folder, ignore_errors=True)
    session.rows("remove @raw.landing")
