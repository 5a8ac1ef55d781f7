"""One load into Snowflake: checked objects in; RAW rows, ``load_history`` and rejected lines out.

    lines with their object key and number → gzip files → PUT → COPY into a transient VARIANT table → one transaction

Until the transaction commits, RAW knows nothing of the load, and afterwards everything: what a crash leaves on disk, in
the stage or in the transient table has a name that no later load reads, and the next load removes it. ``load_history``
says what is loaded, not COPY, which forgets a file after 64 days.
"""

import gzip
import logging
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from stocklib.errors import WarehouseError
from stocklib.warehouse import DATASETS
from stocklib.warehouse.load_base import STAMPS, Load, LoadedObject
from stocklib.warehouse.raw_lines import CheckedObject
from stocklib.warehouse.snowflake.lease import WriterLock
from stocklib.warehouse.snowflake.session import SnowflakeSession
from stocklib.warehouse.table_columns import columns

log = logging.getLogger(__name__)

# Snowflake recommends files of 100 to 250 MB compressed; lines of quotes compress to a tenth of their size.
_FILE_BYTES = 1_000_000_000


class SnowflakeLoad(Load):
    """One load: lines gathered in files, staged and inserted at the end."""

    def __init__(self, session: SnowflakeSession, lock: WriterLock, folder: Path) -> None:
        super().__init__(session)
        self._lock = lock
        self._name = uuid.uuid4().hex
        self._folder = folder / self._name
        self._file: gzip.GzipFile | None = None
        self._files = self._written = self._lines = 0
        _remove_leftovers(session, folder)
        self._folder.mkdir(parents=True)

    def forget(self) -> None:
        """Remove the files of this load from this machine."""
        if self._file is not None:
            self._file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._session.transaction():
            self._lock.confirm(self._session)
            yield

    # ── lines to the transient table ──────────────────────────────────────────────────────────────────────────────

    def _add_lines(self, checked: CheckedObject, loaded: LoadedObject) -> None:
        key = orjson.dumps(checked.key)
        for number, line in zip(checked.numbers, checked.good, strict=True):
            self._write(checked.dataset, b'"k":%b,"n":%d,"r":%b' % (key, number, line))
        for number, text, reason in checked.bad:
            row = {"dataset": checked.dataset, "object_key": checked.key, "line_no": number}
            self._write("rejected_lines", b'"r":' + orjson.dumps({**row, "raw_text": text, "reason": reason}))
        self._write("load_history", b'"r":' + orjson.dumps(loaded))

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
        """Put the files into the stage and the transient table; a file that is lost on the way ends the load."""
        self._close_file()
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

    def _insert(self) -> None:
        stamp = self._loaded_at
        with_lines = {done.dataset for done in self._objects if done.loaded_lines}
        for dataset in (name for name in DATASETS if name in with_lines):
            self._session.run(
                f"insert into raw.{dataset} (record, object_key, line_no, load_id, loaded_at) "  # noqa: S608
                "select line:r, line:k::varchar, line:n::integer, ?, ? from raw.incoming where line:d::varchar = ?",
                [self._load_id, stamp, dataset],
            )
        for table in ("load_history", "rejected_lines"):
            declared = columns(f"raw.{table}", snowflake=True)
            given = {name: kind for name, kind in declared.items() if name not in STAMPS}
            chosen = ", ".join(f"line:r.{name}::{kind}" for name, kind in given.items())
            self._session.run(
                f"insert into raw.{table} ({', '.join((*given, *STAMPS))}) "  # noqa: S608
                f"select {chosen}, ?, ? from raw.incoming where line:d::varchar = ?",
                [self._load_id, stamp, table],
            )

    def _clean(self) -> None:
        """Empty the stage, which nothing needs after the commit; the next load removes what cannot be removed now."""
        try:
            self._session.rows(f"remove @raw.landing/{self._name}")
            self._session.run("drop table if exists raw.incoming")
        except WarehouseError as error:
            log.warning("loaded; the staged files stay until the next load: %s", error)


def _remove_leftovers(session: SnowflakeSession, folder: Path) -> None:
    """Remove what killed loads left behind. The caller is the one writer."""
    shutil.rmtree(folder, ignore_errors=True)
    session.rows("remove @raw.landing")
