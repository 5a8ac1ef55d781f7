"""The account: a signal traded at the next open, with commission and slippage, valued at every close."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stocklib import metrics
from stocklib.backtest.bars import by_time
from stocklib.errors import InputError

_TRADE_COLUMNS = ["entry_date", "entry_price", "exit_date", "exit_price", "shares", "costs", "profit", "return_percent"]


@dataclass(frozen=True)
class Result:
    """What became of the account.

    ``equity``: its value at each close. ``shares``: what it held then. ``trades``: one row a round trip, the last one
    perhaps still open (no exit date; valued at the last close). ``costs``: commission and slippage, all trades.
    """

    equity: pd.Series
    shares: pd.Series
    trades: pd.DataFrame
    costs: float


def run(
    prices: pd.DataFrame,
    signal: pd.Series,
    *,
    commission_bps: float = 0.0,
    slippage_bps: float = 0.0,
    cash: float = 10_000.0,
) -> Result:
    """Trade a signal of 0 (out) and 1 (all in) on one symbol's bars.

    The signal of bar t is filled at the open of bar t + 1: bought at open × (1 + slippage), sold at open × (1 −
    slippage), each with a commission on the value traded. Shares are fractional, nothing is borrowed, and cash earns
    nothing. The signal of the last bar is never traded. Costs are in basis points: 10 is 0.10 %.

    Raises ``InputError`` for bars that are unordered, missing or not positive, and for a signal that is anything else
    than 0 or 1 on exactly the bars' dates.
    """
    bars = by_time(prices)
    wanted = _checked(signal, bars.index)
    account = _Account(cash, _fraction("commission_bps", commission_bps), _fraction("slippage_bps", slippage_bps))
    shares, equity = np.zeros(len(bars)), np.empty(len(bars))
    for t, (when, at_open, at_close) in enumerate(bars.itertuples(name=None)):
        hold = t > 0 and wanted[t - 1] == 1
        if hold and not account.shares:
            account.buy(when, at_open)
        elif account.shares and not hold:
            account.sell(when, at_open)
        shares[t], equity[t] = account.shares, account.money + account.shares * at_close
    trades = account.finish(float(bars["close"].iloc[-1]))
    return Result(
        equity=pd.Series(equity, bars.index, name="equity"),
        shares=pd.Series(shares, bars.index, name="shares"),
        trades=trades,
        costs=float(trades["costs"].sum()),
    )


def summary(results: Mapping[str, Result]) -> pd.DataFrame:
    """The results side by side, one column each: percent, but for Sharpe, the number of trades and the costs."""
    return pd.DataFrame({name: _summary(result) for name, result in results.items()})


def _summary(result: Result) -> dict[str, float]:
    equity = result.equity
    return {
        "total return %": metrics.total_return(equity),
        "CAGR %": metrics.cagr(equity),
        "volatility %": metrics.volatility(equity, window=None),
        "Sharpe": metrics.sharpe(equity),
        "max drawdown %": metrics.max_drawdown(equity).percent,
        "time in market %": 100 * float((result.shares > 0).mean()),
        "trades": float(len(result.trades)),
        "costs": result.costs,
    }


class _Account:
    """Money or shares, never both, and the trades that led there."""

    def __init__(self, cash: float, commission: float, slippage: float) -> None:
        if not (np.isfinite(cash) and cash > 0):
            raise InputError(f"cash={cash!r} is not possible: an account begins with a positive amount")
        self.money, self.shares = float(cash), 0.0
        self._commission, self._slippage = commission, slippage
        self._trades: list[dict[str, Any]] = []

    def buy(self, when: object, at_open: float) -> None:
        """All the money into shares; the commission is paid out of it too."""
        price = at_open * (1 + self._slippage)
        self.shares = self.money / (price * (1 + self._commission))
        trade = {"entry_date": when, "entry_price": price, "shares": self.shares, "spent": self.money}
        self._trades.append({**trade, "costs": self._costs(at_open, price)})
        self.money = 0.0

    def sell(self, when: object, at_open: float) -> None:
        """All the shares into money."""
        price = at_open * (1 - self._slippage)
        self._trades[-1]["costs"] += self._costs(at_open, price)
        self.money = self.shares * price * (1 - self._commission)
        self._end(when, price, worth=self.money)
        self.shares = 0.0

    def finish(self, last_close: float) -> pd.DataFrame:
        """The trades; one that is still open is valued at the last close, without the costs of selling."""
        if self.shares:
            self._end(pd.NaT, last_close, worth=self.shares * last_close)
        return pd.DataFrame(self._trades, columns=_TRADE_COLUMNS)

    def _costs(self, at_open: float, price: float) -> float:
        return self.shares * (at_open * self._slippage + price * self._commission)

    def _end(self, when: object, price: float, *, worth: float) -> None:
        trade = self._trades[-1]
        profit = worth - trade["spent"]
        trade.update(exit_date=when, exit_price=price, profit=profit, return_percent=100 * profit / trade["spent"])


def _checked(signal: pd.Series, index: pd.Index) -> Any:
    if not signal.index.equals(index):
        raise InputError("the signal must have one value for each bar, on the bars' own dates")
    values = signal.to_numpy(dtype="float64", na_value=np.nan)
    wrong = ~np.isin(values, (0.0, 1.0))
    if wrong.any():
        raise InputError(f"the signal of {index[wrong][0]} is {values[wrong][0]}; it must be 0 (out) or 1 (all in)")
    return values


def _fraction(name: str, bps: float) -> float:
    if not 0 <= bps < 10_000:
        raise InputError(f"{name}={bps!r} is not possible: basis points from 0 to below 10000")
    return bps / 10_000
