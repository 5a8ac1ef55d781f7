"""Gold is by company: renamed in mid-year it is one, a symbol that changes hands is two, and config says since when."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
import two_places
from landed import (
    Bar,
    Split,
    actions,
    candles,
    dividends,
    gold_hashes,
    landed,
    messages,
    polls_of,
    profile,
    settings_in,
    utc,
)
from story import Story, with_symbol_changes

from stocklib import market
from stocklib.report.facts import gather
from stocklib.sessions import sessions

RENAMED, REUSED, LAST = date(2024, 5, 1), date(2024, 9, 3), date(2024, 12, 23)
DAYS = [s.session_date for s in sessions(date(2024, 1, 2), LAST)]
SPRING, CHRISTMAS = utc("2024-03-29T22:00"), utc("2024-12-24T12:00")
# the company's closes as traded: it splits 2:1 while it is OLDT, and once more as NEWT
FIRST_SPLIT, SECOND_SPLIT = Split("OLDT", date(2024, 2, 1), 1, 2), Split("NEWT", date(2024, 8, 1), 1, 2)
FUND, TAKEN = 12.3, date(2024, 6, 10)
CHANGES = "old,new,date\nOLDT,NEWT,2024-05-01\nFACE,METT,2024-06-10\nYOLD,YNEW,2024-05-01\nIBM,BIG,2030-01-02\n"


def adjusted(day: date) -> float:
    """From 40 on a straight line to 60 on 24 December."""
    return round(40 + 20 * DAYS.index(day) / len(DAYS), 4)


def company(day: date) -> float:
    return adjusted(day) * (2 if day < FIRST_SPLIT.day else 1) * (2 if day < SECOND_SPLIT.day else 1)


def bar(symbol: str, day: date, close: float) -> Bar:
    return Bar(symbol, day, close, close, close, close)


def among(first: date, end: date) -> Iterable[date]:
    return [day for day in DAYS if first <= day < end]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    story = Story(with_symbol_changes(settings_in(tmp_path_factory.mktemp("renames")), CHANGES))
    before = [bar("OLDT", day, company(day)) for day in among(DAYS[0], date(2024, 3, 29))]
    story.tell(
        landed("ytd_historical_quotes", candles(before, SPRING, splits=[FIRST_SPLIT]), name="h1"),
        landed("corporate_actions", actions(["OLDT"], SPRING, splits=[FIRST_SPLIT]), name="a1"),
        landed("company_profiles", [profile("OLDT", SPRING, name="Old Name Inc")], name="p1"),
    )
    story.frames["spring"] = story.query("select distinct symbol, traded_symbol from gold.fact_daily_stock_quotes")
    bars = [bar("OLDT", day, company(day)) for day in among(date(2024, 3, 29), RENAMED)]
    bars += [bar("NEWT", day, company(day)) for day in among(RENAMED, LAST)]
    bars += [bar("OLDT", day, 5.0) for day in among(REUSED, LAST)]
    bars += [bar("METT", day, FUND if day < TAKEN else 184.0) for day in DAYS]
    bars += [bar("IBM", day, 100.0) for day in DAYS]
    # Yahoo answers the whole history of the company under its present symbol
    yahoo = [bar("YNEW", day, 20.0) for day in DAYS]
    splits = [FIRST_SPLIT, SECOND_SPLIT]
    paid = {"OLDT": [(date(2024, 4, 1), 1.0)], "NEWT": [(date(2024, 11, 1), 0.5)]}
    quotes = [
        poll for name, close in (("NEWT", company(LAST)), ("OLDT", 5.0)) for poll in polls_of(bar(name, LAST, close))
    ]
    story.tell(
        landed("ytd_historical_quotes", candles(bars, CHRISTMAS, splits=splits), name="h2"),
        landed("ytd_historical_quotes", candles(yahoo, CHRISTMAS, data_source="yfinance"), name="y2"),
        landed(
            "corporate_actions", actions(["OLDT", "NEWT", "METT", "IBM", "YNEW"], CHRISTMAS, splits=splits), name="a2"
        ),
        landed("corporate_actions", dividends(paid, CHRISTMAS), name="d2"),
        landed(
            "company_profiles", [profile(name, CHRISTMAS, name=f"{name} now") for name in ("NEWT", "OLDT")], name="p2"
        ),
        landed("stock_quotes", messages(quotes), name="q2"),
    )
    story.note("christmas")
    return story


def ytd(story: Story) -> dict[str, float]:
    kpi = story.query("select symbol, cast(ytd_return_percent as double) as ytd from gold.gold_kpi")
    return dict(zip(kpi["symbol"], kpi["ytd"], strict=True))


def test_a_rename_that_the_data_has_not_come_to_is_none(story: Story) -> None:
    assert story.frames["spring"].to_numpy().tolist() == [["OLDT", "OLDT"]]
    assert "IBM" in ytd(story)
    assert market.prices("BIG", settings=story.settings)["close"].eq(100).all()


def test_a_company_renamed_in_mid_year_is_one_in_every_table(story: Story) -> None:
    year = 49.7975
    prices = market.prices("NEWT", settings=story.settings)
    assert prices["date"].dt.date.tolist() == DAYS
    assert prices["close"].tolist() == pytest.approx([adjusted(day) for day in DAYS])
    assert ytd(story)["NEWT"] == pytest.approx(year, abs=1e-6)
    performance = story.query(
        "select ytd_base_date, cast(ytd_return_percent as double) as ytd, ma_90day from gold.fact_stock_performance "
        f"where symbol = 'NEWT' and quote_date = '{LAST}'"
    )
    assert performance["ytd"].tolist() == [pytest.approx(year, abs=1e-6)]
    assert performance["ytd_base_date"].dt.date.tolist() == [DAYS[0]]
    traded = story.query(
        "select traded_symbol, min(quote_date) as first, max(quote_date) as last from gold.fact_daily_stock_quotes "
        "where symbol = 'NEWT' group by 1 order by 2"
    )
    assert traded["traded_symbol"].tolist() == ["OLDT", "NEWT"]
    assert traded["first"].dt.date.tolist() == [DAYS[0], RENAMED]
    paid = story.query("select symbol, kind, date from gold.dim_corporate_action order by date")
    assert paid["symbol"].tolist() == ["NEWT"] * 4
    candle = story.query("select count(*) as n from gold.gold_candlestick where symbol = 'NEWT' and resolution = '1d'")
    assert candle["n"].tolist() == [len(DAYS)]


def test_the_report_and_powerbi_say_of_every_company_what_gold_says(story: Story) -> None:
    assert two_places.disagreements(story.settings) == []
    shown = gather(story.settings).symbols.set_index("symbol")
    assert shown.loc["NEWT", "ytd_return_percent"] == pytest.approx(49.7975)
    assert not shown.loc["NEWT", "is_stale"]
    # the company that had the symbol before has a name of its own, and is marked
    assert shown.loc["METT:BEFORE-2024-06-10", "is_stale"]
    assert "METT:BEFORE-2024-06-10" in market.symbols(settings=story.settings)


def test_a_symbol_that_changed_hands_is_two_companies(story: Story) -> None:
    reused = market.prices("OLDT", settings=story.settings)
    assert reused["date"].min() == pd.Timestamp(REUSED)
    assert reused["close"].eq(5).all()
    assert ytd(story)["OLDT"] == 0
    names = story.query("select symbol, company_name from silver.dim_stock_symbols where symbol in ('NEWT', 'OLDT')")
    assert dict(names.to_numpy().tolist()) == {"NEWT": "NEWT now", "OLDT": "OLDT now"}
    minutes = market.prices(["NEWT", "OLDT"], resolution="1m", settings=story.settings)
    assert minutes.groupby("symbol")["close"].last().to_dict() == {"NEWT": company(LAST), "OLDT": 5.0}


def test_a_stranger_s_bars_before_a_company_took_the_symbol_are_not_its_own(story: Story) -> None:
    taken = market.prices("METT", settings=story.settings)
    assert taken["date"].min() == pd.Timestamp(TAKEN)
    assert taken["close"].eq(184).all()
    assert market.prices("FACE", settings=story.settings)["close"].equals(taken["close"])
    assert ytd(story)["METT"] == 0
    fund = market.prices("METT:BEFORE-2024-06-10", settings=story.settings)
    assert fund["date"].max() < pd.Timestamp(TAKEN)
    assert fund["close"].eq(FUND).all()


def test_what_yahoo_answers_under_the_present_symbol_is_the_company_s(story: Story) -> None:
    assert market.prices("YNEW", settings=story.settings)["date"].dt.date.tolist() == DAYS
    assert market.prices("YOLD", settings=story.settings)["date"].dt.date.tolist() == DAYS


def test_gold_is_the_same_when_all_is_told_at_once(story: Story, tmp_path: Path) -> None:
    # the same project, which dbt has parsed
    other = story.told_at_once(replace(settings_in(tmp_path), root=story.settings.root))
    assert gold_hashes(other.settings) == story.hashes["christmas"]


def test_an_edited_list_takes_effect_at_the_next_transform(story: Story) -> None:
    (story.settings.root / "config" / "symbol_changes.csv").write_text("old,new,date\n")
    story.tell()
    assert {"OLDT", "NEWT", "METT"} <= set(ytd(story))
    held = story.query("select distinct symbol from gold.fact_daily_stock_quotes order by 1")["symbol"].tolist()
    assert held == ["IBM", "METT", "NEWT", "OLDT", "YNEW"]
    assert market.prices("NEWT", settings=story.settings)["date"].min() == pd.Timestamp(RENAMED)
    (story.settings.root / "config" / "symbol_changes.csv").write_text(CHANGES)
    story.tell()
    assert gold_hashes(story.settings) == story.hashes["christmas"]
