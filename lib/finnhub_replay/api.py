"""Finnhub's API without its sockets: a path, its parameters and a key in, the answer or a ``Refusal`` out."""

import hmac
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from finnhub_replay.exchange import RESOLUTIONS, Exchange

_PREMIUM = ("/stock/candle", "/stock/split", "/stock/dividend")
WRONG_KEY = "Invalid API key."
_PLAN = "You don't have access to this resource."
_LIMIT = "API limit reached. Please try again later. Remaining Limit: 0"


@dataclass(frozen=True)
class ApiRules:
    """The server's rules: a key (empty: any), a free plan's 403s, calls a minute (0: any number), symbols of one
    websocket, and its host names besides loopback."""

    key: str = ""
    free_plan: bool = False
    calls_per_minute: int = 0
    ws_symbols: int = 50
    names: tuple[str, ...] = ()

    def takes(self, key: str) -> bool:
        """Return whether this key is valid."""
        return not self.key or hmac.compare_digest(key.encode(), self.key.encode())


class Refusal(Exception):
    """A status code and the sentence that Finnhub sends with it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class Api:
    """Maps each API path to a function of the exchange."""

    def __init__(self, exchange: Exchange, rules: ApiRules) -> None:
        self.rules = rules
        self.exchange = exchange
        self._calls: deque[float] = deque()
        self._paths: dict[str, Callable[[Query, datetime], Any]] = {
            "/quote": lambda query, now: exchange.quote(query.symbol(), now),
            "/stock/candle": self._candles,
            "/stock/profile2": lambda query, now: exchange.profile(query.symbol(), now),
            "/stock/symbol": self._listed,
            "/search": self._search,
            "/stock/split": lambda query, now: exchange.splits(query.symbol(), **query.dates(), now=now),
            "/stock/dividend": lambda query, now: exchange.dividends(query.symbol(), **query.dates(), now=now),
            "/stock/market-status": lambda query, now: exchange.status(now),
            "/stock/market-holiday": lambda query, now: exchange.holidays(now),
        }

    def answer(self, path: str, parameters: Mapping[str, str], *, key: str, now: datetime) -> Any:
        """Return the answer at this instant, or raise ``Refusal``."""
        if not self.rules.takes(key):
            raise Refusal(401, WRONG_KEY)
        self._count()
        if self.rules.free_plan and path in _PREMIUM:
            raise Refusal(403, _PLAN)
        if path not in self._paths:
            raise Refusal(404, f"there is no {path} in this replay")
        return self._paths[path](Query(parameters), now)

    def recall(self, path: str, parameters: Mapping[str, str], *, now: datetime) -> Any:
        """Return the same answer as it was at another instant, without counting or refusing a call."""
        return self._paths[path](Query(parameters), now)

    def _count(self) -> None:
        if not self.rules.calls_per_minute:
            return
        now = time.monotonic()
        while self._calls and self._calls[0] <= now - 60:
            self._calls.popleft()
        if len(self._calls) >= self.rules.calls_per_minute:
            raise Refusal(429, _LIMIT)
        self._calls.append(now)

    def _candles(self, query: "Query", now: datetime) -> dict[str, Any]:
        resolution = query.text("resolution")
        if resolution not in RESOLUTIONS:
            raise Refusal(422, f"resolution is one of {', '.join(RESOLUTIONS)}")
        first, last = query.number("from"), query.number("to")
        return self.exchange.candles(query.symbol(), resolution, first=first, last=last, now=now)

    def _listed(self, query: "Query", now: datetime) -> list[dict[str, str]]:
        return [{**found, "currency": "USD", "mic": "", "figi": ""} for found in self.exchange.listed(now)]

    def _search(self, query: "Query", now: datetime) -> dict[str, Any]:
        found = self.exchange.listed(now, query.text("q"))
        return {"count": len(found), "result": found}


class Query:
    """The parameters of a call; a missing or invalid one is a 422."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._parameters = parameters

    def text(self, name: str) -> str:
        """Return a parameter as text, never empty."""
        value = self._parameters.get(name, "").strip()
        if not value:
            raise Refusal(422, f"Missing parameter: {name}")
        return value

    def symbol(self) -> str:
        """Return ``symbol`` in upper case."""
        return self.text("symbol").upper()

    def number(self, name: str) -> int:
        """Return a whole number, such as an epoch second."""
        try:
            return int(float(self.text(name)))
        except (ValueError, OverflowError):
            raise Refusal(422, f"Wrong parameter: {name}") from None

    def dates(self) -> dict[str, date]:
        """Return ``from`` and ``to``, as ``first`` and ``last``."""
        try:
            return {"first": date.fromisoformat(self.text("from")), "last": date.fromisoformat(self.text("to"))}
        except ValueError:
            raise Refusal(422, "Wrong parameter: from and to are dates like 2012-12-14") from None
