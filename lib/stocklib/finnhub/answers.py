"""Finnhub's answers as records, except quotes and trades (see ``quotes``): parsed JSON in, records out.

Strict: an answer that lacks a field, or holds an invalid price, is ``BadAnswer`` as a whole, so that half of it never
becomes history. Nothing here uses the network.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from stocklib.errors import BadAnswer
from stocklib.quotes import Candle, CorporateAction, SymbolMatch, read_epoch, read_number


@dataclass(frozen=True, slots=True)
class MarketStatus:
    """Whether the exchange is open, by the source. ``at`` is on the source's clock."""

    is_open: bool
    session: str | None
    holiday: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class MarketHoliday:
    """A holiday, or a day of shorter hours: ``trading_hours`` is then like ``09:30-13:00``."""

    name: str
    holiday_date: date
    trading_hours: str | None


def read_candles(symbol: str, resolution: str, answer: Any, *, data_source: str, fetched_at: datetime) -> list[Candle]:
    """Return the bars of a /stock/candle answer, oldest first; none for ``no_data``."""
    what = f"candles of {symbol}"
    status = read_object(answer, what).get("s")
    if status == "no_data":
        return []
    if status != "ok":
        raise BadAnswer(f"the source answered the {what} with status {status!r}; nothing was stored")
    columns = [answer.get(name) for name in "tohlcv"]
    if not all(isinstance(column, list) for column in columns):
        raise BadAnswer(f"the source answered {what} without all of t o h l c v; nothing was stored")
    if len({len(column) for column in columns}) > 1:
        lengths = ", ".join(f"{name}: {len(column)}" for name, column in zip("tohlcv", columns, strict=True))
        raise BadAnswer(f"the source answered {what} of unequal lengths ({lengths}); nothing was stored")
    candles = [_candle(symbol, resolution, row, data_source, fetched_at) for row in zip(*columns, strict=True)]
    times = [candle.candle_time for candle in candles]
    if len(set(times)) < len(times):
        raise BadAnswer(f"the source answered the same bar twice among the {what}; nothing was stored")
    return sorted(candles, key=lambda candle: candle.candle_time)


def read_splits(symbol: str, answer: Any, *, fetched_at: datetime) -> list[CorporateAction]:
    """Return the splits of a /stock/split answer, oldest first."""

    def split(row: dict[str, Any], day: date, what: str) -> CorporateAction:
        old, new = (read_number(row.get(name), name, what) for name in ("fromFactor", "toFactor"))
        if not old or not new or old < 0 or new < 0:
            raise BadAnswer(f"the source answered {what}: a split of {old}:{new}; nothing was stored")
        return CorporateAction(symbol, "split", day, fetched_at, from_factor=old, to_factor=new)

    return _actions(answer, f"splits of {symbol}", split)


def read_dividends(symbol: str, answer: Any, *, fetched_at: datetime) -> list[CorporateAction]:
    """Return the dividends of a /stock/dividend answer by ex date, oldest first; amounts a share as paid."""

    def dividend(row: dict[str, Any], day: date, what: str) -> CorporateAction:
        amount = read_number(row.get("amount"), "amount", what)
        if amount is None or amount < 0:
            raise BadAnswer(f"the source answered {what}: an amount of {amount}; nothing was stored")
        return CorporateAction(symbol, "dividend", day, fetched_at, amount=amount)

    return _actions(answer, f"dividends of {symbol}", dividend)


def read_market_status(answer: Any, *, fetched_at: datetime) -> MarketStatus:
    """Return the status in a /stock/market-status answer."""
    fields = read_object(answer, "the market status")
    is_open, instant = fields.get("isOpen"), fields.get("t")
    if not isinstance(is_open, bool):
        raise BadAnswer(f"the source answered a market status with isOpen={is_open!r}")
    return MarketStatus(
        is_open=is_open,
        session=_text(fields.get("session")),
        holiday=_text(fields.get("holiday")),
        at=read_epoch(instant, "the market status") if instant else fetched_at,
    )


def read_market_holidays(answer: Any) -> list[MarketHoliday]:
    """Return the holidays of a /stock/market-holiday answer, oldest first."""
    rows = read_object(answer, "the market holidays").get("data")
    if not isinstance(rows, list):
        raise BadAnswer("the source answered market holidays without data")
    found = [
        MarketHoliday(
            name=_text(row.get("eventName")) or "Holiday",
            holiday_date=_date(row.get("atDate"), "the market holidays"),
            trading_hours=_text(row.get("tradingHour")),
        )
        for row in (read_object(row, "a market holiday") for row in rows)
    ]
    return sorted(found, key=lambda day: day.holiday_date)


def read_matches(answer: Any) -> list[SymbolMatch]:
    """Return the symbols of a /search answer, in its order."""
    rows = read_object(answer, "a search").get("result")
    if not isinstance(rows, list):
        raise BadAnswer("the source answered a search without a list of results")
    found = [{name: _text(value) or "" for name, value in read_object(row, "a search").items()} for row in rows]
    return [
        SymbolMatch(row["symbol"], row.get("description", ""), row.get("type", ""))
        for row in found
        if row.get("symbol")
    ]


def _candle(symbol: str, resolution: str, row: Iterable[Any], data_source: str, fetched_at: datetime) -> Candle:
    when, *numbers = row
    what = f"a candle of {symbol}"
    start = read_epoch(when, what)
    what = f"the candle of {symbol} at {start:%Y-%m-%d %H:%M} UTC"
    prices = [read_number(value, name, what) for name, value in zip("ohlc", numbers, strict=False)]
    if not all(price is not None and price > 0 for price in prices):
        raise BadAnswer(f"the source answered {what} with a price that is zero, null or negative; nothing was stored")
    volume = read_number(numbers[4], "v", what)
    if volume is not None and volume < 0:
        raise BadAnswer(f"the source answered {what} with a negative volume; nothing was stored")
    opened, high, low, close = (price or 0.0 for price in prices)
    return Candle(symbol, resolution, start, opened, high, low, close, volume, data_source, fetched_at)


def _actions(
    answer: Any, what: str, read: Callable[[dict[str, Any], date, str], CorporateAction]
) -> list[CorporateAction]:
    if not isinstance(answer, list):
        raise BadAnswer(f"the source answered no list of {what}; nothing was stored")
    rows = [read_object(row, what) for row in answer]
    found = [read(row, _date(row.get("date"), what), what) for row in rows]
    return sorted(found, key=lambda action: action.action_date)


def read_object(answer: Any, what: str) -> dict[str, Any]:
    """Return an answer about ``what`` that must be an object; else ``BadAnswer``."""
    if not isinstance(answer, dict):
        raise BadAnswer(f"the source answered {what} as {type(answer).__name__}, not as an object; nothing was stored")
    return answer


def _date(value: Any, what: str) -> date:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise BadAnswer(f"the source answered {what} with the date {value!r}; nothing was stored") from None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
