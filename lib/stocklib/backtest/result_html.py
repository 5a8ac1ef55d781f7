"""A result as a notebook shows it: the account's line and the main figures, in the colours of the page around it."""

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from stocklib.backtest.bar_arrays import Floats, day_of

if TYPE_CHECKING:
    from stocklib.backtest.result import Result

_FIGURES = ("CAGR %", "volatility %", "Sharpe", "max drawdown %", "time in market %", "trades", "costs")
_SYMBOLS, _POINTS = 8, 160
_WIDTH, _HEIGHT = 600, 70
# no colour of its own, so that it can be read on a light and on a dark page
_CARD = "max-width:640px;padding:12px 16px;border:1px solid rgba(128,128,128,.4);border-radius:8px;color:inherit"
_SOFT = "opacity:.75;font-size:90%"


def html_of(result: "Result") -> str:
    """Return the HTML of a result: symbols, period, the account's line, and the main figures of its summary."""
    worth, times, figures = result.book.equity, result.bars.times, result.summary()
    period = f"{day_of(times[0])} to {day_of(times[-1])}, {len(times):,} bars"
    if result.ruined is not None:
        period += f"; ruined on {day_of(result.ruined)}"
    if version := result.bars.attrs.get("data_version"):
        period += f"; data {version}"
    tiles = "".join(_tile(name, figures[name]) for name in (figures.index[0], *_FIGURES))
    title = f"{_symbols(result.bars.symbols)}{worth[0]:,.2f} became {worth[-1]:,.2f}"
    return (
        f'<div style="{_CARD}"><div><b>{escape(title)}</b></div><div style="{_SOFT}">{escape(period)}</div>'
        f'{_line(worth)}<div style="display:flex;flex-wrap:wrap;gap:8px 20px">{tiles}</div>'
        f'<div style="{_SOFT};margin-top:8px">More: <code>.plot()</code>, <code>.summary()</code>, '
        "<code>.trades</code>, <code>.report(path)</code></div></div>"
    )


def _symbols(symbols: list[str]) -> str:
    more = f" and {len(symbols) - _SYMBOLS} more" if len(symbols) > _SYMBOLS else ""
    names = ", ".join(symbols[:_SYMBOLS]) + more
    return f"{names}: " if names else ""


def _line(worth: Floats) -> str:
    """Return the account's value as an SVG of at most ``_POINTS`` points."""
    chosen = worth[np.unique(np.linspace(0, len(worth) - 1, _POINTS).astype(int))]
    low, high = float(chosen.min()), float(chosen.max())
    across = np.linspace(0, _WIDTH, len(chosen))
    down = _HEIGHT - 2 - (_HEIGHT - 4) * (chosen - low) / ((high - low) or 1.0)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="value of the account" style="display:block;width:100%;height:{_HEIGHT}px;margin:8px 0">'
        f'<polyline points="{points}" fill="none" '
        'stroke="currentColor" stroke-width="1.5" vector-effect="non-scaling-stroke"/></svg>'
    )


def _tile(name: str, value: float) -> str:
    shown = "–" if np.isnan(value) else f"{value:,.{0 if name == 'trades' else 2}f}".replace("-", "−")
    return f'<div><div style="{_SOFT}">{escape(name)}</div><b>{shown}</b></div>'
