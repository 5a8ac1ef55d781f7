"""The records: one answer of a market data source, and its JSON form.

Pure: mappings and bytes in, frozen records or bytes out. This is the only module where an instant is an epoch number;
everywhere else it is a UTC-aware ``datetime``, and a trading date is a ``date`` of New York.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import orjson

from stocklib.errors import BadAnswer, NoQuote, SymbolError

# What the lake keeps apart; RAW has a table of each name.
DATASETS = (
    "stock_quotes",
    "stock_trades",
    "dead_letters",
    "daily_historical_quotes",
    "ytd_historical_quotes",
    "company_profiles",
    "corporate_actions",
)
# The years 2000 and 2100: every feed, live or replayed, is between them.
_FIRST_EPOCH, _LAST_EPOCH = 946_684_800, 4_102_444_800
# Finnhub's names of a quote's numbers, and ours; and those that a quote must have.
_QUOTE_FIELDS = {
    "c": "current_price",
    "d": "change_amount",
    "dp": "change_percent",
    "h": "day_high",
    "l": "day_low",
    "o": "day_open",
    "pc": "prev_close",
}
_REQUIRED = ("c", "h", "l", "o", "pc", "t")
# Finnhub and Yahoo symbols: BRK.B, ^GSPC, EURUSD=X, BINANCE:BTCUSDT, RDS-A.
_SYMBOL = re.compile(r"\^?[A-Z0-9][A-Z0-9.:=_-]{0,31}")


def check_symbol(symbol: object) -> str:
    """Return the symbol in upper case; ``SymbolError`` where it is invalid.

    >>> check_symbol(" brk.b ")
    'BRK.B'
    >>> check_symbol("'; drop table")
    Traceback (most recent call last):
        ...
    stocklib.errors.SymbolError: "'; drop table" is not a stock symbol: letters, digits and . - : = _ ^ only, 32 at most
    """
    text = symbol.strip().upper() if isinstance(symbol, str) else ""
    if not _SYMBOL.fullmatch(text):
        shown = repr(symbol)[:60]
        raise SymbolError(f"{shown} is not a stock symbol: letters, digits and . - : = _ ^ only, 32 at most")
    return text


def to_epoch(instant: datetime) -> float:
    """Return seconds since 1970 of a UTC-aware instant."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone; instants here are UTC-aware")
    return instant.timestamp()


def from_epoch(seconds: float) -> datetime:
    """Return the UTC instant of an epoch number of seconds.

    >>> from_epoch(1355495400)
    datetime.datetime(2012, 12, 14, 14, 30, tzinfo=datetime.timezone.utc)
    """
    return datetime.fromtimestamp(seconds, UTC)


def read_epoch(seconds: object, what: str, *, first: int = 0) -> datetime:
    """Return the UTC instant of an epoch number in an answer about ``what``; ``BadAnswer`` where it is invalid.

    A valid one is after ``first`` and before 2100, so milliseconds for seconds, or the reverse, are invalid.

    >>> read_epoch(1355495400, "AAPL").year
    2012
    >>> read_epoch(1355495400000, "AAPL")
    Traceback (most recent call last):
        ...
    stocklib.errors.BadAnswer: the source answered t=1355495400000 for AAPL, which is not a time; nothing was stored
    """
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not first < seconds < _LAST_EPOCH:  # type: ignore[operator]
        raise BadAnswer(
            f"the source answered t={f'{seconds!r}'[:40]} for {what}, which is not a time; nothing was stored"
        )
    return from_epoch(float(seconds))  # type: ignore[arg-type]


def read_number(value: object, name: str, what: str) -> float | None:
    """Return a number in an answer about ``what``, None for null; ``BadAnswer`` where it is not a finite one."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadAnswer(f"the source answered {name}={value!r} for {what}, which is not a number; nothing was stored")
    return float(value)


@dataclass(frozen=True, slots=True)
class Quote:
    """A symbol's price at ``market_timestamp``, from Finnhub's /quote, in the listing's currency.

    ``change_percent`` is in percent. ``fetched_at`` is on the source's clock.
    """

    symbol: str
    current_price: float
    change_amount: float | None
    change_percent: float | None
    day_high: float
    day_low: float
    day_open: float
    prev_close: float
    market_timestamp: datetime
    fetched_at: datetime

    @classmethod
    def parse(cls, symbol: str, answer: Mapping[str, Any], *, fetched_at: datetime) -> "Quote":
        """Return the quote in a /quote answer. Zeros and nulls are ``NoQuote``; any other fault is ``BadAnswer``."""
        numbers: dict[str, Any] = {name: read_number(answer.get(name), name, symbol) for name in (*_QUOTE_FIELDS, "t")}
        missing = [name for name in _REQUIRED if not numbers[name]]
        if missing:
            raise NoQuote(
                f"the source has no price for {symbol}: {', '.join(missing)} zero or null in its answer "
                "(an unknown symbol, or a temporary fault; the next poll asks again)"
            )
        negative = [name for name in _REQUIRED if numbers[name] < 0]
        if negative:
            raise BadAnswer(f"the source answered a negative {', '.join(negative)} for {symbol}; nothing was stored")
        return cls(
            symbol=symbol,
            **{ours: numbers[theirs] for theirs, ours in _QUOTE_FIELDS.items()},
            market_timestamp=read_epoch(answer["t"], symbol, first=_FIRST_EPOCH),
            fetched_at=fetched_at,
        )

    def to_json(self) -> bytes:
        """Return the message's value: Finnhub's own names plus ``symbol`` and ``fetched_at`` (epoch seconds)."""
        numbers = {theirs: getattr(self, ours) for theirs, ours in _QUOTE_FIELDS.items()}
        times = {"t": _short(self.market_timestamp), "fetched_at": _short(self.fetched_at)}
        return orjson.dumps({"symbol": self.symbol, **numbers, **times})


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade from Finnhub's websocket: ``volume`` in shares (a double: some markets trade fractions).

    ``conditions`` are the exchange's codes, untouched, or None. ``fetched_at`` is on the source's clock.
    ``covered_since`` is since when the feed has brought every trade of the symbol without interruption; None where it
    is unknown.
    """

    symbol: str
    price: float
    volume: float
    conditions: tuple[Any, ...] | None
    market_timestamp: datetime
    fetched_at: datetime
    covered_since: datetime | None = None

    @classmethod
    def parse(cls, item: Any, *, fetched_at: datetime, covered_since: datetime | None = None) -> "Trade":
        """Return a trade of a ``trade`` message; ``NoQuote`` without a price, else ``BadAnswer`` or ``SymbolError``.

        >>> said = {"s": "AAPL", "p": 509.79, "t": 1355518800000, "v": 100, "c": ["1", "12"]}
        >>> trade = Trade.parse(said, fetched_at=from_epoch(1355518800.25), covered_since=from_epoch(1355495340))
        >>> trade.price, trade.conditions, trade.market_timestamp.isoformat()
        (509.79, ('1', '12'), '2012-12-14T21:00:00+00:00')
        >>> trade.to_json().decode()
        '{"s":"AAPL","p":509.79,"t":1355518800000,"v":100.0,"c":["1","12"],"fetched_at":1355518800.25,"since":1355495340}'
        >>> Trade.parse({**said, "p": 0}, fetched_at=trade.fetched_at)
        Traceback (most recent call last):
            ...
        stocklib.errors.NoQuote: the source sent a trade of AAPL without a price (p=0); it was left out
        """
        if not isinstance(item, Mapping):
            raise BadAnswer(f"the source sent a trade that is {type(item).__name__}, not an object; it was left out")
        symbol = check_symbol(item.get("s"))
        price, volume, instant = (read_number(item.get(name), name, symbol) for name in ("p", "v", "t"))
        if price is None or price <= 0:
            raise NoQuote(f"the source sent a trade of {symbol} without a price (p={item.get('p')!r}); it was left out")
        if volume is None or volume < 0 or not instant:
            raise BadAnswer(f"the source sent a trade of {symbol} with v={volume} at t={instant}; it was left out")
        codes = item.get("c")
        return cls(
            symbol=symbol,
            price=price,
            volume=volume,
            conditions=tuple(codes) if isinstance(codes, list) else None,
            market_timestamp=read_epoch(instant / 1000, f"a trade of {symbol}", first=_FIRST_EPOCH),
            fetched_at=fetched_at,
            covered_since=covered_since,
        )

    def to_json(self) -> bytes:
        """Return the message's value: Finnhub's own names plus ``fetched_at`` and ``since`` (epoch seconds)."""
        return orjson.dumps(
            {
                "s": self.symbol,
                "p": self.price,
                "t": round(to_epoch(self.market_timestamp) * 1000),
                "v": self.volume,
                "c": self.conditions,
                "fetched_at": _short(self.fetched_at),
                "since": None if self.covered_since is None else _short(self.covered_since),
            }
        )


@dataclass(frozen=True, slots=True)
class Candle:
    """One bar of a source: split-adjusted as of ``fetched_at`` when daily.

    ``candle_time`` is the bar's start; for a daily bar it is 00:00 UTC of the New York trade date. Volume in shares (a
    double: sources divide it by splits too), None when the source has none.
    """

    symbol: str
    resolution: str
    candle_time: datetime
    open_price: float
    high_price: float
    low_price: float
    close_price: float
    volume: float | None
    data_source: str
    fetched_at: datetime

    @property
    def quote_date(self) -> date:
        """The trade date of a daily bar."""
        return self.candle_time.date()

    def to_record(self, *, source: str) -> dict[str, Any]:
        """Return the line that lands in the lake. ``source`` is finnhub, replay or yfinance."""
        return {
            "symbol": self.symbol,
            "date": self.quote_date.isoformat(),
            "open": self.open_price,
            "high": self.high_price,
            "low": self.low_price,
            "close": self.close_price,
            "volume": self.volume,
            "data_source": self.data_source,
            "source": source,
            "fetched_at": _short(self.fetched_at),
        }


@dataclass(frozen=True, slots=True)
class CorporateAction:
    """A split, a dividend, or the record of an asking for either.

    ``kind`` is ``split`` (``from_factor`` old shares became ``to_factor`` new ones on ``action_date``), ``dividend``
    (``amount``, as paid on a share of the day, with ``action_date`` as ex date), or the record of an asking,
    ``checked`` for splits and ``checked_dividends`` for dividends: the source answered for every date from
    ``action_date`` to ``checked_to``, both included, and its answer is the other records of the same ``fetched_at``.
    Without such a record a symbol's splits are unknown, which is not the same as none. An action that the newest answer
    for its date no longer holds is retracted.
    """

    symbol: str
    kind: str
    action_date: date
    fetched_at: datetime
    from_factor: float | None = None
    to_factor: float | None = None
    amount: float | None = None
    checked_to: date | None = None

    def to_record(self, *, source: str, data_source: str) -> dict[str, Any]:
        """Return the line that lands in the lake."""
        return {
            "symbol": self.symbol,
            "kind": self.kind,
            "date": self.action_date.isoformat(),
            "from_factor": self.from_factor,
            "to_factor": self.to_factor,
            "amount": self.amount,
            "checked_to": self.checked_to.isoformat() if self.checked_to else None,
            "data_source": data_source,
            "source": source,
            "fetched_at": _short(self.fetched_at),
        }


@dataclass(frozen=True, slots=True)
class CompanyProfile:
    """The company of a symbol: the source's own fields, unchanged, and when they were fetched."""

    symbol: str
    fields: Mapping[str, Any]
    fetched_at: datetime

    def to_record(self, *, source: str, data_source: str) -> dict[str, Any]:
        """Return the line that lands in the lake: Finnhub's /stock/profile2 names under ``profile``."""
        return {
            "symbol": self.symbol,
            "profile": dict(self.fields),
            "data_source": data_source,
            "source": source,
            "fetched_at": _short(self.fetched_at),
        }


@dataclass(frozen=True, slots=True)
class SymbolMatch:
    """A symbol that a source lists: the name behind it, its kind (``Common Stock``, ``ETP``), sector and industry.

    Empty where the source does not name them.
    """

    symbol: str
    name: str = ""
    kind: str = ""
    sector: str = ""
    industry: str = ""


def _short(instant: datetime) -> float | int:
    """Epoch seconds, whole ones without a decimal point."""
    seconds = to_epoch(instant)
    return int(seconds) if seconds.is_integer() else seconds
