"""The newest answer decides: what a source no longer says counts nowhere, in whatever order it loads."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from landed import Split, actions, candles, dividends, gold_hashes, landed, messages, recorded_bars, settings_in, utc
from story import Story, session_polls

from stocklib.monitoring.doubtful_answers import doubts
from workbench.cli import main

EARLY, FIRST_TOLD, CORRECTED, LATER = "2005-02-11T22:00", "2005-04-02T02:00", "2005-04-05T22:00", "2005-04-07T22:00"
FIRST, LAST = date(2005, 1, 3), date(2005, 4, 1)
SYMBOLS = ["AAPL", "GOOG", "IBM", "MSFT"]
# told with a wrong date first; it happened a session later
WRONG, RIGHT = Split("AAPL", date(2005, 2, 25), 1, 2), Split("AAPL", date(2005, 2, 28), 1, 2)
# never happened
RUMOUR = Split("GOOG", date(2005, 3, 1), 1, 3)
# told early and then always
REPEATED = Split("IBM", date(2005, 2, 9), 1, 2)
# told before the asking that denies it, loaded after it
LATE_RUMOUR = Split("MSFT", date(2005, 2, 9), 1, 4)
# dividends: two of one day, equal ones, one that is moved, three that an answer lacks at once
JANUARY, FEBRUARY, MARCH = date(2005, 1, 14), date(2005, 2, 14), date(2005, 3, 14)
THREE = [(JANUARY, 0.1), (FEBRUARY, 0.1), (MARCH, 0.1)]
PAID = {
    "AAPL": [(JANUARY, 0.5), (JANUARY, 10.0)],
    "GOOG": [(JANUARY, 0.25), (JANUARY, 0.25), (FEBRUARY, 1.0)],
    "IBM": THREE,
    "MSFT": THREE,
}
MOVED = {**PAID, "GOOG": [*PAID["GOOG"][:2], (date(2005, 2, 15), 1.0)], "IBM": [], "MSFT": []}
SETTLED = {**MOVED, "MSFT": THREE}
DAYS = [date(2005, 2, 24), date(2005, 2, 25), date(2005, 2, 28)]


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Prices that were divided by the splits that happened, and a source whose list of splits is put right later."""
    story = Story(settings_in(tmp_path_factory.mktemp("retractions")))
    bars = recorded_bars(FIRST, LAST, SYMBOLS)
    quotes = messages([poll for day in DAYS for poll in session_polls(day, every=600, symbols=["AAPL"])])
    story.tell(
        landed("ytd_historical_quotes", candles(bars, utc(FIRST_TOLD), splits=[RIGHT, REPEATED]), name="h1"),
        landed("corporate_actions", actions(SYMBOLS, utc(FIRST_TOLD), splits=[WRONG, RUMOUR, REPEATED]), name="a1"),
        landed("stock_quotes", quotes, name="q1"),
        # from before dividends had a record of asking
        landed("corporate_actions", dividends({"IBM": THREE[:1]}, utc(EARLY), checked=False), name="d0"),
        landed("corporate_actions", dividends(PAID, utc(FIRST_TOLD)), name="d1"),
        # the same asking, landed once more
        landed("corporate_actions", dividends(PAID, utc(FIRST_TOLD)), name="d1 again"),
    )
    story.note("told")
    story.tell(
        landed("corporate_actions", actions(["IBM", "MSFT"], utc(EARLY), splits=[REPEATED, LATE_RUMOUR]), name="a0"),
        landed("corporate_actions", actions(SYMBOLS, utc(CORRECTED), splits=[RIGHT, REPEATED]), name="a2"),
        landed("corporate_actions", dividends(MOVED, utc(CORRECTED)), name="d2"),
        # another source that says nothing retracts nothing
        landed("corporate_actions", dividends({"AAPL": []}, utc(CORRECTED), data_source="yfinance"), name="y2"),
    )
    story.note("corrected")
    story.frames["doubted"] = paid(story)
    story.alarms += doubts(story.settings)
    told = CliRunner(env={"STOCKS_HOME": str(story.settings.home)}).invoke(main, ["status"])
    assert told.exit_code == 1, told.output
    assert [alarm for alarm in story.alarms if alarm not in told.output] == []
    # the days before are not asked for again: nothing is said of AAPL's split
    since = date(2005, 3, 1)
    story.tell(
        landed("corporate_actions", actions(["AAPL", "GOOG"], utc(LATER), first=since, splits=[RUMOUR]), name="a3"),
        landed("corporate_actions", dividends(SETTLED, utc(LATER)), name="d3"),
    )
    story.note("told again")
    return story


def paid(story: Story) -> pd.DataFrame:
    return story.query(
        "select symbol, date, amount, payments from gold.dim_corporate_action where kind = 'dividend' order by all"
    )


def factors(story: Story, step: str, symbol: str) -> pd.Series:
    facts = story.frames[f"{step}/fact_daily_stock_quotes"]
    facts = facts[facts["symbol"] == symbol]
    return facts.set_index(facts["quote_date"].dt.date)["split_factor"]


def closes(story: Story, step: str, symbol: str) -> list[float]:
    facts = story.frames[f"{step}/fact_daily_stock_quotes"]
    return facts[facts["symbol"] == symbol].sort_values("quote_date")["close_price"].tolist()


def before(split: Split) -> dict[date, float]:
    factor = split.to_factor / split.from_factor
    return {b.day: factor if b.day < split.day else 1.0 for b in recorded_bars(FIRST, LAST, [split.symbol])}


def traded(symbol: str) -> list[float]:
    return [bar.close for bar in recorded_bars(FIRST, LAST, [symbol])]


def test_a_split_whose_date_is_corrected_counts_once(story: Story) -> None:
    assert factors(story, "told", "AAPL").to_dict() == before(WRONG)
    for step in ("corrected", "told again"):
        assert factors(story, step, "AAPL").to_dict() == before(RIGHT)


def test_bars_that_were_stored_with_a_retracted_split_are_mended(story: Story) -> None:
    assert closes(story, "told", "AAPL") != traded("AAPL")
    assert closes(story, "corrected", "AAPL") == traded("AAPL")
    assert closes(story, "told", "GOOG") != traded("GOOG")
    assert closes(story, "corrected", "GOOG") == traded("GOOG")
    stored = story.query(
        "select distinct split_factor as f from silver.stg_historical_quotes_cleaned "
        "where symbol = 'AAPL' and quote_date between '2005-02-01' and '2005-02-25'"
    )
    assert stored["f"].tolist() == [2.0]


def test_a_split_that_never_happened_is_taken_back_until_it_is_told_again(story: Story) -> None:
    assert set(factors(story, "corrected", "GOOG")) == {1.0}
    assert factors(story, "told again", "GOOG").to_dict() == before(RUMOUR)


def test_a_split_that_is_told_again_stays_whatever_was_loaded_first(story: Story) -> None:
    for step in ("told", "corrected", "told again"):
        assert factors(story, step, "IBM").to_dict() == before(REPEATED)


def test_a_split_that_was_denied_before_it_was_loaded_never_counts(story: Story) -> None:
    for step in ("told", "corrected", "told again"):
        assert set(factors(story, step, "MSFT")) == {1.0}


def test_gold_lists_the_splits_that_count_and_silver_keeps_the_others(story: Story) -> None:
    listed = story.query("select symbol, date from gold.dim_corporate_action where kind = 'split' order by symbol")
    assert list(zip(listed["symbol"], listed["date"].dt.date, strict=True)) == [
        (split.symbol, split.day) for split in (RIGHT, RUMOUR, REPEATED)
    ]
    kept = story.query(
        "select symbol, action_date as date from silver.stg_corporate_actions_cleaned "
        "where is_retracted and kind = 'split' order by all"
    )
    assert list(zip(kept["symbol"], kept["date"].dt.date, strict=True)) == [
        (split.symbol, split.day) for split in (WRONG, LATE_RUMOUR)
    ]


def listed(amounts: dict[str, list[tuple[date, float, int]]]) -> list[tuple[str, date, float, int]]:
    return [(symbol, *row) for symbol, rows in amounts.items() for row in rows]


def rows(frame: pd.DataFrame) -> list[tuple[str, date, float, int]]:
    return [(r.symbol, r.date.date(), float(r.amount), int(r.payments)) for r in frame.itertuples()]


ALL_THREE = [(day, 0.1, 1) for day, _ in THREE]
AAPL, GOOG = [(JANUARY, 10.5, 2)], [(JANUARY, 0.5, 2), (date(2005, 2, 15), 1.0, 1)]


def test_dividends_of_an_ex_date_are_summed_and_one_that_was_moved_counts_once(story: Story) -> None:
    doubted = listed({"AAPL": AAPL, "GOOG": GOOG, "IBM": ALL_THREE, "MSFT": ALL_THREE})
    assert rows(story.frames["doubted"]) == doubted


def test_an_answer_that_lacks_several_dividends_is_an_alarm_until_another_agrees(story: Story) -> None:
    assert [alarm.split(":")[0] for alarm in story.alarms] == ["IBM", "MSFT"]
    assert "finnhub contradicts 3 known dividends (2005-01-14 to 2005-03-14)" in story.alarms[0]
    # a later answer agreed for IBM; for MSFT it said them again
    assert doubts(story.settings) == []
    told = CliRunner(env={"STOCKS_HOME": str(story.settings.home)}).invoke(main, ["status"])
    assert (told.exit_code, "ALARM" in told.output) == (0, False)
    assert rows(paid(story)) == listed({"AAPL": AAPL, "GOOG": GOOG, "MSFT": ALL_THREE})


def test_silver_keeps_every_dividend_that_was_ever_answered(story: Story) -> None:
    kept = story.query("select count(*) as n from silver.int_action_versions where kind = 'dividend'")
    assert kept["n"].tolist() == [1 + 2 * 11 + 5 + 8]


def test_trends_are_on_the_basis_of_the_splits_that_count(story: Story) -> None:
    bars = story.frames["corrected/gold_candlestick"]
    daily = bars[(bars["symbol"] == "AAPL") & (bars["resolution"] == "1d")].reset_index(drop=True)
    factor = pd.Series(list(before(RIGHT).values()))
    trend = (pd.Series(traded("AAPL")) / factor).rolling(20).mean() * factor
    pd.testing.assert_series_equal(daily["trend_line"], trend, check_names=False, atol=2e-6, rtol=0)
    hours = bars[(bars["symbol"] == "AAPL") & (bars["resolution"] == "1h")].reset_index(drop=True)
    basis = hours["candle_time"].map(lambda at: 2.0 if at.date() < RIGHT.day else 1.0)
    trend = (hours["candle_close"] / basis).rolling(20).mean() * basis
    assert trend.notna().any()
    pd.testing.assert_series_equal(hours["trend_line"], trend, check_names=False, atol=2e-6, rtol=0)


def test_gold_is_the_same_when_all_is_told_at_once(story: Story, tmp_path: Path) -> None:
    other = story.told_at_once(settings_in(tmp_path))
    assert gold_hashes(other.settings) == story.hashes["told again"]


def test_gold_is_the_same_when_the_newest_is_told_first(story: Story, tmp_path: Path) -> None:
    other = Story(settings_in(tmp_path))
    newest, *older = reversed(story.objects)
    other.tell(newest)
    other.tell(*older)
    assert gold_hashes(other.settings) == story.hashes["told again"]
