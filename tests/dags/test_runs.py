"""Each DAG is really run, on the embedded S3 and a warehouse, against a small Finnhub; what it did is looked at.

The tests share one pipeline, which is filled as they go: they run in the order in which they stand.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import nbformat
import pytest
from small_finnhub import DAYS, Market

from stocklib.lake import Artifacts, Lake
from stocklib.pipeline.history import daily
from stocklib.settings import Settings
from stocklib.warehouse import open_warehouse

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

Run = Callable[..., Any]


def gold(settings: Settings) -> dict[str, list[str]]:
    """The dates of gold by symbol."""
    frame = open_warehouse(settings).query("select symbol, quote_date from gold.fact_daily_stock_quotes order by all")
    return {symbol: [f"{day:%Y-%m-%d}" for day in rows["quote_date"]] for symbol, rows in frame.groupby("symbol")}


def kept(settings: Settings, prefix: str) -> list[str]:
    return Artifacts(settings).keys(prefix)


@pytest.fixture
def filled(run: Run, pipeline: Settings) -> None:
    """Gold holds 3 to 12 December, made by the DAGs."""
    if not (pipeline.home / "warehouse" / "published.duckdb").exists():
        assert run("backfill_ytd_historical", **{"from": "2012-12-03", "to": "2012-12-12"}).state == "success"
        assert run("transform").state == "success"


def test_setting_up_makes_the_tables(run: Run, pipeline: Settings) -> None:
    done = run("setup_snowflake_schema")
    assert done.states == {"initialise": "success"}
    warehouse = open_warehouse(pipeline)
    with warehouse.writing():
        assert warehouse.read("select count(*) from raw.stock_quotes") == [(0,)]


def test_a_backfill_fetches_a_symbol_a_task_and_the_transform_publishes(run: Run, pipeline: Settings) -> None:
    done = run("backfill_ytd_historical", **{"from": "2012-12-03", "to": "2012-12-12"})
    assert done.states == {"choose_symbols": "success", "fetch.0": "success", "fetch.1": "success", "load": "success"}
    built = run("transform")
    assert built.states == {"build": "success", "powerbi_refresh": "skipped"}
    assert gold(pipeline)["MSFT"] == gold(pipeline)["AAPL"] == [f"{day}" for day in DAYS[:-1]]
    # the executed copies are kept under the run's id, and nowhere in bronze
    copies = kept(pipeline, "runs/backfill_ytd_historical/")
    assert [key.split("/")[-2:] for key in copies] == [
        ["fetch.0.try1", "backfill_ytd.ipynb"],
        ["fetch.1.try1", "backfill_ytd.ipynb"],
        ["load.try1", "realtime_load.ipynb"],
    ]
    lake = Lake(pipeline)
    assert not [
        entry for entry in lake._call("list_objects_v2", Bucket=lake.bucket)["Contents"] if "runs" in entry["Key"]
    ]
    assert (
        done.xcom("load", "notebook") == f"http://files.example/browser/{pipeline.minio_artifacts_bucket}/{copies[2]}"
    )
    assert done.xcom("load", "_link_NotebookLink") == done.xcom("load", "notebook")


def test_a_run_with_a_date_lands_that_day_and_running_it_again_changes_nothing(
    run: Run, pipeline: Settings, filled: None
) -> None:
    at = datetime(2012, 12, 13, 23, tzinfo=UTC)
    assert run("daily_historical_load", at=at).state == "success"
    run("transform")
    before = gold(pipeline)
    assert before["AAPL"][-1] == "2012-12-13"
    again = run("daily_historical_load", at=at)
    assert again.xcom("trade_day") == "2012-12-13"
    run("transform")
    assert gold(pipeline) == before


def test_a_holiday_is_skipped_and_the_reason_is_its_name(
    run: Run, pipeline: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    done = run("daily_historical_load", at=datetime(2012, 12, 25, 23, tzinfo=UTC))
    assert done.states == {"trade_day": "skipped", "fetch": "skipped", "load": "skipped"}
    assert "closed on 2012-12-25 (Christmas)" in capfd.readouterr().out


def test_a_run_without_a_date_is_about_the_sources_last_session(run: Run, pipeline: Settings, filled: None) -> None:
    assert run("daily_historical_load", at=None).xcom("trade_day") == "2012-12-13"


def test_with_a_replay_the_date_comes_from_the_source_and_stays_that_of_the_run(
    run: Run, pipeline: Settings, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.airflow.days import decide_day
    from workbench.airflow.run_folder import RunFolder

    monkeypatch.setattr(market, "source", "replay")
    place = RunFolder(
        "daily_historical_load", "manual__replay", "trade_day", -1, 1, datetime(2026, 11, 20, 23, tzinfo=UTC), {}
    )
    assert decide_day(pipeline, place) == date(2012, 12, 13)
    monkeypatch.setattr(market, "now", datetime(2012, 12, 18, 22, tzinfo=UTC))
    assert decide_day(pipeline, place) == date(2012, 12, 13)


def test_new_objects_are_loaded_in_a_session_and_not_outside(
    run: Run, pipeline: Settings, filled: None, capfd: pytest.CaptureFixture[str]
) -> None:
    in_session, at_night = datetime(2012, 12, 13, 16, tzinfo=UTC), datetime(2012, 12, 13, 13, tzinfo=UTC)
    assert daily(pipeline, DAYS[2]).objects
    before = open_warehouse(pipeline).newest_load()
    assert run("minio_to_snowflake", at=at_night).states == {"new_objects": "skipped", "load": "skipped"}
    assert "outside the session" in capfd.readouterr().out
    assert run("minio_to_snowflake", at=in_session).states == {"new_objects": "success", "load": "success"}
    assert open_warehouse(pipeline).newest_load() == before + 1
    assert run("minio_to_snowflake", at=in_session).states == {"new_objects": "success", "load": "skipped"}


def test_reports_are_kept_by_their_date(run: Run, pipeline: Settings, filled: None) -> None:
    done = run("reports", day="2012-12-11")
    assert set(done.states.values()) == {"success"}
    assert kept(pipeline, "reports/") == ["reports/market-2012-12-11.html"]
    page = Artifacts(pipeline).find("reports/market-2012-12-11.html")
    assert page is not None
    assert b"11 December 2012" in page
    copies = kept(pipeline, "runs/reports/")
    assert len([key for key in copies if key.endswith(".ipynb")]) == 4
    chart = next(key for key in copies if key.endswith("candlesticks.ipynb"))
    executed = nbformat.reads(Artifacts(pipeline).find(chart).decode(), as_version=4)  # type: ignore[union-attr]
    assert "7 bars of AAPL" in str(executed.cells)


def test_a_parameter_of_another_type_fails_before_anything_runs(run: Run, pipeline: Settings) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    for params in ({"symbols": "AAPL"}, {"from": "14.12.2012"}):
        with pytest.raises(ParamValidationError):
            run("backfill_ytd_historical", **params)


@pytest.mark.parametrize(
    ("dag_id", "params", "failed", "said"),
    [
        ("backfill_ytd_historical", {"symbols": ["not a symbol"]}, "choose_symbols", "not a symbol"),
        # well formed, and unknown to the source
        ("backfill_ytd_historical", {"symbols": ["NOBODY"], "from": "2012-12-03"}, "fetch.0", "NOBODY"),
        ("backfill_ytd_historical", {"from": "2012-12-13", "to": "2012-12-03"}, "choose_symbols", "is reversed"),
        ("daily_historical_load", {"day": "1999-12-31"}, "trade_day", "outside the trading calendar"),
        ("daily_historical_load", {"day": "2012-12-17"}, "fetch", "is in the future"),
    ],
)
def test_what_no_other_try_can_mend_fails_at_once_and_says_so(
    run: Run, pipeline: Settings, dag_id: str, params: Any, failed: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    done = run(dag_id, **params)
    assert (done.state, done.states[failed], done.tries[failed]) == ("failed", "failed", 1)
    assert said in capfd.readouterr().out


def test_what_fails_once_is_tried_again_and_what_is_refused_is_not(
    run: Run, pipeline: Settings, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = iter(["MSFT is unknown today"])

    def once(asked: Any) -> None:
        market.refused.pop("MSFT", None)
        if asked.path.endswith("/stock/candle") and asked.query["symbol"] == "MSFT" and next(refusals, None):
            market.refused["MSFT"] = 422

    monkeypatch.setattr(market, "before", once)
    # a range that nobody has fetched yet
    done = run("backfill_ytd_historical", symbols=["MSFT"], **{"from": "2012-11-19", "to": "2012-12-13"})
    assert (done.state, done.tries["fetch.0"]) == ("success", 2)
    monkeypatch.setattr(market, "before", lambda asked: None)
    monkeypatch.setitem(market.refused, "/stock/candle MSFT", 401)
    done = run("backfill_ytd_historical", symbols=["MSFT"], **{"from": "2012-11-01", "to": "2012-12-13"})
    assert (done.state, done.tries["fetch.0"]) == ("failed", 1)
    # the failed notebook is kept too, with the error in it
    assert (
        "KeyRefused"
        in Artifacts(pipeline)
        .find(  # type: ignore[operator]
            [key for key in kept(pipeline, "runs/backfill_ytd_historical/") if "fetch.0.try1" in key][-1]
        )
        .decode()
    )


def test_what_an_airflow_connection_states_wins_over_the_setting(
    run: Run, pipeline: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = pipeline.finnhub_base_url
    monkeypatch.setenv("FINNHUB_BASE_URL", "http://127.0.0.1:1/api/v1")
    monkeypatch.setenv("AIRFLOW_CONN_FINNHUB", f'{{"conn_type": "http", "host": "{address}"}}')
    done = run("daily_historical_load", at=None)
    assert (done.state, done.xcom("trade_day")) == ("success", "2012-12-13")
