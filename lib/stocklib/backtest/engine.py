"""Orders from target weights, filled on the next bar with trading costs; valued at every close."""

from typing import Any

import numpy as np
import pandas as pd

from stocklib import metrics
from stocklib.backtest import kernel
from stocklib.backtest.bar_arrays import Bars, Floats, day_of, read_bars
from stocklib.backtest.result import Result
from stocklib.errors import InputError
from stocklib.indicators.columns import check_number, shown, to_doubles
from stocklib.indicators.times import read_times, session_days

REBALANCE = ("change", "bar", "week", "month", "quarter")


def run(
    prices: pd.DataFrame | Bars,
    weights: pd.Series | pd.DataFrame,
    *,
    fill: str = "open",
    rebalance: str = "change",
    commission_bps: float = 0.0,
    slippage_bps: float = 0.0,
    minimum_fee: float = 0.0,
    borrow_percent: float = 0.0,
    whole_shares: bool = False,
    stop_loss_percent: float | None = None,
    take_profit_percent: float | None = None,
    leverage: float = 1.0,
    cash: float = 10_000.0,
) -> Result:
    """Trade target weights on the bars of one symbol or of several.

    ``weights`` are fractions of the account's value, decided at a bar's close: a series for one symbol (a signal of 0
    and 1 is out and all in, -1 is sold short), a frame with a column a symbol for several. The weights of bar t are
    traded at the ``fill`` of bar t + 1: its open, close or vwap; the weights of the last bar are never traded. Nothing
    is decided with a price that was not yet known.

    What is traded: with ``rebalance="change"`` the symbols whose target changed; with ``bar``, ``week``, ``month`` or
    ``quarter`` every symbol, on each bar or on the first one of each period, back to its target. Targets and amounts
    that differ by less than 1e-9 (of the account) are equal. Sales come first, then what is bought back of short
    positions, then purchases; where the money is short, all purchases shrink alike, and the proceeds of a short
    position cannot be spent. A symbol without a bar (or vwap) is traded on its next one, and valued at its last close
    until then. Targets are fractions of the account's value at the prices of the fill.

    What it costs: ``slippage_bps`` of the price, against you; ``commission_bps`` of the value, at least
    ``minimum_fee``, on each fill; ``borrow_percent`` a year, 1/252 of it each bar, on the value sold short at the
    close. A purchase pays its costs out of the money spent; one that only covers its fee is not made, nor is a sale
    that brings no more than its fee, except to leave a position. Basis points: 10 is 0.10 %. Cash earns nothing, and
    money borrowed costs nothing. Shares are fractional, or ``whole_shares``, rounded down; the rest stays cash.

    ``stop_loss_percent`` and ``take_profit_percent`` leave a position at that distance from its average entry price,
    slippage included: at the open of a bar that opens beyond it, else at the level; where one bar holds both levels
    and opens between them, the stop is taken to have come first. Filled at the open, a position can be stopped on its
    first bar; else from the next one on. A stopped position stays out until its target changes (or the next
    rebalancing).

    ``leverage`` bounds the sum of the absolute weights; 1 borrows nothing. An account that is worth nothing at a fill
    or at a close is closed at those prices, without costs (``Result.ruined`` says when); its debt stays.

    Raise ``InputError`` for bars that are unordered, missing or not positive, and for weights that are not numbers,
    exceed the leverage, or are on other dates than the bars.
    """
    bars = read_bars(prices)
    wanted = _weights(weights, bars, leverage)
    rules = kernel.Rules(
        at_open=fill == "open",
        whole=bool(whole_shares),
        stop_loss=_percent("stop_loss_percent", stop_loss_percent, below=100),
        take_profit=_percent("take_profit_percent", take_profit_percent, below=np.inf),
        leverage=float(leverage),
    )
    costs = kernel.Costs(
        commission=fraction("commission_bps", commission_bps),
        slippage=fraction("slippage_bps", slippage_bps),
        minimum_fee=amount("minimum_fee", minimum_fee),
        borrow=amount("borrow_percent", borrow_percent) / 100 / metrics.SESSIONS_A_YEAR,
    )
    high, low = bars.high, bars.low
    if high is None or low is None:
        if rules.stop_loss or rules.take_profit:
            raise InputError("stops need the bars' high and low")
        high = low = bars.close
    arrays = kernel.Prices(bars.fills(fill), bars.open, high, low, bars.close)
    due = _due(bars.times, rebalance)
    book = kernel.simulate(arrays, wanted, due, amount("cash", cash, positive=True), costs, rules)
    return Result(bars, book, single=isinstance(weights, pd.Series))


def check_kind(weights: Any, times: pd.Index) -> None:
    """Raise ``InputError`` where weights are neither a series nor a frame, or numbered where the bars have dates."""
    if not isinstance(weights, pd.Series | pd.DataFrame):
        raise InputError(f"weights are a series or a frame by date, not {type(weights).__name__}")
    if isinstance(times, pd.DatetimeIndex) and pd.api.types.is_integer_dtype(weights.index.dtype):
        raise InputError(
            "the weights are numbered by row, not on the bars' own dates: give the rule bars whose index is their "
            "date, as prices(…, index=True) returns them"
        )


def _weights(weights: pd.Series | pd.DataFrame, bars: Bars, leverage: float) -> Floats:
    check_number("leverage", leverage, expected="1 (nothing borrowed) or more", within=lambda given: given >= 1)
    check_kind(weights, bars.times)
    if isinstance(weights, pd.Series) and len(bars.symbols) > 1:
        raise InputError("the bars are those of several symbols: weights must be a frame with a column a symbol")
    if isinstance(weights, pd.DataFrame):
        others = set(map(str, weights.columns)) ^ set(bars.symbols)
        if others:
            raise InputError(f"weights and bars must have the same symbols; not in both: {', '.join(sorted(others))}")
        weights = weights[bars.symbols]
    if not same_times(weights.index, bars.times):
        raise InputError("the weights must have one row for each bar, on the bars' own dates")
    values = _numbers(weights)
    total = np.abs(values).sum(axis=1)
    wrong = ~(total <= leverage * (1 + kernel.TOLERANCE))
    if wrong.any():
        found = total[wrong][0]
        why = (
            "a weight is missing"
            if np.isnan(found)
            else f"the weights sum to {found:g}, more than leverage={leverage:g}"
        )
        raise InputError(f"{day_of(bars.times[wrong][0])}: {why}")
    return np.ascontiguousarray(values)


def same_times(index: Any, times: pd.Index) -> bool:
    """Return whether weights have the bars' own times, in any form."""
    if len(index) != len(times):
        return False
    index = read_times(index)
    if not isinstance(index, pd.DatetimeIndex) or not isinstance(times, pd.DatetimeIndex):
        return bool(index.equals(times))
    # instants are equal across time zones; dates have no time zone
    return (index.tz is None) == (times.tz is None) and bool((index == times).all())


def _numbers(weights: pd.Series | pd.DataFrame) -> Floats:
    """Return weights as bars × symbols; a boolean is 0 or 1."""
    columns = [weights] if isinstance(weights, pd.Series) else [weights[name] for name in weights]
    arrays = [
        column.to_numpy(dtype="float64", na_value=np.nan)
        if pd.api.types.is_bool_dtype(column.dtype)
        else to_doubles(column, name="weights")
        for column in columns
    ]
    return np.column_stack(arrays)


def _due(times: Any, rebalance: str) -> Any:
    """Return, by bar, which symbols trade to their target, as ``kernel`` encodes it."""
    if not isinstance(rebalance, str) or rebalance not in REBALANCE:
        raise InputError(f"rebalance={shown(rebalance)} is not possible; it is one of {', '.join(REBALANCE)}")
    if rebalance in ("change", "bar"):
        return np.full(len(times), kernel.CHANGED if rebalance == "change" else kernel.EVERYTHING, dtype=np.int8)
    days = session_days(times)
    if not isinstance(days, pd.DatetimeIndex):
        raise InputError(f"rebalance={rebalance!r} needs dates")
    # New York dates: an evening there is the next date in UTC
    periods = days.to_period({"week": "W", "month": "M", "quarter": "Q"}[rebalance])
    first = np.r_[False, np.asarray(periods[1:] != periods[:-1])]
    # the first decision is traded at once
    first[1] = True
    return first.astype(np.int8)


def amount(name: str, value: float, *, positive: bool = False) -> float:
    """Return the value where it is a valid amount of money."""
    expected = "a positive number" if positive else "a number, 0 or more"
    check_number(name, value, expected=expected, within=lambda given: given > 0 or (given == 0 and not positive))
    return float(value)


def _percent(name: str, value: float | None, *, below: float) -> float:
    if value is None:
        return 0.0
    check_number(name, value, expected=f"a number above 0 and below {below:g}", within=lambda given: 0 < given < below)
    return float(value) / 100


def fraction(name: str, bps: float) -> float:
    """Return basis points as a fraction."""
    check_number(name, bps, expected="basis points from 0 to below 10000", within=lambda given: 0 <= given < 10_000)
    return float(bps) / 10_000
