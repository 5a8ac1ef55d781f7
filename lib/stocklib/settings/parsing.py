"""Parsers from the text of a setting to its value: a ``ValueError`` says what was expected."""

import re
from collections.abc import Callable
from datetime import date


def text(value: str) -> str:
    """Return the text as it is."""
    return value


def count(value: str) -> int:
    """Return a whole number, 0 or more."""
    number = int(value)
    if number < 0:
        raise ValueError("a whole number, 0 or more")
    return number


def port(value: str) -> int:
    """Return a port from 1 to 65535, or 0."""
    number = int(value)
    if not 0 <= number <= 65_535:
        raise ValueError("a port from 1 to 65535, or 0")
    return number


def positive(value: str) -> int:
    """Return a whole number, 1 or more."""
    number = int(value)
    if number < 1:
        raise ValueError("a whole number, 1 or more")
    return number


def seconds(value: str) -> float:
    """Return a number of seconds, 0 or more."""
    number = float(value)
    if not 0 <= number < 1e9:
        raise ValueError("a number of seconds, 0 or more")
    return number


def credits(value: str) -> float:
    """Return a number of credits, 0 or more."""
    number = float(value)
    if not 0 <= number < 1e6:
        raise ValueError("a number of credits, 0 or more")
    return number


def address(value: str) -> str:
    """Return an address without a slash at its end."""
    if not value.startswith(("http://", "https://", "ws://", "wss://")):
        raise ValueError("an address that starts with http:// or https:// (ws:// or wss:// for a websocket)")
    return value.rstrip("/")


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a parser that takes one of some words, in any case."""

    def choice(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return value.lower()

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
