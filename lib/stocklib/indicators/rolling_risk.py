"""Volatility, in percent a year (252 sessions), and drawdown, in percent; by bar."""

import math
from typing import Any

import numpy as np

from stocklib.indicators import holes, windows
from stocklib.indicators.columns import (
    Floats,
    Values,
    check_number,
    check_ranges,
    check_window,
    like,
    numbers_of,
    read_prices,
)
from stocklib.sessions import XNYS

_ANNUAL_PERCENT = 100 * math.sqrt(XNYS.periods_a_year)


def rolling_volatility(prices: Values, window: int = 30) -> Values:
    """Volatility as it stood after each session: 100 √252 × the sample deviation (ddof 1) of ``window`` simple returns.

    This is gold's ``volatility_30day_percent``: where bars are missing, it takes the one-session returns among the last
    ``window`` sessions, and is NaN when more than a tenth of them are missing.

    >>> import pandas as pd
    >>> rolling_volatility(pd.Series([100.0, 110.0, 99.0]), 2).round(6).tolist()
    [nan, nan, 224.499443]
    """
    check_window(window, at_least=2)
    (prices,) = read_prices(prices)
    changes = numbers_of(prices / prices.shift(1) - 1)
    found = holes.over_sessions(
        windows.deviation(changes, window, ddof=1),
        changes,
        ~np.isnan(numbers_of(prices)),
        window,
        reduce=lambda stretches, axis: np.nanstd(stretches, axis=axis, ddof=1),
        at_least=2,
    )
    answer: Values = like(prices, found * _ANNUAL_PERCENT)
    return answer


def ewma_volatility(prices: Values, *, decay: float = 0.94, warm_up: int = 30) -> Values:
    """Volatility in which a return counts less the older it is.

    σ²_t = λ σ²_(t-1) + (1 - λ) r²_t, begun with the first squared return; NaN for the first ``warm_up`` returns. A
    missing bar is NaN, and the bar after it has no one-session return, so its volatility is the one before the hole,
    however long that was.
    Source: J.P. Morgan, RiskMetrics Technical Document (1996), chapter 5.

    0.5 · 0.01 + 0.5 · 0.01 = 0.01 is a deviation of 10 % a session:

    >>> import pandas as pd
    >>> ewma_volatility(pd.Series([100.0, 110.0, 99.0]), decay=0.5, warm_up=2).round(6).tolist()
    [nan, nan, 158.745079]
    """
    check_window(warm_up, name="warm_up")
    check_number("decay", decay, expected="between 0 and 1", within=lambda value: 0 < value < 1)
    (prices,) = read_prices(prices)
    squared = (prices / prices.shift(1) - 1) ** 2
    averaged = squared.ewm(alpha=1 - decay, adjust=False, ignore_na=True, min_periods=warm_up).mean()
    return averaged.where(prices.notna()) ** 0.5 * _ANNUAL_PERCENT


def parkinson(high: Values, low: Values, window: int = 30) -> Values:
    """Volatility from the bars' ranges: √(Σ ln²(H / L) / (4 n ln 2)).

    Source: M. Parkinson, The Extreme Value Method for Estimating the Variance of the Rate of Return, Journal of
    Business (1980).

    ln(e^0.1 / 1) = 0.1, and 100 √252 √(0.01 / (4 ln 2)) = 95.336…:

    >>> import pandas as pd
    >>> parkinson(pd.Series([math.exp(0.1)]), pd.Series([1.0]), 1).round(4).tolist()
    [95.3361]
    """
    check_window(window)
    high, low = read_prices(high, low)
    check_ranges(high, low)
    squared: Any = np.log(high / low) ** 2 / (4 * math.log(2))
    return _annual(high, squared, window)


def garman_klass(open_: Values, high: Values, low: Values, close: Values, window: int = 30) -> Values:
    """Volatility from whole bars: √(mean of ½ ln²(H / L) - (2 ln 2 - 1) ln²(C / O)).

    Source: M. B. Garman, M. J. Klass, On the Estimation of Security Price Volatilities from Historical Data, Journal
    of Business (1980).

    >>> import pandas as pd
    >>> one = pd.Series([1.0])
    >>> garman_klass(one, pd.Series([math.exp(0.1)]), one, one, 1).round(4).tolist()
    [112.2497]
    """
    check_window(window)
    open_, high, low, close = read_prices(open_, high, low, close)
    check_ranges(high, low, open=open_, close=close)
    squared: Any = 0.5 * np.log(high / low) ** 2 - (2 * math.log(2) - 1) * np.log(close / open_) ** 2
    return _annual(close, squared, window)


def drawdown(values: Values) -> Values:
    """How far below the highest value so far, in percent: 100 (p_t / max(p_1 … p_t) - 1); 0 at a high.

    >>> import pandas as pd
    >>> drawdown(pd.Series([100.0, 80.0, 120.0, 90.0])).round(10).tolist()
    [0.0, -20.0, 0.0, -25.0]
    """
    (values,) = read_prices(values)
    return 100 * (values / values.cummax() - 1)


def _annual(shape: Values, squared: Any, window: int) -> Values:
    """Return the root of the mean square of each window, in percent a year."""
    squares = numbers_of(squared)
    means: Floats = holes.over_sessions(
        windows.mean(squares, window), squares, ~np.isnan(squares), window, reduce=np.nanmean, at_least=1
    )
    answer: Values = like(shape, np.sqrt(np.maximum(means, 0)) * _ANNUAL_PERCENT)
    return answer
