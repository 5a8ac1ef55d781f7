"""What became of an account: its value, what it held, its fills, the round trips they make, and figures of it all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stocklib import metrics
from stocklib.backtest.bars import Bars, Floats

_TRADE_COLUMNS = [
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
_REASONS = ("order", "stop loss", "take profit")
_NOISE = 1e-9


@dataclass(frozen=True)
class Result:
    """What became of the account.

    ``equity`` and ``cash``: at each close. ``shares``: what it held then, a series of one symbol or a frame of several.
    ``exposure``: the value of what it held, short positions counted as positive, by its equity. ``trades``: one row a
    round trip from nothing to nothing, the last ones perhaps still open (no exit date; valued at the last close); its
    prices are averages. ``fills``: one row an exchange. ``costs``: commissions and slippage, all fills. ``ruined``:
    when the account fell to nothing, if it did.
    """

    equity: pd.Series
    cash: pd.Series
    shares: Any
    exposure: pd.Series
    trades: pd.DataFrame
    fills: pd.DataFrame
    costs: float
    ruined: pd.Timestamp | None = None

    @property
    def turnover_percent(self) -> float:
        """What was traded a year (252 bars), purchases and sales, by twice the mean equity, in percent."""
        traded = float((self.fills["shares"].abs() * self.fills["price"]).sum())
        years = len(self.equity) / metrics.SESSIONS_A_YEAR
        return 100 * traded / 2 / float(self.equity.mean()) / years


def summary(results: Mapping[str, Result], benchmark: pd.Series | None = None) -> pd.DataFrame:
    """The results side by side, one column each: percent, but for ratios, the number of trades and the costs.

    With a ``benchmark`` (prices or an account's value on the same dates) alpha, beta and the information ratio too.
    """
    return pd.DataFrame({name: _summary(result, benchmark) for name, result in results.items()})


def make_result(
    bars: Bars, equity: Floats, money: Floats, shares: Floats, fills: Floats, ruined: int, *, single: bool
) -> Result:
    """The kernel's arrays, with dates and names."""
    times = bars.times
    last = pd.DataFrame(bars.close).ffill().to_numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        gross = np.nansum(np.abs(shares) * last, axis=1) / equity
    listed = _fills(bars, fills)
    held = pd.Series(shares[:, 0], times, name="shares") if single else pd.DataFrame(shares, times, bars.symbols)
    return Result(
        equity=pd.Series(equity, times, name="equity"),
        cash=pd.Series(money, times, name="cash"),
        shares=held,
        exposure=pd.Series(gross, times, name="exposure"),
        trades=_trades(bars, fills, last[-1]),
        fills=listed,
        costs=float(listed["fee"].sum() + listed["slippage"].sum()),
        ruined=times[ruined] if ruined >= 0 else None,
    )


def _summary(result: Result, benchmark: pd.Series | None) -> dict[str, float]:
    equity = result.equity
    if result.ruined is not None:
        # what was there until it was gone; a value of nothing has no return
        equity = equity[equity > 0]
    figures = {
        "total return %": 100 * (result.equity.iloc[-1] / result.equity.iloc[0] - 1),
        "CAGR %": metrics.cagr(equity) if result.ruined is None else -100.0,
        "volatility %": metrics.volatility(equity, window=None),
        "Sharpe": metrics.sharpe(equity),
        "Sortino": metrics.sortino(equity),
        "Calmar": metrics.calmar(equity),
        "max drawdown %": metrics.max_drawdown(equity).percent if result.ruined is None else -100.0,
        "VaR 95 %": metrics.value_at_risk(equity),
        "time in market %": 100 * float((result.exposure > 0).mean()),
        "turnover % a year": result.turnover_percent,
        "trades": float(len(result.trades)),
        "costs": result.costs,
    }
    if benchmark is not None:
        figures |= {
            "alpha %": metrics.alpha(equity, benchmark),
            "beta": metrics.beta(equity, benchmark),
            "information ratio": metrics.information_ratio(equity, benchmark),
        }
    return figures


def _fills(bars: Bars, fills: Floats) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "date": bars.times[fills[:, 0].astype(int)],
            "symbol": np.array(bars.symbols, dtype=object)[fills[:, 1].astype(int)],
            "shares": fills[:, 2],
            "price": fills[:, 3],
            "fee": fills[:, 4],
            "slippage": fills[:, 5],
            "reason": np.array(_REASONS, dtype=object)[fills[:, 6].astype(int)],
        }
    )


def _trades(bars: Bars, fills: Floats, last: Floats) -> pd.DataFrame:
    """Fills as round trips; one that turns a position around ends a trade and begins the next."""
    open_trades: dict[int, _Trade] = {}
    ended: list[dict[str, Any]] = []
    for bar, symbol, amount, price, fee, slippage, reason in fills.tolist():
        place, left, costs = int(symbol), amount, fee + slippage
        trade = open_trades.get(place)
        if trade is not None and trade.held * amount < 0:
            part = min(abs(amount), abs(trade.held)) / abs(amount)
            closing = amount * part
            trade.take(closing, price, fee * part, costs * part)
            left = amount - closing
            if abs(trade.held) <= _NOISE * trade.most:
                ended.append(trade.row(bars, place, exit_bar=int(bar), reason=int(reason)))
                del open_trades[place]
                trade = None
        if abs(left) <= _NOISE * abs(amount):
            continue
        share = left / amount
        trade = trade or open_trades.setdefault(place, _Trade(int(bar)))
        trade.take(left, price, fee * share, costs * share)
    for place, trade in open_trades.items():
        ended.append(trade.row(bars, place, exit_bar=None, reason=0, last=float(last[place])))
    ended.sort(key=lambda row: (row.pop("order"), row["symbol"]))
    frame = pd.DataFrame(ended, columns=_TRADE_COLUMNS)
    return frame.astype({"exit_date": frame["entry_date"].dtype}) if len(frame) else frame


class _Trade:
    """One round trip in the making: ``held`` is signed, the totals are not."""

    def __init__(self, bar: int) -> None:
        self.bar = bar
        self.held = self.most = self.profit = self.costs = self.spent = 0.0
        self.entered = self.entered_value = self.left = self.left_value = 0.0

    def take(self, amount: float, price: float, fee: float, costs: float) -> None:
        """A fill in the position's direction adds to it, one against it takes away."""
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

    def row(self, bars: Bars, place: int, *, exit_bar: int | None, reason: int, last: float = np.nan) -> dict[str, Any]:
        """As the table has it. What is still held is valued at the last close, without the costs of leaving."""
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
            "ended_by": "" if is_open else _REASONS[reason],
        }
