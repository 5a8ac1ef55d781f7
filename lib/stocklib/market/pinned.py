"""One published version for several calls: a report's figures must not come from two.

Within ``pin`` every call of ``stocklib.market`` for the same settings reads the version that was published when the
block began.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from stocklib.settings import Settings
from stocklib.warehouse import Reader, open_warehouse

_pinned: ContextVar[tuple[Settings, Reader] | None] = ContextVar("pinned", default=None)


@contextmanager
def pin(settings: Settings) -> Iterator[Reader]:
    """Read one version within the block. On Snowflake ``VersionChanged`` where another was published during it."""
    with open_warehouse(settings).reading() as look:
        before = _pinned.set((settings, look))
        try:
            yield look
        finally:
            _pinned.reset(before)


@contextmanager
def reading(settings: Settings) -> Iterator[Reader]:
    """Yield the pinned version of these settings, else the published one."""
    pinned = _pinned.get()
    if pinned and pinned[0] is settings:
        yield pinned[1]
    else:
        with open_warehouse(settings).reading() as look:
            yield look
