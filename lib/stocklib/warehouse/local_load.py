"""One load into the local warehouse: checked objects in; RAW rows, ``load_history`` and rejected lines out.

Everything happens in the transaction of the connection that is handed in; ``finish`` commits it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from stocklib.errors import CorruptObject
from stocklib.warehouse import LandedObject, LoadResult
from stocklib.warehouse.raw_lines import CheckedObject, UnreadObject, refuse_other_kind

_BATCH_ROWS, _BATCH_BYTES = 200_000, 256_000_000
_ASKED_AT_ONCE = 256


@dataclass(frozen=True)
class _Loaded:
    """What is remembered of an object once its lines are in RAW."""

    dataset: str
    key: str
    size: int
    good: int
    bad: tuple[tuple[int, str, str], ...]


class LocalLoad:
    """One load: rows gathered, inserted by the hundred thousand, and remembered at the end."""

    def __init__(self, con: Any) -> None:
        self._con = con
        self._load_id = int(first_row(con, "select coalesce(max(load_id), 0) + 1 from raw.load_history")[0])
        self._loaded_at = datetime.now(UTC).replace(tzinfo=None)
        row = first_row(con, "select kind from ops.warehouse_source")
        self._kind: str | None = row[0] if row else None
        self._kind_known = row is not None
        self._waiting: dict[str, list[CheckedObject]] = {}
        self._waiting_rows = self._waiting_bytes = 0
        self._objects: list[_Loaded] = []
        self._unread: list[UnreadObject] = []

    def not_loaded(self, objects: Iterable[LandedObject]) -> Iterator[LandedObject]:
        """Those of the objects that no load has brought: whatever a caller lists, nothing is loaded twice."""
        coming = iter(objects)
        while some := list(islice(coming, _ASKED_AT_ONCE)):
            known = self._con.execute(
                "select object_key from raw.load_history where object_key in (select unnest(?::varchar[]))",
                [[landed.key for landed in some]],
            ).fetchall()
            loaded = {key for (key,) in known}
            yield from (landed for landed in some if landed.key not in loaded)

    def add(self, checked: CheckedObject) -> None:
        """Take one object; WrongSource ends the load, and nothing of it stays."""
        self._kind = refuse_other_kind(self._kind, checked)
        if self._kind is not None and not self._kind_known:
            self._con.execute("insert into ops.warehouse_source values (?, ?)", [self._kind, checked.key])
            self._kind_known = True
        self._waiting.setdefault(checked.dataset, []).append(checked)
        self._waiting_rows += len(checked.good)
        self._waiting_bytes += checked.size
        if self._waiting_rows >= _BATCH_ROWS or self._waiting_bytes >= _BATCH_BYTES:
            self._insert_waiting()

    def leave_out(self, unread: UnreadObject) -> None:
        """Go on without an object: a damaged one is tried again by later loads, one that is gone is not."""
        self._unread.append(unread)

    def finish(self) -> LoadResult:
        """Commit; without a single readable object it is no load."""
        self._insert_waiting()
        self._remember_unread()
        corrupt = tuple(str(unread.error) for unread in self._unread if isinstance(unread.error, CorruptObject))
        if not self._objects:
            self._con.commit()
            return LoadResult(None, 0, 0, 0, corrupt)
        self._remember()
        rows = sum(done.good for done in self._objects)
        rejected = sum(len(done.bad) for done in self._objects)
        self._con.execute(
            "insert into ops.pipeline_runs values ('load', 'succeeded', ?, ?, ?, ?)",
            [
                self._load_id,
                f"{rows} lines, {rejected} rejected",
                self._loaded_at,
                datetime.now(UTC).replace(tzinfo=None),
            ],
        )
        self._con.commit()
        return LoadResult(self._load_id, len(self._objects), rows, rejected, corrupt)

    def _insert_waiting(self) -> None:
        import numpy as np
        import pyarrow as pa

        for dataset, objects in self._waiting.items():
            counts = [len(o.good) for o in objects]
            positions = pa.array(np.repeat(np.arange(len(objects), dtype=np.int32), counts))
            rows = {
                # judged by orjson: these are UTF-8
                "record": pa.array([line for o in objects for line in o.good], pa.binary()).cast(pa.string()),
                "object_key": pa.DictionaryArray.from_arrays(positions, pa.array([o.key for o in objects])),
                "line_no": pa.array([number for o in objects for number in o.numbers], pa.int32()),
            }
            self._insert(f"raw.{dataset} select cast(record as json), object_key, line_no", pa.table(rows))
            self._objects += [_Loaded(o.dataset, o.key, o.size, len(o.good), tuple(o.bad)) for o in objects]
        self._waiting.clear()
        self._waiting_rows = self._waiting_bytes = 0

    def _remember(self) -> None:
        import pyarrow as pa

        done = self._objects
        history = {
            "dataset": [o.dataset for o in done],
            "object_key": [o.key for o in done],
            "lines": [o.good + len(o.bad) for o in done],
            "loaded_lines": [o.good for o in done],
            "rejected_lines": [len(o.bad) for o in done],
            "bytes": [o.size for o in done],
        }
        self._insert(
            "raw.load_history (dataset, object_key, lines, loaded_lines, rejected_lines, bytes, load_id, loaded_at) "
            "select *",
            pa.table(history),
        )
        self._con.execute(
            "delete from ops.unreadable_objects where object_key in "
            "(select object_key from raw.load_history where load_id = ?)",
            [self._load_id],
        )
        bad = [(o.dataset, o.key, *line) for o in done for line in o.bad]
        if bad:
            names = ("dataset", "object_key", "line_no", "raw_text", "reason")
            columns = dict(zip(names, zip(*bad, strict=True), strict=True))
            self._insert(
                "raw.rejected_lines select *", pa.table({name: list(column) for name, column in columns.items()})
            )
        newest = {dataset: max(o.key for o in done if o.dataset == dataset) for dataset in {o.dataset for o in done}}
        for dataset, key in newest.items():
            kept = first_row(self._con, "select last_object from ops.freshness where dataset = ?", [dataset])
            self._con.execute("delete from ops.freshness where dataset = ?", [dataset])
            last = max(key, kept[0]) if kept else key
            self._con.execute(
                "insert into ops.freshness values (?, ?, ?, ?)", [dataset, last, self._load_id, self._loaded_at]
            )

    def _remember_unread(self) -> None:
        for unread in self._unread:
            sql = "select first_seen_at from ops.unreadable_objects where object_key = ?"
            known = first_row(self._con, sql, [unread.key])
            self._con.execute("delete from ops.unreadable_objects where object_key = ?", [unread.key])
            if isinstance(unread.error, CorruptObject):
                first_seen_at = known[0] if known else self._loaded_at
                self._con.execute(
                    "insert into ops.unreadable_objects values (?, ?, ?, ?, ?)",
                    [unread.dataset, unread.key, str(unread.error), first_seen_at, self._loaded_at],
                )

    def _insert(self, into: str, rows: Any) -> None:
        self._con.register("incoming", rows)
        self._con.execute(f"insert into {into}, ?, ? from incoming", [self._load_id, self._loaded_at])
        self._con.unregister("incoming")


def first_row(con: Any, sql: str, params: list[Any] | None = None) -> Any:
    """The first row of an answer, or None. An answer that is not read to its end keeps the connection busy."""
    rows = con.execute(sql, params or []).fetchall()
    return rows[0] if rows else None
