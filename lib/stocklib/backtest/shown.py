"""A result as a figure and as a page: the one place where ``backtest`` meets ``plots`` and ``report``.

Both are imported when they are asked for, since reports are made of backtests; pyproject.toml names the exception.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stocklib.backtest.result import Result


def plot(
    result: "Result",
    *,
    benchmark: "Result | None" = None,
    name: str = "strategy",
    benchmark_name: str = "benchmark",
    **options: Any,
) -> Any:
    """Return a Plotly figure of value and drawdown; ``options`` are those of ``plots.equity_curve``."""
    from stocklib import plots

    curves = {name: result.equity} | ({} if benchmark is None else {benchmark_name: benchmark.equity})
    return plots.equity_curve(curves, **options)


def report(result: "Result", path: Path | str, **options: Any) -> Path:
    """Write a result's tear sheet and return its path; ``options`` are those of ``stocklib.tearsheet``."""
    from stocklib.report.sheet import tearsheet

    return tearsheet(result, path, **options)
