"""dbt is started with the project's own variables, whatever else its caller asks for."""

import json
import logging
from pathlib import Path

import pytest
from landed import settings_in
from outages import files_of_at_most

from stocklib.errors import InputError, TransformFailed
from stocklib.pipeline.transform import run_dbt
from stocklib.warehouse.dbt import merge_variables
from stocklib.warehouse.described import described_models

OURS = {"close_settle_seconds": 0}


@pytest.mark.parametrize("given", ['{"mine": 1}', "{mine: 1}", "mine: 1"])
@pytest.mark.parametrize("joined", [True, False])
def test_the_callers_variables_go_beside_ours(given: str, *, joined: bool) -> None:
    args = ["build", *([f"--vars={given}"] if joined else ["--vars", given]), "--select", "silver"]
    *rest, option, merged = merge_variables(args, OURS)
    assert (rest, option) == (["build", "--select", "silver"], "--vars")
    assert json.loads(merged) == {"close_settle_seconds": 0, "mine": 1}


def test_the_callers_variables_win() -> None:
    assert json.loads(merge_variables(["run", "--vars", "close_settle_seconds: 7"], OURS)[-1]) == {
        "close_settle_seconds": 7
    }


@pytest.mark.parametrize("args", [["--vars", "{mine: 1"], ["--vars=mine"], ["--vars", "[1]"], ["--vars="], ["--vars"]])
def test_variables_that_are_no_mapping_are_one_clear_error(args: list[str]) -> None:
    with pytest.raises(InputError, match=r"--vars .* write them like --vars '\{close_settle_seconds: 60\}'"):
        merge_variables(["build", *args], OURS)


def test_a_full_disk_under_dbts_log_is_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    # no other test in this process has parsed the project with this value, so that dbt parses it here
    settings = settings_in(tmp_path, CLOSE_SETTLE_SECONDS="1234")
    with files_of_at_most(100), pytest.raises(TransformFailed, match="the disk may be full"):
        described_models(settings)
    assert "Traceback" not in capfd.readouterr().err
    assert logging.raiseExceptions
    # once there is room, the same process reads the project
    assert "gold_kpi" in described_models(settings)


def test_dbt_hears_ours_and_the_callers(tmp_path_factory: pytest.TempPathFactory, capfd: pytest.CaptureFixture) -> None:
    settings = settings_in(tmp_path_factory.mktemp("vars"), CLOSE_SETTLE_SECONDS="77")
    asked = "select {{ var('close_settle_seconds') }} as ours, {{ var('mine') }} as mine"
    # an option before the verb, too
    assert run_dbt(settings, ["--quiet", "show", "--inline", asked, "--output", "json", "--vars", "mine: 5"]) == 0
    assert json.loads(capfd.readouterr().out)["show"] == [{"ours": 77, "mine": 5}]
