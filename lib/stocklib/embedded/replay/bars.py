"""The recorded bars, and what belongs to them: a file of daily bars in, a ``Tape`` that is quick to ask out.

A user's own file is a CSV or Parquet with the columns symbol, date, open, high, low, close, volume: prices as traded,
volume in shares. ``splits.csv``, ``dividends.csv`` and ``companies.csv`` beside it are read where they are.
"""

import csv
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from stocklib.errors import EmbeddedError, SymbolError
from stocklib.quotes import check_symbol
from stocklib.sessions import sessions

DATA = Path(__file__).parent / "data"
RECORDED = DATA / "us5_daily_2000_2013.parquet"
PRICES = ["open", "high", "low", "close"]
COLUMNS = ["symbol", "date", *PRICES, "volume"]


@dataclass(frozen=True, slots=True)
class Bar:
    """One recorded day: prices in dollars as traded, volume in shares."""

    symbol: str
    day: date
    open: float
    high: float
    low: float
    close: float
    volume: int


@dataclass(frozen=True, slots=True)
class Split:
    """``old`` shares became ``new`` ones before the opening bell of ``day``."""

    symbol: str
    day: date
    old: float
    new: float


@dataclass
class Tape:
    """Every bar of every symbol by date, with the splits, dividends and companies that are known beside them."""

    days: dict[str, list[date]]
    bars: dict[str, list[Bar]]
    splits: dict[str, list[Split]] = field(default_factory=dict)
    dividends: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    companies: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def symbols(self) -> list[str]:
        """Every symbol that has a bar."""
        return sorted(self.bars)

    def bar(self, symbol: str, day: date) -> Bar | None:
        """The bar of a day, or None."""
        found = self.before(symbol, day, included=True)
        return found if found is not None and found.day == day else None

    def before(self, symbol: str, day: date, *, included: bool = False) -> Bar | None:
        """The last bar before a day (or on it, when it is included), or None."""
        search = bisect_right if included else bisect_left
        place = search(self.days.get(symbol, []), day)
        return self.bars[symbol][place - 1] if place else None

    def between(self, symbol: str, first: date, last: date) -> Sequence[Bar]:
        """The bars from ``first`` to ``last``, both included."""
        days = self.days.get(symbol, [])
        return self.bars.get(symbol, [])[bisect_left(days, first) : bisect_right(days, last)]

    def factor(self, symbol: str, after: date, upto: date) -> float:
        """How many shares of ``upto`` one share of ``after`` has become: the product of the splits between them."""
        factor = 1.0
        for split in self.splits.get(symbol, []):
            if after < split.day <= upto:
                factor *= split.new / split.old
        return factor


def recorded_bars() -> pd.DataFrame:
    """The bars that ship with the project: symbol, date, open, high, low, close, volume, ordered by symbol and date."""
    return read_bars(RECORDED)


def replay_symbols(data: Path | None = None) -> list[str]:
    """The symbols that a replay of this file (None: the recorded bars) answers for."""
    return read_tape(data).symbols


def read_tape(path: Path | None = None) -> Tape:
    """The tape of a file of bars (None: the recorded ones); ``EmbeddedError`` names what is wrong in it, and where."""
    path = path or RECORDED
    frame = read_bars(path)
    tape = Tape(days={}, bars={})
    for symbol, rows in frame.groupby("symbol", sort=True):
        name = str(symbol)
        tape.days[name] = list(rows["date"])
        columns = [rows[column].tolist() for column in COLUMNS[1:]]
        tape.bars[name] = [Bar(name, *row) for row in zip(*columns, strict=True)]
    for row in _rows(path.parent / "splits.csv"):
        split = Split(row["symbol"], date.fromisoformat(row["date"]), float(row["fromFactor"]), float(row["toFactor"]))
        tape.splits.setdefault(split.symbol, []).append(split)
    for row in _rows(path.parent / "dividends.csv"):
        paid = {"symbol": row["symbol"], "date": row["date"], "amount": float(row["amount"]), "currency": "USD"}
        tape.dividends.setdefault(row["symbol"], []).append(paid)
    tape.companies = {row["ticker"]: row for row in _rows(path.parent / "companies.csv")}
    return tape


def read_bars(path: Path) -> pd.DataFrame:
    """The checked bars of a CSV or Parquet file, ordered by symbol and date."""
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise EmbeddedError(f"{path} cannot be read as bars: {error}") from error
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing:
        raise EmbeddedError(f"{path} lacks the column {', '.join(missing)}; it must hold {', '.join(COLUMNS)}")
    if frame.empty:
        raise EmbeddedError(f"{path} holds no bars")
    frame = frame[COLUMNS].copy()
    _check_numbers(path, frame)
    frame["date"] = _dates(path, frame)
    frame["symbol"] = _symbols(path, frame)
    _check_days(path, frame)
    return frame.sort_values(["symbol", "date"], ignore_index=True)


def _check_numbers(path: Path, frame: pd.DataFrame) -> None:
    for column in [*PRICES, "volume"]:
        frame[column] = pd.to_numeric(frame[column], errors="coerce")
        _refuse(path, frame, frame[column].isna(), f"{column} is not a number")
    low, high = frame[PRICES].min(axis=1), frame[PRICES].max(axis=1)
    _refuse(path, frame, low <= 0, "a price is zero or negative")
    _refuse(path, frame, (frame["low"] > low) | (frame["high"] < high), "open or close is outside of low to high")
    _refuse(path, frame, (frame["volume"] < 0) | (frame["volume"] % 1 != 0), "volume is not a number of shares")
    frame["volume"] = frame["volume"].astype("int64")


def _dates(path: Path, frame: pd.DataFrame) -> "pd.Series[Any]":
    parsed = pd.to_datetime(frame["date"], errors="coerce", format="ISO8601")
    _refuse(path, frame, parsed.isna(), "date is not like 2012-12-14")
    return parsed.dt.date


def _symbols(path: Path, frame: pd.DataFrame) -> list[str]:
    try:
        checked = {symbol: check_symbol(symbol) for symbol in frame["symbol"].unique()}
    except SymbolError as error:
        raise EmbeddedError(f"{path}: {error}") from None
    return [checked[symbol] for symbol in frame["symbol"]]


def _check_days(path: Path, frame: pd.DataFrame) -> None:
    _refuse(path, frame, frame.duplicated(["symbol", "date"]), "the symbol has this date twice")
    open_days = {found.session_date for found in sessions(frame["date"].min(), frame["date"].max())}
    _refuse(path, frame, ~frame["date"].isin(open_days), "New York was closed on this date")


def _refuse(path: Path, frame: pd.DataFrame, wrong: "pd.Series[bool]", what: str) -> None:
    if wrong.any():
        row = frame.loc[wrong].iloc[0]
        place = int(wrong.to_numpy().argmax()) + 1
        raise EmbeddedError(
            f"{path}, bar {place} ({row['symbol']} {row['date']}): {what}; {int(wrong.sum())} of {len(frame)} bars so"
        )


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))
