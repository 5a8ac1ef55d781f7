"""The market report and the tear sheet of a backtest: figures and tables in, one HTML file out that needs nothing else.

The page holds plotly.js once, draws in the reader's light or dark mode, and makes no request: no font, no CDN, and a
content security policy that would stop one.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from stocklib.errors import InputError
from stocklib.report.cards import CARDS
from stocklib.report.facts import gather
from stocklib.report.page import render
from stocklib.report.shell import write_page
from stocklib.settings import Settings

__all__ = ["write_report"]


def write_report(
    settings: Settings,
    *,
    day: date | None = None,
    path: Path | None = None,
    symbols: Sequence[str] = (),
    benchmark: str | None = None,
) -> Path:
    """Write the report of what is published now, or of an earlier session, whole or not at all; returns where it is.

    Default: ``reports/market.html`` of the project, ``reports/demo.html`` for the demo (``reports/demo-today.html``
    for the one of today's companies), and with a ``day``
    ``reports/market-<day>.html``, which stays. ``symbols``, up to ten, get the cards and are compared; by default those
    that moved most and the largest. ``benchmark`` is a symbol, by default all of them with equal weights.
    Raises ``WarehouseError`` when nothing is published yet, ``DateRangeError`` for a day without bars, ``SymbolError``
    for a symbol without prices.
    """
    if len(symbols) > CARDS:
        raise InputError(f"the report shows cards of up to {CARDS} chosen symbols, not {len(symbols)}")
    if day:
        name = f"market-{day}.html"
    elif settings.demo:
        name = "demo-today.html" if settings.replay_data else "demo.html"
    else:
        name = "market.html"
    target = path or settings.root / "reports" / name
    return write_page(
        target, render(gather(settings, day=day, chosen=symbols, benchmark=benchmark), written_at=datetime.now(UTC))
    )
