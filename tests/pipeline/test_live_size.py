"""Ten of today's largest companies from backfill to report: over HTTP and S3, as the commands of a user do it."""

import json
import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import two_places
from conftest import StartReplay

from finnhub_replay import made_market
from stocklib import market
from stocklib.pipeline.history import backfill
from stocklib.pipeline.loading import load
from stocklib.pipeline.transform import transform
from stocklib.report import write_report
from stocklib.settings import Settings
from stocklib.warehouse import open_warehouse

MADE = made_market.made_companies()
# 5,400 bars and dbt's start
pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


@pytest.fixture
def settings(replay: StartReplay, service_environ: dict[str, str], tmp_path: Path) -> Settings:
    """Settings on a replay of the ten, after the close of their last session, and on the embedded S3."""
    bars = made_market.write(tmp_path / "caps")
    watchlist = tmp_path / "watchlist.json"
    watchlist.write_text(json.dumps({"symbols": list(MADE.companies)}))
    return replay(
        start="2026-06-30T17:00:00",
        options=("--data", str(bars)),
        environ={**service_environ, "STOCKS_WATCHLIST": str(watchlist)},
    )


def test_companies_worth_trillions_go_from_backfill_to_report(settings: Settings, tmp_path: Path) -> None:
    fetched = backfill(settings, start=made_market.FIRST)
    assert not fetched.failed
    load(settings)
    assert transform(settings).published
    page = write_report(settings, path=tmp_path / "report.html").read_text(encoding="utf-8")

    ask = open_warehouse(settings).query
    assert ask("select count(*) as n from silver.quarantined_candles")["n"].item() == 0
    values = ask("select symbol, cast(market_cap as varchar) as value from gold.gold_treechart").set_index("symbol")
    for symbol, company in MADE.companies.items():
        exact = Decimal(str(company["shareOutstanding"])) * 1_000_000 * Decimal(company["price"])
        assert Decimal(values.loc[symbol, "value"]) == exact
        assert exact > 10**12
        assert symbol in page
    # colour and size of the treemap are drawn of them
    assert re.search(r'"type":"treemap"', page)

    bars = market.prices(list(MADE.companies), adjust="none", settings=settings).set_index(["symbol", "date"])
    for symbol in MADE.companies:
        assert bars.loc[symbol, "close"].tolist() == list(made_market.closes(MADE, symbol).values())
    # a split of ten for one moves no return, and a dividend counts where it is asked for
    returns = ask("select max(abs(daily_return_percent)) as most from gold.fact_daily_stock_quotes")["most"].item()
    assert returns < 10
    actions = ask("select symbol, date, kind, cast(amount as double) as amount from gold.dim_corporate_action")
    paid = {(row.symbol, row.date.date()): row.amount for row in actions[actions["kind"] == "dividend"].itertuples()}
    assert paid == {(one.symbol, one.day): one.amount for found in MADE.dividends.values() for one in found}
    assert set(actions[actions["kind"] == "split"]["symbol"]) == {"NVDA", "AVGO"}
    total, price = (
        market.prices("AAPL", start=date(2026, 1, 2), adjust=adjust, settings=settings)["close"]
        for adjust in ("total", "split")
    )
    assert total.iloc[-1] / total.iloc[0] > price.iloc[-1] / price.iloc[0]
    assert two_places.disagreements(settings) == []
