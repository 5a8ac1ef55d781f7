"""The market report: figures and tables of gold in, one HTML file out that needs nothing else.

The page holds plotly.js once, draws in the reader's light or dark mode, and makes no request: no font, no CDN, and a
content security policy that would stop one.
"""

import contextlib
import logging
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from stocklib.errors import StocksError
from stocklib.report.facts import gather
from stocklib.report.page import render
from stocklib.settings import Settings

__all__ = ["write_report"]

log = logging.getLogger(__name__)


def write_report(settings: Settings, *, path: Path | None = None) -> Path:
    """Write the report of what is published now, whole or not at all; returns where it is.

    Default: ``reports/market.html`` of the project, ``reports/demo.html`` for the demo. Raises ``WarehouseError`` when
    nothing is published yet.
    """
    target = path or settings.root / "reports" / ("demo.html" if settings.demo else "market.html")
    page = render(gather(settings), written_at=datetime.now(UTC))
    try:
        _write_whole(target, page)
    except OSError as error:
        raise StocksError(
            f"the report cannot be written to {target}: {error.strerror}; choose another --out"
        ) from error
    log.info("wrote %s (%.1f MB)", target, len(page) / 1e6)
    return target


def _write_whole(target: Path, page: str) -> None:
    """Through a file beside it, so that a reader sees the old report or the new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(page)
        # a temporary file is its owner's alone; a report is like any other file
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
