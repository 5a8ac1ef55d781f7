"""One websocket to Finnhub, or to a replay that speaks like it: texts out and in, and our errors.

The key travels in the address, since Finnhub takes it nowhere else; so no address appears in any log or error, and none
of the library's own errors is chained. A connection from which nothing came for too long counts as lost: when it is
quiet a ping asks whether anybody is there.
"""

import time
from typing import Any
from urllib.parse import quote as url_quote
from urllib.parse import urlsplit

from stocklib.errors import BadAnswer, KeyRefused, PlanRefused, RateLimited, SettingsError, SourceUnavailable
from stocklib.settings import Secret, Settings

_CONNECT_SECONDS = 10.0
# After so much quiet a ping; after so much without any answer, also from who never answered one, it is lost.
_PING_SECONDS, _LOST_SECONDS, _DEAF_SECONDS = 10.0, 30.0, 120.0
_BARRIER_SECONDS = 5.0


class Wire:
    """An open connection. ``is_replay`` says whether what it brings was recorded."""

    def __init__(self, settings: Settings) -> None:
        import websocket

        self._key: Secret = settings.require("FINNHUB_API_KEY")
        self._address = urlsplit(str(settings.finnhub_ws_url))
        self._library: Any = websocket
        self._socket = self._library.WebSocket()
        self._open(str(settings.finnhub_ws_url))
        self.is_replay = self._socket.handshake_response.headers.get("x-stocks-source") == "replay"
        self._heard = self._pinged = time.monotonic()
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

    def receive(self, seconds: float) -> str | None:
        """The next text; None when nothing came for so many seconds, or what came was none."""
        kind, data = self._frame(seconds)
        return data.decode("utf-8", "replace") if kind in ("text", "binary") else None

    def settle(self, texts: list[str]) -> None:
        """Wait until the other side has dealt with everything that was sent; what comes meanwhile goes to ``texts``."""
        deadline = time.monotonic() + _BARRIER_SECONDS
        self._ping()
        while not self._answers_pings and (left := deadline - time.monotonic()) > 0:
            kind, data = self._frame(left)
            if kind in ("text", "binary"):
                texts.append(data.decode("utf-8", "replace"))

    def close(self) -> None:
        """Hang up, without waiting for an answer."""
        self._socket.shutdown()

    def _open(self, url: str) -> None:
        key = self._key.reveal()
        if not all("!" <= letter <= "~" for letter in key):
            raise SettingsError(
                "FINNHUB_API_KEY holds a space, a line break or a letter that no key has: copy it again"
            )
        try:
            # not followed: a redirect would lead the key elsewhere
            self._socket.connect(
                f"{url}{'&' if self._address.query else '?'}token={url_quote(key, safe='')}",
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

    def _frame(self, seconds: float) -> tuple[str, bytes]:
        names = {1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
        self._socket.settimeout(max(seconds, 0.001))
        try:
            code, frame = self._socket.recv_data_frame(control_frame=True)
        except self._library.WebSocketTimeoutException:
            self._check_silence()
            return "", b""
        except (self._library.WebSocketException, OSError) as error:
            raise self._lost(error) from None
        self._heard = time.monotonic()
        if code == self._library.ABNF.OPCODE_CLOSE:
            raise SourceUnavailable(f"{self.where} hung up")
        self._answers_pings |= code == self._library.ABNF.OPCODE_PONG
        return names.get(code, ""), frame.data

    def _check_silence(self) -> None:
        now = time.monotonic()
        if now - self._heard > (_LOST_SECONDS if self._answers_pings else _DEAF_SECONDS):
            raise SourceUnavailable(f"{self.where} has been silent for {now - self._heard:.0f} s")
        if now - max(self._heard, self._pinged) > _PING_SECONDS:
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
            return RateLimited(f"{self.where} says that it is asked too often (429), or for two connections at once")
        if status >= 500:
            return SourceUnavailable(f"{self.where} failed ({status})")
        return BadAnswer(f"{self.where} answered {status}, which is no websocket: check FINNHUB_WS_URL")
