"""The warehouse: new lake objects in, published gold tables out. One interface, one engine a platform.

``open_warehouse(settings)`` gives the engine that ``STOCKS_WAREHOUSE`` asks for. A caller sees the same on each:
``load`` appends landed objects to RAW in one transaction, ``dbt`` builds bronze, silver and gold, ``publish`` shows the
new version to readers, ``query`` reads the published one. A writer works inside ``with warehouse.writing():``,
since there is one writer at a time.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from stocklib.quotes import DATASETS as DATASETS
from stocklib.settings import Settings
from stocklib.warehouse.cost import Cost

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# `~` sorts after every key: an upper bound.
LAST = "~"
# Tables outside gold that are exported with it: its dimension of symbols, and what says how good the data is.
BESIDE_GOLD = (
    "silver.dim_stock_symbols",
    "silver.quarantined_quotes",
    "silver.quarantined_candles",
    "silver.quarantined_trades",
    "silver.quarantined_actions",
    "silver.quarantined_profiles",
    "ops.freshness",
    "ops.ledger",
    "ops.pipeline_runs",
)
# What a reader may rely on: the layout of RAW and of the ops tables.
SCHEMA_VERSION = 2


def calendar_version() -> str:
    """Return which trading calendar a warehouse holds: the library's version, and the columns that we make of it."""
    return f"{version('exchange-calendars')} with session numbers and calendar"


@dataclass(frozen=True)
class LandedObject:
    """An object of the lake to load.

    ``read`` gives its decompressed lines, or raises CorruptObject, or MissingObject when the lake no longer has it.
    """

    dataset: str
    key: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class LoadResult:
    """The result of one load; ``corrupt`` names the unreadable objects, with the reason."""

    load_id: int | None
    objects: int
    rows: int
    rejected: int
    corrupt: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.objects and not self.corrupt:
            return "nothing new in the lake"
        text = f"loaded {self.rows:,} lines of {self.objects} objects"
        text += f"; {self.rejected} lines rejected (raw.rejected_lines)" if self.rejected else ""
        return text + "".join(f"\nnot loaded: {reason}" for reason in self.corrupt)


@dataclass(frozen=True)
class UnreadableObject:
    """An object that no load could read so far: why, since when, and when it was last tried (wall clock, UTC)."""

    dataset: str
    key: str
    reason: str
    first_seen_at: datetime
    last_tried_at: datetime


@dataclass(frozen=True)
class DbtResult:
    """How a dbt run went: what failed and why, one sentence each, and where dbt wrote its log."""

    success: bool
    failures: tuple[str, ...]
    counts: dict[str, int]
    log: Path
    nodes: tuple[tuple[str, str, float], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Build:
    """A complete build whose tests passed: up to which load, from which logic, from which inputs besides the lake.

    ``finished_at`` is when the build began, ``whole_at`` when the last one began whose tests looked at whole tables: a
    micro-batch tests what it touched.
    """

    load_id: int
    logic: str
    inputs: str
    finished_at: datetime
    whole_at: datetime | None = None

    @property
    def is_whole(self) -> bool:
        """Return whether the tests of this build looked at whole tables."""
        return self.whole_at == self.finished_at

    @property
    def version(self) -> str:
        """Return its name: last load, logic, and when the build began (a rebuild counts loads from 1 again)."""
        return f"{self.load_id}.{self.logic[:8]}.{self.finished_at:%Y%m%d%H%M%S}"


@dataclass(frozen=True)
class Touched:
    """What streamed loads after ``load_id`` changed: the trade ``days`` of their events, and gold from ``since`` on."""

    load_id: int
    days: tuple[date, ...]
    since: date | None


class Reader(Protocol):
    """One published version (schemas bronze, silver, gold, ops), the same for every question put to it."""

    def query(self, sql: str, params: Sequence[Any] = ()) -> "pd.DataFrame":
        """Return the answer as a frame; values go in as ``?`` parameters."""

    def arrow(self, sql: str, params: Sequence[Any] = (), *, exact: bool = False) -> "pa.Table":
        """Return the answer in columns, as Arrow holds them: quicker where there are many rows.

        ``exact``: dates and decimals as the warehouse holds them, for files. By default an engine may give the types
        that pandas has.
        """

    def published_build(self) -> Build | None:
        """Return the build of this version."""


class Warehouse(Protocol):
    """What every engine can do."""

    def check(self) -> str:
        """Return a sentence about where it is and what it holds."""

    def initialise(self) -> None:
        """Create RAW and ops where they are not there yet; refuse another schema version."""

    def writing(self, *, wait: float = 60.0) -> AbstractContextManager[None]:
        """Hold the writer's lock within the block; ``WarehouseBusy`` names another holder after ``wait`` seconds."""

    def last_key(self, dataset: str, *, before: str = LAST) -> str | None:
        """Return the newest object of a dataset that is loaded, among those before a key."""

    def known_keys(self, dataset: str, *, since: str = "") -> set[str]:
        """Return the loaded objects of a dataset from the key ``since`` on."""

    def unreadable(self) -> list[UnreadableObject]:
        """Return the objects that could not be read, until a load reads them or finds them gone from the lake."""

    def load(self, objects: Iterable[LandedObject]) -> LoadResult:
        """Append the objects' lines to RAW and remember them, and what could not be read, all in one transaction."""

    def records(self, dataset: str, fields: Sequence[str]) -> list[tuple[Any, ...]]:
        """Return these fields of every record in the private version's RAW, as text."""

    def read(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query of the private version, published or not. Values go in as ``?`` parameters."""

    def replace_ops(self, tables: Mapping[str, Sequence[Sequence[Any]]]) -> None:
        """Give these tables of ops other rows, all in one transaction."""

    def newest_load(self) -> int:
        """Return the last load's id; 0 before the first."""

    def loaded_since(self, load_id: int) -> set[str]:
        """Return the datasets that later loads brought."""

    def touched_since(self, load_id: int) -> Touched:
        """Return what the quotes and trades of later loads changed in the private version, once silver is built."""

    def dbt(
        self,
        args: Sequence[str],
        *,
        on_node: Callable[[str], None] | None = None,
        quiet: bool = True,
        keep: bool = False,
    ) -> DbtResult:
        """Run dbt on the build. ``keep`` parses the project once a process."""

    def test(self, select: Sequence[str], touched: Touched) -> DbtResult:
        """Run the data tests of the models of dbt's selection on what is ``touched``, all at once."""

    def last_build(self) -> Build | None:
        """Return the last complete build of the private version."""

    def published_build(self) -> Build | None:
        """Return the build that readers see."""

    def record_build(self, build: Build) -> None:
        """Record a complete build: every model is up to date with its load."""

    def record_run(self, verb: str, status: str, *, started_at: datetime, detail: str) -> None:
        """Record that a step ran, and how it ended."""

    def publish(self, *, touched: Touched | None = None) -> None:
        """Show the private version to readers, at once or not at all.

        ``touched`` is all that changed since the last call; an engine may leave the other rows of the published copy
        unchanged.
        """

    def fresh(self) -> AbstractContextManager["Warehouse"]:
        """Yield an empty private version to fill; it takes the old one's place when the block ends well."""

    def query(self, sql: str, params: Sequence[Any] = ()) -> "pd.DataFrame":
        """Return the answer of the published version (schemas bronze, silver, gold, ops)."""

    def reading(self) -> AbstractContextManager[Reader]:
        """Yield one published version for several questions, whatever is published in between."""

    def costs(self, *, since: datetime) -> list[Cost]:
        """Return the cost of our statements since then, by day, run and part; nothing on one's own machine."""

    def export(self, folder: Path, *, fmt: str, tables: Collection[str] | None = None) -> list[Path]:
        """Write published tables, by default gold and ``BESIDE_GOLD``, to ``folder``, all from the same version."""


def open_warehouse(settings: Settings) -> Warehouse:
    """Return the engine of these settings. Nothing is opened, created or locked yet."""
    if settings.warehouse == "snowflake":
        from stocklib.warehouse.snowflake import SnowflakeWarehouse

        return SnowflakeWarehouse(settings)
    from stocklib.warehouse.local import LocalWarehouse

    return LocalWarehouse(settings)
