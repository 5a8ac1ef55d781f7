"""The nouns of a semantic model: tables with columns and a hierarchy, and relationships.

Nothing here knows TMDL or Power Query: ``definition`` renders these records.
"""

import re
from dataclasses import dataclass

from stocklib.errors import WarehouseError

# Digits of a decimal that is as wide as a price.
_WORD = 18
# The warehouse's types by how they begin, and Power BI's names for them. Its ``decimal`` holds four digits, and no
# more than 922,337,203,685,477: what is wider than a price is a double there.
_KINDS = {
    "DECIMAL": "decimal",
    "NUMBER": "decimal",
    "DOUBLE": "double",
    "FLOAT": "double",
    "BOOLEAN": "boolean",
    "DATE": "dateTime",
    "TIMESTAMP": "dateTime",
    "TINYINT": "int64",
    "SMALLINT": "int64",
    "INTEGER": "int64",
    "BIGINT": "int64",
    "HUGEINT": "int64",
    "VARCHAR": "string",
    "TEXT": "string",
    "JSON": "string",
}


@dataclass(frozen=True)
class Column:
    """A column as Power BI shows it. ``kind`` is Power BI's type, ``is_date`` says that it has no time of day."""

    name: str
    kind: str
    description: str
    is_date: bool = False
    hidden: bool = False
    key: bool = False
    format: str = ""
    folder: str = ""
    sort_by: str = ""


@dataclass(frozen=True)
class Hierarchy:
    """What one drills along, from the top."""

    name: str
    levels: tuple[tuple[str, str], ...]
    description: str


@dataclass(frozen=True)
class Refresh:
    """Which rows a refresh asks for: whole periods are kept ``keep`` years long, ``fresh`` days are read again."""

    column: str
    keep: int
    fresh: int


@dataclass(frozen=True)
class Table:
    """A table of the model. ``schema`` is the warehouse's."""

    name: str
    schema: str
    description: str
    columns: tuple[Column, ...]
    hierarchy: Hierarchy | None = None
    refresh: Refresh | None = None

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True)
class Relationship:
    """Many rows of one table refer to one row of another."""

    table: str
    column: str
    to_table: str
    to_column: str


def kind_of(data_type: str, *, where: str) -> str:
    """Power BI's type for a column of the warehouse.

    >>> kind_of("DECIMAL(18,6)", where="gold_kpi.current_price"), kind_of("TIMESTAMP_NTZ", where="gold_kpi.as_of")
    ('decimal', 'dateTime')
    >>> kind_of("DECIMAL(36,6)", where="gold_treechart.market_cap")
    'double'
    """
    if found := re.fullmatch(r"(?:DECIMAL|NUMBER)\((\d+),\s*[1-9]\d*\)", data_type.upper()):
        return "decimal" if int(found[1]) <= _WORD else "double"
    for begin, kind in _KINDS.items():
        if data_type.upper().startswith(begin):
            return kind
    raise WarehouseError(
        f"{where} has the type {data_type}, for which Power BI has no column type: cast it in its model"
    )
