"""Rules that say what to hold: bars in, target weights by date out. Any function of that form is a strategy.

Those of one symbol give a series of 0 and 1; ``momentum_rotation`` takes many and gives a frame. A rule whose windows
are not full holds nothing; on a session without a bar it keeps its signal, and its windows are the last existing bars.
Values that differ by less than 1e-9 of themselves are equal and give no signal: two averages of equal prices may differ
in the last digit.
"""

import numpy as np
import pandas as pd

from stocklib.backtest.bar_arrays import Bars, read_bars
from stocklib.backtest.kernel import TOLERANCE
from stocklib.errors import InputError
from stocklib.indicators import ema, rolling_volatility, rsi, sma
from stocklib.indicators.columns import check_number, check_window
from stocklib.indicators.times import session_days


def buy_and_hold(prices: pd.DataFrame | Bars) -> pd.Series | pd.DataFrame:
    """Hold from the first bar on; split the initial money equally among several symbols."""
    bars = read_bars(prices)
    if len(bars.symbols) > 1:
        return pd.DataFrame(1.0 / len(bars.symbols), bars.times, bars.symbols)
    return pd.Series(1.0, bars.times, name="signal")


def sma_crossover(prices: pd.DataFrame | Bars, fast: int = 10, slow: int = 30) -> pd.Series:
    """Hold while the fast simple moving average of the closes is above the slow one.

    >>> days = pd.date_range("2012-01-02", periods=5)
    >>> frame = pd.DataFrame({"date": days, "open": 1.0, "close": [3.0, 2.0, 1.0, 4.0, 4.0]})
    >>> sma_crossover(frame, 1, 2).tolist()
    [0.0, 0.0, 0.0, 1.0, 0.0]
    """
    _check_pair(fast, slow)
    series = read_bars(prices).one()
    known = series.dropna()
    return _through(_above(sma(known, fast), sma(known, slow)), series)


def ema_crossover(prices: pd.DataFrame | Bars, fast: int = 10, slow: int = 30) -> pd.Series:
    """Hold while the fast exponential moving average of the closes is above the slow one."""
    _check_pair(fast, slow)
    series = read_bars(prices).one()
    known = series.dropna()
    return _through(_above(ema(known, fast), ema(known, slow)), series)


def rsi_reversion(
    prices: pd.DataFrame | Bars, window: int = 14, *, buy_below: float = 30, sell_above: float = 50
) -> pd.Series:
    """Buy when the RSI falls below one level, hold until it is above the other.

    >>> days = pd.date_range("2012-01-02", periods=7)
    >>> frame = pd.DataFrame({"date": days, "open": 1.0, "close": [9.0, 8.0, 7.0, 6.0, 9.0, 9.5, 9.4]})
    >>> rsi_reversion(frame, 2).tolist()
    [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    """
    for name, level in (("buy_below", buy_below), ("sell_above", sell_above)):
        check_number(name, level, expected="an RSI, from 0 to 100")
    if not 0 <= buy_below < sell_above <= 100:
        raise InputError(f"buy_below={buy_below} must be below sell_above={sell_above}, both from 0 to 100")
    series = read_bars(prices).one()
    found = rsi(series.dropna(), window)
    return _through(_latched(found < buy_below, found > sell_above), series)


def donchian_breakout(prices: pd.DataFrame | Bars, entry: int = 20, exit: int = 10) -> pd.Series:
    """Buy at a close above the highest high of the ``entry`` bars before it, leave below the ``exit`` bars' low.

    Source: R. D. Donchian's channel, in C. M. Faith, Way of the Turtle (2007).
    """
    for name, window in (("entry", entry), ("exit", exit)):
        check_window(window, name=name)
    bars = read_bars(prices)
    series = bars.one()
    price, high, low = (bars.one(name)[series.notna()] for name in ("close", "high", "low"))
    top = high.rolling(entry, min_periods=entry).max().shift(1)
    bottom = low.rolling(exit, min_periods=exit).min().shift(1)
    return _through(_latched(price > top * (1 + TOLERANCE), price < bottom * (1 - TOLERANCE)), series)


def momentum_rotation(prices: pd.DataFrame | Bars, window: int = 126, *, hold: int = 3, skip: int = 0) -> pd.DataFrame:
    """Hold in equal parts the ``hold`` symbols that rose most over ``window`` bars, up to ``skip`` bars ago.

    One that did not rise is not held; one without a bar ranks by its last close. Meant for ``rebalance="month"``. Of
    equals, the first in alphabetical order.
    Source: N. Jegadeesh, S. Titman, Returns to Buying Winners and Selling Losers, Journal of Finance (1993).
    """
    check_window(window)
    check_window(skip, name="skip", at_least=0)
    check_number(
        "hold", hold, expected="a whole number of symbols", within=lambda value: value >= 1 and value == int(value)
    )
    panel = read_bars(prices).closes().ffill()
    rise = panel.shift(skip) / panel.shift(skip + window) - 1
    rank = rise.where(rise > TOLERANCE).rank(axis=1, ascending=False, method="first")
    return (rank <= hold).astype("float64") / hold


def volatility_target(
    prices: pd.DataFrame | Bars, target_percent: float = 15.0, window: int = 30, *, most: float = 1.0, step: float = 0.1
) -> pd.Series:
    """Hold target / volatility of the account, at most ``most``; the volatility is that of the last ``window`` returns.

    The weight changes in steps of ``step``, so that not every bar is a trade. ``InputError`` for bars within the day,
    whose deviation is not that of sessions.
    """
    for name, given in (("target_percent", target_percent), ("most", most), ("step", step)):
        check_number(name, given, expected="a positive number", within=lambda value: value > 0)
    series = read_bars(prices).one()
    if not session_days(series.index).is_unique:
        raise InputError("volatility_target measures the volatility of sessions: give it daily bars")
    measured = rolling_volatility(series.dropna(), window)
    share = (target_percent / measured.where(measured > TOLERANCE)).clip(upper=most)
    stepped: pd.Series = np.floor(share / step + TOLERANCE) * step
    return _through(stepped.fillna(0.0).rename("signal"), series)


def _check_pair(fast: int, slow: int) -> None:
    for name, window in (("fast", fast), ("slow", slow)):
        check_window(window, name=name)
    if fast >= slow:
        raise InputError(f"fast={fast} must be shorter than slow={slow}")


def _above(fast: pd.Series, slow: pd.Series) -> pd.Series:
    holds = fast.to_numpy() > slow.to_numpy() * (1 + TOLERANCE)
    return pd.Series(holds.astype("float64"), fast.index, name="signal")


def _latched(begins: pd.Series, ends: pd.Series) -> pd.Series:
    """Return 1 from where ``begins`` is true until ``ends`` is."""
    signal = pd.Series(np.where(begins, 1.0, np.where(ends, 0.0, np.nan)), begins.index)
    return signal.ffill().fillna(0.0).rename("signal")


def _through(decided: pd.Series, series: pd.Series) -> pd.Series:
    """Return the decisions on the existing bars, kept through the sessions without one."""
    return decided if len(decided) == len(series) else decided.reindex(series.index).ffill().fillna(0.0)
