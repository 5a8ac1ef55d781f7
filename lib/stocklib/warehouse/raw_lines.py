"""The lines of landed objects: read ahead from the lake, each validated before RAW.

Objects in; their lines out: those that are one JSON object each, and the others with the reason. The parser is orjson,
which is stricter than an engine's own: NaN, infinities and broken Unicode stop here.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import orjson

from stocklib.errors import CorruptObject, MissingObject, WrongSource
from stocklib.warehouse import LandedObject

_AHEAD = 16
# The limit of Snowflake's VARIANT, with room for the record's envelope; and how much of a bad line is kept.
_LINE_BYTES, _TEXT_CHARACTERS = 16_000_000, 100_000


@dataclass(frozen=True)
class CheckedObject:
    """An object's lines: the ``good`` ones and their ``numbers``; ``bad`` as (number, text, reason); ``sources``."""

    dataset: str
    key: str
    size: int
    good: list[bytes]
    numbers: list[int]
    bad: list[tuple[int, str, str]]
    sources: frozenset[str]


@dataclass(frozen=True)
class UnreadObject:
    """An object that gave no lines: it is damaged, or no longer there."""

    dataset: str
    key: str
    error: CorruptObject | MissingObject


def read_ahead(objects: Iterable[LandedObject]) -> Iterator[CheckedObject | UnreadObject]:
    """Yield the objects in their order, reading the next few in the background."""
    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="read") as pool:
        waiting: deque[tuple[LandedObject, Future[bytes]]] = deque()
        for landed in objects:
            waiting.append((landed, pool.submit(landed.read)))
            if len(waiting) >= _AHEAD:
                yield _check(*waiting.popleft())
        while waiting:
            yield _check(*waiting.popleft())


def _check(landed: LandedObject, reading: "Future[bytes]") -> CheckedObject | UnreadObject:
    try:
        return check_lines(landed.dataset, landed.key, reading.result())
    except (CorruptObject, MissingObject) as error:
        return UnreadObject(landed.dataset, landed.key, error)


def check_lines(dataset: str, key: str, data: bytes) -> CheckedObject:
    """Validate every line of one object.

    >>> checked = check_lines("stock_quotes", "k", b'{"a":1}\\n{"a":NaN}\\n')
    >>> len(checked.good), checked.bad[0][0]
    (1, 2)
    """
    good: list[bytes] = []
    numbers: list[int] = []
    bad: list[tuple[int, str, str]] = []
    sources: set[str] = set()
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line or line.isspace():
            continue
        if len(line) > _LINE_BYTES:
            bad.append((number, _shown(line), f"longer than the {_LINE_BYTES:,} bytes that RAW holds"))
            continue
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            bad.append((number, _shown(line), str(error)))
            continue
        if not isinstance(record, dict):
            bad.append((number, _shown(line), "not a JSON object"))
            continue
        good.append(line)
        numbers.append(number)
        sources.add(_source(record))
    return CheckedObject(dataset, key, len(data), good, numbers, bad, frozenset(sources - {""}))


def _shown(line: bytes) -> str:
    """Return a bad line as text, its beginning where it is long."""
    text = line[: 4 * _TEXT_CHARACTERS].decode("utf-8", "replace")[:_TEXT_CHARACTERS]
    return text if len(line) <= _TEXT_CHARACTERS else f"{text} … ({len(line):,} bytes)"


def kind_of(source: str) -> str:
    """Return "replayed" or "live".

    >>> kind_of("replay"), kind_of("yfinance")
    ('replayed', 'live')
    """
    return "replayed" if source == "replay" else "live"


def refuse_other_kind(kind: str | None, checked: CheckedObject) -> str | None:
    """Return the kind of data of a warehouse with this object in it; ``WrongSource`` where it has the other kind."""
    for source in sorted(checked.sources):
        if kind is not None and kind_of(source) != kind:
            raise WrongSource(
                f"{checked.key} holds {kind_of(source)} data (source {source}) and this warehouse {kind} data; nothing "
                "was loaded: use another STOCKS_HOME and MINIO_BUCKET for the one or the other"
            )
        kind = kind_of(source)
    return kind


def _source(record: dict[str, object]) -> str:
    headers = record.get("headers")
    source = headers.get("source") if isinstance(headers, dict) else record.get("source")
    return source if isinstance(source, str) else ""
