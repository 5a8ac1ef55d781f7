"""The project's folder: written whole, and never over a user's edits.

``.written`` records every written file. A file that has changed since was edited (Power BI Desktop edits when it
saves); one that is not on the list is the user's and stays.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from stocklib.errors import InputError, StateError
from stocklib.state_files import find_damage, write_promise, write_state

_LIST = ".written"
_SHOWN = 5


def write_folder(folder: Path, files: Mapping[str, str], *, force: bool) -> list[Path]:
    """Write these files; ``InputError`` names edited ones, or says why the folder cannot be written."""
    folder = folder.expanduser().resolve()
    known = _known(folder)
    edited = [name for name in sorted({*files, *known}) if _is_edited(folder / name, files.get(name), known.get(name))]
    if edited and not force:
        shown = ", ".join(edited[:_SHOWN]) + (f" and {len(edited) - _SHOWN} more" if len(edited) > _SHOWN else "")
        raise InputError(
            f"{folder} holds edits of yours: {shown}. Write elsewhere with --out, or give them up with --force"
        )
    try:
        for name, text in files.items():
            _write(folder / name, text)
        for name in sorted(set(known) - set(files)):
            (folder / name).unlink(missing_ok=True)
        listed = "".join(f"{_hash(text)}  {name}\n" for name, text in sorted(files.items()))
        write_promise(folder / _LIST, listed.encode())
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror or error}; choose another with --out") from error
    return [folder / name for name in files]


def _known(folder: Path) -> dict[str, str]:
    try:
        content = (folder / _LIST).read_bytes()
    except OSError:
        return {}
    lines = content.decode("utf-8", errors="replace").split("\n")
    damage = find_damage(content)
    if not damage and (lines.pop() or not all(re.fullmatch(r"[0-9a-f]{64}  .+", line) for line in lines)):
        damage = "is torn, or was changed by another program"
    if damage:
        raise StateError(folder / _LIST, damage, "delete it, and write the project again with --force")
    found = {name: digest for digest, _, name in (line.partition("  ") for line in lines) if name}
    # only files below the folder are removed
    return {name: digest for name, digest in found.items() if (folder / name).resolve().is_relative_to(folder)}


def _is_edited(path: Path, new: str | None, known: str | None) -> bool:
    """Return whether a file equals neither what was written nor what will be."""
    try:
        present = _hash(path.read_bytes().decode("utf-8", errors="replace"))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}; choose another folder with --out"
        ) from error
    return present != known and (new is None or present != _hash(new))


def _hash(text: str) -> str:
    # git may have changed how lines end
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()


def _write(path: Path, text: str) -> None:
    if path.is_file() and path.read_bytes() == text.encode():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_state(path, text.encode(), durable=False)
