"""The result of a backtest: the account's value, shares, fills and trades, and its figures."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from stocklib import metrics
from stocklib.backtest import shown
from stocklib.backtest.bar_arrays import Bars, Floats
from stocklib.backtest.gains import compare_gains
from stocklib.backtest.kernel import Book
from stocklib.backtest.result_html import html_of
from stocklib.backtest.trade_list import REASONS, round_trips
from stocklib.indicators.columns import check_type
from stocklib.indicators.times import read_times, session_days

Made = TypeVar("Made", pd.Series, pd.DataFrame)

# The return is a total return unless the prices exclude dividends (``attrs["adjust"]``).
_PRICE_RETURN, TOTAL_RETURN = "price return %", "total return %"
_FIGURES = (
    TOTAL_RETURN,
    "CAGR %",
    "volatility %",
    "Sharpe",
    "Sortino",
    "Calmar",
    "max drawdown %",
    "VaR 95 %",
    "time in market %",
    "turnover % a year",
    "trades",
    "costs",
)
_AGAINST = ("alpha %", "beta", "information ratio")


@dataclass(frozen=True, repr=False)
class Result:
    """The account on these ``bars``; tables are computed on first use.

    The ``attrs`` of each, such as the version of the data, are those of the bars.
    """

    bars: Bars
    book: Book
    single: bool

    @cached_property
    def equity(self) -> pd.Series:
        """The account's value at each close."""
        return self._stamped(pd.Series(self.book.equity, self.bars.times, name="equity"))

    @cached_property
    def cash(self) -> pd.Series:
        """Its money at each close, with the proceeds of short positions."""
        return self._stamped(pd.Series(self.book.cash, self.bars.times, name="cash"))

    @cached_property
    def shares(self) -> Any:
        """Its shares at each close: a series of one symbol, a frame of several; negative when sold short."""
        if self.single:
            return self._stamped(pd.Series(self.book.held[:, 0], self.bars.times, name="shares"))
        return self._stamped(pd.DataFrame(self.book.held, self.bars.times, self.bars.symbols))

    @cached_property
    def exposure(self) -> pd.Series:
        """The value of its positions, short ones counted as positive, by its equity; 0 once it is ruined."""
        gross = np.nansum(np.abs(self.book.held) * self._last_closes, axis=1)
        with np.errstate(divide="ignore"):
            share = np.divide(gross, self.book.equity, out=np.zeros(len(gross)), where=gross > 0)
        return self._stamped(pd.Series(share, self.bars.times, name="exposure"))

    @cached_property
    def trades(self) -> pd.DataFrame:
        """One row a round trip from no position to no position; the last ones may be open (no exit date).

        Prices are averages. An open trade is valued at the last close, without the costs of leaving. ``costs`` are
        fees, slippage and borrowing; ``profit`` is net of them, and sums to the gain of the equity.
        """
        return self._stamped(round_trips(self.bars, self.book, self._last_closes[-1]))

    @cached_property
    def fills(self) -> pd.DataFrame:
        """One row a fill; ``borrow`` is the position's borrowing cost since the fill before it."""
        rows = self.book.fills
        columns = {
            "date": self.bars.times[rows[:, 0].astype(int)],
            "symbol": np.array(self.bars.symbols, dtype=object)[rows[:, 1].astype(int)],
            "shares": rows[:, 2],
            "price": rows[:, 3],
            "fee": rows[:, 4],
            "slippage": rows[:, 5],
            "borrow": rows[:, 6],
            "reason": np.array(REASONS, dtype=object)[rows[:, 7].astype(int)],
        }
        return self._stamped(pd.DataFrame(columns))

    @property
    def costs(self) -> float:
        """The sum of fees, slippage and borrowing costs."""
        return float(self.book.fills[:, 4:7].sum() + self.book.loan.sum())

    @property
    def ruined(self) -> pd.Timestamp | None:
        """When the account's value fell to 0, if it did."""
        return self.bars.times[self.book.ruined] if self.book.ruined >= 0 else None

    @property
    def turnover_percent(self) -> float:
        """Purchases and sales a year (252 sessions), by twice the mean equity, in percent.

        For a ruined account it covers the bars up to the one on which the value was 0.
        """
        lived = slice(0, self.book.ruined + 1 if self.book.ruined >= 0 else None)
        traded = float(np.abs(self.book.fills[:, 2] * self.book.fills[:, 3]).sum())
        years = session_days(self.bars.times[lived]).nunique() / metrics.SESSIONS_A_YEAR
        return 100 * traded / 2 / float(np.maximum(self.book.equity[lived], 0).mean()) / years

    def summary(self, benchmark: pd.Series | None = None) -> pd.Series:
        """Return the figures that ``backtest.summary`` has of this result, by name."""
        return summary({"result": self}, benchmark)["result"]

    def wins_and_losses(self) -> pd.DataFrame:
        """Return how gains and losses compare, of closed trades and of sessions: ``compare_gains``.

        A ruined account has no returns, and so no column of sessions.
        """
        return compare_gains(self.trades, None if self.ruined is not None else by_session(self.equity))

    def plot(self, *, benchmark: "Result | None" = None, **options: Any) -> Any:
        """Return a Plotly figure of value and drawdown.

        ``options`` are the lines' ``name`` and ``benchmark_name``, and those of ``plots.equity_curve``.
        """
        return shown.plot(self, benchmark=benchmark, **options)

    def report(self, path: Path | str, **options: Any) -> Path:
        """Write the tear sheet and return its path; ``options`` are those of ``stocklib.tearsheet``."""
        return shown.report(self, path, **options)

    @cached_property
    def _last_closes(self) -> Floats:
        closes = self.bars.close
        return pd.DataFrame(closes).ffill().to_numpy() if np.isnan(closes).any() else closes

    def _stamped(self, made: Made) -> Made:
        made.attrs = dict(self.bars.attrs)
        return made

    def _repr_html_(self) -> str:
        return html_of(self)

    def __repr__(self) -> str:
        worth = self.book.equity
        return f"<Result of {len(worth)} bars: {worth[0]:,.2f} became {worth[-1]:,.2f} in {len(self.trades)} trades>"


def summary(results: Mapping[str, Result], benchmark: pd.Series | None = None) -> pd.DataFrame:
    """Return the results side by side, one column each, in percent, except ratios, number of trades and costs.

    The return is a ``price return %`` where the bars' ``attrs`` exclude dividends (``prices`` at its default), else a
    ``total return %``. With a ``benchmark`` (prices or an account's
    value on the same dates) alpha, beta and the information ratio too. A ruined account has lost 100 %, also where it
    has a debt, and has no ratios (NaN). Of bars within the day, ratios and figures a year are those of the
    sessions' last values (``by_session``); the drawdown, and so Calmar, sees every bar.
    """
    check_type("the results", results, Mapping, expected="named results in a dict")
    for result in results.values():
        check_type("each of the results", result, Result, expected="what `run` returns")
    if benchmark is not None:
        check_type("the benchmark", benchmark, pd.Series, expected="a series by date")
    columns = {name: _summary(result, benchmark) for name, result in results.items()}
    rows = dict.fromkeys(row for column in columns.values() for row in column if row.endswith(" return %"))
    rows |= dict.fromkeys(row for column in columns.values() for row in column)
    return pd.DataFrame(columns, index=pd.Index(list(rows)))


def return_name(attrs: Mapping[Any, Any]) -> str:
    """Return the name of the return of bars: a price return, unless dividends are in their prices.

    >>> return_name({"adjust": "split"}), return_name({"adjust": "total"})
    ('price return %', 'total return %')
    """
    return _PRICE_RETURN if attrs.get("adjust") in ("none", "split") else TOTAL_RETURN


def by_session(values: pd.Series) -> pd.Series:
    """Return the first value and the last one of each New York date; daily values unchanged.

    >>> minutes = pd.to_datetime(["2012-12-13 20:58", "2012-12-13 20:59", "2012-12-14 14:30", "2012-12-14 14:31"])
    >>> by_session(pd.Series([100.0, 101.0, 102.0, 103.0], minutes.tz_localize("UTC"))).tolist()
    [100.0, 101.0, 103.0]
    """
    days = session_days(read_times(values.index))
    if days.is_unique:
        return values
    last = ~days.duplicated(keep="last")
    last[0] = True
    return values[last]


def _summary(result: Result, benchmark: pd.Series | None) -> dict[str, float]:
    equity = by_session(result.equity)
    benchmark = None if benchmark is None else by_session(benchmark)
    figures = {TOTAL_RETURN: 100 * (equity.iloc[-1] / equity.iloc[0] - 1)}
    figures |= _ruin() if result.ruined is not None else _ratios(equity, result.equity, benchmark)
    figures |= {
        "time in market %": 100 * float((result.exposure > 0).mean()),
        "turnover % a year": result.turnover_percent,
        "trades": float(len(result.trades)),
        "costs": result.costs,
    }
    names = (*_FIGURES, *(_AGAINST if benchmark is not None else ()))
    called = {TOTAL_RETURN: return_name(result.bars.attrs)}
    return {called.get(name, name): figures[name] for name in names}


def _ratios(equity: pd.Series, every_bar: pd.Series, benchmark: pd.Series | None) -> dict[str, float]:
    deepest, growth = metrics.max_drawdown(every_bar).percent, metrics.cagr(equity)
    found = {
        "CAGR %": growth,
        "volatility %": metrics.volatility(equity, window=None),
        "Sharpe": metrics.sharpe(equity),
        "Sortino": metrics.sortino(equity),
        "Calmar": growth / -deepest if deepest < 0 else math.nan,
        "max drawdown %": deepest,
        "VaR 95 %": metrics.value_at_risk(equity),
    }
    if benchmark is not None:
        found |= {
            "alpha %": metrics.alpha(equity, benchmark),
            "beta": metrics.beta(equity, benchmark),
            "information ratio": metrics.information_ratio(equity, benchmark),
        }
    return found


def _ruin() -> dict[str, float]:
    """Return the figures of a ruined account: a value of 0 has no return, so there are no ratios."""
    names = ("volatility %", "Sharpe", "Sortino", "Calmar", "VaR 95 %", *_AGAINST)
    return dict.fromkeys((TOTAL_RETURN, "CAGR %", "max drawdown %"), -100.0) | dict.fromkeys(names, math.nan)
