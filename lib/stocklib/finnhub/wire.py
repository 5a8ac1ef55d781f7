"""One websocket to Finnhub, or to a replay with the same API: texts out and in, and our errors.

The key is in the address, since Finnhub accepts it nowhere else; so no address appears in a log or an error, and no
error of the library is chained. A quiet connection gets a ping; one that stays silent too long counts as lost.
"""

import time
from typing import Any
from urllib.parse import quote as url_quote
from urllib.parse import urlsplit

from stocklib.errors import BadAnswer, KeyRefused, PlanRefused, RateLimited, SourceUnavailable
from stocklib.finnhub.rest import read_key
from stocklib.settings import Secret, Settings

_CONNECT_SECONDS = 10.0
# Silence before a ping; before the connection is lost; the same where the other side never answered a ping.
_PING_SECONDS, _LOST_SECONDS, _DEAF_SECONDS = 10.0, 30.0, 120.0
_BARRIER_SECONDS = 5.0


class Wire:
    """An open connection. ``is_replay`` says whether its messages are recorded ones."""

    def __init__(self, settings: Settings) -> None:
        import websocket

        self._address = urlsplit(str(settings.finnhub_ws_url))
        self._library: Any = websocket
        self._socket = self._library.WebSocket()
        self._open(str(settings.finnhub_ws_url), read_key(settings))
        self.is_replay = self._socket.handshake_response.headers.get("x-stocks-source") == "replay"
        self._received_at = self._pinged = time.monotonic()
        self._answers_pings = False

    @property
    def where(self) -> str:
        """The address without the key."""
        port = f":{self._address.port}" if self._address.port else ""
        return f"Finnhub's websocket at {self._address.hostname}{port}"

    def send(self, text: str) -> None:
        """Send a text; ``SourceUnavailable`` when the connection is lost."""
        try:
            self._socket.send(text)
        except (self._library.WebSocketException, OSError) as error:
            raise self._lost(error) from None

    def settle(self, texts: list[str]) -> None:
        """Wait until the other side has processed every text sent; append what comes before that to ``texts``."""
        deadline = time.monotonic() + _BARRIER_SECONDS
        self._ping()
        while not self._answers_pings and (left := deadline - time.monotonic()) > 0:
            if (text := self.receive(left)) is not None:
                texts.append(text)

    def close(self) -> None:
        """Close the connection without waiting for an answer."""
        self._socket.shutdown()

    def _open(self, url: str, key: Secret) -> None:
        try:
            # not followed: a redirect would send the key to another server
            self._socket.connect(
                f"{url}{'&' if self._address.query else '?'}token={url_quote(key.reveal(), safe='')}",
                timeout=_CONNECT_SECONDS,
                redirect_limit=0,
                suppress_origin=True,
                header=["User-Agent: stocks-workbench"],
            )
        except self._library.WebSocketBadStatusException as error:
            self._socket.shutdown()
            raise self._refusal(error.status_code) from None
        except (self._library.WebSocketException, OSError, ValueError) as error:
            self._socket.shutdown()
            answer = self._socket.handshake_response
            raise (self._refusal(answer.status) if answer else self._lost(error)) from None

    def receive(self, seconds: float) -> str | None:
        """Return the next text; None when nothing, or no text frame, came for so many seconds."""
        frames = self._library.ABNF
        self._socket.settimeout(max(seconds, 0.001))
        try:
            code, frame = self._socket.recv_data_frame(control_frame=True)
        except self._library.WebSocketTimeoutException:
            self._check_silence()
            return None
        except (self._library.WebSocketException, OSError) as error:
            raise self._lost(error) from None
        self._received_at = time.monotonic()
        if code == frames.OPCODE_CLOSE:
            raise SourceUnavailable(f"{self.where} closed the connection")
        self._answers_pings |= code == frames.OPCODE_PONG
        return frame.data.decode("utf-8", "replace") if code in (frames.OPCODE_TEXT, frames.OPCODE_BINARY) else None

    def _check_silence(self) -> None:
        now = time.monotonic()
        if now - self._received_at > (_LOST_SECONDS if self._answers_pings else _DEAF_SECONDS):
            raise SourceUnavailable(f"{self.where} has been silent for {now - self._received_at:.0f} s")
        if now - max(self._received_at, self._pinged) > _PING_SECONDS:
            self._ping()

    def _ping(self) -> None:
        self._pinged = time.monotonic()
        try:
            self._socket.ping()
        except (self._library.WebSocketException, OSError) as error:
            raise self._lost(error) from None

    def _lost(self, error: Exception) -> SourceUnavailable:
        reason = type(error).__name__.removeprefix("WebSocket").removesuffix("Exception") or "no websocket"
        return SourceUnavailable(f"{self.where} is lost ({reason}); check the network and FINNHUB_WS_URL")

    def _refusal(self, status: int) -> Exception:
        if status == 401:
            return KeyRefused("Finnhub refused the key (401): check FINNHUB_API_KEY in .env or in the environment")
        if status == 403:
            return PlanRefused(f"{self.where} refused (403): the key's plan lacks trades; produce quotes instead")
        if status == 429:
            return RateLimited(f"{self.where} reports too many calls (429), or two connections at once")
        if status >= 500:
            return SourceUnavailable(f"{self.where} failed ({status})")
        return BadAnswer(f"{self.where} answered {status}, which is no websocket: check FINNHUB_WS_URL")
