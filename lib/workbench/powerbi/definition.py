"""The semantic model's files that depend on dbt, gold and the settings, rendered from ``templates``.

TMDL says what a table is, Power Query's M where its rows come from: Snowflake, or the Parquet files of
``stocks export``. No credential stands in a query; Power BI asks for it and keeps it.
"""

import re
import uuid
from collections.abc import Iterable
from datetime import date
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from stocklib.sessions import NEW_YORK
from stocklib.settings import Settings
from stocklib.watchlists import read_symbols
from workbench.powerbi.expected import Expected
from workbench.powerbi.model import Relationship, Table
from workbench.powerbi.star import QUARANTINED

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "stocks-workbench/powerbi")


def definition(
    settings: Settings,
    tables: tuple[Table, ...],
    relationships: tuple[Relationship, ...],
    *,
    source: str,
    direct: bool,
) -> dict[str, str]:
    """Return the files of the ``definition`` folder by their path, without those that are designed."""
    roles = {f"watchlist_{name}": role(name, symbols) for name, symbols in _watchlists(settings).items()}
    files = {
        "model.tmdl": render("model.tmdl", tables=tables, roles=roles),
        "relationships.tmdl": render("relationships.tmdl", relationships=relationships),
        "expressions.tmdl": render("expressions.tmdl", parameters=parameters(source, settings)),
    }
    files |= {f"roles/{name}.tmdl": text for name, text in roles.items()}
    for table in tables:
        files[f"tables/{table.name}.tmdl"] = render(
            "table.tmdl", table=table, query=query(table, source), source=source, direct=direct
        )
    return files


def parameters(source: str, settings: Settings) -> dict[str, str]:
    """Return what is set where the project is opened; what the settings know already is filled in."""
    if source == "parquet":
        return {"DataFolder": "C:\\stocks\\export"}
    return {
        "SnowflakeServer": f"{settings.snowflake_account or 'your-account'}.snowflakecomputing.com",
        "SnowflakeWarehouse": settings.snowflake_warehouse or "STOCKS_WH",
        "SnowflakeRole": settings.snowflake_role or f"{settings.snowflake_database}_REPORTER",
        "SnowflakeDatabase": settings.snowflake_database,
        "GoldSchema": "GOLD",
        "SilverSchema": "SILVER",
        "OpsSchema": "OPS",
        "RangeStart": "#datetime(2000, 1, 1, 0, 0, 0)",
        "RangeEnd": "#datetime(2100, 1, 1, 0, 0, 0)",
    }


def role(watchlist: str, symbols: Iterable[str]) -> str:
    """Return the file of a role that sees the symbols of a watchlist, whose names may hold any character."""
    return render("role.tmdl", watchlist=watchlist, symbols=symbols)


def query(table: Table, source: str) -> str:
    """Return the M that gives a table's rows; ``source`` is ``snowflake`` or ``parquet``."""
    return render(f"{source}.m", table=table, quarantined=QUARANTINED, new_york=NEW_YORK.key).strip()


def expected_table(values: Iterable[Expected]) -> str:
    """Return the table of expected values, which holds its rows itself and needs no file."""
    return render("expected_values.tmdl", values=values)


def render(template: str, **filled: Any) -> str:
    return _templates().get_template(template).render(filled)


def _watchlists(settings: Settings) -> dict[str, list[str]]:
    lists = {"stock_symbols": settings.root / "config" / "stock_symbols.json"}
    lists |= {path.stem: path for path in sorted((settings.root / "config" / "watchlists").glob("*.json"))}
    return {name: list(read_symbols(path)) for name, path in sorted(lists.items())}


@cache
def _templates() -> Environment:
    # these are not HTML: a filter quotes each value for TMDL, M or DAX
    templates = Environment(  # noqa: S701
        loader=PackageLoader("workbench.powerbi"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.globals["tag"] = derived_id
    templates.filters |= {"name": quoted_name, "text": text, "constant": constant, "date": _date, "one_line": one_line}
    return templates


def derived_id(*parts: str) -> str:
    """Return an id that follows from what it names, so that the same model is the same bytes.

    >>> derived_id("table", "gold_kpi") == derived_id("table", "gold_kpi")
    True
    """
    return str(uuid.uuid5(_NAMESPACE, "/".join(parts)))


def quoted_name(name: str) -> str:
    """Return a name as TMDL takes it: in quotes unless it is a plain word.

    >>> quoted_name("gold_kpi"), quoted_name("Change %"), quoted_name("Sotheby's")
    ('gold_kpi', "'Change %'", "'Sotheby''s'")
    """
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else "'" + name.replace("'", "''") + "'"


def text(value: str) -> str:
    """Return a text of M, whatever it holds.

    >>> text('the "best" #(tab) one')
    '"the ""best"" #(#)(tab) one"'
    """
    return constant(value.replace("#(", "#(#)("))


def constant(value: str) -> str:
    """Return a text of DAX.

    >>> constant('A"B')
    '"A""B"'
    """
    return '"' + value.replace('"', '""') + '"'


def one_line(value: str) -> str:
    return " ".join(value.split())


def _date(value: date | None) -> str:
    return f"#date({value.year}, {value.month}, {value.day})" if value else "null"
