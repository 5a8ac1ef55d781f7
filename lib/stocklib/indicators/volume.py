"""Prices with their volume: on-balance volume, volume-weighted average price."""

from typing import Any

import numpy as np
import pandas as pd
import talib

from stocklib.errors import InputError
from stocklib.indicators import windows
from stocklib.indicators.columns import (
    Values,
    by_memory,
    check_ranges,
    check_window,
    like,
    numbers_of,
    read,
    read_volume,
)


def obv(close: Values, volume: Values) -> Values:
    """On-balance volume, in shares: the volume of bars that closed higher, less that of bars that closed lower.

    It begins with the first bar's volume; only its changes mean something.
    Source: J. E. Granville, Granville's New Key to Stock Market Profits (1963).

    >>> import pandas as pd
    >>> obv(pd.Series([5.0, 6.0, 6.0, 4.0]), pd.Series([10.0, 20.0, 30.0, 40.0])).tolist()
    [10.0, 30.0, 30.0, -10.0]
    """
    close, volume = read(close, volume)
    return by_memory(talib.OBV, close, read_volume(volume))


def vwap(
    price: Values,
    volume: Values,
    *,
    window: int | None = None,
    session: Any = None,
    high: Values | None = None,
    low: Values | None = None,
) -> Values:
    """Volume-weighted average price: Σ p v / Σ v, in the unit of the prices; NaN until something was traded.

    Over the last ``window`` bars, or from the beginning of each ``session`` (one label a bar, such as the New York
    date), or from the first bar on. ``price`` is a trade's, or a bar's typical price (H + L + C) / 3. A bar without a
    price or a volume is ignored. With the bars' ``high`` and ``low``, a price outside of them is an
    ``InputError``.
    Source: S. A. Berkowitz, D. E. Logue, E. A. Noser, The Total Cost of Transactions on the NYSE, Journal of Finance
    (1988).

    >>> import pandas as pd
    >>> vwap(pd.Series([10.0, 20.0, 40.0]), pd.Series([1.0, 3.0, 0.0])).tolist()
    [10.0, 17.5, 17.5]
    """
    price, volume = read(price, volume)
    volume = read_volume(volume)
    if (high is None) != (low is None):
        raise InputError("a price is checked against high and low: give both, or none")
    if high is not None and low is not None:
        price, high, low = read(price, high, low)
        check_ranges(high, low, price=price)
    if window is not None and session is not None:
        raise InputError("a window or a session, not both")
    there = price.notna() & volume.notna()
    shares = volume.where(there, 0.0)
    money = (price * volume).where(there, 0.0)
    if window is not None:
        check_window(window)
        paid, traded = (like(price, windows.total(numbers_of(part), window)) for part in (money, shares))
    elif session is not None:
        labels = _labels(session, price.index)
        paid, traded = (part.groupby(labels).cumsum() for part in (money, shares))
    else:
        paid, traded = money.cumsum(), shares.cumsum()
    average: Values = paid / traded.where(traded > 0)
    return average


def _labels(session: Any, index: pd.Index) -> Any:
    """One label a bar; a series' own index must be the prices'."""
    if isinstance(session, pd.Series) and not session.index.equals(index):
        raise InputError("the sessions must be on the same dates as the prices: one label a bar")
    labels = np.asarray(session)
    if labels.shape != index.shape:
        raise InputError(f"there are {labels.size} session labels for {len(index)} bars: one label a bar")
    return labels
