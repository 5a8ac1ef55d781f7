"""What the published tables say of themselves: grain, columns, types, meanings, as dbt wrote them into the warehouse.

dbt's descriptions are comments of the tables (``persist_docs``). The tables of ops, which dbt does not make, are
described in ``ops_tables.toml``.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from stocklib.errors import InputError, did_you_mean
from stocklib.warehouse import BESIDE_GOLD, Reader

# The layers, as a reader looks for them.
LAYERS = ("gold", "silver", "bronze", "ops")


@dataclass(frozen=True)
class PublishedColumn:
    """A column: its name, the warehouse's type, and its meaning (empty where it has no description)."""

    name: str
    data_type: str
    meaning: str

    @property
    def unit(self) -> str:
        """Return its unit, as its name and type give it; empty where it has none."""
        return unit_of(self.name, self.data_type)[0]


@dataclass(frozen=True)
class PublishedTable:
    """A table or view. Its description ends with the grain."""

    layer: str
    name: str
    description: str
    columns: tuple[PublishedColumn, ...] = field(repr=False)


def published_tables(look: Reader) -> dict[str, PublishedTable]:
    """Return every published table by ``schema.name``, gold first."""
    described = {row["table"]: row["comment"] for row in _catalogue(look, "tables")}
    columns: dict[str, list[PublishedColumn]] = {name: [] for name in described}
    for row in sorted(_catalogue(look, "columns"), key=lambda row: int(row["ordinal_position"])):
        name = row["column_name"].lower()
        meaning = row["comment"] or _ops(row["table"]).get("columns", {}).get(name, "")
        columns[row["table"]].append(PublishedColumn(name, _data_type(row), meaning))
    found = {}
    for name in sorted(described, key=lambda name: (LAYERS.index(name.split(".")[0]), name)):
        layer, _, bare = name.partition(".")
        description = described[name] or _ops(name).get("description", "")
        found[name] = PublishedTable(layer, bare, description, tuple(columns[name]))
    return found


@cache
def ops_tables() -> dict[str, Any]:
    """Return the description and the columns' meanings of each table of ops, by its name."""
    return tomllib.loads(Path(__file__).with_name("ops_tables.toml").read_text(encoding="utf-8"))


def select_tables(there: Iterable[str], asked: Iterable[str] | None) -> list[str]:
    """Return the tables of these names, with or without a schema; by default those of gold, then ``BESIDE_GOLD``.

    Raise ``InputError`` for a name that is not ``there``.

    >>> select_tables(["gold.gold_kpi", "silver.suspect_bars", "ops.ledger"], None)
    ['gold.gold_kpi', 'ops.ledger']
    >>> select_tables(["gold.gold_kpi", "silver.suspect_bars"], ["SUSPECT_BARS"])
    ['silver.suspect_bars']
    """
    there = list(there)
    if asked is None:
        return [name for name in there if name.startswith("gold.") or name in BESIDE_GOLD]
    # of two with the same bare name the first
    by_name = {key: name for name in reversed(there) for key in (name, name.partition(".")[2])}
    if unknown := [name for name in asked if name.strip().lower() not in by_name]:
        hint = did_you_mean(unknown[0].lower(), by_name, alike=0.5)
        raise InputError(f"there is no published table {unknown[0]!r}; `stocks tables` lists them{hint}")
    return list(dict.fromkeys(by_name[name.strip().lower()] for name in asked))


def row_counts(look: Reader, tables: Iterable[str]) -> dict[str, int]:
    """Return the number of rows of each of these tables, in one statement."""
    counts = [f"select '{name}' as name, count(*) as row_count from {name}" for name in tables]  # noqa: S608 - looked up
    frame = look.query(" union all ".join(counts))
    return dict(zip(frame["name"].astype(str), frame["row_count"].astype(int).tolist(), strict=True))


def kind_of(data_type: str) -> str:
    """Return date, instant, boolean, integer, number or text for a type of DuckDB, Snowflake or Arrow.

    >>> [kind_of(name) for name in ("DECIMAL(18,6)", "TIMESTAMP_NTZ", "date32[day]", "BIGINT", "double", "VARCHAR")]
    ['number', 'instant', 'date', 'integer', 'number', 'text']
    """
    name = data_type.lower()
    if name.startswith(("decimal", "number", "double", "float", "halffloat", "real")):
        return "number"
    if re.match(r"u?(tiny|small|big|huge)?int(eger|\d+)?\b", name):
        return "integer"
    found = re.match(r"timestamp|date|bool", name)
    return {"timestamp": "instant", "date": "date", "bool": "boolean"}[found[0]] if found else "text"


# Numbers by their names: what they count, and how a spreadsheet shows them. The first one that fits holds.
_UNITS = (
    (r"percent", "percent", '0.00" %"'),
    (r"market_cap", "the listing's currency", "#,##0"),
    (r"volume|shares|^(from|to)_factor$", "shares", "#,##0"),
    (r"factor|ratio|relative_", "ratio", "#,##0.00####"),
    (r"price|open|high|low|close|vwap|amount|^ma_|trend_line|dividend", "the listing's currency", "#,##0.00####"),
    (r"^(year|quarter|month|hour|minute|day_of_week)$|minute_of_day|_id$|_no$|_offset$|^seq$|partition", "", "0"),
)


def unit_of(name: str, data_type: str) -> tuple[str, str]:
    """Return the unit of a column and the number format of its cells in a spreadsheet; each is empty where it has none.

    >>> unit_of("change_percent", "DECIMAL(18,6)"), unit_of("tick_count", "BIGINT"), unit_of("as_of", "TIMESTAMP")
    (('percent', '0.00" %"'), ('', '#,##0'), ('UTC', 'yyyy-mm-dd hh:mm:ss'))
    """
    kind = kind_of(data_type)
    if kind in ("date", "instant"):
        return {"date": ("date", "yyyy-mm-dd"), "instant": ("UTC", "yyyy-mm-dd hh:mm:ss")}[kind]
    if kind not in ("integer", "number"):
        return "", ""
    known = next(((unit, shown) for pattern, unit, shown in _UNITS if re.search(pattern, name.lower())), None)
    return known or ("", "#,##0" if kind == "integer" else "")


def _catalogue(look: Reader, of: str) -> list[dict[str, Any]]:
    """Return the rows of a view of information_schema about the published layers.

    Both engines have all the columns that are used, but call the comment differently; so all are asked for.
    """
    rows: list[dict[str, Any]] = []
    found = look.query(f"select * from information_schema.{of} where lower(table_schema) in {LAYERS}")  # noqa: S608
    for row in found.astype(object).to_dict("records"):
        record = {str(name).lower(): value for name, value in row.items()}
        comment = record.get("comment", record.get(f"{of.removesuffix('s')}_comment"))
        table = f"{record['table_schema']}.{record['table_name']}".lower()
        rows.append(
            {**record, "table": table, "comment": " ".join(comment.split()) if isinstance(comment, str) else ""}
        )
    return rows


def _data_type(row: Mapping[str, Any]) -> str:
    """Return the type of a column; Snowflake calls whole numbers NUMBER too."""
    name = str(row["data_type"]).upper()
    if name != "NUMBER":
        return name
    scale = int(row["numeric_scale"])
    return f"NUMBER({int(row['numeric_precision'])},{scale})" if scale else "BIGINT"


def _ops(table: str) -> dict[str, Any]:
    layer, _, name = table.partition(".")
    return ops_tables().get(name, {}) if layer == "ops" else {}
