"""Faults on request: answers that are lost, late, doubled, broken or wrong, drawn from a seed, at most one a call.

A message of the trades' stream counts as a call; ``slow``, ``429``, ``5xx`` and ``clock`` apply only to answers.

What goes in: a text such as ``drop=0.01,slow=0.02:3s,429=0.005:10`` (how often, and how much of it) and each answer
that is about to leave. What comes out: the answer to send instead. The same seed and the same calls meet the same
faults; the tape, the virtual clock and ``/replay`` itself are never touched.
"""

import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil
from typing import Any

import orjson

from stocklib.errors import EmbeddedError

# kind: (what ``:size`` is, in seconds or a count; what it is where none is given; what happens)
KINDS: dict[str, tuple[str, float, str]] = {
    "duplicate": ("", 0, "the answer before to the same call once more, its Date included"),
    "late": ("seconds", 60, "the answer of SECONDS ago, after newer answers"),
    "drop": ("", 0, "the connection ends without an answer"),
    "cut": ("", 0, "the connection ends in the middle of the answer"),
    "429": ("count", 1, "COUNT calls in a row are refused as too many"),
    "5xx": ("count", 1, "COUNT calls in a row get 502 or 503 with a page of HTML, as gateways send it"),
    "slow": ("seconds", 3, "the answer leaves SECONDS of this machine's time later"),
    "truncated": ("", 0, "the first half of the JSON, as if complete"),
    "zeros": ("", 0, "prices are zero, changes null"),
    "nan": ("", 0, "prices are NaN, literally"),
    "negative": ("", 0, "prices are below zero"),
    "clock": ("seconds", 3600, "the Date header is SECONDS off, either way (+SECONDS, -SECONDS: this way)"),
}
_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = re.compile(r"([+-]?)(\d+(?:\.\d+)?)(ms|s|m|h|)")
_PRICES = ("c", "h", "l", "o", "pc")
_REMEMBERED = 1024
_LIMIT = b'{"error":"API limit reached. Please try again later. Remaining Limit: 0"}'
_GATEWAY = "<html><head><title>%d %s</title></head><body><center><h1>%d %s</h1></center><hr>gateway</body></html>\r\n"


@dataclass(frozen=True)
class Fault:
    """One kind: its ``chance`` per call, its ``size`` in seconds or calls, its ``way`` (``+``, ``-`` or either)."""

    kind: str
    chance: float
    size: float
    way: str = ""


@dataclass(frozen=True)
class Sending:
    """An answer to send: after ``delay`` seconds, and only its first ``cut`` bytes where that is not None."""

    body: bytes
    at: datetime
    status: int = 200
    content: str = "application/json; charset=utf-8"
    delay: float = 0.0
    cut: int | None = None


class Faults:
    """Draws the fault of each call. It counts calls and spoiled ones by path, faults by kind."""

    def __init__(self, text: str = "", *, seed: int = 0) -> None:
        self.calls: Counter[str] = Counter()
        self.spoiled: Counter[str] = Counter()
        self.injected: Counter[str] = Counter()
        self.order(text, seed=seed)

    def order(self, text: str, *, seed: int = 0) -> None:
        """Set the faults (an empty text: none) and restart the seed; the counts continue."""
        self._faults = read_faults(text)
        self.text, self.seed = text, seed
        self._random = random.Random(seed)  # noqa: S311 - to be repeatable
        self._burst: tuple[Fault, int] | None = None
        self._last: dict[str, Sending] = {}

    def draw(self) -> Fault | None:
        """Return the fault of the next call, or None; a burst continues."""
        if not self._faults:
            return None
        # always drawn, so that later faults do not depend on bursts
        drawn = self._random.random()
        if self._burst:
            fault, left = self._burst
            self._burst = (fault, left - 1) if left > 1 else None
            return fault
        for fault in self._faults:
            drawn -= fault.chance
            if drawn < 0:
                left = ceil(fault.size) - 1
                self._burst = (fault, left) if KINDS[fault.kind][0] == "count" and left else None
                return fault
        return None

    def spoil(self, path: str, sending: Sending, *, query: str, earlier: Callable[[datetime], Any]) -> Sending:
        """Return what to send instead of an answer; ``earlier`` returns the right answer at an instant."""
        fault = self.draw()
        self.calls[path] += 1
        call = f"{path}?{query}"
        before = self._last.get(call)
        if self._faults:
            self._last[call] = sending
            if len(self._last) > _REMEMBERED:
                del self._last[next(iter(self._last))]
        spoiled = self._apply(fault, sending, before, earlier) if fault else sending
        if fault and spoiled is not sending:
            self.injected[fault.kind] += 1
            self.spoiled[path] += 1
        return spoiled

    def relay(self, message: bytes, *, held: list[bytes]) -> list[bytes] | None:
        """Return what to send instead of a message of the stream: none, or several; None ends the connection.

        ``held`` belongs to the connection and keeps messages to send after the next one.
        """
        fault = self.draw()
        self.calls["stream"] += 1
        late, held[:] = held[:], []
        sent: list[bytes] | None = [message]
        match fault.kind if fault else "":
            case "drop" | "cut":
                sent = None
            case "duplicate":
                sent = [message, message]
            case "late":
                held.append(message)
                sent = []
            case "truncated":
                sent = [message[: len(message) // 2]]
            case "zeros" | "nan" | "negative" as kind:
                sent = [_misprice(message, kind)]
        if fault and sent != [message]:
            self.injected[fault.kind] += 1
            self.spoiled["stream"] += 1
        return sent if sent is None else [*sent, *late]

    def _apply(
        self, fault: Fault, sending: Sending, before: Sending | None, earlier: Callable[[datetime], Any]
    ) -> Sending:
        """Return the spoiled answer; the same one where this fault does not apply."""
        match fault.kind:
            case "drop":
                return replace(sending, cut=0)
            case "cut":
                return replace(sending, cut=len(sending.body) // 2)
            case "slow":
                return replace(sending, delay=fault.size)
            case "truncated":
                return replace(sending, body=sending.body[: len(sending.body) // 2])
            case "429":
                return replace(sending, body=_LIMIT, status=429)
            case "5xx":
                code, name = self._random.choice([(502, "Bad Gateway"), (503, "Service Temporarily Unavailable")])
                page = _GATEWAY % (code, name, code, name)
                return replace(sending, body=page.encode(), status=code, content="text/html")
            case "clock":
                way = fault.way or self._random.choice("+-")
                return replace(sending, at=sending.at + timedelta(seconds=fault.size * (-1 if way == "-" else 1)))
            case "duplicate":
                return before or sending
            case "late" if sending.status == 200:
                return replace(sending, body=orjson.dumps(earlier(sending.at - timedelta(seconds=fault.size))))
            case "zeros" | "nan" | "negative" if sending.status == 200:
                body = _misprice(sending.body, fault.kind)
                return sending if body is sending.body else replace(sending, body=body)
        return sending


def read_faults(text: str) -> tuple[Fault, ...]:
    """Return the faults of ``kind=chance[:size],…``; ``EmbeddedError`` names what is wrong.

    >>> read_faults("drop=0.01, slow=0.02:500ms")
    (Fault(kind='drop', chance=0.01, size=0, way=''), Fault(kind='slow', chance=0.02, size=0.5, way=''))
    """
    found = tuple(_read(item.strip()) for item in text.split(",")) if text.strip() else ()
    if len({fault.kind for fault in found}) < len(found):
        raise EmbeddedError(f"the faults {text!r} name a kind twice")
    if sum(fault.chance for fault in found) > 1 + 1e-9:
        raise EmbeddedError(f"the faults {text!r} have chances that sum to more than 1")
    return found


def describe_faults() -> str:
    """Return the kinds, for the help."""
    lines = [
        f"  {f'{kind}=CHANCE:{unit.upper()}' if unit else f'{kind}=CHANCE':<22} {what}"
        + (f" (default {default:g})" if unit else "")
        for kind, (unit, default, what) in KINDS.items()
    ]
    return "\n".join(lines)


def _read(item: str) -> Fault:
    kind, _, rest = item.partition("=")
    chance, colon, size = rest.partition(":")
    if kind not in KINDS:
        raise EmbeddedError(f"{item!r} is not a fault: kind=chance[:size], of the kinds {', '.join(KINDS)}")
    unit, default, _ = KINDS[kind]
    try:
        share = float(chance)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise EmbeddedError(f"the fault {item!r} needs a chance from 0 to 1, such as {kind}=0.01")
    if not colon:
        return Fault(kind, share, default)
    parsed = _SIZE.fullmatch(size)
    way, number, suffix = parsed.groups() if parsed else ("", "0", "")
    wrong = not parsed or float(number) <= 0 or (way and kind != "clock") or float(number) > 1e6
    if not unit or wrong or (unit == "count" and (suffix or not number.isdigit())):
        wanted = {"": "no size", "count": "a count of calls, such as 10"}.get(unit, "seconds, such as 3s, 500ms or 1h")
        raise EmbeddedError(f"the fault {item!r} takes {wanted}")
    return Fault(kind, share, float(number) * _UNITS[suffix], way)


def _misprice(body: bytes, kind: str) -> bytes:
    """Return a quote, candles or trades with invalid prices; the same answer where there are no prices."""
    answer = orjson.loads(body)
    if not isinstance(answer, dict) or not ("c" in answer or answer.get("type") == "trade"):
        return body
    if "data" in answer:
        answer["data"] = [{**trade, "p": _each(trade["p"], kind)} for trade in answer["data"]]
    answer |= {name: _each(answer[name], kind) for name in _PRICES if name in answer}
    if kind == "zeros":
        answer |= {name: None for name in ("d", "dp") if name in answer}
    # JSON has no NaN: a placeholder is replaced in the text
    return orjson.dumps(answer).replace(b'"NaN"', b"NaN")


def _each(value: Any, kind: str) -> Any:
    if isinstance(value, list):
        return [_each(item, kind) for item in value]
    return {"zeros": 0, "nan": "NaN"}.get(kind, -abs(value) if value else -1)
