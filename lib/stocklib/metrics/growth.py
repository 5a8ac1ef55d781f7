"""Growth of a series: returns, total return, and growth a year."""

import math

import numpy as np
import pandas as pd

from stocklib.errors import InputError
from stocklib.indicators.columns import LARGEST, SMALLEST, to_doubles
from stocklib.indicators.times import in_order, read_times, session_days
from stocklib.sessions import XNYS

SESSIONS_A_YEAR = XNYS.periods_a_year


def returns(prices: pd.Series) -> pd.Series:
    """Simple returns, as fractions: p_t / p_(t-1) - 1. One shorter than the prices; NaN where either is missing.

    >>> returns(pd.Series([100.0, 110.0, 99.0])).round(10).tolist()
    [0.1, -0.1]
    """
    checked = check_prices(prices, at_least=2)
    return (checked / checked.shift(1) - 1).iloc[1:]


def total_return(prices: pd.Series) -> float:
    """Return over the whole period, in percent: 100 (p_last / p_first - 1).

    Of split-adjusted prices it is a price return; it counts dividends where the prices do
    (``stocklib.prices(…, adjust="total")``).

    >>> round(total_return(pd.Series([100.0, 110.0, 99.0])), 10)
    -1.0
    """
    known = check_prices(prices, at_least=2).dropna()
    return float(100 * (known.iloc[-1] / known.iloc[0] - 1))


def cagr(prices: pd.Series) -> float:
    """Compound annual growth rate, in percent: 100 ((p_last / p_first)^(252 / n) - 1) over n sessions.

    126 sessions that bring 10 % are half a year, so 1.1 ** 2 - 1 a year:

    >>> round(cagr(pd.Series([100.0] * 126 + [110.0])), 10)
    21.0
    """
    checked = check_sessions(prices)
    known = np.flatnonzero(checked.notna())
    growth = checked.iloc[known[-1]] / checked.iloc[known[0]]
    with np.errstate(over="ignore"):
        return finite(100 * (growth ** (SESSIONS_A_YEAR / (known[-1] - known[0])) - 1))


def known_returns(prices: pd.Series) -> pd.Series:
    """Return ``returns`` without missing ones; ``InputError`` when none is left."""
    found = returns(prices).dropna()
    if found.empty:
        raise InputError("no two consecutive values exist, so there is no return")
    return found


def check_prices(prices: pd.Series, *, at_least: int) -> pd.Series:
    """Return the prices as doubles by time where they are valid for every formula here, else ``InputError``.

    A missing price (NaN) is a session without a bar.
    """
    if not isinstance(prices, pd.Series):
        raise InputError(f"the values must be a series, not {type(prices).__name__}: pd.Series(values, dates)")
    times = read_times(prices.index)
    if not in_order(times) or not times.is_monotonic_increasing or not times.is_unique:
        raise InputError("the values must be in order of time, one a date: sort them, and drop duplicates")
    values = to_doubles(prices)
    missing = np.isnan(values)
    good = missing | ((values >= SMALLEST) & (values <= LARGEST))
    if not good.all():
        raise InputError(f"the value of {times[~good][0]} is zero, negative or infinite: drop or fill it first")
    if (there := int((~missing).sum())) < at_least:
        raise InputError(f"{there} values are too few: at least {at_least} are needed")
    checked = pd.Series(values, times, name=prices.name)
    checked.attrs = prices.attrs
    return checked


def check_sessions(prices: pd.Series, *, at_least: int = 2) -> pd.Series:
    """Return ``check_prices`` of one value a session, which figures a year need; the first session may have two."""
    checked = check_prices(prices, at_least=at_least)
    days = session_days(checked.index)
    if not days[1:].is_unique:
        day = days[1:][days[1:].duplicated()][0]
        raise InputError(
            f"there are several values of {str(day)[:10]}, and a figure a year takes one a session: take each "
            "session's last value first"
        )
    return checked


def finite(value: float) -> float:
    """Return the figure, or NaN where it is too large for a double."""
    return float(value) if math.isfinite(value) else math.nan
