"""The SQL that no emulator runs: it is Snowflake's by sqlglot's reading, and is what the files say."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlglot
from mirrors import ROOT
from sqlglot import exp

from stocklib.settings import read_settings
from stocklib.warehouse.snowflake import grants
from stocklib.warehouse.snowflake.setup import script, statements
from stocklib.warehouse.table_columns import SCHEMAS, columns, table_statements
from stocklib.warehouse.table_columns import statements as rendered

# with the default names
SETUP = statements(read_settings(demo=True))
PUBLISH = rendered("snowflake/publish.sql", build="B", published="P", reader="READER")
GOLDEN = Path(__file__).parent / "golden"


def test_the_file_for_an_administrator_is_what_dry_run_prints() -> None:
    held = (ROOT / "snowflake" / "sql_init.sql").read_text()
    assert held == script(read_settings(demo=True)), "run: .venv/bin/stocks init --dry-run > snowflake/sql_init.sql"


def test_publishing_is_what_the_golden_file_says() -> None:
    made = rendered("snowflake/publish.sql", build="STOCKS_BUILD", published="STOCKS", reader="STOCKS_REPORTER")
    said = "".join(f"{each};\n" for each in made)
    assert said == (GOLDEN / "publish.sql").read_text()


def test_what_is_asked_of_the_accounts_history_is_what_the_golden_file_says() -> None:
    since, until = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, 12, 30, tzinfo=UTC)
    span = {"database": "STOCKS", "since": since, "until": until}
    asked = rendered("snowflake/history.sql", **span, most=10_000)
    asked += rendered("snowflake/meter.sql", **span, warehouse="STOCKS_WH")
    assert "".join(f"{each};\n" for each in asked) == (GOLDEN / "cost.sql").read_text()
    for each in asked:
        (parsed,) = sqlglot.parse(each, read="snowflake")
        assert isinstance(parsed, exp.Select)


def test_what_the_doctor_tries_changes_nothing_and_is_what_the_golden_file_says() -> None:
    probes = [*grants._reads("STOCKS", "R"), *grants._writes("STOCKS_BUILD", "PUBLIC", "R")]
    said = "".join(f"{probe.statement};\n-- else: {probe.grant}\n" for probe in probes)
    assert said == (GOLDEN / "doctor.sql").read_text()
    for probe in probes:
        assert probe.statement.startswith(("show ", "list ")) or probe.statement.endswith(" where false")
        assert isinstance(sqlglot.parse_one(probe.grant, read="snowflake"), exp.Grant | exp.Command)


@pytest.mark.parametrize("statement", PUBLISH)
def test_a_statement_of_a_publish_is_snowflakes(statement: str) -> None:
    (parsed,) = sqlglot.parse(statement, read="snowflake")
    known = isinstance(parsed, exp.Create | exp.Grant | exp.Drop)
    # swaps, and grants on all of a schema, are let through by the parser without being understood
    assert known or " swap with " in statement or statement.startswith("grant select on all ")


@pytest.mark.parametrize("statement", [*SETUP, *table_statements(snowflake=True).values()])
def test_a_statement_of_the_set_up_is_snowflakes(statement: str) -> None:
    (parsed,) = sqlglot.parse(statement, read="snowflake")
    assert parsed is not None
    # a command is text that the parser let through without understanding it
    known = isinstance(parsed, exp.Create | exp.Grant | exp.Alter)
    assert known or statement.startswith(("create resource monitor", "create warehouse", "create role", "grant "))


def test_readers_have_their_grants_before_a_clone_takes_its_place() -> None:
    first_swap = next(number for number, each in enumerate(PUBLISH) if " swap with " in each)
    assert all("grant " not in each for each in PUBLISH[first_swap:])
    assert {each.split()[2] for each in PUBLISH if " swap with " in each} == {f"P.{s}" for s in SCHEMAS}
    assert [each for each in PUBLISH if " swap with " in each][-1].startswith("alter schema P.gold ")


def test_nobody_but_the_reporter_of_gold_reads_and_it_reads_no_raw() -> None:
    reporter = [each for each in SETUP if each.endswith("role STOCKS_REPORTER")]
    assert all(" usage on " in each or " select on " in each for each in reporter)
    assert not [each for each in reporter if "raw" in each or "_BUILD" in each]


def test_the_tables_have_the_columns_of_the_local_warehouse() -> None:
    ours, theirs = table_statements(snowflake=True), table_statements(snowflake=False)
    for name in (name for name in ours.keys() & theirs.keys() if ours[name].startswith("create table")):
        # both are written from one list, but for the types that an engine has of its own
        here, there = columns(name, snowflake=True), columns(name, snowflake=False)
        assert list(here) == list(there), name
        if "record" in there:
            assert "record variant not null" in ours[name], name
        assert "timestamp" not in here.values(), name
    missing = {name for name in theirs.keys() - ours.keys() if theirs[name].startswith("create table")}
    # a publish clones, and keeps no account of what it brought forward
    assert missing == {"ops.publications"}
