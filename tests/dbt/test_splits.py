"""Prices are stored as traded, whatever splits lay between a bar and its fetch, and in whatever order it loads."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from landed import (
    RECORDED_SPLITS,
    Split,
    actions,
    candles,
    gold_hashes,
    landed,
    messages,
    recorded,
    recorded_bars,
    settings_in,
    trade_messages,
    utc,
)
from story import Story, session_polls

STREAMED = "symbol in ('AAPL', 'IBM') and quote_date >= '2005-02-24'"
BEFORE, AFTER = "2005-02-19T02:00", "2005-04-02T02:00"
FIRST, LAST = date(2004, 11, 1), date(2005, 4, 1)
UNCHECKED = date(2005, 2, 14), date(2005, 2, 16)
# a split that the source forgot to tell of at first
FORGOTTEN = Split("GOOG", date(2005, 3, 1), 1, 7)


FORGOTTEN_BARS = recorded_bars(date(2005, 2, 14), date(2005, 3, 3), ["GOOG"])
# equal trades are two; one that was sent again is one; what comes after the bell is no part of the session
BELL = "2005-03-01T14:30:"
TRADES = [
    ("TRD", 10.0, 100.0, utc(BELL + "00")),
    ("TRD", 10.0, 100.0, utc(BELL + "00")),
    ("TRD", 10.6, 50.0, utc(BELL + "59")),
    ("TRD", 10.6, 50.0, utc(BELL + "59")),
    ("TRD", 9.0, 0.4, utc("2005-03-01T21:00:00")),
    ("TRD", 1.0, 5.0, utc("2005-03-01T21:00:01")),
]


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """AAPL and IBM around AAPL's split of 2005-02-28: fetched before it, streamed through it, fetched after it."""
    story = Story(settings_in(tmp_path_factory.mktemp("split")))
    symbols = ["AAPL", "IBM"]
    story.tell(
        landed(
            "ytd_historical_quotes", candles(recorded_bars(FIRST, date(2005, 2, 18), symbols), utc(BEFORE)), name="h1"
        ),
        landed("corporate_actions", actions(symbols, utc(BEFORE), splits=RECORDED_SPLITS), name="a1"),
        # nobody asked for its splits yet
        landed("daily_historical_quotes", candles(recorded_bars(*UNCHECKED, ["MSFT"]), utc(BEFORE)), name="h0"),
        landed("ytd_historical_quotes", candles(FORGOTTEN_BARS, utc(AFTER), splits=[FORGOTTEN]), name="h3"),
        landed("corporate_actions", actions(["GOOG"], utc(AFTER)), name="a3"),
    )
    story.frames["quarantined"] = story.query(
        "select symbol, reason, count(*) as n from silver.quarantined_candles group by all"
    )
    days = [date(2005, 2, 24), date(2005, 2, 25), date(2005, 2, 28), date(2005, 3, 1)]
    # the first day comes last
    objects = [
        landed(
            "stock_quotes",
            messages(session_polls(day, every=600, symbols=symbols), run_id=str(day), seqs=lambda n: n + 1),
            name=f"q{day}",
        )
        for day in days
    ]
    story.tell(*objects[1:])
    trades = trade_messages(TRADES, seqs=[1, 2, 3, 3, 4, 5])
    story.tell(
        objects[0],
        landed("stock_trades", trades, name="t"),
        landed("corporate_actions", actions(["GOOG"], utc(AFTER), splits=[FORGOTTEN], checked=False), name="a4"),
    )
    story.note("streamed")
    after = recorded_bars(date(2005, 2, 22), LAST, symbols)
    story.tell(
        landed("daily_historical_quotes", candles(after, utc(AFTER), splits=RECORDED_SPLITS), name="h2"),
        landed("corporate_actions", actions([*symbols, "MSFT"], utc(AFTER), splits=RECORDED_SPLITS), name="a2"),
    )
    story.note("whole")
    return story


def wanted(symbol: str) -> pd.DataFrame:
    frame = recorded()
    return frame[(frame["symbol"] == symbol) & (frame["day"] >= FIRST) & (frame["day"] <= LAST)].reset_index(drop=True)


@pytest.mark.parametrize("symbol", ["AAPL", "IBM"])
def test_fetches_before_and_after_a_split_give_one_series_as_traded(story: Story, symbol: str) -> None:
    facts = story.frames["whole/fact_daily_stock_quotes"]
    facts = facts[facts["symbol"] == symbol].reset_index(drop=True)
    expected = wanted(symbol)
    assert facts["quote_date"].dt.date.tolist() == expected["day"].tolist()
    for name in ("open", "high", "low", "close"):
        assert facts[f"{name}_price"].tolist() == expected[name].tolist()
    assert facts["volume"].tolist() == expected["volume"].tolist()


def test_returns_and_averages_cross_the_split_on_adjusted_closes(story: Story) -> None:
    expected = wanted("AAPL")
    factor = expected["day"].map(lambda day: 2.0 if day < date(2005, 2, 28) else 1.0)
    adjusted = expected["close"] / factor
    gold = story.query(
        "select f.split_factor, f.daily_return_percent, p.* from gold.fact_daily_stock_quotes as f "
        "join gold.fact_stock_performance as p using (symbol, quote_date) where symbol = 'AAPL' order by quote_date"
    )
    assert gold["split_factor"].tolist() == factor.tolist()
    for name, values in {
        "adj_close_price": adjusted,
        "daily_return_percent": adjusted.pct_change() * 100,
        "ma_30day": adjusted.rolling(30).mean(),
        "volatility_30day_percent": adjusted.pct_change().rolling(30).std() * 252**0.5 * 100,
    }.items():
        pd.testing.assert_series_equal(gold[name], values, check_names=False, atol=2e-6, rtol=0)


def test_percent_columns_are_rounded_once_from_quotients_of_exact_closes(story: Story) -> None:
    # a close over seven has no six decimals: rounded before it is divided, it carries its error into the percent
    gold = story.query(
        "select f.close_price, f.split_factor, f.daily_return_percent, p.* from gold.fact_daily_stock_quotes as f "
        "join gold.fact_stock_performance as p using (symbol, quote_date) where symbol = 'GOOG' order by quote_date"
    )
    assert set(gold["split_factor"]) == {7.0, 1.0}
    exact = gold["close_price"].astype("float64") / gold["split_factor"]
    for name, values in {
        "daily_return_percent": exact / exact.shift(1) - 1,
        "ytd_return_percent": exact / exact.iloc[0] - 1,
        "drawdown_percent": exact / exact.cummax() - 1,
    }.items():
        assert (gold[name].astype("float64") - 100 * values).abs().max() <= 0.5001e-6, name
    assert (gold["drawdown_percent"] == 0).any()
    rounded = gold["adj_close_price"].astype("float64")
    assert (100 * (rounded / rounded.iloc[0] - exact / exact.iloc[0])).abs().max() > 1e-7


def test_a_trend_across_the_split_is_on_each_bars_own_basis(story: Story) -> None:
    expected = wanted("AAPL")
    factor = expected["day"].map(lambda day: 2.0 if day < date(2005, 2, 28) else 1.0)
    trend = (expected["close"] / factor).rolling(20).mean() * factor
    candles_1d = story.frames["whole/gold_candlestick"]
    candles_1d = candles_1d[(candles_1d["resolution"] == "1d") & (candles_1d["symbol"] == "AAPL")].reset_index(
        drop=True
    )
    pd.testing.assert_series_equal(candles_1d["trend_line"], trend, check_names=False, atol=2e-6, rtol=0)


def test_history_replaces_what_quotes_said_of_a_day(story: Story) -> None:
    sources = story.frames["streamed/fact_daily_stock_quotes"].query(STREAMED)["data_source"]
    assert set(sources) == {"quotes"}
    sources = story.frames["whole/fact_daily_stock_quotes"].query(STREAMED)["data_source"]
    assert set(sources) == {"finnhub"}


def test_gold_does_not_depend_on_the_order_or_the_number_of_loads(story: Story, tmp_path: Path) -> None:
    other = story.told_at_once(settings_in(tmp_path))
    assert gold_hashes(other.settings) == story.hashes["whole"]


def test_history_whose_splits_are_unknown_waits_in_quarantine(story: Story) -> None:
    assert story.frames["quarantined"].to_dict("records") == [{"symbol": "MSFT", "reason": "splits unknown", "n": 3}]
    assert story.query("select * from silver.quarantined_candles").empty
    closes = story.query(
        "select close_price as c from gold.fact_daily_stock_quotes where symbol = 'MSFT' order by quote_date"
    )
    assert closes["c"].tolist() == [bar.close for bar in recorded_bars(*UNCHECKED, ["MSFT"])]


def test_a_split_that_is_told_late_mends_what_was_stored_before(story: Story) -> None:
    told = story.query(
        "select h.close_price as c, h.split_factor as f, d.split_factor as g "
        "from silver.stg_historical_quotes_cleaned as h "
        "join gold.fact_daily_stock_quotes as d using (symbol, quote_date) where symbol = 'GOOG' order by quote_date"
    )
    assert told["c"].tolist() == [bar.close for bar in FORGOTTEN_BARS]
    factors = [7.0 if bar.day < FORGOTTEN.day else 1.0 for bar in FORGOTTEN_BARS]
    assert (told["f"].tolist(), told["g"].tolist()) == (factors, factors)


def test_bars_of_trades_have_volume_and_the_average_that_it_weighs(story: Story) -> None:
    bars = story.query("select * from gold.gold_candlestick where symbol = 'TRD' order by resolution, candle_time")
    day = bars[bars["resolution"] == "1d"].iloc[0]
    vwap = (10 * 200 + 10.6 * 50 + 9 * 0.4) / 250.4
    assert [day[f"candle_{name}"] for name in ("open", "high", "low", "close")] == [10, 10.6, 9, 9]
    assert (day["volume"], day["tick_count"], day["data_source"], day["is_final"]) == (250, 4, "trades", True)
    assert day["vwap"] == pytest.approx(vwap, abs=1e-6)
    minutes = bars[bars["resolution"] == "1m"]
    assert minutes["candle_time"].dt.strftime("%H:%M").tolist() == ["14:30", "20:59"]
    assert minutes["volume"].tolist() == [250, 0]
    assert minutes["tick_count"].tolist() == [3, 1]
