"""One symbol's history: prices that turn back into what was traded, whatever the splits and the hour."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from misbehaving import Asked, serving
from small_finnhub import DAYS, Market

from stocklib.errors import PlanRefused, SymbolError
from stocklib.finnhub import Finnhub
from stocklib.pipeline.history.loaded_history import KnownSymbol
from stocklib.pipeline.history.symbol_history import Fetched, fetch_symbol
from stocklib.sessions import new_york_date, sessions
from stocklib.settings import read_settings


@pytest.fixture
def market() -> Market:
    return Market()


@pytest.fixture
def source(market: Market, tmp_path: Path) -> Iterator[Finnhub]:
    with serving(market) as server:
        environ = {"STOCKS_HOME": str(tmp_path), "FINNHUB_API_KEY": "k", "FINNHUB_BASE_URL": f"{server.url}/api/v1"}
        limits = {"FINNHUB_CALLS_PER_MINUTE": "0", "FINNHUB_CALLS_PER_SECOND": "0"}
        with Finnhub(read_settings(environ=environ | limits), attempts=1) as finnhub:
            yield finnhub


def as_traded(fetched: Fetched) -> dict[date, float]:
    """Each close turned back by the splits between its date and its fetch, if all of those were asked for."""
    (checked,) = [action for action in fetched.actions if action.kind == "checked"]
    found = {}
    for candle in fetched.candles:
        fetched_on = new_york_date(candle.fetched_at)
        assert checked.action_date <= candle.quote_date
        assert checked.checked_to is not None
        assert checked.checked_to >= fetched_on
        factor = 1.0
        for action in fetched.actions:
            if action.kind == "split" and candle.quote_date < action.action_date <= fetched_on:
                factor *= (action.to_factor or 0) / (action.from_factor or 1)
        found[candle.quote_date] = round(candle.close_price * factor, 6)
    return found


def traded(market: Market) -> dict[date, float]:
    return {day: round(market.traded("AAPL", day), 6) for day in DAYS}


@pytest.mark.parametrize(
    "splits",
    [
        [(date(2012, 12, 10), 1, 7)],
        [(date(2012, 12, 6), 10, 1), (date(2012, 12, 12), 2, 3)],
        [(DAYS[0], 1, 2), (DAYS[-1], 1, 2)],
        [(date(2012, 12, 14), 1, 2)],
    ],
)
def test_answers_turn_back_into_what_was_traded(
    source: Finnhub, market: Market, splits: list[tuple[date, float, float]]
) -> None:
    market.splits["AAPL"] = splits
    assert as_traded(fetch_symbol(source, "AAPL", KnownSymbol(), wanted=DAYS)) == traded(market)


def test_a_split_that_appears_between_two_calls_at_midnight_corrupts_nothing(source: Finnhub, market: Market) -> None:
    market.splits["AAPL"] = [(date(2012, 12, 14), 1, 7)]
    market.now = datetime(2012, 12, 14, 4, 59, 59, tzinfo=UTC)  # a second before midnight in New York

    def midnight(asked: Asked) -> None:
        if asked.path.endswith("/stock/split"):
            market.now = datetime(2012, 12, 14, 5, 0, 1, tzinfo=UTC)

    market.before = midnight
    assert as_traded(fetch_symbol(source, "AAPL", KnownSymbol(), wanted=DAYS)) == traded(market)


def test_a_split_that_was_listed_late_is_still_found(source: Finnhub, market: Market) -> None:
    fetched_at = datetime(2012, 12, 12, 22, tzinfo=UTC)
    known = KnownSymbol(bars={day: {fetched_at} for day in DAYS[:-1]}, checks=[(DAYS[0], date(2012, 12, 12))])
    market.splits["AAPL"] = [(date(2012, 12, 11), 1, 2)]
    fetched = fetch_symbol(source, "AAPL", known, wanted=DAYS[-1:])
    assert as_traded(fetched) == traded(market)


@pytest.mark.parametrize("now", [[], [(date(2012, 12, 12), 1, 7)]], ids=["never happened", "happened a day later"])
def test_a_split_that_the_source_takes_back_refetches_the_history(
    source: Finnhub, market: Market, now: list[tuple[date, float, float]]
) -> None:
    fetched_at = datetime(2012, 12, 12, 22, tzinfo=UTC)
    known = KnownSymbol(bars={day: {fetched_at} for day in DAYS[:-1]}, splits={date(2012, 12, 11)})
    market.splits["AAPL"] = now
    assert as_traded(fetch_symbol(source, "AAPL", known, wanted=DAYS[-1:])) == traded(market)


def test_a_split_of_dates_that_are_not_asked_for_again_refetches_nothing(source: Finnhub, market: Market) -> None:
    fetched_at = datetime(2012, 12, 12, 22, tzinfo=UTC)
    known = KnownSymbol(bars={day: {fetched_at} for day in DAYS[1:-1]}, splits={DAYS[0]})
    fetched = fetch_symbol(source, "AAPL", known, wanted=DAYS[-1:])
    assert [candle.quote_date for candle in fetched.candles] == DAYS[-1:]


def test_splits_and_dividends_are_asked_for_from_the_first_held_bar_on(source: Finnhub, market: Market) -> None:
    known = KnownSymbol(bars={DAYS[0]: {datetime(2012, 12, 12, 22, tzinfo=UTC)}})
    fetched = fetch_symbol(source, "AAPL", known, wanted=DAYS[-1:])
    asked = {action.kind: (action.action_date, action.checked_to) for action in fetched.actions if action.checked_to}
    assert asked == dict.fromkeys(("checked", "checked_dividends"), (DAYS[0], date(2012, 12, 14)))


def test_refused_dividends_do_not_keep_the_bars_out(source: Finnhub, market: Market) -> None:
    market.refused["/stock/dividend"] = 403
    fetched = fetch_symbol(source, "AAPL", KnownSymbol(), wanted=DAYS)
    assert [candle.quote_date for candle in fetched.candles] == DAYS
    assert {action.kind for action in fetched.actions} == {"checked"}


def test_refused_splits_keep_the_bars_out(source: Finnhub, market: Market) -> None:
    market.refused["/stock/split"] = 403
    with pytest.raises(PlanRefused, match="/stock/split"):
        fetch_symbol(source, "AAPL", KnownSymbol(), wanted=DAYS)


def test_a_profile_is_fetched_when_it_is_missing_or_a_month_old(source: Finnhub, market: Market) -> None:
    def profile(age: timedelta | None) -> object:
        known = KnownSymbol(profile_at=None if age is None else market.now - age)
        return fetch_symbol(source, "AAPL", known, wanted=[]).profile

    assert profile(None) is not None
    assert profile(timedelta(days=29)) is None
    assert profile(timedelta(days=31)) is not None


def test_a_fund_has_bars_and_no_profile_and_a_stranger_has_neither(source: Finnhub, market: Market) -> None:
    market.funds.add("SPY")
    market.listed["SPY"] = date(1993, 1, 29)
    assert fetch_symbol(source, "SPY", KnownSymbol(), wanted=DAYS).profile is None
    with pytest.raises(SymbolError, match="ZZZZ"):
        fetch_symbol(source, "ZZZZ", KnownSymbol(), wanted=DAYS)


def test_a_symbol_whose_bars_begin_after_the_range_is_no_mistake(source: Finnhub, market: Market) -> None:
    market.listed["NEWF"] = market.listed["NEWC"] = DAYS[-1]
    market.funds.add("NEWF")
    for symbol, has_profile in (("NEWF", False), ("NEWC", True)):
        fetched = fetch_symbol(source, symbol, KnownSymbol(), wanted=DAYS[:2])
        assert fetched.candles == []
        assert (fetched.profile is not None) == has_profile
    with pytest.raises(SymbolError, match="ZZZZ"):
        fetch_symbol(source, "ZZZZ", KnownSymbol(), wanted=DAYS[:2])


@pytest.mark.parametrize(
    ("fetched_at", "checks", "missing"),
    [
        (datetime(2012, 12, 13, 21, 20, tzinfo=UTC), [(DAYS[-1], DAYS[-1])], False),
        (datetime(2012, 12, 13, 21, 19, tzinfo=UTC), [(DAYS[-1], DAYS[-1])], True),
        (datetime(2012, 12, 13, 21, 20, tzinfo=UTC), [(DAYS[0], DAYS[-2])], True),
        (datetime(2012, 12, 13, 21, 20, tzinfo=UTC), [(date(2012, 12, 14), date(2012, 12, 14))], False),
        (datetime(2012, 12, 13, 21, 20, tzinfo=UTC), [], True),
    ],
    ids=["settled", "before it settled", "splits asked before", "splits asked after", "splits never asked"],
)
def test_a_bar_is_held_when_its_day_had_settled_and_its_splits_are_known(
    fetched_at: datetime, checks: list[tuple[date, date]], missing: bool
) -> None:
    known = KnownSymbol(bars={DAYS[-1]: {fetched_at}}, checks=checks)
    days = sessions(DAYS[-1], DAYS[-1])
    assert known.misses(days, settle=timedelta(seconds=1200)) == ([DAYS[-1]] if missing else [])
