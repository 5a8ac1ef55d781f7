"""A stepping replay of a test's own: the market's status and quotes at a clock that the test sets, and its failures.

With ``is_live`` it speaks as Finnhub itself does: no word of a replay, and no clock to be moved.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import orjson
from misbehaving import Asked, Reply

from stocklib.sessions import is_open, last_finished_session, new_york_date, session


@dataclass
class Exchange:
    """Answers as Finnhub does. ``says`` overrules the calendar; ``refuses`` may answer a request before all else."""

    now: datetime
    says: Callable[[datetime], object] = is_open
    refuses: Callable[[Asked], Reply | None] = lambda asked: None
    unknown: set[str] = field(default_factory=set)
    asked: int = 0
    is_live: bool = False

    def __call__(self, request: Asked) -> Reply:
        reply = self.refuses(request) or Reply(self.answer(request))
        if not self.is_live:
            reply.headers = {"X-Stocks-Source": "replay", **reply.headers}
        reply.date = format_datetime(self.now, usegmt=True)
        return reply

    def answer(self, request: Asked) -> Any:
        if request.path == "/replay/clock":
            if request.method == "POST":
                self.now += timedelta(seconds=orjson.loads(request.body)["advance"])
            return {"now": self.now.timestamp(), "mode": "step"}
        if request.path.endswith("/market-status"):
            self.asked += 1
            return {"isOpen": self.says(self.now), "session": None, "holiday": None, "t": self.now.timestamp()}
        assert request.path.endswith("/quote")
        if not self.is_live:
            self.now += timedelta(seconds=1)
        if request.query["symbol"] in self.unknown:
            return {**dict.fromkeys(("c", "h", "l", "o", "pc", "t"), 0), "d": None, "dp": None}
        return {
            "c": 10.5,
            "d": 0.5,
            "dp": 5.0,
            "h": 11,
            "l": 9.5,
            "o": 10,
            "pc": 10,
            "t": self.last_trade().timestamp(),
        }

    def last_trade(self) -> datetime:
        today = session(new_york_date(self.now))
        if today and today.open <= self.now:
            return min(self.now, today.close)
        return last_finished_session(self.now).close
