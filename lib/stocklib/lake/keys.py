"""The one grammar of the lake's keys: ``<dataset>/landed=<hour>/<what>+<digest>.ndjson.gz``.

A key's hour is the UTC hour in which the object landed, not a trade date; its digest is the hash of the lines.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime

from stocklib.errors import LakeError
from stocklib.quotes import DATASETS, to_epoch

# S3 is younger; date arithmetic fails on the year 1.
_FIRST_YEAR = 1970
_HOUR = "%Y-%m-%dT%H"
_KEY = re.compile(
    r"(?P<dataset>[a-z_]+)/landed=(?P<landed>\d{4}-\d\d-\d\dT\d\d)/(?P<what>[^/]+)\+(?P<digest>[0-9a-f]{12})\.ndjson\.gz"
)
_WHAT = re.compile(r"[A-Za-z0-9._-]+(\+[A-Za-z0-9._-]+)*")


@dataclass(frozen=True, slots=True)
class KeyParts:
    """The parts of a key: the dataset, the UTC hour of landing, what the object holds, and the hash of its lines."""

    dataset: str
    landed_hour: datetime
    what: str
    digest: str


def format_key(parts: KeyParts) -> str:
    """Return the key of an object: ``<dataset>/landed=<hour>/<what>+<digest>.ndjson.gz``.

    >>> format_key(KeyParts("stock_quotes", datetime(2026, 1, 5, 14, tzinfo=UTC), "q+0+1-9", "0123456789ab"))
    'stock_quotes/landed=2026-01-05T14/q+0+1-9+0123456789ab.ndjson.gz'
    """
    if parts.dataset not in DATASETS:
        raise LakeError(f"there is no dataset {parts.dataset!r}; the lake holds {', '.join(DATASETS)}")
    if not _WHAT.fullmatch(parts.what):
        raise LakeError(f"{parts.what!r} cannot be part of a key: letters, digits and . _ - + only")
    hour = parts.landed_hour.astimezone(UTC).strftime(_HOUR)
    return f"{parts.dataset}/landed={hour}/{parts.what}+{parts.digest}.ndjson.gz"


def parse_key(key: str) -> KeyParts:
    """Return the parts of a key; ``LakeError`` for a key that ``format_key`` cannot write."""
    match = _KEY.fullmatch(key)
    if not match or match["dataset"] not in DATASETS or not _WHAT.fullmatch(match["what"]):
        raise LakeError(f"{key!r} is not a key of the lake")
    try:
        landed_hour = datetime.strptime(match["landed"], _HOUR).replace(tzinfo=UTC)
    except ValueError as error:
        raise LakeError(f"{key!r} is not a key of the lake: {error}") from error
    if landed_hour.year < _FIRST_YEAR:
        raise LakeError(f"{key!r} is not a key of the lake: nothing landed before {_FIRST_YEAR}")
    return KeyParts(match["dataset"], landed_hour, match["what"], match["digest"])


def name_batch(topic: str, partition: int, *, first: int, last: int) -> str:
    """Return the name of a stream's batch: its topic, partition, first and last offset.

    >>> name_batch("stock-quotes", 2, first=17, last=5016)
    'stock-quotes+2+00000000000000000017-00000000000000005016'
    """
    return f"{name_stream(topic, partition)}+{first:020d}-{last:020d}"


def name_stream(topic: str, partition: int) -> str:
    """Return the prefix of the names of a partition's batches.

    >>> name_stream("stock-quotes", 2)
    'stock-quotes+2'
    """
    return f"{topic}+{partition}"


def name_history(first: date, last: date, *, fetched_at: datetime) -> str:
    """Return the name of a round of history: its first and last date, and when it was fetched.

    >>> name_history(date(2012, 1, 3), date(2012, 12, 13), fetched_at=datetime(2012, 12, 14, tzinfo=UTC))
    '2012-01-03..2012-12-13+1355443200000'
    """
    return f"{first.isoformat()}..{last.isoformat()}+{round(to_epoch(fetched_at) * 1000)}"


def start_of_hour(dataset: str, instant: datetime) -> str:
    """Return a text that sorts before each key of a dataset from this hour on, and after each earlier key.

    The slash matters: without it, a server that keeps folders (SeaweedFS) would begin after this hour.

    >>> start_of_hour("stock_quotes", datetime(2026, 1, 5, 14, 59, tzinfo=UTC))
    'stock_quotes/landed=2026-01-05T14/'
    """
    return f"{dataset}/landed={instant.astimezone(UTC).strftime(_HOUR)}/"
