"""What every answer of the replay has: its source, the virtual time as its ``Date``, and refusals as JSON."""

from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any

import orjson
from tornado.web import RequestHandler

from finnhub_replay.api import ApiRules
from finnhub_replay.clock import VirtualClock
from finnhub_replay.faults import Sending
from stocklib.web_guard import refuse_page


class ReplayHandler(RequestHandler):
    """Refuses requests of web pages; a subclass sets ``clock`` and ``rules`` in ``initialize``."""

    clock: VirtualClock
    rules: ApiRules

    def prepare(self) -> None:
        self.set_date(self.clock.now())
        if refusal := refuse_page(self.request.headers, names=self.rules.names):
            self.refuse(403, refusal)

    def set_date(self, now: datetime) -> None:
        """Set the time of the answer."""
        self.set_header("Date", format_datetime(now.astimezone(UTC).replace(microsecond=0), usegmt=True))

    def reply(self, answer: Any, now: datetime, *, status: int = 200) -> None:
        """Send an answer as JSON."""
        self.leave(Sending(orjson.dumps(answer), now, status))

    def leave(self, sending: Sending) -> None:
        """Send an answer that may be spoiled."""
        self.set_status(sending.status)
        self.set_header("Content-Type", sending.content)
        self.set_date(sending.at)
        self.finish(sending.body)

    def refuse(self, status: int, text: str) -> None:
        """Send an error as Finnhub does."""
        self.reply({"error": text}, self.clock.now(), status=status)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.refuse(status_code, HTTPStatus(status_code).phrase)

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        self.set_header("X-Stocks-Source", "replay")

    def compute_etag(self) -> None:
        """No ETag: equal answers at two instants are different answers."""
