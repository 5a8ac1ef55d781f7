"""The Power BI project as text: semantic model in TMDL, report in PBIR, built from dbt and published gold.

The same gold gives the same bytes, so the project is in git. It holds no credential: Power BI asks for them.
"""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stocklib.errors import InputError
from stocklib.settings import Settings
from stocklib.warehouse import Warehouse, open_warehouse
from stocklib.warehouse.described import described_models
from stocklib.watchlists import read_symbols
from workbench.powerbi.expected import (
    EXPECTED,
    Expected,
    checking_measures,
    expected_query,
    expected_table,
    expected_values,
)
from workbench.powerbi.folder import write_folder
from workbench.powerbi.measures import MEASURES, OTHER, measures, measures_table, other_symbols
from workbench.powerbi.model import Model, Role, Table
from workbench.powerbi.report import THEMES, as_json, check_bindings, designed_files
from workbench.powerbi.sources import parameters, query
from workbench.powerbi.star import CANDLES, SYMBOLS, star
from workbench.powerbi.tmdl import definition

SOURCES = ("snowflake", "parquet")
NAME = "stocks"


def write_project(
    settings: Settings,
    folder: Path,
    *,
    source: str = "snowflake",
    direct: bool = False,
    look: str = "light",
    force: bool = False,
) -> list[Path]:
    """Write the project into ``folder``; a user's files and edits there stay, unless ``force`` is set.

    ``direct`` queries Snowflake for the latest prices and today's bars whenever a page is shown.
    """
    return write_folder(folder, project(settings, source=source, direct=direct, look=look), force=force)


def project(
    settings: Settings, *, source: str = "snowflake", direct: bool = False, look: str = "light"
) -> dict[str, str]:
    """Return the text of every file of the project by its path."""
    if source not in SOURCES or look not in THEMES:
        raise InputError(f"there is no {source} or {look}: a source is {' or '.join(SOURCES)}, a look light or dark")
    if direct and source != "snowflake":
        raise InputError("only Snowflake can be queried directly; leave --direct out, or use --source snowflake")
    warehouse = open_warehouse(settings)
    values = expected_values(warehouse)
    model = semantic_model(settings, warehouse, values, source=source, direct=direct)
    files = designed_files(symbol=next(one.symbol for one in values if one.symbol), look=look)
    files |= {f"{NAME}.SemanticModel/definition/{name}": text for name, text in definition(model, source).items()}
    files[f"{NAME}.pbids"] = as_json(_connection(model, source))
    files["expected_values.csv"] = _csv(values)
    check_bindings(files)
    return dict(sorted(files.items()))


def semantic_model(
    settings: Settings, warehouse: Warehouse, values: list[Expected], *, source: str, direct: bool
) -> Model:
    """Return tables from dbt and the published warehouse, measures, their checks, and a role for each watchlist."""
    tables, relationships = star(described_models(settings), published_types(warehouse))
    own = (measures_table(checking_measures(values, measures())), expected_table(), other_symbols())
    queries = {table.name: query(table, source) for table in tables}
    queries[MEASURES] = "let\n    Rows = #table(type table [none = text], {})\nin\n    Rows"
    queries[EXPECTED] = expected_query(values)
    queries[OTHER] = f'SELECTCOLUMNS({SYMBOLS}, "symbol", {SYMBOLS}[symbol])'
    return Model(
        (*tables, *own),
        relationships,
        roles(settings),
        parameters(source, settings),
        queries,
        calculated=frozenset({OTHER}),
        modes=_modes(tables, source, direct=direct),
    )


def published_types(warehouse: Warehouse) -> dict[tuple[str, str], dict[str, str]]:
    """Return every published table's columns with their types, in order."""
    frame = warehouse.query(
        """
        select lower(table_schema) as schema_name, lower(table_name) as table_name, lower(column_name) as column_name,
            -- Snowflake calls whole numbers NUMBER too
            case
                when upper(data_type) <> 'NUMBER' then data_type
                when numeric_scale = 0 then 'BIGINT'
                else 'NUMBER(' || numeric_precision || ',' || numeric_scale || ')'
            end as data_type
        from information_schema.columns
        where lower(table_schema) in ('gold', 'silver', 'ops')
        order by table_schema, table_name, ordinal_position
        """
    )
    found: dict[tuple[str, str], dict[str, str]] = {}
    for schema, table, column, kind in frame.astype(str).to_numpy().tolist():
        found.setdefault((schema, table), {})[column] = kind
    return found


def roles(settings: Settings) -> tuple[Role, ...]:
    """Return one role a watchlist: its members see only those symbols."""
    lists = {"stock_symbols": settings.root / "config" / "stock_symbols.json"}
    lists |= {path.stem: path for path in sorted((settings.root / "config" / "watchlists").glob("*.json"))}
    return tuple(role_of(name, read_symbols(path)) for name, path in sorted(lists.items()))


def role_of(name: str, symbols: Iterable[str]) -> Role:
    """Return a role that sees some symbols, whose names may hold any character.

    >>> role_of("mine", ['A"B']).filters[0][1]
    'dim_stock_symbols[symbol] IN {"A""B"}'
    """
    listed = ", ".join('"' + symbol.replace('"', '""') + '"' for symbol in symbols)
    return Role(
        f"watchlist_{name}",
        f"Sees the symbols of the watchlist {name} alone.",
        tuple((table, f"{table}[symbol] IN {{{listed}}}") for table in (SYMBOLS, OTHER)),
    )


def _modes(tables: tuple[Table, ...], source: str, *, direct: bool) -> dict[str, str]:
    if source == "parquet":
        return {}
    modes = {table.name: "import" for table in tables if table.refresh}
    if direct:
        modes |= {"gold_kpi": "directQuery", CANDLES: "hybrid"}
        modes |= {table.name: "dual" for table in tables if table.name.startswith("dim_")}
    return modes


def _connection(model: Model, source: str) -> dict[str, Any]:
    """Return the file that only opens the connection: its address, and no credential."""
    value = {one.name: one.value for one in model.parameters}
    if source == "parquet":
        details = {"protocol": "folder", "address": {"path": value["DataFolder"]}}
    else:
        address = {"server": value["SnowflakeServer"], "warehouse": value["SnowflakeWarehouse"]}
        details = {"protocol": "snowflake", "address": address}
    return {"version": "0.1", "connections": [{"details": details, "mode": "Import"}]}


def _csv(values: list[Expected]) -> str:
    held = io.StringIO()
    rows = csv.writer(held, lineterminator="\n")
    rows.writerow(["measure", "symbol", "other", "first_date", "last_date", "expected"])
    rows.writerows(one.row() for one in values)
    return held.getvalue()
