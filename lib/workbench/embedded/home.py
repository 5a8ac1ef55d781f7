"""The files of the embedded stack: a folder a server, generated keys, and a lock."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from stocklib.errors import EmbeddedError
from stocklib.host import lock
from stocklib.settings import Settings
from stocklib.state_files import read_record, write_promise

# The keys only sign requests: new ones open the same data.
_LOST_KEYS = "delete it, then run `stocks down` and `stocks up`: new keys are made, and the data stays"


@dataclass(frozen=True, repr=False)
class Keys:
    """The two keys with which a client of the S3 server signs, and the key of the replay."""

    access: str
    secret: str
    finnhub: str = ""


def folder_of(settings: Settings, name: str = "") -> Path:
    """Return the folder of the stack, or of one of its servers."""
    return settings.home / "embedded" / name


@contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """Allow one ``up`` or ``down`` of a home at a time."""
    folder = folder_of(settings)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("w")
    except OSError as error:
        raise EmbeddedError(
            f"cannot write to {folder} ({error.strerror}): make it writable, or set STOCKS_HOME to a folder that is"
        ) from error
    with file:
        if not lock(file, wait=120):
            raise EmbeddedError(f"another `stocks up` or `down` holds {folder / 'lock'} since two minutes")
        yield


def read_keys(settings: Settings) -> Keys:
    """Return the generated keys of this home, created once and readable only by their owner."""
    path = folder_of(settings) / "keys.json"
    with suppress(FileNotFoundError):
        names = ("access", "secret", "finnhub")
        record = read_record(path, shape=dict.fromkeys(names, str), remedy=_LOST_KEYS)
        return Keys(*(record[name] for name in names))
    keys = Keys(secrets.token_hex(10), secrets.token_hex(20), f"replay{secrets.token_hex(10)}")
    write_promise(path, json.dumps(asdict(keys)).encode(), private=True)
    return keys
