"""State files: small files of the project, written whole, and read with a sentence about damage.

A path and bytes in, a file that is the old or the new one, never half of either. A power cut may still undo the last
write, or leave a name without its content, unless ``durable`` waits for the disk (one fsync of the file, one of its
folder). ``read_record`` says which file is damaged, how, and what to do about it.
"""

import errno
import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson

from stocklib.errors import StateError

_numbers = itertools.count()

Shape = Mapping[str, type | tuple[type, ...]]


def write_state(path: Path, content: bytes, *, durable: bool, private: bool = False) -> None:
    """Replace a file as a whole; ``OSError`` leaves the old one as it was.

    ``private`` makes it readable only by its owner.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}-{next(_numbers)}.tmp")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666)
    try:
        with named(path), os.fdopen(handle, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise


def write_promise(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a file that survives, whole, any power cut after this call returned."""
    write_state(path, content, durable=True, private=private)
    sync_folder(path.parent)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Name the file in an ``OSError`` of the block: one of a write or a flush, as on a full disk, does not."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to disk (what was made, renamed or removed), where the file system can."""
    # some network and Windows file systems cannot sync a folder
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_state(path: Path, *, remedy: str) -> bytes:
    """Return the content of a state file.

    Raise ``FileNotFoundError`` where there is no such file, and ``StateError`` for one that is empty, torn or
    unreadable; ``remedy`` ends that sentence.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None
    except OSError as error:
        raise StateError(path, f"cannot be read ({error.strerror or error})", remedy) from error
    if damage := find_damage(content):
        raise StateError(path, damage, remedy)
    return content


def read_record(path: Path, *, shape: Shape, remedy: str) -> dict[str, Any]:
    """Return the JSON object of a state file, with at least the fields of ``shape``, each of its type.

    Raise ``FileNotFoundError`` where there is no such file, and ``StateError`` for one that is empty, torn, unreadable
    or not such an object; ``remedy`` ends that sentence.
    """
    content = read_state(path, remedy=remedy)
    try:
        record = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise StateError(path, f"is torn, or not JSON ({error})", remedy) from error
    if not isinstance(record, dict):
        raise StateError(path, "is not a JSON object", remedy)
    for name, kind in shape.items():
        if not _is(record.get(name), kind):
            raise StateError(path, f"has no valid {name!r}", remedy)
    return record


def find_damage(content: bytes) -> str | None:
    """Return what a power cut did to a text file, as a verb phrase; None where it shows no damage.

    >>> find_damage(b""), find_damage(b"{}"), find_damage(bytes(9))
    ('is empty (a power cut, or a full disk?)', None, 'holds zero bytes (a power cut?)')
    """
    if not content.strip():
        return "is empty (a power cut, or a full disk?)"
    return "holds zero bytes (a power cut?)" if b"\0" in content else None


def _is(value: Any, kind: type | tuple[type, ...]) -> bool:
    # to Python, True is a number
    return isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool)
