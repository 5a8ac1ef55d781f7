"""Bars that are made up, for tests of what only computes."""

import numpy as np
import pandas as pd

SYMBOLS = ["A", "B", "C"]
DAYS = pd.bdate_range("2012-01-02", periods=40)


def market(seed: int, *, gaps: float = 0.0) -> pd.DataFrame:
    """Random bars of three symbols; a share ``gaps`` of them is missing, and C lists on bar 10."""
    rng = np.random.default_rng(seed)
    parts = []
    for symbol in SYMBOLS:
        close = 50 * np.exp(np.cumsum(rng.normal(0, 0.03, len(DAYS))))
        open_ = close * np.exp(rng.normal(0, 0.01, len(DAYS)))
        spread = np.exp(np.abs(rng.normal(0, 0.02, len(DAYS))))
        high, low = np.maximum(open_, close) * spread, np.minimum(open_, close) / spread
        frame = pd.DataFrame(
            {"symbol": symbol, "date": DAYS, "open": open_, "high": high, "low": low, "close": close}
        ).assign(vwap=(high + low + close) / 3)
        there = rng.random(len(DAYS)) >= gaps
        if gaps and symbol == "C":
            there[:10] = False
        parts.append(frame[there])
    return pd.concat(parts, ignore_index=True)


def walk(seed: int, count: int, *, drift: float = 0.0, deviation: float = 0.02) -> pd.DataFrame:
    """A random walk's bars of one symbol, whole with high, low and volume."""
    rng = np.random.default_rng(seed)
    days = pd.bdate_range("2003-01-02", periods=count)
    close = 100 * np.exp(np.cumsum(rng.normal(drift, deviation, count)))
    open_ = close * np.exp(rng.normal(0, deviation / 4, count))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0, deviation / 2, count)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0, deviation / 2, count)))
    volume = rng.integers(1_000, 100_000, count).astype("float64")
    return pd.DataFrame(
        {"symbol": "A", "date": days, "open": open_, "high": high, "low": low, "close": close, "volume": volume}
    )
