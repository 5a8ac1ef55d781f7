"""The published tables as their readers see them: layer, grain, rows, columns with type, unit and meaning."""

import re
from pathlib import Path

import pytest
from recorded_gold import copy

from stocklib.errors import InputError
from stocklib.settings import Settings
from stocklib.warehouse import open_warehouse, table_columns
from stocklib.warehouse.data_terms import terms_of
from stocklib.warehouse.described import described_models
from stocklib.warehouse.published import (
    PublishedTable,
    kind_of,
    ops_tables,
    published_tables,
    row_counts,
    select_tables,
)


@pytest.fixture(scope="module")
def published(gold: Settings) -> dict[str, PublishedTable]:
    with open_warehouse(gold).reading() as look:
        return published_tables(look)


def test_the_tables_say_what_dbt_describes(gold: Settings, published: dict[str, PublishedTable]) -> None:
    for model in described_models(gold).values():
        table = published[f"{model.schema}.{model.name}"]
        assert table.description == model.description
        assert {column.name: column.meaning for column in table.columns} == model.columns
    assert next(iter(published)).startswith("gold.")


def test_every_table_and_column_has_a_meaning(published: dict[str, PublishedTable]) -> None:
    silent = [name for name, table in published.items() if not table.description.endswith(".")]
    silent += [
        f"{name}.{column.name}" for name, table in published.items() for column in table.columns if not column.meaning
    ]
    assert silent == []


def test_the_tables_of_ops_are_described_as_they_are_declared() -> None:
    described = ops_tables()
    for name, about in described.items():
        assert list(about["columns"]) == list(table_columns.columns(f"ops.{name}", snowflake=False)), name
    made = table_columns.table_statements(snowflake=False)
    assert set(described) == {name.removeprefix("ops.") for name in made if re.fullmatch(r"ops\.\w+", name)}


def test_a_number_has_a_unit_where_its_meaning_needs_one(published: dict[str, PublishedTable]) -> None:
    counts = r"^(year|quarter|month|hour|minute|day_of_week|minute_of_day|tick_count|payments|sessions_since_previous)$"
    units = {
        f"{table.name}.{column.name}": column.unit
        for table in published.values()
        if table.layer == "gold"
        for column in table.columns
        if kind_of(column.data_type) in ("integer", "number") and not re.fullmatch(counts, column.name)
    }
    assert [name for name, unit in units.items() if not unit] == []
    assert units["gold_treechart.volatility_30day_percent"] == "percent"
    assert units["gold_treechart.relative_volatility"] == "ratio"
    assert units["fact_daily_stock_quotes.volume"] == "shares"
    assert units["dim_corporate_action.amount"] == units["gold_candlestick.vwap"] == "the listing's currency"


def test_rows_are_counted(gold: Settings, published: dict[str, PublishedTable]) -> None:
    with open_warehouse(gold).reading() as look:
        counts = row_counts(look, published)
        assert counts["gold.gold_kpi"] == 5
        assert counts["gold.fact_daily_stock_quotes"] == len(look.query("select * from gold.fact_daily_stock_quotes"))


def test_a_name_that_is_not_there_is_answered_with_a_near_one(published: dict[str, PublishedTable]) -> None:
    assert select_tables(published, ["Gold_KPI", "silver.suspect_bars", "gold.gold_kpi"]) == [
        "gold.gold_kpi",
        "silver.suspect_bars",
    ]
    with pytest.raises(InputError, match=r"no published table 'gold_kpo'; .* Did you mean gold_kpi"):
        select_tables(published, ["gold_kpo"])


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("yfinance", ["Yahoo"]),
        ("trades", ["Finnhub"]),
        ("both", ["Finnhub", "Yahoo"]),
        ("replay", ["replayed", "Quandl"]),
    ],
)
def test_the_terms_are_those_of_the_data_that_is_there(
    source: str, named: list[str], gold: Settings, tmp_path: Path
) -> None:
    live = [
        "delete from ops.warehouse_source",
        f"update gold.fact_daily_stock_quotes set data_source = if({source != 'trades'}, 'yfinance', 'trades') "
        f"where symbol = 'IBM' or {source != 'both'}",
    ]
    with open_warehouse(copy(gold, tmp_path, *(live if source != "replay" else []))).reading() as look:
        *terms, advice = terms_of(look)
    said = " ".join(terms)
    assert [name for name in ("replayed", "Finnhub", "Quandl", "Yahoo") if name in said] == named
    assert advice == "Nothing here is advice to buy or sell."
