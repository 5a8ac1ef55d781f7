"""``.env``: its lines, and which of them have no effect because a name is misspelt or a line is malformed.

A path in; names and values, or one remark a wrong line, out. A remark names the line and the setting that was probably
meant, never a value, which may be a secret.
"""

import logging
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from stocklib.errors import did_you_mean
from stocklib.text_files import read_text

log = logging.getLogger(__name__)

# How similar a misspelt name is to the right one.
_ALIKE = 0.75
# What docker compose and our own processes read besides the settings.
_OTHERS = frozenset({"STOCKS_DEMO", "STOCKS_DEMO_HOME", "STOCKS_REPLAY_KEY", "CALF_TANSU_BIN", "SNOWFLAKE_HOME"})
_OTHER_PREFIXES = ("COMPOSE_", "AIRFLOW_", "JUPYTER_", "UV_")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_COMPOSE_NAME = re.compile(r"\$\{([A-Z][A-Z0-9_]*)")


@dataclass(frozen=True)
class EnvLine:
    """One statement of the file: its line number, name and value; ``name`` is None for an invalid line."""

    number: int
    name: str | None
    value: str | None = field(repr=False)


@dataclass(frozen=True)
class Remarks:
    """Remarks on a file: ``wrong`` lines have no effect, ``others`` are names that are not ours."""

    wrong: tuple[str, ...]
    others: tuple[str, ...]


def read_lines(path: Path) -> list[EnvLine]:
    """Return the statements of a file in order; none where there is no file. Raises ``SettingsError``."""
    from dotenv.parser import parse_stream

    # docker creates a folder where a mounted file is missing
    if not path.is_file():
        return []
    return [
        EnvLine(_line_of(found.original), None if found.error else found.key, found.value)
        for found in parse_stream(StringIO(read_text(path)))
        if found.error or found.key
    ]


def statements(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the names and values of a file; the last value of a name wins."""
    for line in read_lines(path):
        if line.name is None:
            log.warning("%s, line %d is not NAME=VALUE and has no effect", path, line.number)
        elif line.value is not None:
            yield line.name, line.value


def remarks(path: Path, *, settings: Collection[str], compose: Path) -> Remarks:
    """Return remarks on lines that no setting reads; ``compose`` is the compose file, whose names are read too."""
    known = set(settings) | _OTHERS | _names_of(compose)
    wrong: list[str] = []
    others: list[str] = []
    for line in read_lines(path):
        name, hint = line.name or "", hint_for(line.name or "", settings)
        if name in known:
            if line.value is None:
                wrong.append(f"line {line.number}: {name} has no = and no effect")
        elif line.value is None or not _NAME.fullmatch(name):
            # not shown: it may be a value, or hold one
            wrong.append(f"line {line.number} is not NAME=VALUE and has no effect{hint}")
        elif hint:
            wrong.append(f"line {line.number}: {name} is not a setting{hint}")
        elif not name.startswith(_OTHER_PREFIXES):
            if name in (name.upper(), name.lower()):
                others.append(name)
            else:
                wrong.append(f"line {line.number} begins with no name of a setting")
    return Remarks(tuple(wrong), tuple(others))


def hint_for(name: str, settings: Collection[str]) -> str:
    """Return the question which setting a misspelt name means, empty where no setting is similar.

    >>> names = ["FINNHUB_API_KEY", "KAFKA_BROKER", "KAFKA_GROUP"]
    >>> hint_for("kafka-brokers", names), hint_for("HTTP_PROXY", names)
    ('. Did you mean KAFKA_BROKER?', '')
    """
    return did_you_mean(re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_"), sorted(settings), alike=_ALIKE)


def _line_of(original: Any) -> int:
    # a statement begins with the empty lines before it
    text = str(original.string)
    return int(original.line) + text[: len(text) - len(text.lstrip())].count("\n")


def _names_of(compose: Path) -> set[str]:
    return set(_COMPOSE_NAME.findall(compose.read_text(encoding="utf-8"))) if compose.is_file() else set()
