"""The common half of a load on both engines: what it skips, what it records of each object, and its result."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from stocklib.errors import CorruptObject
from stocklib.warehouse import LandedObject, LoadResult
from stocklib.warehouse.raw_lines import CheckedObject, UnreadObject, refuse_other_kind

_ASKED_AT_ONCE = 256
# What a load adds to each row that it inserts.
STAMPS = ("load_id", "loaded_at")


@dataclass(frozen=True)
class LoadedObject:
    """What ``raw.load_history`` says of an object: its columns, but for those of ``STAMPS``."""

    dataset: str
    object_key: str
    lines: int
    loaded_lines: int
    rejected_lines: int
    bytes: int


class Load(ABC):
    """One load: checked objects in; RAW rows, ``load_history`` and rejected lines out when it finishes."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._loaded_at = datetime.now(UTC).replace(tzinfo=None)
        row = session.row("select kind from ops.warehouse_source")
        self._kind_before: str | None = row[0] if row else None
        self._kind = self._kind_before
        self._first_key = ""
        self._objects: list[LoadedObject] = []
        self._unread: list[UnreadObject] = []

    @abstractmethod
    def _add_lines(self, checked: CheckedObject, loaded: LoadedObject) -> None:
        """Keep an object's lines until the load finishes."""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[None]:
        """Commit what the block writes, with what was written before, when it ends well."""

    @abstractmethod
    def _insert(self) -> None:
        """Insert what is staged, the history and the rejected lines, inside the transaction."""

    @abstractmethod
    def _stage(self) -> None:
        """Write the lines that are kept: into RAW itself on DuckDB, into a transient table on Snowflake."""

    def _clean(self) -> None:  # noqa: B027 - the local load leaves nothing
        """Remove what the transaction needed."""

    def not_loaded(self, objects: Iterable[LandedObject]) -> Iterator[LandedObject]:
        """Yield the objects that no load has brought, each once: nothing is loaded twice, whatever a caller lists."""
        coming, seen = iter(objects), set[str]()
        while some := list(islice(coming, _ASKED_AT_ONCE)):
            marks = ", ".join("?" * len(some))
            sql = f"select object_key from raw.load_history where object_key in ({marks})"  # noqa: S608
            seen |= {row[0] for row in self._session.rows(sql, [landed.key for landed in some])}
            for landed in some:
                if landed.key not in seen:
                    seen.add(landed.key)
                    yield landed

    def add(self, checked: CheckedObject) -> None:
        """Add an object; ``WrongSource`` ends the load, and nothing of it stays."""
        self._kind = refuse_other_kind(self._kind, checked)
        self._first_key = self._first_key or checked.key
        good, bad = len(checked.good), len(checked.bad)
        loaded = LoadedObject(checked.dataset, checked.key, good + bad, good, bad, checked.size)
        self._objects.append(loaded)
        self._add_lines(checked, loaded)

    def leave_out(self, unread: UnreadObject) -> None:
        """Go on without an object: later loads try a damaged one again, and not one that is gone."""
        self._unread.append(unread)

    def finish(self) -> LoadResult:
        """Commit, and return what was loaded; without a readable object there is no load."""
        rows = sum(done.loaded_lines for done in self._objects)
        rejected = sum(done.rejected_lines for done in self._objects)
        load_id = None
        if self._objects:
            self._stage()
        with self._transaction():
            self._remember_unread()
            if self._objects:
                load_id = self._load_id = self._next_id()
                self._insert()
                self._remember(load_id, f"{rows} lines, {rejected} rejected")
        if self._objects:
            self._clean()
        corrupt = tuple(str(unread.error) for unread in self._unread if isinstance(unread.error, CorruptObject))
        return LoadResult(load_id, len(self._objects), rows, rejected, corrupt)

    def _next_id(self) -> int:
        row = self._session.row("select coalesce(max(load_id), 0) + 1 from raw.load_history")
        return int(row[0])

    def _remember(self, load_id: int, detail: str) -> None:
        session = self._session
        if self._kind is not None and self._kind_before is None:
            session.run("insert into ops.warehouse_source values (?, ?)", [self._kind, self._first_key])
        brought = "from raw.load_history where load_id = ?"
        session.run(f"delete from ops.freshness where dataset in (select dataset {brought})", [load_id])  # noqa: S608
        session.run(
            "insert into ops.freshness select dataset, max(object_key), max(load_id), max(loaded_at) "
            "from raw.load_history where dataset not in (select dataset from ops.freshness) group by dataset"
        )
        session.run(
            f"delete from ops.unreadable_objects where object_key in (select object_key {brought})",  # noqa: S608
            [load_id],
        )
        session.run(
            "insert into ops.pipeline_runs values ('load', 'succeeded', ?, ?, ?, ?)",
            [load_id, detail, self._loaded_at, datetime.now(UTC).replace(tzinfo=None)],
        )

    def _remember_unread(self) -> None:
        for unread in self._unread:
            sql = "select first_seen_at from ops.unreadable_objects where object_key = ?"
            known = self._session.row(sql, [unread.key])
            self._session.run("delete from ops.unreadable_objects where object_key = ?", [unread.key])
            if isinstance(unread.error, CorruptObject):
                first_seen_at = known[0] if known else self._loaded_at
                self._session.run(
                    "insert into ops.unreadable_objects values (?, ?, ?, ?, ?)",
                    [unread.dataset, unread.key, str(unread.error), first_seen_at, self._loaded_at],
                )
