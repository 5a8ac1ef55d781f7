"""Gold is the same on both engines: the same lake objects, every table, every row, every cell, types included.

Without an account the Snowflake path runs on the emulator; `make test-snowflake` runs the same on an account.
"""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import orjson
import pandas as pd
import pytest
from click.testing import CliRunner
from landed import (
    Bar,
    Split,
    actions,
    candles,
    dividends,
    landed,
    messages,
    profile,
    recorded_bars,
    settings_in,
    trade_messages,
    utc,
)
from pyarrow import parquet
from snowflake_emulator import Emulator, environ_of, make_databases
from story import FIRST, Story, history, session_polls, with_symbol_changes

from stocklib import market
from stocklib.errors import WarehouseError
from stocklib.pipeline.exporting import export
from stocklib.settings import Settings
from stocklib.warehouse import BESIDE_GOLD, LandedObject, open_warehouse
from stocklib.warehouse.described import described_models
from stocklib.warehouse.published import published_tables, row_counts, select_tables
from workbench import runner
from workbench.cli import main

# the first test loads and builds the story on both engines
pytestmark = pytest.mark.timeout(900)

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


# GOOG changes hands, and FB does not yet
CHANGES = "old,new,date\nGOOG,GOOGL,2012-06-01\nFB,META,2022-06-09\n"
PAID = {"AAPL": [(date(2012, 8, 9), 2.65), (date(2012, 8, 9), 0.35)], "GOOG": [(date(2012, 3, 1), 1.0)]}


def trades() -> list[bytes]:
    """A minute of trades of one symbol, one of them late."""
    at = [utc(f"2012-12-14T15:00:{second:02}") for second in range(0, 60, 5)]
    return trade_messages([("AAPL", 510.0 + number / 7, 100 + number, when) for number, when in enumerate(at)])


def wrong(line: bytes, **values: Any) -> bytes:
    """The same message with other values in its payload."""
    message = orjson.loads(line)
    return orjson.dumps({**message, "payload": {**message["payload"], **values}})


def extremes() -> list[LandedObject]:
    """A price of 9e11 after one of a millionth, adjusted prices of 3e13, and a number out of range in each record."""
    fetched, days = utc("2012-12-14T14:29"), (date(2012, 12, 12), date(2012, 12, 13))
    splits = [Split("RVRS", date(2012, 12, 13), 1e6, 1), Split("VAST", date(2012, 12, 13), 1e300, 1)]
    bars = [Bar("WILD", day, price, price, price, price) for day, price in zip(days, (1e-6, 9e11), strict=True)]
    bars += [Bar("RVRS", day, 3e7, 3e7, 3e7, 3e7) for day in days]
    bars += [Bar("VAST", days[0], 1, 1, 1, 1, volume=10**20), Bar("VAST", days[1], 1e12, 1e12, 1e12, 1e12)]
    profiles = [profile("VAST", fetched, shareOutstanding=1e30), profile("WILD", fetched, shareOutstanding=15_115.82)]
    symbols = ["WILD", "RVRS", "VAST"]
    return [
        landed("daily_historical_quotes", candles(bars, fetched, splits=splits[:1]), name="extremes"),
        landed("corporate_actions", actions(symbols, fetched, splits=splits), name="extremes"),
        landed("company_profiles", profiles, name="extremes"),
    ]


def odd_bars() -> list[Bar]:
    """A symbol that lacks nine sessions of a half year, and has one close that is a hundred times too high."""
    bars = [replace(bar, symbol="ODD") for bar in recorded_bars(date(2012, 6, 1), date(2012, 12, 13), ["IBM"])]
    bad = bars[70]
    bars[70] = replace(bad, high=bad.high * 100, close=bad.close * 100)
    return [bar for number, bar in enumerate(bars) if number not in {5, 40, 41, *range(90, 96)}]


def odd(fetched: str) -> list[LandedObject]:
    at = utc(fetched)
    return [
        landed("daily_historical_quotes", candles(odd_bars(), at), name="odd", hour="2012-12-14T14"),
        landed("corporate_actions", actions(["ODD"], at), name="odd", hour="2012-12-14T14"),
    ]


def tell(story: Story) -> None:
    """A year of history and half a session, then the other half and trades: a first build and an incremental one."""
    lines = messages(session_polls(every=300))
    # columns of the wrong type, and numbers out of range: they are quarantined, and hurt nobody else
    lines[7], lines[9] = wrong(lines[7], c="abc"), wrong(lines[9], t="yesterday")
    lines[11], lines[13] = wrong(lines[11], pc=1e300), wrong(lines[13], dp=9e19, d=1e300)
    half = len(lines) // 2
    story.tell(
        *history(FIRST, date(2012, 12, 13), "2012-12-14T14:29", name="backfill"),
        *odd("2012-12-14T14:29"),
        landed("corporate_actions", dividends(PAID, utc("2012-12-13T22:00")), name="d1"),
        landed("stock_quotes", [*lines[:half], b'{"cut":'], name="q1", hour="2012-12-14T18"),
        *extremes(),
    )
    story.tell(
        landed("stock_quotes", lines[half - 20 :], name="q2", hour="2012-12-14T21"),
        landed("stock_trades", trades(), name="t1", hour="2012-12-14T21"),
        # an answer that lacks two dividends, and one that lacks one
        landed("corporate_actions", dividends({"AAPL": [], "GOOG": []}, utc("2012-12-14T22:00")), name="d2"),
    )


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The story on DuckDB."""
    settings = settings_in(tmp_path_factory.mktemp("local"), STOCKS_WAREHOUSE="local")
    story = Story(with_symbol_changes(settings, CHANGES))
    tell(story)
    return story


@pytest.fixture(scope="module")
def snowflake(snow: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The story on Snowflake, or on what stands for it."""
    story = Story(with_symbol_changes(snow.settings(tmp_path_factory.mktemp("snowflake")), CHANGES))
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
    kinds = {type(plain(value)) for rows in theirs.values() for row in rows for value in row.values()}
    assert kinds >= {str, bool, int, Decimal, date, datetime, type(None)}


def test_every_column_of_gold_carries_its_description_there(snowflake: Story) -> None:
    described = described_models(snowflake.settings)
    found = snowflake.query(
        "select lower(table_name) as name, lower(column_name) as column_name, comment from information_schema.columns "
        "where table_schema = 'GOLD'"
    )
    comments = {(row.iloc[0], row.iloc[1]): " ".join(str(row.iloc[2]).split()) for _, row in found.iterrows()}
    assert comments == {(table, name): text for table in TABLES for name, text in described[table].columns.items()}


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


def test_a_column_of_the_wrong_type_is_quarantined_for_the_same_reason(local: Story, snowflake: Story) -> None:
    sql = "select symbol, reason, kafka_offset, seq from silver.quarantined_quotes order by kafka_offset"
    ours, theirs = local.query(sql), snowflake.query(sql)
    assert len(ours) == 3
    assert ours.astype(str).to_dict("records") == theirs.astype(str).to_dict("records")


@pytest.mark.parametrize(
    ("table", "reasons"),
    [
        ("quarantined_candles", {"volume out of range", "price out of range"}),
        ("quarantined_actions", {"factor out of range"}),
        ("quarantined_profiles", {"shares outstanding out of range"}),
    ],
)
def test_a_number_out_of_range_is_quarantined_for_the_same_reason(
    local: Story, snowflake: Story, table: str, reasons: set[str]
) -> None:
    sql = f"select symbol, reason, object_key, line_no from silver.{table} order by object_key, line_no"
    ours, theirs = local.query(sql), snowflake.query(sql)
    assert set(ours["reason"]) == reasons
    assert ours.astype(str).to_dict("records") == theirs.astype(str).to_dict("records")


# ── what an analyst calls ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"symbols": ["AAPL", "FB"], "start": "2012-12-01", "adjust": "total"},
        {"symbols": "AAPL", "adjust": "none", "end": "2012-12-14"},
        {"resolution": "5m"},
        {"wide": "close", "symbols": ["IBM", "MSFT"]},
        {"symbols": ["IBM", "ODD"], "holes": "nan", "suspect": "drop"},
    ],
)
def test_prices_are_the_same_frame_on_both_engines(local: Story, snowflake: Story, asked: dict[str, Any]) -> None:
    ours, theirs = (market.prices(**asked, settings=story.settings) for story in (local, snowflake))
    assert len(ours) > 0
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


@pytest.mark.parametrize("name", [*sorted(TABLES), "silver.dim_stock_symbols", "silver.suspect_bars"])
def test_a_table_is_the_same_frame_on_both_engines(local: Story, snowflake: Story, name: str) -> None:
    ours, theirs = (market.table(name, settings=story.settings) for story in (local, snowflake))
    if name.startswith("silver."):
        ours, theirs = (frame.drop(columns=["load_id"], errors="ignore") for frame in (ours, theirs))
    assert set(ours) == set(theirs)
    assert {c: ours[c].dtype.kind for c in ours} == {c: theirs[c].dtype.kind for c in ours}
    keys = [column for column in ours if not str(ours[column].dtype).startswith("float")]
    first, second = (frame[list(ours)].sort_values(keys, ignore_index=True) for frame in (ours, theirs))
    pd.testing.assert_frame_equal(first, second, check_dtype=False, check_exact=True)


def test_symbols_are_the_same_on_both_engines(local: Story, snowflake: Story) -> None:
    for like in ("", "aap", "inc"):
        assert market.symbols(like, settings=local.settings) == market.symbols(like, settings=snowflake.settings)
    assert market.symbols("aap", settings=snowflake.settings) == ["AAPL"]


def test_stocks_query_answers_the_same_on_both_engines(
    local: Story, snowflake: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = "select symbol, current_price, as_of, '=' || symbol as formula from gold.gold_kpi order by symbol"
    told = []
    for story in (local, snowflake):
        for name, value in environ_of(story.settings).items():
            monkeypatch.setenv(name, value)
        for form in ("csv", "json", "table"):
            done = CliRunner().invoke(main, ["query", sql, "--format", form])
            assert done.exit_code == 0, done.output
            told.append(done.stdout)
        monkeypatch.undo()
    assert told[:3] == told[3:]
    assert ",'=AAPL\n" in told[0]


def test_an_export_is_the_same_files_with_the_same_cells(local: Story, snowflake: Story, tmp_path: Path) -> None:
    written = {}
    for name, story in (("local", local), ("snowflake", snowflake)):
        (tmp_path / name).mkdir()
        open_warehouse(story.settings).export(tmp_path / name, fmt="parquet")
        written[name] = {path.stem: parquet.read_table(path) for path in (tmp_path / name).iterdir()}
    ours, theirs = written["local"], written["snowflake"]
    assert set(ours) == set(theirs) == TABLES | {table.partition(".")[2] for table in BESIDE_GOLD}
    for table in sorted(TABLES):
        assert ordered(ours[table].to_pylist(), set()) == ordered(theirs[table].to_pylist(), set()), table


def test_the_published_tables_say_the_same_of_themselves(local: Story, snowflake: Story, snow: object) -> None:
    told = {}
    for name, story in (("local", local), ("snowflake", snowflake)):
        with open_warehouse(story.settings).reading() as look:
            found = published_tables(look)
            counts = row_counts(look, select_tables(found, TABLES))
        told[name] = [
            (full, counts[full], [(one.name, one.meaning, one.unit) for one in table.columns])
            for full, table in found.items()
            if table.layer == "gold"
        ]
        assert [one for one in found["ops.ledger"].columns if not one.meaning] == []
        # the emulator keeps no comments of tables
        if name == "local" or not isinstance(snow, Emulator):
            assert found["gold.gold_kpi"].description.endswith("One row per symbol.")
    for ours, theirs in zip(told["local"], told["snowflake"], strict=True):
        assert ours == theirs


def test_a_workbook_has_the_same_cells(local: Story, snowflake: Story, tmp_path: Path) -> None:
    cells = {}
    for name, story in (("local", local), ("snowflake", snowflake)):
        (path,) = export(story.settings, tmp_path / name, format="xlsx", tables=TABLES)
        book = openpyxl.load_workbook(path)
        cells[name] = {
            table: sorted([[str(cell.value), cell.number_format] for cell in row] for row in book[table].iter_rows())
            for table in TABLES
        }
    for table in TABLES:
        assert cells["local"][table] == cells["snowflake"][table], table


def test_a_version_that_is_published_while_one_reads_is_told(snowflake: Story) -> None:
    warehouse = open_warehouse(snowflake.settings)

    def read_while_one_publishes() -> None:
        with warehouse.reading() as look:
            build = look.published_build()
            assert build
            warehouse.record_build(replace(build, finished_at=datetime.now(UTC)))
            warehouse.publish()

    with pytest.raises(WarehouseError, match="ask again"):
        read_while_one_publishes()


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("market_overview", {}),
        # roles and monitors are the account's, and are not dropped with the databases
        ("setup_snowflake_schema", {"dry_run": "true"}),
    ],
)
def test_a_notebook_runs_there_without_change(
    snowflake: Story, monkeypatch: pytest.MonkeyPatch, name: str, given: dict[str, str]
) -> None:
    for variable, value in environ_of(snowflake.settings).items():
        monkeypatch.setenv(variable, value)
    assert runner.run(snowflake.settings, name, given=given).result
