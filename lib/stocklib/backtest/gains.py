"""How gains and losses compare: those of a result's closed trades, and those of its sessions."""

import math

import pandas as pd

from stocklib.metrics.growth import known_returns


def compare_gains(trades: pd.DataFrame, equity: pd.Series | None) -> pd.DataFrame:
    """Return the figures of the closed trades and, where ``equity`` is given, of its sessions, a column each.

    A trade's gain is its profit by what was spent on it, in percent; its profit factor is of money.
    """
    closed = trades.dropna(subset=["exit_date"])
    columns = {"closed trades": _gains(closed["return_percent"], closed["profit"])}
    if equity is not None:
        changes = 100 * known_returns(equity)
        columns["sessions"] = _gains(changes, changes)
    return pd.DataFrame(columns)


def _gains(percents: pd.Series, amounts: pd.Series) -> dict[str, float]:
    has_gained, has_lost = amounts > 0, amounts < 0
    moved, lost = int((has_gained | has_lost).sum()), -float(amounts[has_lost].sum())
    return {
        "number": float(len(percents)),
        "gained %": 100 * int(has_gained.sum()) / moved if moved else math.nan,
        "average gain %": percents[has_gained].mean(),
        "average loss %": percents[has_lost].mean(),
        "largest gain %": percents[has_gained].max(),
        "largest loss %": percents[has_lost].min(),
        "profit factor": float(amounts[has_gained].sum()) / lost if lost > 0 else math.nan,
    }
