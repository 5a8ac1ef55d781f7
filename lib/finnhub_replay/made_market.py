"""Bars, splits, dividends and profiles of ten companies of 2026, most of them worth more than a trillion dollars.

The recorded market ends in 2013, when the largest company was worth 0.6 trillion. This one has today's sizes and is
made up: shares outstanding, splits, dividends and the last price are near the companies' own (from their announcements
and reports, in round figures); earlier days are a random walk that ends at that price.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from stocklib.sessions import sessions

FIRST, LAST = date(2024, 5, 1), date(2026, 6, 30)


@dataclass(frozen=True)
class Company:
    """``shares`` in millions, ``price`` in dollars on ``LAST``, ``volume`` of a usual day; the rest by date."""

    symbol: str
    name: str
    shares: float
    price: float
    volume: int
    splits: dict[date, float] = field(default_factory=dict)
    dividends: dict[date, float] = field(default_factory=dict)

    def later_splits(self, day: date) -> float:
        """Return how many shares of ``LAST`` one share of ``day`` has become."""
        return float(np.prod([by for when, by in self.splits.items() if when > day]))


COMPANIES = (
    Company("NVDA", "NVIDIA Corp", 24_300, 186.5, 180_000_000, {date(2024, 6, 10): 10}, {date(2026, 3, 11): 0.01}),
    Company("AAPL", "Apple Inc", 14_681.14, 272.95, 45_000_000, {}, {date(2026, 2, 9): 0.26, date(2026, 5, 11): 0.27}),
    Company("GOOGL", "Alphabet Inc", 12_097, 313.0, 30_000_000, {}, {date(2026, 3, 9): 0.21, date(2026, 6, 8): 0.22}),
    Company("MSFT", "Microsoft Corp", 7_425.63, 483.62, 22_000_000, {}, {date(2026, 2, 19): 0.91}),
    Company("AMZN", "Amazon.com Inc", 10_690.22, 230.82, 40_000_000),
    Company("AVGO", "Broadcom Inc", 4_741.3, 346.1, 25_000_000, {date(2024, 7, 15): 10}, {date(2026, 3, 23): 0.65}),
    Company("META", "Meta Platforms Inc", 2_520.58, 660.09, 12_000_000, {}, {date(2026, 3, 16): 0.525}),
    Company("TSLA", "Tesla Inc", 3_325.82, 449.72, 80_000_000),
    Company("BRK.B", "Berkshire Hathaway Inc", 2_157.2, 502.65, 4_500_000),
    Company("LLY", "Eli Lilly and Co", 945.38, 1_074.68, 3_000_000, {}, {date(2026, 2, 13): 1.73}),
)


def closes(company: Company) -> dict[date, float]:
    """Return the close of each session as traded, unadjusted for later splits."""
    days = [found.session_date for found in sessions(FIRST, LAST)]
    steps = np.random.default_rng(sum(map(ord, company.symbol))).normal(0.0008, 0.015, len(days))
    walk = np.exp(np.cumsum(steps))
    adjusted = company.price * walk / walk[-1]
    return {day: round(float(close) * company.later_splits(day), 2) for day, close in zip(days, adjusted, strict=True)}


def write(folder: Path) -> Path:
    """Write the files that the replay reads; return the path of the bars."""
    folder.mkdir(parents=True, exist_ok=True)
    bars = []
    for company in COMPANIES:
        for day, close in closes(company).items():
            low, high = round(close * 0.99, 2), round(close * 1.01, 2)
            bars.append([company.symbol, day, low, high, low, close, round(company.volume / company.later_splits(day))])
    _write(folder / "bars.csv", ["symbol", "date", "open", "high", "low", "close", "volume"], bars)
    splits = [[c.symbol, day, 1, by] for c in COMPANIES for day, by in c.splits.items()]
    _write(folder / "splits.csv", ["symbol", "date", "fromFactor", "toFactor"], splits)
    paid = [[c.symbol, day, amount] for c in COMPANIES for day, amount in c.dividends.items()]
    _write(folder / "dividends.csv", ["symbol", "date", "amount"], paid)
    about = [[c.symbol, c.name, "USD", "NASDAQ NMS - GLOBAL MARKET", c.shares] for c in COMPANIES]
    _write(folder / "companies.csv", ["ticker", "name", "currency", "exchange", "shareOutstanding"], about)
    return folder / "bars.csv"


def _write(path: Path, header: list[str], rows: Iterable[list[Any]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
