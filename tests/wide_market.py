"""A made market of many symbols over two years, at today's magnitudes: for tests of what shows all of them at once."""

from datetime import date
from pathlib import Path

import numpy as np
from landed import Bar, Split, actions, candles, landed, load, profile, utc

from stocklib.pipeline.transform import transform
from stocklib.sessions import session_dates
from stocklib.settings import Settings, read_settings

FIRST, LAST = date(2024, 6, 28), date(2026, 6, 30)
SECTORS = 11
# the last price of a few: one that is nearly nothing, one as BRK.A, and a company worth 4.5e12
PRICES = {"S000": 186.5, "S001": 0.0001, "S002": 700_000.0}
MILLIONS_OF_SHARES = {"S000": 24_200.0, "S001": 50_000.0, "S002": 1.44}
SPLIT = Split("S003", date(2026, 3, 2), 1, 10)


def published(home: Path, *, symbols: int = 500) -> Settings:
    """Load and transform the daily bars of S000, S001 …; return the settings that read them."""
    settings = read_settings(environ={"STOCKS_HOME": str(home), "CLOSE_SETTLE_SECONDS": "0"})
    names, fetched = [f"S{number:03}" for number in range(symbols)], utc("2026-06-30T21:00:00")
    profiles = [
        profile(
            name,
            fetched,
            name=f"Company {name} of {number % 7} words",
            finnhubIndustry=f"Industry {number % SECTORS}",
            shareOutstanding=MILLIONS_OF_SHARES.get(name, 20.0 + 30_000 / (number + 1)),
        )
        for number, name in enumerate(names)
    ]
    bars = [bar for name in names for bar in _bars(name)]
    load(
        settings,
        landed("ytd_historical_quotes", candles(bars, fetched, splits=[SPLIT]), name="bars"),
        landed("corporate_actions", actions(names, fetched, splits=[SPLIT]), name="actions"),
        landed("company_profiles", profiles, name="profiles"),
    )
    transform(settings)
    return settings


def _bars(symbol: str) -> list[Bar]:
    """A random walk that ends at the symbol's price; as traded, so ten times higher before the split."""
    days = session_dates(FIRST, LAST)
    random = np.random.default_rng(int(symbol[1:]))
    walk = np.exp(np.cumsum(random.normal(0.0004, 0.018, len(days))))
    closes = PRICES.get(symbol, float(random.uniform(8, 600))) * walk / walk[-1]
    opens = closes * np.exp(random.normal(0, 0.006, len(days)))
    reach = np.abs(random.normal(0, 0.008, (2, len(days))))
    highs, lows = np.maximum(opens, closes) * (1 + reach[0]), np.minimum(opens, closes) * (1 - reach[1])
    volumes = random.lognormal(14, 0.4, len(days)).astype(int)
    bars = []
    for day, *prices, volume in zip(days, opens, highs, lows, closes, volumes, strict=True):
        factor = 10 if symbol == SPLIT.symbol and day < SPLIT.day else 1
        least = 6 if symbol == "S001" else 2
        traded = [max(round(float(price) * factor, least), 0.000001) for price in prices]
        bars.append(Bar(symbol, day, *traded, volume=int(volume) // factor))
    return bars
