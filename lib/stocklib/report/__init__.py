"""The market report and the tear sheet of a backtest: figures and tables in, one HTML file out that needs nothing else.

The page holds plotly.js once, draws in the reader's light or dark mode, and makes no request: no font, no CDN, and a
content security policy that would stop one.
"""

from datetime import UTC, date, datetime
from pathlib import Path

from stocklib.report.facts import gather
from stocklib.report.page import render
from stocklib.report.shell import write_page
from stocklib.settings import Settings

__all__ = ["write_report"]


def write_report(settings: Settings, *, day: date | None = None, path: Path | None = None) -> Path:
    """Write the report of what is published now, or of an earlier session, whole or not at all; returns where it is.

    Default: ``reports/market.html`` of the project, ``reports/demo.html`` for the demo (``reports/demo-today.html``
    for the one of today's companies), and with a ``day``
    ``reports/market-<day>.html``, which stays. Raises ``WarehouseError`` when nothing is published yet,
    ``DateRangeError`` for a day without bars.
    """
    if day:
        name = f"market-{day}.html"
    elif settings.demo:
        name = "demo-today.html" if settings.replay_data else "demo.html"
    else:
        name = "market.html"
    target = path or settings.root / "reports" / name
    return write_page(target, render(gather(settings, day=day), written_at=datetime.now(UTC)))
