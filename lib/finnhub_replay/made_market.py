"""Bars, splits, dividends and profiles of ten companies of 2026, most of them worth more than a trillion dollars.

The recorded market ends in 2013, when the largest company was worth 0.6 trillion. This one has today's sizes and is
made up: shares outstanding, splits, dividends and the last price, in ``data/made``, are near the companies' own (from
their announcements and reports, in round figures); earlier days are a random walk that ends at that price.
"""

import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from finnhub_replay.bar_files import COLUMNS, read_reference
from finnhub_replay.tape import Tape
from stocklib.sessions import session_dates

FIRST, LAST = date(2024, 5, 1), date(2026, 6, 30)
# companies.csv also has the price in dollars on ``LAST``, and the volume of a usual day.
_DATA = Path(__file__).parent / "data" / "made"


def made_companies() -> Tape:
    """Return the companies with their splits and dividends, without bars."""
    return read_reference(_DATA)


def closes(made: Tape, symbol: str) -> dict[date, float]:
    """Return the close of each session as traded, unadjusted for later splits."""
    days = session_dates(FIRST, LAST)
    steps = np.random.default_rng(sum(map(ord, symbol))).normal(0.0008, 0.015, len(days))
    walk = np.exp(np.cumsum(steps))
    adjusted = float(made.companies[symbol]["price"]) * walk / walk[-1]
    return {
        day: round(float(close) * made.factor(symbol, day, LAST), 2) for day, close in zip(days, adjusted, strict=True)
    }


def write(folder: Path) -> Path:
    """Write the files that the replay reads; return the path of the bars."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in _DATA.iterdir():
        # without its permissions: an installed package may be read-only
        shutil.copyfile(path, folder / path.name)
    made = made_companies()
    bars = []
    for symbol, company in made.companies.items():
        for day, close in closes(made, symbol).items():
            low, high = round(close * 0.99, 2), round(close * 1.01, 2)
            volume = round(int(company["volume"]) / made.factor(symbol, day, LAST))
            bars.append([symbol, day, low, high, low, close, volume])
    pd.DataFrame(bars, columns=COLUMNS).to_csv(folder / "bars.csv", index=False)
    return folder / "bars.csv"
