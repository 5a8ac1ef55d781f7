"""A warehouse whose loads are told one by one: what was loaded, and what gold was after each."""

import shutil
from dataclasses import dataclass, field, replace
from datetime import date

import pandas as pd
from landed import (
    DAY,
    RECORDED_SPLITS,
    Poll,
    actions,
    candles,
    gold_hashes,
    landed,
    polls_of,
    profile,
    recorded_bars,
    utc,
)
from mirrors import ROOT

from stocklib.pipeline.transform import TransformSummary, transform
from stocklib.settings import Settings
from stocklib.warehouse import LandedObject, open_warehouse

SYMBOLS = ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
FIRST = date(2011, 12, 30)


def with_symbol_changes(settings: Settings, text: str) -> Settings:
    """The same settings with a ``config/symbol_changes.csv`` of their own, in a copy of the project."""
    root = settings.home / "root"
    shutil.copytree(ROOT / "dbt_stocks", root / "dbt_stocks", ignore=shutil.ignore_patterns("target", "logs"))
    for folder in ("config", "notebooks"):
        shutil.copytree(ROOT / folder, root / folder)
    (root / "config" / "symbol_changes.csv").write_text(text)
    return replace(settings, root=root)


@dataclass
class Story:
    """A warehouse and what was loaded into it, step by step."""

    settings: Settings
    objects: list[LandedObject] = field(default_factory=list)
    hashes: dict[str, dict[str, str]] = field(default_factory=dict)
    frames: dict[str, pd.DataFrame] = field(default_factory=dict)
    summaries: list[TransformSummary] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)

    def tell(self, *objects: LandedObject, full_refresh: bool = False) -> None:
        """Load and transform."""
        warehouse = open_warehouse(self.settings)
        warehouse.initialise()
        warehouse.load(objects)
        self.objects += objects
        self.summaries.append(transform(self.settings, full_refresh=full_refresh))

    def note(self, name: str) -> None:
        """Keep what gold is now."""
        self.hashes[name] = gold_hashes(self.settings)
        for table in ("fact_daily_stock_quotes", "gold_candlestick"):
            self.frames[f"{name}/{table}"] = self.query(f"select * from gold.{table} order by all")

    def told_at_once(self, settings: Settings) -> "Story":
        """The same objects in another warehouse, in one load and in reverse order."""
        other = Story(settings)
        other.tell(*reversed(self.objects))
        return other

    def query(self, sql: str) -> pd.DataFrame:
        """Ask the published version."""
        return open_warehouse(self.settings).query(sql)


def history(first: date, last: date, fetched: str, *, name: str, hour: str = "2012-12-14T14") -> list[LandedObject]:
    """A backfill round: bars, the checks of their splits, profiles."""
    fetched_at = utc(fetched)
    bars = recorded_bars(first, last)
    return [
        landed("ytd_historical_quotes", candles(bars, fetched_at, splits=RECORDED_SPLITS), name=name, hour=hour),
        landed("corporate_actions", actions(SYMBOLS, fetched_at, splits=RECORDED_SPLITS), name=name, hour=hour),
        # one of today's size: worth trillions
        landed(
            "company_profiles",
            [profile(s, fetched_at, **({"shareOutstanding": 15_115.82} if s == "GOOG" else {})) for s in SYMBOLS],
            name=name,
            hour=hour,
        ),
    ]


def session_polls(day: date = DAY, *, every: int = 60, symbols: list[str] | None = None) -> list[Poll]:
    """Every symbol's polls of a recorded session, in the order of fetching."""
    polls = [poll for bar in recorded_bars(day, day, symbols) for poll in polls_of(bar, every=every)]
    return sorted(polls, key=lambda poll: (poll.fetched_at, poll.symbol))
