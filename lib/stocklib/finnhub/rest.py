"""One connection to Finnhub, or to a replay server with the same API: paths in, parsed JSON and its time out.

Calls wait to stay within the plan's rate limit. 429, 5xx and a lost connection are tried again with growing pauses; any
other failure is one of ``errors`` and says what to do next. The key is in one header and nowhere else.
"""

import logging
import threading
from datetime import datetime
from typing import Any, NoReturn
from urllib.parse import urlsplit

import orjson
import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from stocklib.backoff import jitter
from stocklib.clocks import Pace, SourceClock, Stop, read_http_date
from stocklib.errors import (
    BadAnswer,
    Interrupted,
    KeyRefused,
    PlanRefused,
    RateLimited,
    SettingsError,
    SourceUnavailable,
)
from stocklib.quotes import read_epoch
from stocklib.rate_limit import RateLimit
from stocklib.settings import Secret, Settings

log = logging.getLogger(__name__)

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_TIMEOUT = (5.0, 10.0)
_LONGEST_PAUSE = 90.0
_HEADERS = {"Accept": "application/json", "User-Agent": "stocks-workbench"}
_PREMIUM = {"/stock/candle", "/stock/split", "/stock/dividend"}


class Connection:
    """A connection to one source. ``stop`` interrupts every wait with ``Interrupted``.

    A call is tried ``attempts`` times in all; the first pause is about ``first_pause`` seconds and doubles from there.
    ``clock`` is the source's; ``replay`` says whether the answers are recorded ones, None before the first answer.
    """

    def __init__(
        self, settings: Settings, *, stop: Stop | None = None, attempts: int = 6, first_pause: float = 0.5
    ) -> None:
        self._key = read_key(settings)
        self._address = urlsplit(str(settings.finnhub_base_url))
        self._base = self._address.geturl()
        self._stop = stop or threading.Event()
        self._rate_limit = RateLimit(
            per_minute=settings.finnhub_calls_per_minute, per_second=settings.finnhub_calls_per_second
        )
        self._attempts = attempts
        self._first_pause = first_pause
        self._retry_after = 0.0
        self._retrying = Retrying(
            retry=retry_if_exception_type((SourceUnavailable, RateLimited)),
            wait=self._backoff,
            stop=stop_after_attempt(attempts),
            sleep=self._pause,
            reraise=True,
        )
        self._adapter = HTTPAdapter(pool_connections=2, pool_maxsize=8)
        self._route = _route(self._base)
        self.clock = SourceClock(self._stop, advance=lambda seconds: self.move_replay({"advance": seconds}))
        self._paced = self._has_pace = False
        self.replay: bool | None = None

    def close(self) -> None:
        """Close the sockets."""
        self._adapter.close()

    def get(self, path: str, subject: str) -> tuple[Any, datetime]:
        """Return the answer to ``path`` (with its query) and the source's time. ``subject`` is for the error's text."""
        if self._stop.is_set():
            raise Interrupted(f"stopped before asking Finnhub for {subject}")
        return self._retrying(self._ask, path, subject)

    def read_pace(self) -> None:
        """Read how a replay's time runs; call it after the source's first answer."""
        answer = self._replay_clock("GET", None)
        step = answer.get("mode") == "step"
        # a clock that waits for its first quote runs from any call of another process on: ask again
        self._paced = not answer.get("waiting")
        self._has_pace = True
        self.clock.pace = Pace(1.0 if step else float(answer.get("speed") or 1.0), step)
        self.clock.see(read_epoch(answer["now"], "its clock"))

    def move_replay(self, move: dict[str, float]) -> datetime:
        """Set (``now``) or advance (``advance``, seconds) a replay's clock; return its new time."""
        return self.clock.see(read_epoch(self._replay_clock("POST", orjson.dumps(move))["now"], "its clock"))

    def _ask(self, path: str, subject: str) -> tuple[Any, datetime]:
        self._rate_limit.acquire(self._stop.wait)
        response = self._send("GET", self._base + path)
        if response.status_code != 200:
            self._refuse(response, path.partition("?")[0], subject)
        named = read_http_date(response.headers.get("Date", ""))
        # how fast a replay's time runs must be known first
        if named and (self._paced or self.replay is False) and (off := self.clock.doubts(named)):
            raise SourceUnavailable(
                f"{self._where} says that it is {named:%Y-%m-%d %H:%M:%S} UTC, {off.total_seconds():+,.0f} s from what "
                f"its earlier answers imply: its answer for {subject} is rejected"
            )
        fetched_at = self.clock.see(named) if named else self.clock.now()
        self.replay = response.headers.get("X-Stocks-Source") == "replay"
        return self._decode(response, path.partition("?")[0], subject), fetched_at

    def _send(self, method: str, url: str, body: bytes | None = None) -> requests.Response:
        # Straight to the adapter: a Session merges the environment into every call (2 ms), keeps cookies, and would
        # follow a redirect with the key in its header.
        request = requests.PreparedRequest()
        request.method, request.url, request.body = method, url, body
        request.headers = CaseInsensitiveDict({"X-Finnhub-Token": self._key.reveal(), **_HEADERS})
        if body:
            request.headers.update({"Content-Length": str(len(body)), "Content-Type": "application/json"})
        try:
            response = self._adapter.send(request, timeout=_TIMEOUT, **self._route)
            response.content  # noqa: B018 - reads the body, so that a truncated one fails here
        except (requests.RequestException, OSError) as error:
            raise SourceUnavailable(
                f"{self._where} did not answer {urlsplit(url).path} ({type(error).__name__}); {self._hint}"
            ) from error
        return response

    def _decode(self, response: requests.Response, name: str, subject: str) -> Any:
        try:
            answer = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            shown = self._clean(response.content[:60].decode("utf-8", "replace"))
            raise BadAnswer(
                f"{self._where} answered {name} for {subject} with what is not JSON ({shown!r}); nothing was stored"
            ) from None
        if isinstance(answer, dict) and set(answer) == {"error"}:
            raise BadAnswer(f"{self._where} answered {name} for {subject}: {self._clean(str(answer['error']))}")
        return answer

    def _refuse(self, response: requests.Response, name: str, subject: str) -> NoReturn:
        status = response.status_code
        refusal = f"{status}{self._error_text(response)}"
        self._retry_after = _retry_after(response)
        if status == 401:
            raise KeyRefused(
                f"Finnhub refused the key ({refusal}): check FINNHUB_API_KEY in .env or in the environment"
            )
        if status == 403:
            advice = (
                "set HISTORY_SOURCE=yfinance" if name in _PREMIUM else "leave it out, or use a key of a larger plan"
            )
            raise PlanRefused(f"Finnhub refused {name} for {subject} ({refusal}): the key's plan lacks it; {advice}")
        if status == 429:
            raise RateLimited(
                f"{self._where} reports too many calls; the last was for {subject} ({refusal}): lower "
                "FINNHUB_CALLS_PER_MINUTE, or find who else uses this key, and try again in a minute"
            )
        if status >= 500:
            raise SourceUnavailable(f"{self._where} failed on {name} for {subject} ({refusal}); {self._hint}")
        if 300 <= status < 400:
            raise BadAnswer(
                f"{self._where} answered {name} with a redirect ({status}), which is not followed, so that the key "
                "goes nowhere else: check FINNHUB_BASE_URL"
            )
        raise BadAnswer(f"{self._where} answered {name} for {subject} with {refusal}: check FINNHUB_BASE_URL")

    def _error_text(self, response: requests.Response) -> str:
        try:
            error = orjson.loads(response.content).get("error")
        except (orjson.JSONDecodeError, AttributeError):
            return ""
        return f", {self._clean(error).rstrip('.')}" if isinstance(error, str) and error else ""

    def _clean(self, text: str) -> str:
        return text.replace(self._key.reveal(), "***")[:200]

    @property
    def _where(self) -> str:
        port = f":{self._address.port}" if self._address.port else ""
        return f"Finnhub at {self._address.hostname}{port}"

    @property
    def _hint(self) -> str:
        if self._address.hostname in _LOOPBACK:
            return "check with `stocks status` that the replay server runs; `stocks up` starts it"
        return "check the network and FINNHUB_BASE_URL, or try again later"

    def _backoff(self, state: RetryCallState) -> float:
        """Return seconds before the next try: doubling with jitter, four times after a 429, or its Retry-After."""
        error = state.outcome.exception() if state.outcome else None
        patience = self._first_pause * (4 if isinstance(error, RateLimited) else 1)
        pause = wait_exponential(multiplier=patience, max=_LONGEST_PAUSE)(state) * jitter()
        pause = min(max(pause, self._retry_after), _LONGEST_PAUSE)
        self._retry_after = 0.0
        if state.attempt_number < self._attempts:
            log.warning("%s; try %d of %d in %.1f s", error, state.attempt_number + 1, self._attempts, pause)
        return pause

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Interrupted("stopped while waiting for Finnhub to answer again")

    def _replay_clock(self, method: str, body: bytes | None) -> dict[str, Any]:
        url = f"{self._address.scheme}://{self._address.netloc}/replay/clock"
        response = self._send(method, url, body)
        answer = self._decode(response, "/replay/clock", "its clock") if response.status_code == 200 else None
        if not isinstance(answer, dict) or not isinstance(answer.get("now"), int | float):
            raise BadAnswer(
                f"{self._where} does not let its clock be read or moved ({response.status_code}"
                f"{self._error_text(response)}): only a replay server does, with the key that it was started with"
            )
        return answer


def is_on_this_machine(settings: Settings) -> bool:
    """Return whether the source's address is loopback, as a replay server's is."""
    return urlsplit(str(settings.finnhub_base_url)).hostname in _LOOPBACK


def read_key(settings: Settings) -> Secret:
    """Return the key; ``SettingsError`` where it is malformed: a library that rejects it repeats it."""
    key: Secret = settings.require("FINNHUB_API_KEY")
    if not all("!" <= letter <= "~" for letter in key.reveal()):
        raise SettingsError("FINNHUB_API_KEY holds a space, a line break or a character that no key has: copy it again")
    return key


def _route(base: str) -> dict[str, Any]:
    """Return this machine's proxies and certificates, read once; none for an address on this machine."""
    if urlsplit(base).hostname in _LOOPBACK:
        return {}
    with requests.Session() as session:
        merged = session.merge_environment_settings(base, {}, False, None, None)
    return {"proxies": merged["proxies"], "verify": merged["verify"], "cert": merged["cert"]}


def _retry_after(response: requests.Response) -> float:
    text = response.headers.get("Retry-After", "").strip()
    if text.isdigit():
        return min(float(text), _LONGEST_PAUSE)
    until, now = read_http_date(text), read_http_date(response.headers.get("Date", ""))
    return max(0.0, (until - now).total_seconds()) if until and now else 0.0
