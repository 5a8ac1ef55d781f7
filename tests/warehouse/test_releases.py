"""A warehouse of another release: each verb names the one command that makes it this one's."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from landed import settings_in

from stocklib import market
from stocklib.errors import InputError, OtherRelease, UnknownName
from stocklib.settings import Settings, read_settings
from stocklib.warehouse import Build, open_warehouse
from stocklib.warehouse.releases import logic_digest
from workbench.doctor import examine


def published(settings: Settings, *, logic: str, change: str = "") -> Settings:
    """A published file without gold, whose tables such models made; then some SQL on it."""
    warehouse = open_warehouse(settings)
    warehouse.initialise()
    warehouse.record_build(Build(1, logic, "", datetime.now(UTC)))
    folder = settings.home / "warehouse"
    shutil.copy(folder / "build.duckdb", folder / "published.duckdb")
    with duckdb.connect(folder / "published.duckdb") as con:
        con.execute("create schema gold; create table gold.fact_daily_stock_quotes (close_price double); " + change)
    return settings


OLDER = {
    "other models": ("of before", "", "run `stocks transform`"),
    "another schema": ("of before", "update ops.schema_version set version = 1", "run `stocks rebuild`"),
    "before there was a schema version": ("of before", "drop table ops.schema_version", "run `stocks rebuild`"),
}


@pytest.mark.parametrize("older", OLDER)
def test_what_is_missing_in_tables_of_another_release_names_the_command(tmp_path: Path, older: str) -> None:
    logic, change, command = OLDER[older]
    settings = published(settings_in(tmp_path), logic=logic, change=change)
    warehouse = open_warehouse(settings)
    for sql in ("select a_new_column from gold.fact_daily_stock_quotes", "select * from gold.a_new_table"):
        with pytest.raises(OtherRelease, match=command):
            warehouse.query(sql)
        with warehouse.reading() as look, pytest.raises(UnknownName):
            look.arrow(sql)
    with pytest.raises(OtherRelease, match=command):
        market.table("a_new_table", settings=settings)
    said = next(finding for finding in examine(settings) if finding.system == "warehouse")
    assert not said.ok
    assert command in said.text


def test_a_name_that_this_release_does_not_know_either_is_only_that(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    published(settings, logic=logic_digest(settings))
    with pytest.raises(UnknownName, match="nothing_of_the_kind") as raised:
        open_warehouse(settings).query("select nothing_of_the_kind from gold.fact_daily_stock_quotes")
    assert "run `" not in str(raised.value)
    with pytest.raises(InputError, match="there is no table"):
        market.table("nothing_of_the_kind", settings=settings)


def test_the_demo_is_told_of_its_own_home_also_where_a_dotenv_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOCKS_DEMO_HOME", str(tmp_path))
    settings = published(read_settings(demo=True), logic="of before", change="drop table ops.schema_version")
    with pytest.raises(OtherRelease, match="run `stocks --demo rebuild`"):
        open_warehouse(settings).query("select a_new_column from gold.fact_daily_stock_quotes")
    with duckdb.connect(tmp_path / "warehouse" / "build.duckdb") as con:
        con.execute("update ops.schema_version set version = 1")
    with pytest.raises(OtherRelease, match="run `stocks --demo rebuild`") as raised:
        open_warehouse(settings).initialise()
    assert raised.value.is_hopeless
