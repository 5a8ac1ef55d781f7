"""Fills as round trips, each from no position to no position."""

from typing import Any

import numpy as np
import pandas as pd

from stocklib.backtest.bar_arrays import Bars, Floats
from stocklib.backtest.kernel import TOLERANCE, Book

_COLUMNS = [
    "symbol",
    "side",
    "entry_date",
    "entry_price",
    "exit_date",
    "exit_price",
    "shares",
    "costs",
    "profit",
    "return_percent",
    "ended_by",
]
REASONS = ("order", "stop loss", "take profit", "ruin")


def round_trips(bars: Bars, book: Book, last: Floats) -> pd.DataFrame:
    """Return a row a trade; a fill that reverses a position ends one and begins the next. ``last``: the last closes."""
    open_trades: dict[int, _Trade] = {}
    ended: list[dict[str, Any]] = []
    for bar, symbol, amount, price, fee, slippage, borrow_cost, reason in book.fills.tolist():
        place, left, costs = int(symbol), amount, fee + slippage
        trade = open_trades.get(place)
        if trade is not None:
            trade.add_borrow_cost(borrow_cost)
        if trade is not None and trade.held * amount < 0:
            part = min(abs(amount), abs(trade.held)) / abs(amount)
            closing = amount * part
            trade.apply_fill(closing, price, fee * part, costs * part)
            left = amount - closing
            if abs(trade.held) <= TOLERANCE * trade.most:
                ended.append(trade.row(bars, place, exit_bar=int(bar), reason=int(reason)))
                del open_trades[place]
                trade = None
        if abs(left) <= TOLERANCE * abs(amount):
            continue
        share = left / amount
        trade = trade or open_trades.setdefault(place, _Trade(int(bar)))
        trade.apply_fill(left, price, fee * share, costs * share)
    for place, trade in open_trades.items():
        trade.add_borrow_cost(float(book.loan[place]))
        ended.append(trade.row(bars, place, exit_bar=None, reason=0, last=float(last[place])))
    ended.sort(key=lambda row: (row.pop("order"), row["symbol"]))
    frame = pd.DataFrame(ended, columns=_COLUMNS)
    dtype = frame["entry_date"].dtype
    if pd.api.types.is_datetime64_any_dtype(dtype):
        # without any exit, pandas would not know the time zone of the missing ones
        frame["exit_date"] = pd.Series(list(frame["exit_date"]), frame.index, dtype=dtype)
    return frame


class _Trade:
    """An unfinished round trip: ``held`` is signed, the totals are not."""

    def __init__(self, bar: int) -> None:
        self.bar = bar
        self.held = self.most = self.profit = self.costs = self.spent = 0.0
        self.entered = self.entered_value = self.left = self.left_value = 0.0

    def apply_fill(self, amount: float, price: float, fee: float, costs: float) -> None:
        """Apply a fill: one in the position's direction adds to it, one against it reduces it."""
        adds = amount * self.held >= 0
        self.held += amount
        self.most = max(self.most, abs(self.held))
        self.profit -= amount * price + fee
        self.costs += costs
        if adds:
            self.entered += abs(amount)
            self.entered_value += abs(amount) * price
            self.spent += abs(amount) * price + fee
            self.side = "long" if amount > 0 else "short"
        else:
            self.left += abs(amount)
            self.left_value += abs(amount) * price

    def add_borrow_cost(self, cost: float) -> None:
        """Add what a short position paid for its borrowed shares."""
        self.profit -= cost
        self.costs += cost

    def row(self, bars: Bars, place: int, *, exit_bar: int | None, reason: int, last: float = np.nan) -> dict[str, Any]:
        """Return the row of the table; an open position is valued at the last close, without the costs of leaving."""
        is_open = exit_bar is None
        profit = self.profit + (self.held * last if is_open else 0.0)
        return {
            "order": self.bar,
            "symbol": bars.symbols[place],
            "side": self.side,
            "entry_date": bars.times[self.bar],
            "entry_price": self.entered_value / self.entered,
            "exit_date": pd.NaT if exit_bar is None else bars.times[exit_bar],
            "exit_price": last if is_open else self.left_value / self.left,
            "shares": self.most,
            "costs": self.costs,
            "profit": profit,
            "return_percent": 100 * profit / self.spent,
            "ended_by": "" if is_open else REASONS[reason],
        }
