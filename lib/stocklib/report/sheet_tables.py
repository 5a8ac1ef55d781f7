"""The tables of a tear sheet: metrics, years, drawdowns, best and worst sessions, gains against losses.

Each takes named results, the strategy first and then its benchmark, where there is one. The figures are those of
``stocklib.metrics`` and ``backtest.summary``.
"""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from stocklib import backtest, metrics, plots
from stocklib.backtest.result import by_session
from stocklib.errors import DateRangeError
from stocklib.indicators.times import session_days
from stocklib.plots.house import day_text
from stocklib.sessions import next_session, previous_session

_BEST = 5
# After which figure of ``backtest.summary`` another one stands; the rest stands at the end.
_AFTER = {
    "Sharpe": ("Sharpe, 95 % from", "Sharpe, 95 % to"),
    "max drawdown %": ("Ulcer index %",),
    "VaR 95 %": ("CVaR 95 %",),
}
Results = Mapping[str, backtest.Result]


def metrics_table(results: Results) -> pd.DataFrame:
    """Return every metric, a column a result; NaN where it cannot be had."""
    benchmark = list(results.values())[1].equity if len(results) > 1 else None
    table = backtest.summary(results, benchmark if all(r.ruined is None for r in results.values()) else None)
    added = pd.DataFrame({name: _more(result) for name, result in results.items()})
    order = [name for row in table.index for name in (row, *_AFTER.get(row, ()))]
    order += [name for name in added.index if name not in order]
    return pd.concat([table, added]).reindex(order).dropna(how="all")


def _more(result: backtest.Result) -> dict[str, float]:
    """Return the figures that ``backtest.summary`` leaves out."""
    if result.ruined is not None:
        return {}
    equity, profits = by_session(result.equity), result.trades["profit"].to_numpy(dtype="float64")
    band = metrics.sharpe_band(equity)
    return {
        "Sharpe, 95 % from": band.low,
        "Sharpe, 95 % to": band.high,
        "Ulcer index %": metrics.ulcer_index(result.equity),
        "CVaR 95 %": metrics.cvar(equity),
        "skew": metrics.skew(equity),
        "excess kurtosis": metrics.kurtosis(equity),
        "sessions that rose %": metrics.hit_rate(equity),
        "trades that gained %, with open ones": 100 * float((profits > 0).mean()) if len(profits) else math.nan,
    }


def years_table(results: Results) -> list[dict[str, Any]]:
    """Return each calendar year: its return a result, and from when or to when it was not whole."""
    curves = {name: by_session(result.equity) for name, result in results.items()}
    days = pd.DatetimeIndex(session_days(next(iter(curves.values())).index))
    begins, ends = _limits(days[0], days[-1])
    return [
        {
            "year": year,
            "part": ", ".join(part for at, part in ((days[0], begins), (days[-1], ends)) if part and at.year == year),
            "returns": values.tolist(),
        }
        for year, values in plots.yearly_returns(curves).iterrows()
    ]


def _limits(first: pd.Timestamp, last: pd.Timestamp) -> tuple[str, str]:
    """Return from when the first year and to when the last year is, each empty where that year is whole.

    A year is whole from its first session on, by the trading calendar. Outside of that no year counts as whole.
    """
    try:
        begins = previous_session(first.date()).session_date.year == first.year
        ends = next_session(last.date()).session_date.year == last.year
    except DateRangeError:
        begins = ends = True
    return f"from {day_text(first, '%B')}" if begins else "", f"to {day_text(last, '%B')}" if ends else ""


def sessions_table(results: Results) -> dict[str, list[dict[str, Any]]]:
    """Return the best and the worst sessions of the first result, with what each result returned on them."""
    changes = pd.DataFrame({name: 100 * metrics.returns(by_session(one.equity)) for name, one in results.items()})
    first = changes.iloc[:, 0]
    chosen = {"Best": first[first > 0].nlargest(_BEST), "Worst": first[first < 0].nsmallest(_BEST)}
    return {
        name: [{"date": day, "returns": changes.loc[day].tolist()} for day in values.index]
        for name, values in chosen.items()
        if len(values)
    }


def gains_table(results: Results) -> pd.DataFrame:
    """Return ``Result.wins_and_losses`` of the first result, and the sessions of the others."""
    (_, result), *others = results.items()
    table = result.wins_and_losses()
    if not table["closed trades"]["number"]:
        del table["closed trades"]
    return table.assign(**{f"sessions of {name}": other.wins_and_losses()["sessions"] for name, other in others})
