"""The market report and the tear sheet of a backtest: figures and tables in, one HTML file out that needs nothing else.

The page holds plotly.js once, draws in the reader's light or dark mode, and makes no request: no font, no CDN, and a
content security policy that would stop one.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stocklib.errors import StocksError
from stocklib.report.facts import gather
from stocklib.report.page import render
from stocklib.settings import Settings
from stocklib.state_files import write_state

if TYPE_CHECKING:
    import pandas as pd

    from stocklib.backtest import Result

__all__ = ["tearsheet", "write_report"]

log = logging.getLogger(__name__)


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
    return _write_page(target, render(gather(settings, day=day), written_at=datetime.now(UTC)))


def tearsheet(
    result: "Result",
    path: Path | str,
    *,
    title: str = "Strategy",
    benchmark: "Result | None" = None,
    benchmark_name: str = "Benchmark",
    prices: "pd.DataFrame | None" = None,
    parameters: Mapping[str, Any] | None = None,
    unit: str = "USD",
) -> Path:
    """Write what a backtest did, whole or not at all; returns where it is.

    Figures, metrics against a ``benchmark`` (another result over the same sessions), trades, costs, ``parameters`` and
    the data's version. With the ``prices`` of one symbol its trades are drawn on the candles.
    """
    # the compiled account is loaded for those who backtest
    from stocklib.report.sheet import render_sheet

    page = render_sheet(
        result,
        title=title,
        benchmark=benchmark,
        benchmark_name=benchmark_name,
        prices=prices,
        parameters=parameters or {},
        unit=unit,
        written_at=datetime.now(UTC),
    )
    return _write_page(Path(path), page)


def _write_page(target: Path, page: str) -> Path:
    try:
        _write_whole(target, page)
    except OSError as error:
        raise StocksError(
            f"the report cannot be written to {target}: {error.strerror}; choose another --out"
        ) from error
    log.info("wrote %s (%.1f MB)", target, len(page) / 1e6)
    return target


def _write_whole(target: Path, page: str) -> None:
    """Write through a temporary file, so that a reader sees the old report or the new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # it can be written again from the same gold: no promise
    write_state(target, page.encode(), durable=False)
