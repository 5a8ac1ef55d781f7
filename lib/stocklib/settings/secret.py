"""A value that no log, repr or pickle shows."""

from typing import Any


class Secret:
    """A value that never prints itself.

    >>> key = Secret("abc123")
    >>> key, f"{key}", key.reveal()
    (***, '***', 'abc123')
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself: hand it to a client, never to a log."""
        return self._value

    def __repr__(self) -> str:
        return "***" if self._value else "(not set)"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a secret is not pickled")
