"""yfinance's frame of daily history as records: one answer in, our records out. Pure."""

import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from stocklib.quotes import Candle, CorporateAction, SymbolMatch
from stocklib.sessions import new_york_date

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

# An answered ratio this close to one of small whole numbers is taken as that one.
_SAME = 1e-9

# As Yahoo writes it; ``yahoo_symbol`` is the reverse.
_SHARE_CLASS = re.compile(r"^([A-Z]+)-([A-EG-K])$")

# Yahoo's name of a sector → that of the industry standard GICS, where it is another
_SECTORS = {
    "Basic Materials": "Materials",
    "Consumer Cyclical": "Consumer Discretionary",
    "Consumer Defensive": "Consumer Staples",
    "Financial Services": "Financials",
    "Healthcare": "Health Care",
    "Technology": "Information Technology",
}

# Finnhub's name in a profile → Yahoo's
_PROFILE = {
    "name": "longName",
    "exchange": "fullExchangeName",
    "country": "country",
    "currency": "currency",
    "finnhubIndustry": "industry",
    "weburl": "website",
    "phone": "phone",
}


@dataclass(frozen=True)
class Answer:
    """The answer to one request: all data of a symbol from ``start`` to the day of the answer."""

    symbol: str
    start: date
    fetched_at: datetime
    frame: "pd.DataFrame"


ReadActions = Callable[[Answer], list[CorporateAction]]


def read_candles(answer: Answer) -> list[Candle]:
    """Return the bars, oldest first; a row without all four prices is left out and logged."""
    candles = (_candle(answer, day, row) for day, row in _rows(answer))
    return [candle for candle in candles if candle is not None]


def read_splits(answer: Answer) -> list[CorporateAction]:
    """Return the splits up to the day of the answer."""
    shares = [(day, *_in_shares(ratio)) for day, ratio in _split_ratios(answer)]
    return [
        CorporateAction(answer.symbol, "split", day, answer.fetched_at, from_factor=old, to_factor=new)
        for day, old, new in shares
    ]


def read_dividends(answer: Answer) -> list[CorporateAction]:
    """Return the dividends as paid: Yahoo divides them by the later splits of the same answer."""
    ratios = _split_ratios(answer)
    found = []
    for day, row in _rows(answer):
        if row["Dividends"] > 0:
            paid = round(row["Dividends"] * math.prod(ratio for at, ratio in ratios if at > day), 9)
            found.append(CorporateAction(answer.symbol, "dividend", day, answer.fetched_at, amount=paid))
    return found


def read_profile(symbol: str, info: Mapping[str, Any]) -> dict[str, Any]:
    """Return Yahoo's profile of a company in Finnhub's names; shares outstanding and market value in millions."""
    fields: dict[str, Any] = {"ticker": symbol, "name": info.get("shortName")}
    fields |= {ours: info[theirs] for ours, theirs in _PROFILE.items() if info.get(theirs)}
    for ours, theirs in (("shareOutstanding", "sharesOutstanding"), ("marketCapitalization", "marketCap")):
        if isinstance(info.get(theirs), int | float):
            fields[ours] = info[theirs] / 1e6
    return fields


def read_match(found: Mapping[str, Any]) -> SymbolMatch:
    """Return one result of Yahoo's search, its sector by the name that ``config/sectors.csv`` uses.

    >>> read_match({"symbol": "BRK-B", "shortname": "Berkshire", "sector": "Financial Services"})
    SymbolMatch(symbol='BRK.B', name='Berkshire', kind='', sector='Financials', industry='')
    """
    said = {name: str(value) for name, value in found.items() if value}
    sector = said.get("sectorDisp", said.get("sector", ""))
    return SymbolMatch(
        symbol=_SHARE_CLASS.sub(r"\1.\2", said["symbol"]),
        name=said.get("longname", said.get("shortname", "")),
        kind=said.get("typeDisp", ""),
        sector=_SECTORS.get(sector, sector),
        industry=said.get("industryDisp", said.get("industry", "")),
    )


def _rows(answer: Answer) -> Iterator[tuple[date, dict[str, float]]]:
    """Yield each row with its trade date: the index is midnight in the exchange's time zone."""
    for index, row in zip(answer.frame.index, answer.frame.to_dict("records"), strict=True):
        yield index.date(), {str(name): float(value) for name, value in row.items() if name != "Adj Close"}


def _candle(answer: Answer, day: date, row: dict[str, float]) -> Candle | None:
    prices = [row[name] for name in ("Open", "High", "Low", "Close")]
    if not all(math.isfinite(price) and price > 0 for price in prices):
        log.warning("Yahoo has no prices for %s on %s", answer.symbol, day)
        return None
    # yfinance writes 0 where Yahoo has no volume, so 0 counts as unknown
    volume = row["Volume"] if math.isfinite(row["Volume"]) and row["Volume"] > 0 else None
    start = datetime.combine(day, time.min, UTC)
    opened, high, low, close = prices
    return Candle(answer.symbol, "D", start, opened, high, low, close, volume, "yfinance", answer.fetched_at)


def _split_ratios(answer: Answer) -> list[tuple[date, float]]:
    """Return the splits up to the day of the answer as (date, new shares for one old)."""
    today = new_york_date(answer.fetched_at)
    return [(day, row["Stock Splits"]) for day, row in _rows(answer) if row["Stock Splits"] > 0 and day <= today]


def _in_shares(ratio: float) -> tuple[float, float]:
    """Return old and new shares of a split: small whole numbers where they equal the ratio, else for one share.

    >>> _in_shares(7.0), _in_shares(1.5), _in_shares(1 / 35_000)
    ((1.0, 7.0), (2.0, 3.0), (35000.0, 1.0))
    """
    # for a reverse split, the inverse ratio has the small denominator
    more, fewer = (ratio, False) if ratio >= 1 else (1 / ratio, True)
    exact = Fraction(more).limit_denominator(10_000)
    over, under = float(exact.numerator), float(exact.denominator)
    if abs(over / under / more - 1) > _SAME:
        over, under = more, 1.0
    return (over, under) if fewer else (under, over)
