"""Duplicate keys of a JSON object, of which parsers silently take the last or the first.

Bytes that a strict parser accepted in; the first duplicate key out.
"""

import re
from typing import Any

import orjson

# Brackets, and strings: a string before a colon is a key. Possessive, so that a long string is read once.
_TOKEN = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"(\s*:)?|[\[\]{}]')


def repeated_key(value: bytes, record: dict[str, Any]) -> str | None:
    """Return a duplicate key of one object of ``value``, whose parsed form is ``record``.

    >>> repeated_key(b'{"c":1,"o":{"c":2}}', {"c": 1, "o": {"c": 2}})
    >>> repeated_key(b'{"c":1,"\\\\u0063" : 2}', {"c": 2})
    'c'
    """
    # a colon a key: only where there are more (in strings or nested objects) can a key be duplicate
    if value.count(b":") == len(record):
        return None
    seen: list[set[str]] = []
    for found in _TOKEN.finditer(value):
        text, is_key = found.groups()
        if is_key:
            key = orjson.loads(b'"%b"' % text) if b"\\" in text else text.decode()
            if key in seen[-1]:
                return str(key)
            seen[-1].add(key)
        elif text is None and found[0] in b"{[":
            seen.append(set())
        elif text is None:
            seen.pop()
    return None
