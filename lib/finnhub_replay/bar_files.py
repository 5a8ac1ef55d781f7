"""A file of daily bars in, a checked ``Tape`` out; one error names the first fault of a file and its line.

A user's own file is a CSV or Parquet with the columns symbol, date, open, high, low, close, volume, their names in any
case: prices as traded, volume in shares. Other columns, such as Adj Close, are ignored. ``splits.csv`` (symbol, date,
fromFactor, toFactor), ``dividends.csv`` (symbol, date, amount) and ``companies.csv`` (ticker, and other fields of
Finnhub's profile) in the same folder are read where they exist.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from finnhub_replay.reference_files import column_names, read_companion
from finnhub_replay.tape import Bar, Dividend, Split, Tape
from stocklib.errors import EmbeddedError, SymbolError, did_you_mean
from stocklib.quotes import check_symbol
from stocklib.sessions import FIRST_DATE, LAST_DATE, sessions
from stocklib.text_files import encoding_trouble

RECORDED = Path(__file__).parent / "data" / "us5_daily_2000_2013.parquet"
PRICES = ["open", "high", "low", "close"]
# A symbol may be a typo of another with at most this share of the usual number of bars, or 1 bar where that is many.
_FEW = 0.05
_MANY = 5
log = logging.getLogger(__name__)

COLUMNS = ["symbol", "date", *PRICES, "volume"]


def recorded_bars() -> pd.DataFrame:
    """Return the project's bars: symbol, date, open, high, low, close, volume, ordered by symbol and date."""
    return read_bars(RECORDED)


def replay_symbols(data: Path | None = None) -> list[str]:
    """Return the symbols of a replay of this file (None: the recorded bars)."""
    return read_tape(data).symbols


def read_tape(path: Path | None = None) -> Tape:
    """Return the tape of a file of bars (None: the recorded ones); ``EmbeddedError`` names a fault and its line."""
    path = path or RECORDED
    bars = {str(symbol): _bars(rows) for symbol, rows in read_bars(path).groupby("symbol", sort=True)}
    return replace(read_reference(path.parent), bars=bars)


def read_reference(folder: Path) -> Tape:
    """Return a tape without bars: the splits, dividends and companies of a folder."""
    tape = Tape(bars={})
    for row in read_companion(folder / "splits.csv"):
        split = Split(row["symbol"], row["date"], row["fromFactor"], row["toFactor"])
        tape.splits.setdefault(split.symbol, []).append(split)
    for row in read_companion(folder / "dividends.csv"):
        paid = Dividend(row["symbol"], row["date"], row["amount"])
        tape.dividends.setdefault(paid.symbol, []).append(paid)
    tape.companies = {row["ticker"]: row for row in read_companion(folder / "companies.csv")}
    return tape


def read_bars(path: Path) -> pd.DataFrame:
    """Return the checked bars of a CSV or Parquet file, ordered by symbol and date."""
    frame = _read(path)
    missing = [column for column in COLUMNS if column not in frame.columns]
    adjusted = [column for column in frame.columns if column.lower().startswith("adj")]
    if missing:
        with path.open("rb") as file:
            trouble = None if _is_parquet(path) else encoding_trouble(file.read(1024))
        if trouble:
            raise EmbeddedError(f"{path} cannot be read as bars: it {trouble}")
        hint = f"; {adjusted[0]} is not close: prices are as traded" if "close" in missing and adjusted else ""
        raise EmbeddedError(f"{path} lacks the column {', '.join(missing)}; it must hold {', '.join(COLUMNS)}{hint}")
    if frame.empty:
        raise EmbeddedError(f"{path} holds no bars")
    frame = frame[COLUMNS].reset_index(drop=True)
    frame["symbol"] = _each(path, frame, "symbol", check_symbol)
    frame["date"] = _each(path, frame, "date", _day)
    _check_numbers(path, frame)
    _check_days(path, frame)
    _name_typos(path, frame)
    return frame.sort_values(["symbol", "date"], ignore_index=True)


def _read(path: Path) -> pd.DataFrame:
    try:
        if _is_parquet(path):
            frame = pd.read_parquet(path)
            return frame.set_axis(column_names(path, frame.columns, COLUMNS), axis="columns")
        # pandas would rename the second of two equal names
        written = pd.read_csv(path, header=None, nrows=1, dtype=str, encoding="utf-8-sig").iloc[0]
        names = column_names(path, written, COLUMNS)
        # a symbol may be NA or TRUE
        as_text = {was: str for was, name in zip(written, names, strict=True) if name in ("symbol", "date")}
        frame = pd.read_csv(path, dtype=as_text, keep_default_na=False, encoding="utf-8-sig")
        return frame.set_axis(names, axis="columns")
    except UnicodeError as error:
        trouble = encoding_trouble(path.read_bytes()) or error
        raise EmbeddedError(f"{path} cannot be read as bars: it {trouble}") from error
    except (OSError, ValueError) as error:
        raise EmbeddedError(f"{path} cannot be read as bars: {' '.join(str(error).split())}") from error


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() in (".parquet", ".pq")


def _each(path: Path, frame: pd.DataFrame, column: str, read: Callable[[Any], Any]) -> "pd.Series[Any]":
    """Return a column of parsed values; refuse an invalid one."""
    known: dict[Any, Any] = {}
    complaints: dict[Any, str] = {}
    for value in frame[column].unique():
        try:
            known[value] = read(value)
        except (ValueError, SymbolError) as error:
            complaints[value] = str(error)
    wrong = frame[column].isin(list(complaints))
    _refuse(path, frame, wrong, f"{column}: {next(iter(complaints.values()), '')}")
    return frame[column].map(known).astype(object)


def _day(value: Any) -> date:
    try:
        return datetime.fromisoformat(str(value)).date()
    except ValueError:
        raise ValueError(f"{str(value)!r} is not a date like 2012-12-14") from None


def _check_numbers(path: Path, frame: pd.DataFrame) -> None:
    for column in [*PRICES, "volume"]:
        numbers = pd.to_numeric(frame[column], errors="coerce").astype(float)
        _refuse(path, frame, ~(numbers.abs() < math.inf), f"{column} is not a number")
        frame[column] = numbers
    for column in PRICES:
        _refuse(path, frame, frame[column] <= 0, f"{column} is zero or negative")
    _refuse(path, frame, frame["high"] < frame["low"], "high is below low")
    for column in ("open", "close"):
        outside = (frame[column] > frame["high"]) | (frame[column] < frame["low"])
        _refuse(path, frame, outside, f"{column} is outside of low to high")
    shares = frame["volume"]
    _refuse(path, frame, (shares < 0) | (shares % 1 != 0) | (shares > 2**53), "volume is not a number of shares")
    frame["volume"] = shares.astype("int64")


def _check_days(path: Path, frame: pd.DataFrame) -> None:
    outside = (frame["date"] < FIRST_DATE) | (frame["date"] > LAST_DATE)
    _refuse(path, frame, outside, f"date is outside the trading calendar, {FIRST_DATE} to {LAST_DATE}")
    open_days = {found.session_date for found in sessions(frame["date"].min(), frame["date"].max())}
    _refuse(path, frame, ~frame["date"].isin(open_days), "New York was closed on this date")
    _refuse(path, frame, frame.duplicated(["symbol", "date"]), "the symbol has this date twice")


def _name_typos(path: Path, frame: pd.DataFrame) -> None:
    """Log a warning for each symbol that has very few bars for this file; it stays in the file."""
    counts = frame["symbol"].value_counts()
    usual = int(counts.iloc[(len(counts) - 1) // 2])
    few = counts[(counts <= usual * _FEW) | ((counts == 1) & (usual >= _MANY))]
    for symbol, count in few.items():
        bars = "1 bar" if count == 1 else f"{count} bars"
        meant = did_you_mean(str(symbol), sorted(set(counts.index) - set(few.index)))
        log.warning("%s: %s has %s where others have about %d%s", path, symbol, bars, usual, meant)


def _refuse(path: Path, frame: pd.DataFrame, wrong: "pd.Series[bool]", what: str) -> None:
    if wrong.any():
        place = int(wrong.to_numpy().argmax())
        symbol, day = frame["symbol"].iloc[place], frame["date"].iloc[place]
        count = f"{int(wrong.sum()):,} of {len(frame):,} bars so"
        raise EmbeddedError(f"{path}, bar {place + 1} ({symbol} {day}): {what}; {count}")


def _bars(rows: pd.DataFrame) -> list[Bar]:
    columns = [rows[column].tolist() for column in COLUMNS]
    return [Bar(*row) for row in zip(*columns, strict=True)]
