"""The release of a warehouse: the digest of its models, and the command that rebuilds one of an older release.

Readers that miss a table or a column, and writers that find another schema version, use its sentences.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version
from pathlib import Path

from stocklib.errors import OtherRelease, UnknownName, WarehouseError
from stocklib.settings import Settings
from stocklib.warehouse import SCHEMA_VERSION, Reader


def logic_digest(settings: Settings) -> str:
    """Return the digest of a build's logic: the SQL of models and macros, the calendar, a setting.

    A build's ``logic`` is this digest, a point, and the digest of the renames in force.
    """
    project = settings.root / "dbt_stocks"
    rules = [path for folder in ("models", "macros") for path in sorted((project / folder).rglob("*.sql"))]
    return files_digest(rules, f"{settings.close_settle_seconds} {version('exchange-calendars')}")


def files_digest(files: Iterable[Path], text: str) -> str:
    """Return one digest of these files' names and contents, and of a text."""
    digest = hashlib.sha256(text.encode())
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def schema_complaint(settings: Settings, found: int) -> str:
    """Return the sentence about a warehouse whose tables have another schema version than this release's."""
    return (
        f"another release made this warehouse: it has schema version {found} and this one writes {SCHEMA_VERSION}; run "
        f"`{_command(settings, 'rebuild')}`, which rebuilds it from the lake"
    )


def complaint(settings: Settings, reader: Reader) -> str:
    """Return the sentence about published tables of another release; empty for this release's."""
    try:
        schema = int(reader.query("select version from ops.schema_version")["version"].item())
        build = reader.published_build()
    except WarehouseError:
        # older than these tables
        schema, build = 0, None
    if schema != SCHEMA_VERSION:
        return schema_complaint(settings, schema)
    if build is None or build.logic.partition(".")[0] == logic_digest(settings):
        return ""
    return f"other models than this release's made the published tables; run `{_command(settings, 'transform')}`"


@contextmanager
def explain_missing_names(settings: Settings, reading: Callable[[], AbstractContextManager[Reader]]) -> Iterator[None]:
    """Turn ``UnknownName`` of the block into ``OtherRelease`` where another release made the tables."""
    try:
        yield
    except UnknownName as error:
        with reading() as reader:
            reason = complaint(settings, reader)
        if reason:
            raise OtherRelease(f"{error}: {reason}") from error
        raise


def _command(settings: Settings, verb: str) -> str:
    # with a .env in the project, the plain verb works on the home of that .env
    return f"stocks --demo {verb}" if settings.demo else f"stocks {verb}"
