"""The checks of messages, and the lines that land.

A message in; the reason to refuse it, or one line of JSON, out. The line holds the payload's bytes unchanged, to the
last digit; only raw line ends, which JSON allows between its tokens, become spaces.
"""

import base64
from functools import lru_cache
from typing import Any

import orjson

from stocklib.errors import SymbolError
from stocklib.pipeline.landing.json_keys import repeated_key
from stocklib.quotes import check_symbol
from stocklib.stream import Message, UnreadableBatch
from stocklib.stream.sent import Sent

# Finnhub's names of the required fields of a quote and of a trade, the symbol first.
_QUOTE = ("symbol", ("c", "h", "l", "o", "pc", "t", "fetched_at"))
_TRADE = ("s", ("p", "t", "v", "fetched_at"))
# Far more than a quote or trade has; RAW holds lines four times as long.
MAX_LINE_BYTES = 4_000_000
# How much of an undecodable batch is kept; base64 makes it a third longer.
_RAW_BYTES = 8_000_000
_SPACES = bytes.maketrans(b"\r\n", b"  ")


def validate_quote(value: bytes | None) -> str | None:
    """Return why this is not a quote: invalid UTF-8 or JSON, no object, a duplicate key, no symbol, an invalid number.

    >>> validate_quote(b'{"symbol":"AAPL","c":1.5,"h":2,"l":1,"o":1,"pc":1,"t":1355495400,"fetched_at":1355495400}')
    >>> validate_quote(b'{"symbol":"AAPL","c":NaN}')[:8]
    'not JSON'
    """
    return _validate(value, *_QUOTE)


def validate_trade(value: bytes | None) -> str | None:
    """Return why this is not a trade, like ``validate_quote``."""
    return _validate(value, *_TRADE)


def accept(value: bytes | None) -> str | None:
    """Accept any message: a dead letter lands as it is."""
    return None


def format_line(message: Message) -> bytes:
    """Return a valid message as a line."""
    return b'%b,"payload":%b}' % (_envelope(message), (message.value or b"").translate(_SPACES))


def validate_line(line: bytes) -> str | None:
    """Return why this line is too long for RAW: a message may be small only while it is compressed.

    >>> validate_line(b"{}"), validate_line(bytes(5_000_000))
    (None, 'too long: 5,000,000 bytes with its key and headers, 4,000,000 at most')
    """
    if len(line) <= MAX_LINE_BYTES:
        return None
    return f"too long: {len(line):,} bytes with its key and headers, {MAX_LINE_BYTES:,} at most"


def format_dead_letter(message: Message) -> bytes:
    """Return a dead letter as a line: its payload as a string, since it may be anything, and the reason.

    A message of the dead-letter topic stands for one message only, also where its headers claim more. One whose line
    is too long is cut as it would be when published to that topic.
    """
    message = message._replace(headers={name: text for name, text in message.headers.items() if name != "last_offset"})
    line = _dead_letter_of(message)
    return _dead_letter_of(_cut(message)) if validate_line(line) else line


def _dead_letter_of(message: Message) -> bytes:
    payload: dict[str, Any] = {"reason": message.headers.get("reason", "")}
    try:
        payload["payload"] = None if message.value is None else message.value.decode()
    except UnicodeDecodeError:
        payload["payload_base64"] = base64.b64encode(message.value or b"").decode()
    return b"%b,%b" % (_envelope(message), orjson.dumps(payload)[1:])


def _cut(message: Message) -> Message:
    headers = [(name, text.encode()) for name, text in message.headers.items()]
    key = None if message.key is None else message.key.encode()
    sent = Sent(message.topic, key, message.value, message.timestamp_ms, headers)
    sent.cut()
    return message._replace(
        key=None if sent.key is None else sent.key.decode(),
        value=sent.value,
        headers={name: text.decode() for name, text in sent.headers},
    )


def format_unreadable(found: UnreadableBatch) -> bytes:
    """Return an undecodable batch as a line of the dead letters: its bytes, the reason, and its offsets.

    The line has the batch's own topic, partition and offset; its timestamp is unknown, which Kafka writes as -1.
    """
    reason = f"a batch that cannot be decoded, offsets {found.offset} to {found.last}: {found.reason}"
    headers = {**_origin_headers(found, reason), "last_offset": str(found.last)}
    if len(found.raw) > _RAW_BYTES:
        headers["full_bytes"] = str(len(found.raw))
    envelope = _envelope(Message(*found[:4], -1, None, None, headers))
    payload = {"reason": reason, "payload_base64": base64.b64encode(found.raw[:_RAW_BYTES]).decode()}
    return b"%b,%b" % (envelope, orjson.dumps(payload)[1:])


def explain(message: Message, reason: str) -> dict[str, str]:
    """Return the headers of a dead letter: those of the message, its origin, and the reason."""
    return {**message.headers, **_origin_headers(message, reason)}


def _origin_headers(found: Message | UnreadableBatch, reason: str) -> dict[str, str]:
    return {
        "topic": found.topic,
        "topic_id": found.topic_id,
        "partition": str(found.partition),
        "offset": str(found.offset),
        "reason": reason,
    }


def _validate(value: bytes | None, symbol: str, numbers: tuple[str, ...]) -> str | None:
    if value is None:
        return "no value"
    try:
        record = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        return f"not JSON: {error.msg} at {error.pos}"
    if type(record) is not dict:
        return "not a JSON object"
    if (key := repeated_key(value, record)) is not None:
        return f"the key {key!r:.40} is there twice"
    if not isinstance(record.get(symbol), str) or not record[symbol]:
        return f"{symbol} is missing or no text"
    if malformed := _malformed(record[symbol]):
        return malformed
    for name in numbers:
        number = record.get(name)
        # a float minus itself is 0, unless it is infinite
        if type(number) is float and number - number == 0:
            continue
        if type(number) is not int:
            return f"{name} is missing or no finite number"
    return None


@lru_cache(maxsize=16_384)
def _malformed(symbol: str) -> str | None:
    """Return why a symbol is not in the form of the watchlist, upper case."""
    try:
        right = check_symbol(symbol)
    except SymbolError as error:
        return f"symbol malformed: {error}"
    return None if right == symbol else f"symbol malformed: {symbol!r:.60} for {right}"


def _envelope(message: Message) -> bytes:
    return b'%b,"offset":%d,"timestamp":%d,"key":%b,"headers":%b' % (
        _origin(message.topic, message.topic_id, message.partition),
        message.offset,
        message.timestamp_ms,
        _quoted(message.key),
        orjson.dumps(message.headers),
    )


@lru_cache(maxsize=1024)
def _origin(topic: str, topic_id: str, partition: int) -> bytes:
    return orjson.dumps({"topic": topic, "topic_id": topic_id, "partition": partition})[:-1]


@lru_cache(maxsize=16_384)
def _quoted(text: str | None) -> bytes:
    return orjson.dumps(text)
