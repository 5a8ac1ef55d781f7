"""Adjustments that make prices of different dates comparable: splits, and dividends as if reinvested.

Prices are stored as traded, so an adjustment is a factor for each bar, made when the bars are read. With s(t) the
product of the splits after t, an adjusted price is p(t) / s(t). The dividends D(d) whose ex-dates d lie between a bar b
and the next one count as a gain and not as a fall, by the factor

    f(b) = 1 - Σ (D(d) / s(d)) / (close(b) / s(b)),      total(t) = p(t) / s(t) × Π f(b) over the bars b ≥ t.

Source: the adjusted close of CRSP and of Yahoo Finance (Yahoo Help, "What is the adjusted close?"). Adjusted prices of
the past change when a dividend is paid; returns do not.
"""

import logging
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stocklib.errors import WarehouseError

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]
PRICES = ("open", "high", "low", "close")


def dividend_factors(bars: pd.DataFrame, actions: pd.DataFrame) -> Floats:
    """Return, for each bar (symbol, date, close, split_factor), the product of f(b) from it on.

    The bars must reach the last existing one: a dividend beyond it may not have been paid yet. A dividend that is not
    below the close before it is a mistake of its source: NaN before it, and ``WarehouseError`` where every symbol has
    one.
    """
    factors, dates = np.ones(len(bars)), bars["date"].to_numpy()
    closes = (bars["close"] / bars["split_factor"]).to_numpy()
    unknown: dict[Any, str] = {}
    of = _by_symbol(actions)
    for run, symbol in _runs(bars):
        if symbol not in of:
            continue
        days, amounts = of[symbol].paid
        counts = (days > dates[run][0]) & (days <= dates[run][-1])
        days, amounts = days[counts], amounts[counts]
        before = np.searchsorted(dates[run], days) - 1
        paid = np.zeros(len(closes[run]))
        np.add.at(paid, before, amounts / _after(of[symbol], days))
        kept = 1 - paid / closes[run]
        if not (kept[before] > 0).all():
            day = pd.Timestamp(days[~(kept[before] > 0)][-1])
            unknown[symbol] = f"the dividend of {symbol} on {day:%Y-%m-%d} is missing, or not below the close before it"
            kept[~(kept > 0)] = np.nan
        factors[run] = np.cumprod(kept[::-1])[::-1]
    if unknown and len(unknown) == bars["symbol"].nunique():
        raise WarehouseError(f'{"; ".join(unknown.values())}; adjust="split" leaves dividends out')
    for reason in unknown.values():
        log.warning("%s: the total prices before that date are unknown (NaN)", reason)
    return factors


def adjusted(bars: pd.DataFrame, *, adjust: str) -> pd.DataFrame:
    """Return bars with their factors as prices on one basis; shares are on the last split's basis."""
    if adjust == "none":
        return bars
    divisor = bars["split_factor"] / bars["dividend_factor"] if adjust == "total" else bars["split_factor"]
    for column in PRICES:
        bars[column] = bars[column] / divisor
    bars["volume"] = bars["volume"] * bars["split_factor"]
    return bars


@dataclass(frozen=True)
class _Actions:
    """A symbol's splits (dates, ratios) and dividends (ex-dates, amounts), each by date."""

    splits: tuple[Any, Floats]
    paid: tuple[Any, Floats]


def _by_symbol(actions: pd.DataFrame) -> dict[Any, _Actions]:
    actions = actions.sort_values(["symbol", "date"], kind="stable")
    kinds, dates, amounts = (actions[name].to_numpy() for name in ("kind", "date", "amount"))
    ratios = (actions["to_factor"] / actions["from_factor"]).to_numpy(dtype="float64")
    found = {}
    for run, symbol in _runs(actions):
        split, paid = kinds[run] == "split", kinds[run] == "dividend"
        found[symbol] = _Actions((dates[run][split], ratios[run][split]), (dates[run][paid], amounts[run][paid]))
    return found


def _runs(rows: pd.DataFrame) -> list[tuple[slice, Any]]:
    """Return the range of each symbol's rows, which are contiguous."""
    codes, names = pd.factorize(rows["symbol"])
    edges = np.flatnonzero(np.diff(codes, prepend=-1, append=-1)).tolist()
    return [(slice(begin, end), names[codes[begin]]) for begin, end in pairwise(edges)]


def _after(of: _Actions, dates: Any) -> Floats:
    """Return the product of the splits after each date."""
    days, ratios = of.splits
    later = np.append(np.cumprod(ratios[::-1])[::-1], 1.0)
    product: Floats = later[np.searchsorted(days, dates, side="right")]
    return product
