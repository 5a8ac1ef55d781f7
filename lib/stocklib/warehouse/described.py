"""dbt's metadata of its models: descriptions, keys, and which column refers to which table.

A process parses the project once, and again when a file of it changes, so the result is never older than the models.
No warehouse is opened.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stocklib.errors import TransformFailed
from stocklib.host import environment
from stocklib.settings import Settings
from stocklib.warehouse.dbt import DbtPlace, parse


@dataclass(frozen=True)
class Described:
    """A model: its schema, description, described columns, key, and the tables to which columns refer."""

    name: str
    schema: str
    description: str
    columns: Mapping[str, str]
    key: tuple[str, ...] = ()
    refers: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def described_models(settings: Settings) -> dict[str, Described]:
    """Return every model of the project by its name; ``TransformFailed`` when dbt cannot parse it."""
    environ = {"STOCKS_DBT_TARGET": "local", "STOCKS_WAREHOUSE_FILE": ":memory:"}
    place = DbtPlace(settings, settings.home / "warehouse" / "dbt" / "described", environ)
    with environment(place.environ):
        manifest = parse(place)
    if manifest is None:
        raise TransformFailed(f"dbt cannot parse {place.project}: `stocks dbt -- parse` says why; the disk may be full")
    nodes = list(manifest.nodes.values())
    tests = [node for node in nodes if node.resource_type == "test" and getattr(node, "test_metadata", None)]
    models = [node for node in nodes if node.resource_type == "model"]
    return {node.name: _described(node, [t for t in tests if t.attached_node == node.unique_id]) for node in models}


def _described(node: Any, tests: list[Any]) -> Described:
    keys = [test.test_metadata.kwargs["columns"] for test in tests if test.test_metadata.name == "unique_combination"]
    refers = {
        str(test.column_name): (_referred(test.test_metadata.kwargs["to"]), str(test.test_metadata.kwargs["field"]))
        for test in tests
        if test.test_metadata.name == "relationships"
    }
    columns = {name: " ".join(column.description.split()) for name, column in node.columns.items()}
    description = " ".join(node.description.split())
    return Described(node.name, node.schema, description, columns, tuple(keys[0]) if keys else (), refers)


def _referred(reference: str) -> str:
    """Return the model that a test's ``ref('…')`` names."""
    found = re.search(r"ref\(['\"](\w+)['\"]\)", reference)
    return found[1] if found else reference
