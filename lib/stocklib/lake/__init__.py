"""The lake in S3 holds objects of JSON lines, written once, never changed, found by the hour in which they landed.

Lines in, keys out; keys in, lines out. One function formats a key and one parses it. An object's name ends with the
hash of its lines, so that the same lines are the same object, and a damaged object is noticed.
"""

from stocklib.lake.artifacts import Artifacts
from stocklib.lake.keys import (
    KeyParts,
    format_key,
    name_batch,
    name_history,
    name_stream,
    parse_key,
    start_of_hour,
)
from stocklib.lake.objects import Lake, LakeObject, check
from stocklib.quotes import DATASETS

__all__ = [
    "DATASETS",
    "Artifacts",
    "KeyParts",
    "Lake",
    "LakeObject",
    "check",
    "format_key",
    "name_batch",
    "name_history",
    "name_stream",
    "parse_key",
    "start_of_hour",
]
