"""History: what is missing is fetched, once, with the splits that make sense of it, whatever interrupts it.

The source is a small Finnhub of the test's own on a real socket, so that its clock, its splits and its refusals can be
set to the second; S3 and the warehouse are the real ones.
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from misbehaving import Server, serving
from small_finnhub import DAYS, FIRST, LAST, Market

from stocklib.errors import (
    DateRangeError,
    HistoryRefused,
    KeyRefused,
    PlanRefused,
    SourceUnavailable,
    SymbolError,
    WrongSource,
)
from stocklib.finnhub import Finnhub
from stocklib.lake import Lake
from stocklib.pipeline.history import backfill, daily, daily_history, open_history
from stocklib.pipeline.loading import load
from stocklib.sessions import new_york_date, sessions
from stocklib.settings import Settings, read_settings
from stocklib.warehouse import open_warehouse
from stocklib.yahoo import Yahoo

pytestmark = pytest.mark.stack


@pytest.fixture
def market() -> Market:
    return Market()


@pytest.fixture
def server(market: Market) -> Iterator[Server]:
    with serving(market) as running:
        yield running


@pytest.fixture(scope="session")
def empty_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse with nothing in it: made once, copied for each test."""
    home = tmp_path_factory.mktemp("empty")
    open_warehouse(read_settings(environ={"STOCKS_HOME": str(home)})).initialise()
    return home / "warehouse"


@pytest.fixture
def source(
    server: Server, service_environ: dict[str, str], empty_warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Settings on the test's own Finnhub, S3 and warehouse; a source that is down is given up soon."""
    monkeypatch.setattr(daily_history, "open_history", lambda settings: Finnhub(settings, attempts=2, first_pause=0.01))
    environ = {
        **service_environ,
        "FINNHUB_API_KEY": "a-key",
        "FINNHUB_BASE_URL": f"{server.url}/api/v1",
        "FINNHUB_CALLS_PER_MINUTE": "0",
        "FINNHUB_CALLS_PER_SECOND": "0",
        "CLOSE_SETTLE_SECONDS": "0",
    }
    settings = read_settings(environ=environ)
    shutil.copytree(empty_warehouse, settings.home / "warehouse")
    return settings


def landed(settings: Settings, dataset: str) -> list[dict[str, Any]]:
    lake = Lake(settings)
    return [orjson.loads(line) for found in lake.list(dataset) for line in lake.read(found.key).splitlines()]


def bars(settings: Settings, symbol: str, dataset: str = "ytd_historical_quotes") -> list[str]:
    return [record["date"] for record in landed(settings, dataset) if record["symbol"] == symbol]


def calls(server: Server, path: str, symbol: str | None = None) -> list[dict[str, str]]:
    asked = [a.query for a in server.asked if a.path == f"/api/v1{path}"]
    return [query for query in asked if symbol in (None, query.get("symbol"))]


def fetch(settings: Settings, **more: Any) -> daily_history.HistoryResult:
    return backfill(settings, **{"symbols": ["AAPL", "MSFT"], "start": FIRST, "end": LAST} | more)


def test_a_backfill_lands_bars_splits_dividends_and_profiles_of_many_symbols_together(source: Settings) -> None:
    result = fetch(source)
    assert bars(source, "AAPL") == bars(source, "MSFT") == [f"{day}" for day in DAYS]
    assert len(result.objects) == 3
    assert (result.bars, result.profiles, result.failed) == (2 * len(DAYS), 2, {})
    kinds = [(record["symbol"], record["kind"]) for record in landed(source, "corporate_actions")]
    assert kinds == [
        (symbol, kind) for symbol in ("AAPL", "MSFT") for kind in ("checked", "checked_dividends", "dividend")
    ]
    record = landed(source, "ytd_historical_quotes")[0]
    assert (record["data_source"], record["source"]) == ("finnhub", "finnhub")
    assert datetime.fromtimestamp(record["fetched_at"], UTC) == datetime(2012, 12, 14, 14, tzinfo=UTC)


def test_a_new_day_is_fetched_alone_and_what_is_held_is_not_asked_for(source: Settings, server: Server) -> None:
    fetch(source, end=DAYS[-2])
    server.asked.clear()
    assert fetch(source).bars == 2
    assert bars(source, "AAPL") == [f"{day}" for day in DAYS]
    midnight = f"{int(datetime(2012, 12, 13, tzinfo=UTC).timestamp())}"
    assert {(query["from"], query["to"]) for query in calls(server, "/stock/candle")} == {(midnight, midnight)}
    server.asked.clear()
    result = fetch(source)
    assert (result.bars, result.objects, result.up_to_date) == (0, [], 2)
    assert set(server.paths()) == {"/api/v1/stock/market-status"}
    assert "nothing was missing" in str(result)


def test_a_run_that_was_cut_short_goes_on_where_it_was(source: Settings, server: Server, market: Market) -> None:
    market.refused["MSFT"] = 401
    with pytest.raises(KeyRefused):
        fetch(source)
    assert bars(source, "AAPL") == [f"{day}" for day in DAYS]
    assert calls(server, "/stock/candle", "AAPL")
    server.asked.clear()
    market.refused.clear()
    fetch(source)
    assert not calls(server, "/stock/candle", "AAPL")
    assert bars(source, "MSFT") == [f"{day}" for day in DAYS]


def test_bars_whose_splits_did_not_land_are_fetched_again(source: Settings, server: Server) -> None:
    lines = [orjson.dumps(candle_record("AAPL", day)) for day in DAYS]
    Lake(source).ensure_bucket()
    Lake(source).write("ytd_historical_quotes", "2012-12-03..2012-12-13+1", lines, landed=datetime.now(UTC))
    fetch(source, symbols=["AAPL"])
    assert len(bars(source, "AAPL")) == 2 * len(DAYS)
    server.asked.clear()
    assert fetch(source, symbols=["AAPL"]).up_to_date == 1


def candle_record(symbol: str, day: date) -> dict[str, Any]:
    at = datetime(2012, 12, 14, 14, tzinfo=UTC).timestamp()
    prices = dict.fromkeys(("open", "high", "low", "close"), 1.0)
    marks = {"volume": 1, "data_source": "finnhub", "source": "finnhub", "fetched_at": at}
    return {"symbol": symbol, "date": f"{day}", **prices, **marks}


def as_traded(settings: Settings, symbol: str) -> dict[str, set[float]]:
    """Each answered close turned back by the splits between its date and its fetch, as the warehouse does it."""
    actions = [record for record in landed(settings, "corporate_actions") if record["symbol"] == symbol]
    found: dict[str, set[float]] = {}
    for record in landed(settings, "ytd_historical_quotes"):
        if record["symbol"] != symbol:
            continue
        fetched_on = f"{new_york_date(datetime.fromtimestamp(record['fetched_at'], UTC))}"
        checked = [a for a in actions if a["kind"] == "checked"]
        day = record["date"]
        assert any(a["date"] <= day and a["checked_to"] >= fetched_on for a in checked), "splits unknown"
        factor = 1.0
        for at, old, new in {(a["date"], a["from_factor"], a["to_factor"]) for a in actions if a["kind"] == "split"}:
            factor *= new / old if day < at <= fetched_on else 1
        found.setdefault(day, set()).add(round(record["close"] * factor, 6))
    return found


def test_a_split_since_the_last_fetch_refetches_the_whole_symbol_and_changes_no_traded_price(
    source: Settings, server: Server, market: Market
) -> None:
    market.splits["AAPL"] = [(date(2012, 12, 11), 1, 7)]
    market.now = datetime(2012, 12, 10, 23, tzinfo=UTC)
    fetch(source, end=None)
    market.now = datetime(2012, 12, 14, 14, tzinfo=UTC)
    server.asked.clear()
    fetch(source)
    days = [f"{day}" for day in DAYS]
    assert bars(source, "AAPL") == days[:6] + days
    assert bars(source, "MSFT") == days
    assert as_traded(source, "AAPL") == {f"{day}": {round(market.traded("AAPL", day), 6)} for day in DAYS}
    server.asked.clear()
    assert fetch(source).up_to_date == 2


def test_a_split_that_the_source_takes_back_refetches_the_whole_symbol_once(
    source: Settings, server: Server, market: Market
) -> None:
    market.splits["AAPL"] = [(date(2012, 12, 10), 1, 7)]
    market.now = datetime(2012, 12, 11, 23, tzinfo=UTC)
    fetch(source, end=None)
    market.splits["AAPL"] = []
    days = [f"{day}" for day in DAYS]
    for day in DAYS[-2:]:
        market.now = datetime(day.year, day.month, day.day, 23, tzinfo=UTC)
        fetch(source, end=None)
    assert bars(source, "AAPL") == days[:7] + days[:8] + days[8:]
    closes = {r["date"]: r["close"] for r in landed(source, "ytd_historical_quotes") if r["symbol"] == "AAPL"}
    assert closes == {f"{day}": market.traded("AAPL", day) for day in DAYS}


def test_a_symbol_listed_later_has_no_earlier_bars_and_lands_nothing_when_asked_again(
    source: Settings, server: Server, market: Market
) -> None:
    market.listed["NEW"] = DAYS[5]
    fetch(source, symbols=["NEW"])
    assert bars(source, "NEW") == [f"{day}" for day in DAYS[5:]]
    server.asked.clear()
    result = fetch(source, symbols=["NEW"])
    assert (result.bars, result.objects, result.failed) == (0, [], {})
    assert len(server.asked) - len(calls(server, "/stock/market-status")) == 1


def test_an_unknown_symbol_is_left_out_by_name_and_the_rest_goes_on(source: Settings) -> None:
    result = fetch(source, symbols=["ZZZZ", "AAPL", "MSFT"])
    assert (list(result.unknown), result.failed) == (["ZZZZ"], {})
    assert result.bars == 2 * len(DAYS)
    assert "left out: ZZZZ" in str(result)
    result.require_all()
    assert daily(source, DAYS[-1], symbols=["ZZZZ", "AAPL"]).failed == {}


def test_a_source_that_knows_no_symbol_fails_all_of_them(source: Settings) -> None:
    result = fetch(source, symbols=["ZZZZ", "YYYY"])
    assert (list(result.failed), result.unknown) == (["ZZZZ", "YYYY"], {})
    # the source answered, and answers the same tomorrow
    with pytest.raises(HistoryRefused, match="for 2 of 2 symbols: ZZZZ: "):
        result.require_all()


def test_refused_splits_leave_a_symbol_out_and_say_why(source: Settings, market: Market) -> None:
    market.refused["/stock/split AAPL"] = 403
    result = fetch(source)
    assert "/stock/split for AAPL" in result.failed["AAPL"]
    assert "HISTORY_SOURCE=yfinance" in result.failed["AAPL"]
    assert result.hopeless == {"AAPL"}
    assert bars(source, "AAPL") == []
    assert bars(source, "MSFT") == [f"{day}" for day in DAYS]


def test_a_plan_without_candles_ends_the_run_and_names_the_other_source(source: Settings, market: Market) -> None:
    market.refused["/stock/candle"] = 403
    with pytest.raises(PlanRefused, match="HISTORY_SOURCE=yfinance"):
        fetch(source)
    assert not landed(source, "ytd_historical_quotes")


def test_a_source_that_goes_away_ends_the_run_after_landing_what_there_is(source: Settings, market: Market) -> None:
    market.refused["MSFT"] = market.refused["IBM"] = 503
    with pytest.raises(SourceUnavailable):
        fetch(source, symbols=["AAPL", "MSFT", "IBM"])
    assert bars(source, "AAPL") == [f"{day}" for day in DAYS]


def test_what_is_no_symbol_is_refused_before_anything_is_asked(source: Settings, server: Server) -> None:
    with pytest.raises(SymbolError):
        fetch(source, symbols=["'; drop table"])
    assert not server.asked


@pytest.mark.parametrize(
    ("start", "end", "says"),
    [
        (date(2012, 12, 20), None, "is in the future"),
        (date(2012, 12, 3), date(2012, 12, 20), "is in the future"),
        (date(2012, 12, 13), date(2012, 12, 3), "is reversed"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(source: Settings, start: date, end: date | None, says: str) -> None:
    with pytest.raises(DateRangeError, match=says):
        backfill(source, symbols=["AAPL"], start=start, end=end)


def test_a_range_without_a_session_is_nothing_to_do(source: Settings) -> None:
    result = fetch(source, start=date(2012, 12, 8), end=date(2012, 12, 9))
    assert "no session from 2012-12-08 to 2012-12-09" in str(result)


def test_the_default_range_is_the_year_of_the_source_with_the_session_before_it(source: Settings) -> None:
    result = backfill(source, symbols=["AAPL"])
    assert (result.first, result.last) == (date(2011, 12, 30), LAST)
    assert result.bars == len(sessions(date(2011, 12, 30), LAST))


def test_a_day_is_fetched_alone_and_counts_for_the_backfill(source: Settings, server: Server) -> None:
    result = daily(source, symbols=["AAPL", "MSFT"])
    assert (result.first, result.bars) == (LAST, 2)
    assert bars(source, "AAPL", "daily_historical_quotes") == [f"{LAST}"]
    assert not landed(source, "ytd_historical_quotes")
    server.asked.clear()
    assert fetch(source, start=LAST).up_to_date == 2
    assert daily(source, LAST, symbols=["AAPL"]).bars == 1


def test_the_session_before_the_day_is_fetched_with_it_where_it_is_missing(
    source: Settings, server: Server, market: Market
) -> None:
    fetch(source, end=DAYS[-4], symbols=["AAPL"])
    server.asked.clear()
    # as a schedule of afternoons passes over the session before a half day
    assert daily(source, DAYS[-2], symbols=["AAPL", "MSFT"]).bars == 3
    assert bars(source, "AAPL", "daily_historical_quotes") == [f"{DAYS[-3]}", f"{DAYS[-2]}"]
    assert bars(source, "MSFT", "daily_historical_quotes") == [f"{DAYS[-2]}"]
    assert len(calls(server, "/stock/candle")) == 2
    assert daily(source, LAST, symbols=["AAPL"]).bars == 1
    # the bar of the session before is not that of the day
    market.now = datetime(2012, 12, 18, 21, 30, tzinfo=UTC)
    market.missing["AAPL"] = {date(2012, 12, 18)}
    result = daily(source, date(2012, 12, 18), symbols=["AAPL"])
    assert bars(source, "AAPL", "daily_historical_quotes")[-1] == "2012-12-17"
    assert "no bar of 2012-12-18" in result.failed["AAPL"]


@pytest.mark.parametrize(
    ("at", "settle", "day"),
    [("21:00", "0", "2012-12-14"), ("21:19", "1200", "2012-12-13"), ("21:20", "1200", "2012-12-14")],
)
def test_the_default_day_is_the_last_final_session(
    source: Settings, market: Market, at: str, settle: str, day: str
) -> None:
    market.now = datetime.fromisoformat(f"2012-12-14T{at}+00:00")
    settled = replace(source, close_settle_seconds=float(settle))
    assert f"{daily(settled, symbols=['AAPL']).first}" == day


@pytest.mark.parametrize(
    ("day", "why"),
    [(date(2012, 12, 9), "a weekend"), (date(2012, 10, 29), "Exchange closed"), (date(2012, 7, 4), "July 4th")],
)
def test_a_day_without_a_session_is_nothing_to_do_and_says_so(source: Settings, day: date, why: str) -> None:
    result = daily(source, day, symbols=["AAPL"])
    assert f"{day}" in str(result)
    assert why.lower() in str(result).lower()
    assert not result.objects


def test_a_day_that_is_not_over_is_refused(source: Settings, market: Market) -> None:
    with pytest.raises(DateRangeError, match="not over"):
        daily(source, date(2012, 12, 14), symbols=["AAPL"])
    with pytest.raises(DateRangeError, match="in the future"):
        daily(source, date(2012, 12, 17), symbols=["AAPL"])


def test_live_history_is_refused_where_recorded_history_is_held(source: Settings, market: Market) -> None:
    market.source = "replay"
    fetch(source, symbols=["AAPL"])
    load(source)
    market.source = ""
    with pytest.raises(WrongSource, match="replay"):
        fetch(source, symbols=["MSFT"])
    assert bars(source, "MSFT") == []


def test_history_source_names_who_is_asked(source: Settings) -> None:
    chosen = replace(source, history_source="yfinance")
    assert isinstance(open_history(chosen), Yahoo)
    assert isinstance(open_history(source), Finnhub)
