"""What Snowflake costs is told by run and model, and a budget that is spent stops the work, not the data."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from landed import DAY, Bar, landed, messages, polls_of
from mirrors import ROOT
from snowflake_emulator import Emulator, environ_of

from stocklib.errors import CostLimitReached
from stocklib.pipeline.loading.cost_limit import stay_within_cost_limit
from stocklib.pipeline.transform import transform
from stocklib.report.shell import part
from stocklib.settings import Settings, read_settings
from stocklib.warehouse import open_warehouse
from stocklib.warehouse.cost import Statement, add_up, midnight
from stocklib.warehouse.snowflake.session import RUN
from workbench.cli import main

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def statement(tag: str, *, at: float, seconds: float, size: str = "X-Small") -> Statement:
    return Statement(tag, NOON + timedelta(seconds=at), seconds, 1_000_000, size)


def test_a_statement_pays_for_the_minute_that_the_warehouse_stays_awake_after_it() -> None:
    (cost,) = add_up([statement("stocks:write:r1", at=0, seconds=30)])
    assert (cost.run, cost.part, cost.statements, cost.is_estimated) == ("r1", "write", 1, True)
    assert cost.credits == pytest.approx(90 / 3600)


def test_statements_that_follow_each_other_share_it_and_count_to_their_models() -> None:
    found = add_up(
        [
            statement("stocks:dbt:r1:gold_kpi", at=0, seconds=10),
            statement("stocks:dbt:r1:gold_kpi", at=10, seconds=10),
            statement("stocks:dbt:r1:dim_date", at=20, seconds=20),
            statement("stocks:dbt:r1:dim_date", at=20, seconds=0.1, size=""),
            statement("stocks:read:r2", at=3600, seconds=1),
        ]
    )
    assert [(cost.run, cost.part, cost.statements) for cost in found] == [
        ("r1", "dim_date", 2),
        ("r1", "gold_kpi", 2),
        ("r2", "read", 1),
    ]
    assert sum(cost.credits for cost in found) == pytest.approx((40 + 60 + 1 + 60) / 3600)
    assert found[0].credits == pytest.approx(found[1].credits)


def test_what_the_meter_says_of_an_hour_counts_and_is_no_estimate() -> None:
    both = [statement("stocks:read:r1", at=0, seconds=30), statement("stocks:read:r2", at=60, seconds=10)]
    one, other = add_up(both, metered={NOON: 0.5})
    assert (one.credits, other.credits) == (pytest.approx(0.375), pytest.approx(0.125))
    assert not one.is_estimated


def test_a_larger_warehouse_costs_by_its_rate() -> None:
    small, large = (add_up([statement("stocks", at=0, seconds=60, size=size)]) for size in ("X-Small", "Large"))
    assert large[0].credits == pytest.approx(8 * small[0].credits)


def test_the_worked_example_of_the_docs_is_what_a_day_of_such_statements_costs() -> None:
    said = (ROOT / "docs" / "snowflake.md").read_text(encoding="utf-8")
    for every, busy, hours in ((60, 5, 24), (300, 30, 24), (300, 30, 6.5), (900, 30, 6.5)):
        day = [statement("stocks", at=at, seconds=busy) for at in range(0, round(hours * 3600), every)]
        row = f"| {every} s | {busy} s | {hours:g} h | {sum(cost.credits for cost in add_up(day)):.2f} |"
        assert row in said, row


# ── on the server ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def loaded(warehouse: Settings, snow: Emulator) -> Iterator[Settings]:
    """A warehouse with one load in it, whose statements the server remembers."""
    snow.history.clear()
    open_warehouse(warehouse).initialise()
    bar = Bar("AAPL", DAY, 514.75, 518.132, 505.58, 509.794, prev_close=529.69)
    open_warehouse(warehouse).load([landed("stock_quotes", messages(polls_of(bar, every=3600)), name="a")])
    yield warehouse
    snow.meter = None


def test_every_statement_says_for_which_run_it_works(loaded: Settings, snow: Emulator) -> None:
    sent = len(snow.history)
    (cost,) = [cost for cost in open_warehouse(loaded).costs(since=midnight(datetime.now(UTC))) if cost.part == "write"]
    assert cost.run == RUN
    assert 10 < cost.statements <= sent
    assert cost.is_estimated
    assert 60 / 3600 <= cost.credits < 1


def test_the_meter_is_asked_where_the_account_lets_us(loaded: Settings, snow: Emulator) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    snow.history.append((f"stocks:dbt:{RUN}:gold_kpi", hour, 5.0))
    snow.meter = {hour: 0.25}
    found = open_warehouse(loaded).costs(since=hour - timedelta(hours=1))
    (kpi,) = [cost for cost in found if cost.part == "gold_kpi"]
    assert (kpi.credits, kpi.is_estimated) == (pytest.approx(0.25), False)


def test_a_spent_budget_stops_work_with_a_sentence_and_a_larger_one_lets_it_go_on(loaded: Settings) -> None:
    def with_budget(credits: str) -> Settings:
        return read_settings(environ={**environ_of(loaded), "SNOWFLAKE_CREDITS_A_DAY": credits})

    warehouse = open_warehouse(loaded)
    stay_within_cost_limit(loaded, warehouse)
    stay_within_cost_limit(with_budget("24"), warehouse)
    with pytest.raises(
        CostLimitReached, match=r"have cost about 0\.\d\d credits, and SNOWFLAKE_CREDITS_A_DAY is 0\.01"
    ):
        stay_within_cost_limit(with_budget("0.01"), warehouse)
    with pytest.raises(CostLimitReached):
        transform(with_budget("0.011"))
    assert warehouse.last_build() is None


def test_stocks_cost_says_it_by_day_run_and_part(loaded: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**environ_of(loaded), "SNOWFLAKE_CREDITS_A_DAY": "24"}.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(main, ["cost"])
    assert done.exit_code == 0, done.output
    for said in (RUN, "write", "statements", "credits are estimated", "of 24 credits (SNOWFLAKE_CREDITS_A_DAY)"):
        assert said in done.stdout


def test_the_local_warehouse_costs_nothing(tmp_path: Path) -> None:
    settings = read_settings(environ={"STOCKS_HOME": str(tmp_path), "SNOWFLAKE_CREDITS_A_DAY": "0.01"})
    assert open_warehouse(settings).costs(since=NOON) == []
    stay_within_cost_limit(settings, open_warehouse(settings))


def test_the_report_says_what_each_day_cost_and_nothing_where_it_costs_nothing() -> None:
    costs = add_up(
        [statement("stocks:dbt:r1:gold_<kpi>", at=0, seconds=3540), statement("stocks", at=86400, seconds=60)]
    )
    said = part("cost.html", costs=costs)
    assert said.count('class="tile"') == 2
    assert "5 January" in said
    assert ">1.00<" in said
    assert "gold_&lt;kpi&gt; (1.00)" in said
    assert "estimated" in said
    assert part("cost.html", costs=[]) == ""
