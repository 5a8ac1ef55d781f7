"""Gold over recorded bars, made by the real load and the real models: for tests of what only reads it.

The year 2012 up to the session of 14 December, whose bars are made from quotes, and AAPL around its split of 28
February 2005. Made once a test run, whatever processes it has; a test that changes something takes a ``copy``.
"""

import os
import shutil
from datetime import date
from importlib.resources import files
from pathlib import Path

import duckdb
import pandas as pd
from landed import RECORDED_SPLITS, actions, candles, landed, load, messages, polls_of, profile, recorded_bars, utc

from stocklib import host
from stocklib.pipeline.transform import transform
from stocklib.settings import Settings, read_settings

SYMBOLS = ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
FIRST, LAST = date(2011, 12, 30), date(2012, 12, 14)
SPLIT = date(2005, 2, 28)
# a name that would do harm if a page took it for markup
NAMES = {"IBM": "International <b>Business</b> & Machines <script>alert(1)</script>", "AAPL": "Apple Inc"}


def shared(folder: Path) -> Settings:
    """Return the settings that read the gold of this test run; the first process that asks makes it.

    ``folder`` is this process's own temporary folder.
    """
    home = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "recorded-gold"
    made = home / "made"
    home.mkdir(parents=True, exist_ok=True)
    with (home.parent / "recorded-gold.lock").open("w") as file:
        assert host.lock(file, wait=240), "another process makes the recorded gold, and does not end"
        if not made.exists():
            shutil.rmtree(home)
            published(home)
            made.touch()
    return _settings(home)


def _settings(home: Path) -> Settings:
    return read_settings(environ={"STOCKS_HOME": str(home), "CLOSE_SETTLE_SECONDS": "0"})


def published(home: Path) -> Settings:
    """Load and transform everything under ``home``; return the settings that read it."""
    settings = _settings(home)
    fetched = utc("2012-12-14T09:00:00")
    bars = [bar for bar in recorded_bars(FIRST, LAST) if bar.day != LAST]
    bars += recorded_bars(date(2005, 2, 14), date(2005, 3, 11), ["AAPL"])
    companies = pd.read_csv(str(files("finnhub_replay") / "data" / "companies.csv"))
    profiles = [
        profile(c.ticker, fetched, name=NAMES.get(c.ticker, c.name), shareOutstanding=c.shareOutstanding, ipo=c.ipo)
        for c in companies.itertuples()
    ]
    quotes = messages(poll for bar in recorded_bars(LAST, LAST) for poll in polls_of(bar))
    load(
        settings,
        landed("ytd_historical_quotes", candles(bars, fetched, splits=RECORDED_SPLITS), name="bars"),
        landed("corporate_actions", actions(SYMBOLS, fetched, splits=RECORDED_SPLITS), name="actions"),
        landed("company_profiles", profiles, name="profiles"),
        landed("stock_quotes", quotes, name="quotes"),
    )
    transform(settings)
    return settings


def copy(settings: Settings, home: Path, *changes: str) -> Settings:
    """The same published tables under another home, after some SQL."""
    # a reader of another process has links of its own there, which come and go
    shutil.copytree(settings.home / "warehouse", home / "warehouse", ignore=shutil.ignore_patterns(".*"))
    with duckdb.connect(home / "warehouse" / "published.duckdb") as con:
        for sql in changes:
            con.execute(sql)
    return read_settings(environ={"STOCKS_HOME": str(home)})
