"""What Finnhub would have answered at an instant: a tape and a time in, the answer as plain data out.

Nothing here knows the future: a daily candle is there after its session's close, an intraday one after its end, a
split on its date, a company from its IPO on. Daily candles are split-adjusted as of the instant's New York date,
intraday ones are not, as Finnhub does it.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import groupby, pairwise
from typing import Any

import numpy as np

from stocklib.embedded.replay.bars import Bar, Tape
from stocklib.embedded.replay.path import SessionPath, minute_volumes, session_path
from stocklib.sessions import NEW_YORK, Session, calendar_days, new_york_date, session

MINUTES = {"1": 1, "5": 5, "15": 15, "30": 30, "60": 60}
RESOLUTIONS = (*MINUTES, "D", "W", "M")
_INTRADAY_SPAN = timedelta(days=31)
_NOBODY = {"c": 0, "d": None, "dp": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0}
_PROFILE = ("country", "currency", "exchange", "finnhubIndustry", "ipo", "name", "ticker", "weburl")


class Exchange:
    """The market of one tape."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        # one path is 2 MB; a replayed session needs one a symbol
        self._path: Callable[[Bar], SessionPath] = lru_cache(maxsize=512)(_path_of)

    def quote(self, symbol: str, now: datetime) -> dict[str, Any]:
        """The quote at this instant; zeros and nulls for a symbol that has no price yet."""
        today = session(new_york_date(now))
        bar = self.tape.bar(symbol, today.session_date) if today and today.open <= now else None
        if bar is None or today is None:
            bar = self.tape.before(symbol, new_york_date(now))
            today = session(bar.day) if bar else None
        if bar is None or today is None:
            return _NOBODY
        path = self._path(bar)
        second = min(int((now - today.open).total_seconds()), len(path.price) - 1)
        price, previous = path.price[second], self._previous_close(bar)
        return {
            "c": price,
            "d": round(price - previous, 4),
            "dp": round((price / previous - 1) * 100, 4),
            "h": path.high[second],
            "l": path.low[second],
            "o": bar.open,
            "pc": previous,
            "t": int(today.open.timestamp()) + second,
        }

    def candles(self, symbol: str, resolution: str, *, first: int, last: int, now: datetime) -> dict[str, Any]:
        """The candles that begin from ``first`` to ``last`` (epoch seconds) and are over by now."""
        if resolution in MINUTES:
            rows = self._intraday(symbol, MINUTES[resolution], first, last, now)
        else:
            rows = self._daily(symbol, resolution, first, last, now)
        columns = list(zip(*rows, strict=True))
        if not columns:
            return {"s": "no_data"}
        return {**dict(zip("tohlcv", (list(column) for column in columns), strict=True)), "s": "ok"}

    def profile(self, symbol: str, now: datetime) -> dict[str, Any]:
        """The company behind a symbol, with Finnhub's fields only; nothing before its IPO."""
        company = self.tape.companies.get(symbol)
        if company is None or company.get("ipo", "") > new_york_date(now).isoformat():
            return {}
        shares = float(company.get("shareOutstanding") or 0)
        found: dict[str, Any] = {name: company.get(name, "") for name in _PROFILE}
        found |= {"logo": "", "phone": "", "shareOutstanding": shares}
        found["marketCapitalization"] = round(shares * (self.quote(symbol, now)["c"] or 0), 4)
        return found

    def splits(self, symbol: str, *, first: date, last: date, now: datetime) -> list[dict[str, Any]]:
        """The splits from ``first`` to ``last`` that have happened by now."""
        upto = min(last, new_york_date(now))
        return [
            {"symbol": symbol, "date": split.day.isoformat(), "fromFactor": split.old, "toFactor": split.new}
            for split in self.tape.splits.get(symbol, [])
            if first <= split.day <= upto
        ]

    def dividends(self, symbol: str, *, first: date, last: date, now: datetime) -> list[dict[str, Any]]:
        """The dividends that went ex from ``first`` to ``last`` and by now."""
        upto = min(last, new_york_date(now))
        rows = self.tape.dividends.get(symbol, [])
        return [row for row in rows if first.isoformat() <= row["date"] <= upto.isoformat()]

    def listed(self, now: datetime, text: str = "") -> list[dict[str, str]]:
        """The symbols that trade by now and whose name or symbol holds a text."""
        found = []
        for symbol in self.tape.symbols:
            name = self.tape.companies.get(symbol, {}).get("name", symbol)
            if self.quote(symbol, now)["c"] and text.lower() in f"{symbol} {name}".lower():
                known = {"description": name.upper(), "displaySymbol": symbol, "symbol": symbol, "type": "Common Stock"}
                found.append(known)
        return found

    @staticmethod
    def status(now: datetime) -> dict[str, Any]:
        """Whether the US exchanges are open."""
        day = new_york_date(now)
        today = session(day)
        closed = _holiday(day) if today is None and day.weekday() < 5 else None
        return {
            "exchange": "US",
            "holiday": closed,
            "isOpen": today is not None and today.contains(now),
            "session": _trading_period(today, now),
            "timezone": "America/New_York",
            "t": int(now.timestamp()),
        }

    @staticmethod
    def holidays(now: datetime) -> dict[str, Any]:
        """The holidays and half days of this year and the next; a closing that nobody planned is there afterwards."""
        day = new_york_date(now)
        rows = []
        for found in calendar_days(date(day.year, 1, 1), date(day.year + 1, 12, 31)):
            when = found["calendar_date"]
            if found["is_early_close"]:
                rows.append({"eventName": "Early close", "atDate": when.isoformat(), "tradingHour": "09:30-13:00"})
            elif found["holiday"] and (found["holiday"] != "Exchange closed" or when <= day):
                rows.append({"eventName": found["holiday"], "atDate": when.isoformat(), "tradingHour": ""})
        return {"data": rows[::-1], "exchange": "US", "timezone": "America/New_York"}

    def _previous_close(self, bar: Bar) -> float:
        """On the basis of the bar's own day; a symbol's first day is measured from its open."""
        before = self.tape.before(bar.symbol, bar.day)
        if before is None:
            return bar.open
        factor = self.tape.factor(bar.symbol, before.day, bar.day)
        return before.close if factor == 1 else round(before.close / factor, 4)

    def _daily(
        self, symbol: str, resolution: str, first: int, last: int, now: datetime
    ) -> Iterable[tuple[int, float, float, float, float, float]]:
        today = new_york_date(now)
        begin, end = _utc_date(first), min(_utc_date(last), today)
        starts = {"D": lambda day: day, "W": lambda day: day - timedelta(day.weekday()), "M": _first_of_month}
        start: Callable[[date], date] = starts[resolution]
        bars = [bar for bar in self.tape.between(symbol, start(begin), end) if _is_over(bar.day, now)]
        for beginning, group in groupby(bars, key=lambda bar: start(bar.day)):
            stamp = int(datetime.combine(beginning, time.min, UTC).timestamp())
            if first <= stamp <= last:
                yield stamp, *_adjusted([(bar, self.tape.factor(symbol, bar.day, today)) for bar in group])

    def _intraday(
        self, symbol: str, minutes: int, first: int, last: int, now: datetime
    ) -> Iterable[tuple[int, float, float, float, float, float]]:
        last = min(last, int(now.timestamp()))
        first = max(first, last - int(_INTRADAY_SPAN.total_seconds()))
        for bar in self.tape.between(symbol, _utc_date(first) - timedelta(1), _utc_date(last)):
            for candle in self._candles_of(bar, minutes):
                if first <= candle[0] <= last and candle[0] + minutes * 60 <= now.timestamp():
                    yield candle

    def _candles_of(self, bar: Bar, minutes: int) -> Iterable[tuple[int, float, float, float, float, float]]:
        """A session's candles, aligned to the UTC clock; the price at the closing bell belongs to the last one."""
        today = session(bar.day)
        if today is None:
            return
        prices = np.array(self._path(bar).price)
        opened, span = int(today.open.timestamp()), minutes * 60
        buckets = (opened + np.arange(len(prices))) // span
        buckets[-1] = buckets[-2]
        volumes = np.repeat(minute_volumes(bar.volume, (len(prices) - 1) // 60) / 60, 60)
        edges = [*np.flatnonzero(np.diff(buckets, prepend=-1)).tolist(), len(prices)]
        for begin, end in pairwise(edges):
            part = prices[begin:end]
            traded = float(np.round(volumes[begin:end].sum()))
            yield (
                int(buckets[begin]) * span,
                part[0].item(),
                part.max().item(),
                part.min().item(),
                part[-1].item(),
                traded,
            )


def _path_of(bar: Bar) -> SessionPath:
    today = session(bar.day)
    seconds = int((today.close - today.open).total_seconds()) if today else 23_400
    return session_path(bar, seconds)


def _adjusted(bars: Sequence[tuple[Bar, float]]) -> tuple[float, float, float, float, float]:
    return (
        bars[0][0].open / bars[0][1],
        max(bar.high / factor for bar, factor in bars),
        min(bar.low / factor for bar, factor in bars),
        bars[-1][0].close / bars[-1][1],
        sum(bar.volume * factor for bar, factor in bars),
    )


def _is_over(day: date, now: datetime) -> bool:
    found = session(day)
    return found is not None and found.close <= now


def _utc_date(epoch: int) -> date:
    return datetime.fromtimestamp(min(max(epoch, 0), 4_102_444_800), UTC).date()


def _first_of_month(day: date) -> date:
    return day.replace(day=1)


def _holiday(day: date) -> str | None:
    return next((found["holiday"] for found in calendar_days(day, day)), None)


def _trading_period(today: Session | None, now: datetime) -> str | None:
    if today is None:
        return None
    if today.contains(now):
        return "regular"
    local = now.astimezone(NEW_YORK).time()
    if time(4) <= local < time(9, 30):
        return "pre-market"
    return "post-market" if now >= today.close and local < time(20) else None
