"""The analysis notebooks over a gold that is not as even as the recorded one."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
import recorded_gold

from stocklib.settings import Settings
from workbench import runner

pytestmark = pytest.mark.timeout(180)

YOUNG = "delete from gold.fact_daily_stock_quotes where symbol = 'FB' and quote_date < '2012-12-14'"
OLD = "delete from gold.fact_daily_stock_quotes where symbol = 'IBM' and quote_date > '2012-12-03'"


def outputs_of(settings: Settings, name: str, **given: Any) -> str:
    """Return what an executed copy shows as text."""
    executed = nbformat.read(runner.run(settings, name, given=given).path, as_version=4)
    shown = [output for cell in executed.cells if cell.cell_type == "code" for output in cell.outputs]
    return "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in shown)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("backtests", "AAPL: "),
        ("risk", "too young for a figure: FB\n"),
        ("comparison", "too young, or without a bar in the last sessions: FB, IBM\n"),
    ],
)
def test_a_symbol_with_one_bar_and_one_that_ended_do_not_end_a_notebook(
    gold: Settings, tmp_path: Path, name: str, said: str
) -> None:
    assert said in outputs_of(recorded_gold.copy(gold, tmp_path, YOUNG, OLD), name)


def test_a_rotation_that_never_bought_is_named(gold: Settings, tmp_path: Path) -> None:
    shown = outputs_of(recorded_gold.copy(gold, tmp_path), "momentum_rotation", start="2012-11-01")
    assert "the rotation never traded: " in shown
    assert "it bought nothing" in shown


@pytest.mark.parametrize(
    ("name", "said"), [("predict_direction", "41 to train on"), ("walk_forward", "41 to choose on")]
)
def test_on_half_a_year_the_first_third_is_the_training(gold: Settings, tmp_path: Path, name: str, said: str) -> None:
    shown = outputs_of(recorded_gold.copy(gold, tmp_path), name, start="2012-06-19")
    assert "AAPL: 124 sessions" in shown
    assert said in shown


@pytest.mark.parametrize(
    ("name", "said"),
    [("volatility", "no symbol has more than 10 sessions"), ("walk_forward", "no symbol has 23 sessions")],
)
def test_on_a_week_a_notebook_says_what_is_too_short_for_its_last_figure(
    gold: Settings, tmp_path: Path, name: str, said: str
) -> None:
    week = "delete from gold.fact_daily_stock_quotes where quote_date < '2012-12-06'"
    assert said in outputs_of(recorded_gold.copy(gold, tmp_path, week), name)
