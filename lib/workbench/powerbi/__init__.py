"""The Power BI project as text: semantic model in TMDL, report in PBIR, built from dbt and published gold.

The same gold gives the same bytes, so the project is in git. It holds no credential: Power BI asks for them.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stocklib.errors import InputError
from stocklib.settings import Settings
from stocklib.warehouse import Warehouse, open_warehouse
from stocklib.warehouse.described import described_models
from stocklib.warehouse.published import published_tables
from workbench.powerbi.definition import definition, expected_table, parameters
from workbench.powerbi.design import THEMES, as_json, check_bindings, designed_files
from workbench.powerbi.expected import Expected, expected_values
from workbench.powerbi.folder import write_folder
from workbench.powerbi.star import star

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
    model = definition(
        settings,
        *star(described_models(settings), published_types(warehouse)),
        source=source,
        direct=direct,
    )
    model["tables/expected_values.tmdl"] = expected_table(values)
    files = designed_files(symbol=next(one.symbol for one in values if one.symbol), look=look)
    files |= {f"{NAME}.SemanticModel/definition/{name}": text for name, text in model.items()}
    files[f"{NAME}.pbids"] = as_json(_connection(parameters(source, settings)))
    files["expected_values.csv"] = _csv(values)
    check_bindings(files)
    return dict(sorted(files.items()))


def published_types(warehouse: Warehouse) -> dict[tuple[str, str], dict[str, str]]:
    """Return every published table's columns with their types, in order."""
    with warehouse.reading() as look:
        tables = published_tables(look).values()
    return {(one.layer, one.name): {column.name: column.data_type for column in one.columns} for one in tables}


def _connection(opened: Mapping[str, str]) -> dict[str, Any]:
    """Return the file that only opens the connection: its address, and no credential."""
    if "DataFolder" in opened:
        details = {"protocol": "folder", "address": {"path": opened["DataFolder"]}}
    else:
        address = {"server": opened["SnowflakeServer"], "warehouse": opened["SnowflakeWarehouse"]}
        details = {"protocol": "snowflake", "address": address}
    return {"version": "0.1", "connections": [{"details": details, "mode": "Import"}]}


def _csv(values: list[Expected]) -> str:
    held = io.StringIO()
    rows = csv.writer(held, lineterminator="\n")
    rows.writerow(["measure", "symbol", "other", "first_date", "last_date", "expected"])
    rows.writerows(one.row() for one in values)
    return held.getvalue()
