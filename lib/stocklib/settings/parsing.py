"""Parsers from the text of a setting to its value: a ``ValueError`` says what was expected."""

import math
import re
from collections.abc import Callable
from datetime import date
from typing import TypeVar

N = TypeVar("N", int, float)


def text(value: str) -> str:
    """Return the text as it is."""
    return value


def _number(kind: Callable[[str], N], least: float, most: float, expected: str) -> Callable[[str], N]:
    """Return a parser of a number within two bounds, both included."""

    def number(value: str) -> N:
        found = kind(value)
        if not least <= found <= most:
            raise ValueError(expected)
        return found

    return number


count = _number(int, 0, math.inf, "a whole number, 0 or more")
positive = _number(int, 1, math.inf, "a whole number, 1 or more")
port = _number(int, 0, 65_535, "a port from 1 to 65535, or 0")
seconds = _number(float, 0, 1e9, "a number of seconds, 0 or more")
credits = _number(float, 0, 1e6, "a number of credits, 0 or more")


def address(value: str) -> str:
    """Return an address without a slash at its end."""
    if not value.startswith(("http://", "https://", "ws://", "wss://")):
        raise ValueError("an address that starts with http:// or https:// (ws:// or wss:// for a websocket)")
    return value.rstrip("/")


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a parser that takes one of some words, in any case, and returns it as it stands here."""

    def choice(value: str) -> str:
        for word in choices:
            if word.lower() == value.lower():
                return word
        raise ValueError("one of " + ", ".join(filter(None, choices)))

    return choice


def identifier(value: str) -> str:
    """Return a name of letters, digits and ``_``."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ValueError("a name of letters, digits and _")
    return value


def cron(value: str) -> str:
    """Return ``off``, or the five fields of a cron expression; their meaning is the scheduler's."""
    fields = value.split()
    if value.lower() == "off":
        return "off"
    if len(fields) != 5 or not all(set(part) <= set("0123456789*/,-") for part in fields):
        raise ValueError("off, or five fields like 0 18 * * 1-5: minute, hour, day, month, weekday")
    return " ".join(fields)


def day(value: str) -> date | None:
    """Return a date, or None where nothing is set."""
    return date.fromisoformat(value) if value else None


def speed(value: str) -> str:
    """Return ``step``, or a factor as text."""
    if value.lower() == "step":
        return "step"
    if not 1 <= float(value) <= 3600:
        raise ValueError("step, or a factor from 1 to 3600")
    return value
