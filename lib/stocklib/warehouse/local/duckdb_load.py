"""One load into the local warehouse: checked objects in; RAW rows, ``load_history`` and rejected lines out.

Everything happens in one transaction of the session that is handed in; ``finish`` commits it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from stocklib.warehouse.load_base import STAMPS, Load, LoadedObject
from stocklib.warehouse.local.files import LocalSession
from stocklib.warehouse.raw_lines import CheckedObject

_BATCH_ROWS, _BATCH_BYTES = 200_000, 256_000_000


class LocalLoad(Load):
    """One load: lines are kept, and inserted whenever ``_BATCH_ROWS`` rows or ``_BATCH_BYTES`` bytes wait."""

    def __init__(self, session: LocalSession) -> None:
        super().__init__(session)
        self._load_id = self._next_id()
        self._waiting: dict[str, list[CheckedObject]] = {}
        self._waiting_rows = self._waiting_bytes = 0
        self._rejected: list[tuple[Any, ...]] = []

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        # it began before the first insert; what is not committed goes with the connection
        yield
        self._session.run("commit")

    def _add_lines(self, checked: CheckedObject, loaded: LoadedObject) -> None:
        self._waiting.setdefault(checked.dataset, []).append(checked)
        self._waiting_rows += loaded.loaded_lines
        self._waiting_bytes += loaded.bytes
        self._rejected += [(checked.dataset, checked.key, *line) for line in checked.bad]
        if self._waiting_rows >= _BATCH_ROWS or self._waiting_bytes >= _BATCH_BYTES:
            self._stage()

    def _insert(self) -> None:
        import pyarrow as pa

        history = pa.Table.from_pylist([asdict(done) for done in self._objects])
        names = ", ".join((*history.column_names, *STAMPS))
        self._insert_rows(f"raw.load_history ({names}) select *", history)
        if self._rejected:
            columns = [pa.array(list(column)) for column in zip(*self._rejected, strict=True)]
            rejected = pa.table(columns, names=["dataset", "object_key", "line_no", "raw_text", "reason"])
            self._insert_rows("raw.rejected_lines select *", rejected)

    def _stage(self) -> None:
        import numpy as np
        import pyarrow as pa

        for dataset, objects in self._waiting.items():
            counts = [len(o.good) for o in objects]
            positions = pa.array(np.repeat(np.arange(len(objects), dtype=np.int32), counts))
            rows = {
                # orjson has parsed them: these are UTF-8
                "record": pa.array([line for o in objects for line in o.good], pa.binary()).cast(pa.string()),
                "object_key": pa.DictionaryArray.from_arrays(positions, pa.array([o.key for o in objects])),
                "line_no": pa.array([number for o in objects for number in o.numbers], pa.int32()),
            }
            self._insert_rows(f"raw.{dataset} select cast(record as json), object_key, line_no", pa.table(rows))
        self._waiting.clear()
        self._waiting_rows = self._waiting_bytes = 0

    def _insert_rows(self, into: str, rows: Any) -> None:
        self._session.insert_arrow(f"insert into {into}, ?, ? from incoming", rows, [self._load_id, self._loaded_at])
