"""Gold's contracts and the comments of all tables: enforced and written by a whole build, and by no micro-batch."""

from pathlib import Path

import pytest
from landed import settings_in
from story import Story, with_symbol_changes

from stocklib.warehouse import DbtResult, open_warehouse
from stocklib.warehouse.described import described_models

COMMENTS = """
select schema_name, table_name, column_name, comment from duckdb_columns()
where schema_name in ('bronze', 'silver', 'gold')
"""
RELATIONS = """
select table_name, comment from duckdb_tables() where schema_name in ('silver', 'gold')
union all
select view_name, comment from duckdb_views() where schema_name in ('bronze', 'silver', 'gold')
"""


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_every_table_and_column_carries_its_description(year: Story) -> None:
    models = described_models(year.settings)
    wanted = {(m.schema, m.name, name): text for m in models.values() for name, text in m.columns.items()}
    found = {
        (row.schema_name, row.table_name, row.column_name): one_line(row.comment)
        for row in year.query(COMMENTS).itertuples()
    }
    assert found == wanted
    relations = {row.table_name: one_line(row.comment) for row in year.query(RELATIONS).itertuples()}
    assert relations == {name: model.description for name, model in models.items()}


@pytest.fixture
def broken(tmp_path: Path) -> Story:
    """A project whose contract says that the hour is a text."""
    settings = with_symbol_changes(settings_in(tmp_path), "old,new,date\n")
    path = settings.root / "dbt_stocks" / "models" / "gold" / "gold.yml"
    text, sought = path.read_text(), "      - name: hour\n        data_type: integer\n"
    assert sought in text
    path.write_text(text.replace(sought, sought.replace("integer", "varchar")))
    open_warehouse(settings).initialise()
    return Story(settings)


def build_hours(story: Story, *arguments: str) -> DbtResult:
    warehouse = open_warehouse(story.settings)
    with warehouse.writing():
        return warehouse.dbt(["run", "--select", "dim_time", *arguments], keep=True)


def test_a_whole_build_refuses_another_type_than_the_contract_says(broken: Story) -> None:
    result = build_hours(broken)
    assert not result.success
    assert "enforced contract" in result.failures[0]
    assert "hour" in result.failures[0]


def test_a_micro_batch_does_not_compare_contracts_again(broken: Story) -> None:
    assert build_hours(broken, "--vars", "{is_whole_build: false}").success
