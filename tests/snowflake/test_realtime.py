"""The pipeline's own notebook, from a real S3 to gold on Snowflake: the account in the settings alone chose it."""

from datetime import UTC, datetime

import pytest
from landed import messages
from snowflake_emulator import Emulator, environ_of, make_databases
from story import session_polls

from stocklib.lake import Lake
from stocklib.settings import Settings, read_settings
from stocklib.warehouse import open_warehouse
from workbench import runner

NOON = datetime(2012, 12, 14, 17, 30, tzinfo=UTC)
pytestmark = pytest.mark.stack


def test_the_realtime_notebook_brings_what_landed_to_gold_there(
    settings: Settings, snow: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {**environ_of(settings), **environ_of(snow.settings(settings.home))}
    del environ["STOCKS_WAREHOUSE"]
    there = read_settings(environ=environ)
    if isinstance(snow, Emulator):
        make_databases(there)
    lines = messages(session_polls(every=900))
    Lake(there).write("stock_quotes", f"stock-quotes+0+{0:020d}-{len(lines) - 1:020d}", lines, landed=NOON)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    said = runner.run(there, "realtime_load").result
    assert f"loaded {len(lines)} lines of 1 objects" in said
    assert len(open_warehouse(there).query("select * from gold.gold_kpi")) == 5
