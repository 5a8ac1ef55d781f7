"""Gold is the same on both engines: the same lake objects, every table, every row, every cell, types included.

Without an account the Snowflake path runs on the emulator; `make test-snowflake` runs the same on an account.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from landed import landed, messages, settings_in, trade_messages, utc
from snowflake_emulator import Emulator, make_databases
from story import FIRST, Story, history, session_polls

from stocklib.settings import Settings
from stocklib.warehouse import open_warehouse

# What the two cannot agree on, at most three columns, each with its reason: (table, column) → why.
EXCLUDED: dict[tuple[str, str], str] = {}
TABLES = {
    "dim_corporate_action",
    "dim_date",
    "dim_time",
    "fact_daily_stock_quotes",
    "fact_stock_performance",
    "gold_candlestick",
    "gold_kpi",
    "gold_treechart",
}


def trades() -> list[bytes]:
    """A minute of trades of one symbol, one of them late."""
    at = [utc(f"2012-12-14T15:00:{second:02}") for second in range(0, 60, 5)]
    return trade_messages([("AAPL", 510.0 + number / 7, 100 + number, when) for number, when in enumerate(at)])


def tell(story: Story) -> None:
    """A year of history, then a session in two loads, trades among them: first and incremental builds."""
    story.tell(*history(FIRST, date(2012, 12, 13), "2012-12-14T14:29", name="backfill"))
    lines = messages(session_polls(every=300))
    half = len(lines) // 2
    story.tell(landed("stock_quotes", [*lines[:half], b'{"cut":'], name="q1", hour="2012-12-14T18"))
    story.tell(
        landed("stock_quotes", lines[half - 20 :], name="q2", hour="2012-12-14T21"),
        landed("stock_trades", trades(), name="t1", hour="2012-12-14T21"),
    )


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The story on DuckDB."""
    story = Story(settings_in(tmp_path_factory.mktemp("local"), STOCKS_WAREHOUSE="local"))
    tell(story)
    return story


@pytest.fixture(scope="module")
def snowflake(snow: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The story on Snowflake, or on what stands for it."""
    story = Story(snow.settings(tmp_path_factory.mktemp("snowflake")))
    if isinstance(snow, Emulator):
        make_databases(story.settings)
    tell(story)
    return story


def local_cells(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    with duckdb.connect(settings.home / "warehouse" / "published.duckdb", read_only=True) as con:
        names = [
            row[0]
            for row in con.execute("select table_name from duckdb_tables() where schema_name = 'gold'").fetchall()
        ]
        found = {}
        for name in names:
            cursor = con.execute(f"select * from gold.{name}")
            columns = [column[0] for column in cursor.description]
            found[name] = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    return found


def snowflake_cells(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    warehouse = open_warehouse(settings)
    session = warehouse._session(warehouse._published)  # type: ignore[attr-defined]
    found = {}
    names = session.rows("select lower(table_name) from information_schema.tables where lower(table_schema) = 'gold'")
    for (name,) in names:
        rows = session.arrow(f"select * from gold.{name}").to_pylist()
        found[name] = [{column.lower(): value for column, value in row.items()} for row in rows]
    return found


def plain(value: Any) -> Any:
    """A whole number is one whatever its width; a date is no instant, a float no decimal."""
    if hasattr(value, "to_pydatetime"):
        value = value.to_pydatetime()
    return value


def ordered(rows: list[dict[str, Any]], leave_out: set[str]) -> list[tuple[tuple[str, Any], ...]]:
    kept = [tuple((name, plain(value)) for name, value in sorted(row.items()) if name not in leave_out) for row in rows]
    return sorted(kept, key=lambda row: [(value is None, str(value)) for _, value in row])


def test_every_cell_of_gold_is_the_same_on_both_engines(local: Story, snowflake: Story) -> None:
    assert len(EXCLUDED) <= 3
    ours, theirs = local_cells(local.settings), snowflake_cells(snowflake.settings)
    assert set(ours) == set(theirs) == TABLES
    compared, wrong = 0, []
    for table in sorted(TABLES):
        assert ours[table], f"{table} is empty: nothing would be compared"
        assert set(ours[table][0]) == set(theirs[table][0]), table
        leave_out = {column for where, column in EXCLUDED if where == table}
        assert set(ours[table][0]) - leave_out, f"{table} is left out as a whole"
        one, other = ordered(ours[table], leave_out), ordered(theirs[table], leave_out)
        assert len(one) == len(other), table
        for left, right in zip(one, other, strict=True):
            for (column, mine), (_, yours) in zip(left, right, strict=True):
                compared += 1
                if mine != yours or type(mine) is not type(yours):
                    wrong.append(f"{table}.{column}: {mine!r} on DuckDB, {yours!r} on Snowflake, row {left[:3]}")
    assert not wrong, f"{len(wrong)} of {compared} cells differ:\n" + "\n".join(wrong[:20])
    assert compared > 50_000
    kinds = {type(value) for rows in theirs.values() for row in rows for value in row.values()}
    assert kinds >= {str, bool, int, Decimal, date, datetime, type(None)}


def test_a_second_build_of_the_same_data_changes_no_number(snowflake: Story) -> None:
    before = snowflake_cells(snowflake.settings)
    warehouse = open_warehouse(snowflake.settings)
    with warehouse.writing():
        assert warehouse.dbt(["build", "--exclude-resource-type", "unit_test"]).success
        warehouse.publish()
    after = snowflake_cells(snowflake.settings)
    assert {name: ordered(rows, set()) for name, rows in before.items()} == {
        name: ordered(rows, set()) for name, rows in after.items()
    }
