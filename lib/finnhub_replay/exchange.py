"""Finnhub's answers at an instant: a tape and a time in, the answer as plain data out.

No answer looks ahead: a daily candle exists after its session's close, an intraday one after its end, a split on its
date, a company from its IPO on. Daily candles are split-adjusted as of the instant's New York date; intraday ones are
not, as at Finnhub.
"""

import math
from collections.abc import Callable
from datetime import date, datetime, time
from functools import lru_cache
from typing import Any

from finnhub_replay.candle_answers import MINUTES, PERIODS, daily_candles, intraday_candles
from finnhub_replay.path import SessionPath, session_path
from finnhub_replay.prints import Prints, session_prints
from finnhub_replay.tape import Bar, Tape
from stocklib.sessions import LAST_DATE, NEW_YORK, Session, calendar_days, holiday, new_york_date, session

RESOLUTIONS = (*MINUTES, *PERIODS)
_NOBODY = {"c": 0, "d": None, "dp": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0}
_PROFILE = ("country", "currency", "exchange", "finnhubIndustry", "logo", "name", "phone", "ticker", "weburl")


class Exchange:
    """The market of one tape."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        # half a megabyte each; a replayed session needs one a symbol, and a new one takes a millisecond
        kept = min(len(tape.symbols) + 8, 256)
        self._path: Callable[[Bar], SessionPath] = lru_cache(maxsize=kept)(_path_of)
        self._prints: Callable[[Bar], Prints] = lru_cache(maxsize=kept)(self._prints_of)

    def quote(self, symbol: str, now: datetime) -> dict[str, Any]:
        """Return the quote at this instant; zeros and nulls for a symbol that has no price yet."""
        bar = self._last_bar(symbol, now)
        found = session(bar.day) if bar else None
        if bar is None or found is None:
            return _NOBODY
        path = self._path(bar)
        second = min(int((now - found.open).total_seconds()), len(path.price) - 1)
        price, previous = path.price.item(second), self._previous_close(bar)
        return {
            "c": price,
            "d": round(price - previous, 4),
            "dp": round((price / previous - 1) * 100, 4),
            "h": path.high.item(second),
            "l": path.low.item(second),
            "o": bar.open,
            "pc": previous,
            "t": int(found.open.timestamp()) + second,
        }

    def candles(self, symbol: str, resolution: str, *, first: int, last: int, now: datetime) -> dict[str, Any]:
        """Return the finished candles that begin from ``first`` to ``last`` (epoch seconds)."""
        if resolution in MINUTES:
            # uncached: a month of sessions would evict the current one
            rows = intraday_candles(self.tape, symbol, resolution, first=first, last=last, now=now, path=_path_of)
        else:
            rows = daily_candles(self.tape, symbol, resolution, first=first, last=last, now=now)
        columns = [list(column) for column in zip(*rows, strict=True)]
        return {**dict(zip("tohlcv", columns, strict=True)), "s": "ok"} if columns else {"s": "no_data"}

    def trades(self, symbol: str, after: datetime, upto: datetime) -> list[dict[str, Any]]:
        """Return the trades later than ``after``, up to and with ``upto``, in the websocket's form."""
        found = []
        for bar in self.tape.between(symbol, new_york_date(after), new_york_date(upto)):
            if (hours := session(bar.day)) is None or hours.close <= after or hours.open > upto:
                continue
            opened, prints = hours.open, self._prints(bar)
            first, last = (math.floor((instant - opened).total_seconds()) for instant in (after, upto))
            part, begin = prints.between(first, last), int(opened.timestamp())
            rows = zip(prints.second[part], prints.price[part], prints.volume[part], strict=True)
            found += [
                {"s": symbol, "p": float(price), "t": (begin + int(second)) * 1000, "v": int(volume), "c": ["1"]}
                for second, price, volume in rows
            ]
        return found

    def profile(self, symbol: str, now: datetime) -> dict[str, Any]:
        """Return the company of a symbol, with only Finnhub's fields; an empty answer before its IPO."""
        company = self.tape.companies.get(symbol)
        if company is None or (company.get("ipo") or date.min) > new_york_date(now):
            return {}
        # the file counts shares after every split of the tape: in 2004 Apple had half of them, at twice the price
        bar = self._last_bar(symbol, now)
        later = self.tape.factor(symbol, bar.day if bar else new_york_date(now), date.max)
        shares = round((company.get("shareOutstanding") or 0.0) / later, 4)
        return {
            **{name: company.get(name, "") for name in _PROFILE},
            "ipo": company["ipo"].isoformat() if company.get("ipo") else "",
            "shareOutstanding": shares,
            "marketCapitalization": round(shares * self.quote(symbol, now)["c"], 4),
        }

    def splits(self, symbol: str, *, first: date, last: date, now: datetime) -> list[dict[str, Any]]:
        """Return the splits from ``first`` to ``last`` up to now."""
        upto = min(last, new_york_date(now))
        return [
            {"symbol": symbol, "date": split.day.isoformat(), "fromFactor": split.old, "toFactor": split.new}
            for split in self.tape.splits.get(symbol, [])
            if first <= split.day <= upto
        ]

    def dividends(self, symbol: str, *, first: date, last: date, now: datetime) -> list[dict[str, Any]]:
        """Return the dividends with ex dates from ``first`` to ``last`` up to now; with ``adjustedAmount``."""
        today = new_york_date(now)
        return [
            {
                "symbol": symbol,
                "date": paid.day.isoformat(),
                "amount": paid.amount,
                "adjustedAmount": paid.amount / self.tape.factor(symbol, paid.day, today),
                "currency": "USD",
            }
            for paid in self.tape.dividends.get(symbol, [])
            if first <= paid.day <= min(last, today)
        ]

    def listed(self, now: datetime, text: str = "") -> list[dict[str, str]]:
        """Return the symbols that trade now and whose name or symbol holds a text."""
        found = []
        for symbol in self.tape.symbols:
            name = self.tape.companies.get(symbol, {}).get("name", symbol)
            if self._last_bar(symbol, now) and text.lower() in f"{symbol} {name}".lower():
                known = {"description": name.upper(), "displaySymbol": symbol, "symbol": symbol, "type": "Common Stock"}
                found.append(known)
        return found

    @staticmethod
    def status(now: datetime) -> dict[str, Any]:
        """Return whether the US exchanges are open."""
        day = new_york_date(now)
        today = session(day)
        return {
            "exchange": "US",
            "holiday": holiday(day),
            "isOpen": today is not None and today.contains(now),
            "session": _trading_period(today, now),
            "timezone": NEW_YORK.key,
            "t": int(now.timestamp()),
        }

    @staticmethod
    def holidays(now: datetime) -> dict[str, Any]:
        """Return the holidays and half days of this year and the next; an unplanned closing only afterwards."""
        day = new_york_date(now)
        rows = []
        for found in calendar_days(date(day.year, 1, 1), min(date(day.year + 1, 12, 31), LAST_DATE)):
            when = found["calendar_date"]
            if found["is_early_close"]:
                rows.append({"eventName": "Early close", "atDate": when.isoformat(), "tradingHour": "09:30-13:00"})
            elif found["holiday"] and (found["holiday"] != "Exchange closed" or when <= day):
                rows.append({"eventName": found["holiday"], "atDate": when.isoformat(), "tradingHour": ""})
        return {"data": rows[::-1], "exchange": "US", "timezone": NEW_YORK.key}

    def _prints_of(self, bar: Bar) -> Prints:
        return session_prints(bar, self._path(bar))

    def _last_bar(self, symbol: str, now: datetime) -> Bar | None:
        """Return the current session's bar, else the last one before it."""
        day = new_york_date(now)
        today = session(day)
        return self.tape.before(symbol, day, included=today is not None and today.open <= now)

    def _previous_close(self, bar: Bar) -> float:
        """Return the previous close on the basis of the bar's own day; for a symbol's first day its open."""
        before = self.tape.before(bar.symbol, bar.day)
        if before is None:
            return bar.open
        factor = self.tape.factor(bar.symbol, before.day, bar.day)
        return before.close if factor == 1 else round(before.close / factor, 4)


def _path_of(bar: Bar) -> SessionPath:
    found = session(bar.day)
    if found is None:
        raise ValueError(f"{bar.day} is not a session")
    return session_path(bar, int((found.close - found.open).total_seconds()))


def _trading_period(today: Session | None, now: datetime) -> str | None:
    if today is None:
        return None
    if today.contains(now):
        return "regular"
    local = now.astimezone(NEW_YORK).time()
    if time(4) <= local < time(9, 30):
        return "pre-market"
    return "post-market" if now >= today.close and local < time(20) else None
