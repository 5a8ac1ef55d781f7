"""The recorded bars of a symbol on one basis: for tests and benchmarks of what only computes, on real data."""

from importlib.resources import files

import pandas as pd
from landed import recorded


def split_adjusted(symbol: str) -> pd.DataFrame:
    """Every recorded bar: symbol, date, open, high, low, close, volume; 13 years of AAPL, IBM and MSFT."""
    frame = recorded().query("symbol == @symbol").reset_index(drop=True)
    frame["date"] = pd.to_datetime(frame["date"])
    splits = pd.read_csv(str(files("finnhub_replay") / "data" / "splits.csv"))
    for split in splits[splits["symbol"] == symbol].itertuples():
        before = frame["date"] < pd.Timestamp(split.date)
        factor = split.toFactor / split.fromFactor
        frame.loc[before, ["open", "high", "low", "close"]] /= factor
        frame["volume"] = frame["volume"].astype("float64").where(~before, frame["volume"] * factor)
    prices = frame[["symbol", "date", "open", "high", "low", "close", "volume"]]
    return prices.astype(dict.fromkeys(("open", "high", "low", "close", "volume"), "float64"))
