"""A Finnhub of a test's own: history of a few symbols, with a clock, splits and refusals that the test sets."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from email.utils import format_datetime
from typing import Any

from misbehaving import Asked, Reply

from stocklib.sessions import new_york_date, sessions

FIRST, LAST = date(2012, 12, 3), date(2012, 12, 13)
DAYS = [s.session_date for s in sessions(FIRST, LAST)]


@dataclass
class Market:
    """A Finnhub of the test's own: bars as traded, splits, and a clock. It answers split-adjusted, as of its clock."""

    now: datetime = datetime(2012, 12, 14, 14, 0, tzinfo=UTC)
    listed: dict[str, date] = field(default_factory=lambda: {"AAPL": date(1980, 12, 12), "MSFT": date(1986, 3, 13)})
    splits: dict[str, list[tuple[date, float, float]]] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)  # path, or path and symbol → status
    missing: dict[str, set[date]] = field(default_factory=dict)  # symbol → sessions without a bar
    funds: set[str] = field(default_factory=set)  # which have no profile
    source: str = ""
    before: Callable[[Asked], None] = lambda asked: None

    def traded(self, symbol: str, day: date) -> float:
        return 100.0 + (day - date(2000, 1, 1)).days / 7 + len(symbol)

    def __call__(self, asked: Asked) -> Reply:
        path = asked.path.removeprefix("/api/v1")
        symbol = asked.query.get("symbol", "")
        self.before(asked)
        date_header = format_datetime(self.now, usegmt=True)
        headers = {"X-Stocks-Source": self.source} if self.source else {}
        status = self.refused.get(path) or self.refused.get(f"{path} {symbol}") or self.refused.get(symbol)
        if status:
            return Reply({"error": "no"}, status=status, date=date_header, headers=headers)
        return Reply(self.answer(path, asked.query), date=date_header, headers=headers)

    def answer(self, path: str, query: dict[str, str]) -> Any:
        symbol = query.get("symbol", "")
        if path == "/replay/clock":
            return {"now": self.now.timestamp(), "mode": "step", "speed": 1}
        if path == "/stock/market-status":
            return {"isOpen": False, "session": None, "holiday": None, "t": int(self.now.timestamp())}
        if path == "/stock/profile2":
            return {"ticker": symbol, "name": symbol} if symbol in self.listed.keys() - self.funds else {}
        if path == "/stock/candle":
            return self.candles(symbol, int(query["from"]), int(query["to"]))
        first, last = date.fromisoformat(query["from"]), date.fromisoformat(query["to"])
        today = new_york_date(self.now)
        if path == "/stock/split":
            return [
                {"symbol": symbol, "date": f"{day}", "fromFactor": old, "toFactor": new}
                for day, old, new in self.splits.get(symbol, [])
                if first <= day <= min(last, today)
            ]
        assert path == "/stock/dividend"
        return [{"symbol": symbol, "date": f"{day}", "amount": 0.5} for day in DAYS[:1] if first <= day <= last]

    def candles(self, symbol: str, first: int, last: int) -> Any:
        start, end = (datetime.fromtimestamp(at, UTC).date() for at in (first, last))
        finished = [s.session_date for s in sessions(start, end) if s.close <= self.now]
        days = [day for day in finished if symbol in self.listed and day >= self.listed[symbol]]
        days = [day for day in days if day not in self.missing.get(symbol, ())]
        if not days:
            return {"s": "no_data"}
        prices = [self.traded(symbol, day) / self.factor(symbol, day) for day in days]
        times = [int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) for day in days]
        volumes = [1_000_000 * self.factor(symbol, day) for day in days]
        return {"s": "ok", "t": times, "o": prices, "h": prices, "l": prices, "c": prices, "v": volumes}

    def factor(self, symbol: str, day: date) -> float:
        product = 1.0
        for at, old, new in self.splits.get(symbol, []):
            product *= new / old if day < at <= new_york_date(self.now) else 1
        return product
