"""Every model and column is described, every description ends with the grain, every key is tested."""

import json

import pytest
from story import Story

from stocklib.warehouse import open_warehouse


@pytest.fixture(scope="module")
def manifest(year: Story) -> dict[str, dict[str, object]]:
    """What dbt knows of the project's nodes."""
    open_warehouse(year.settings).dbt(["parse"], quiet=False)
    path = next((year.settings.home / "warehouse" / "dbt").glob("*/target/manifest.json"))
    return dict(json.loads(path.read_text())["nodes"])


def test_every_column_of_every_table_is_described(year: Story, manifest: dict[str, dict]) -> None:
    tables = year.query(
        "select schema_name || '.' || table_name as name, list(column_name order by column_index) as columns "
        "from duckdb_columns() where schema_name in ('bronze', 'silver', 'gold') group by 1"
    )
    described = {
        f"{node['schema']}.{node['name']}": {c["name"] for c in node["columns"].values() if c["description"]}
        for node in manifest.values()
        if node["resource_type"] == "model"
    }
    assert {row.name: set(row.columns) for row in tables.itertuples()} == described


def test_every_description_ends_with_the_grain(manifest: dict[str, dict]) -> None:
    for node in manifest.values():
        if node["resource_type"] in ("model", "seed"):
            assert "One row per" in node["description"].split(". ")[-1], node["name"]


def test_every_key_is_tested(manifest: dict[str, dict]) -> None:
    models = {key for key, node in manifest.items() if node["resource_type"] in ("model", "seed")}
    keyed = {
        node["attached_node"]
        for node in manifest.values()
        if node["resource_type"] == "test" and node["test_metadata"]["name"] == "unique_combination"
    }
    assert keyed == models
