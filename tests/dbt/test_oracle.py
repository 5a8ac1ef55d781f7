"""Gold is what was recorded: the oracle, on a recorded year whose last session came as quotes."""

import math
from datetime import date

import pandas as pd
import pytest
from landed import DAY, recorded, recorded_bars
from story import FIRST, SYMBOLS, Story

from stocklib.sessions import sessions
from stocklib.warehouse import open_warehouse

PRICES = ["open", "high", "low", "close"]


def bars_of(year: Story, note: str = "the session", table: str = "fact_daily_stock_quotes") -> pd.DataFrame:
    return year.frames[f"{note}/{table}"]


def daily_candles(year: Story, note: str) -> pd.DataFrame:
    frame = bars_of(year, note, "gold_candlestick")
    return frame[frame["resolution"] == "1d"].reset_index(drop=True)


def test_a_session_of_quotes_is_the_recorded_bar_exactly(year: Story) -> None:
    facts = bars_of(year).set_index(["symbol", "quote_date"])
    candles = daily_candles(year, "the session").set_index(["symbol", "candle_time"])
    for bar in recorded_bars(DAY, DAY):
        fact, candle = facts.loc[(bar.symbol, pd.Timestamp(DAY))], candles.loc[(bar.symbol, pd.Timestamp(DAY))]
        expected = [bar.open, bar.high, bar.low, bar.close]
        assert [fact[f"{name}_price"] for name in PRICES] == expected
        assert [candle[f"candle_{name}"] for name in PRICES] == expected
        assert (fact["data_source"], fact["is_final"], candle["is_final"]) == ("quotes", True, True)
        assert pd.isna(fact["volume"])
        assert pd.isna(candle["volume"])


def test_a_price_with_sub_cent_digits_is_kept_to_the_last_one(year: Story) -> None:
    sql = (
        "select cast(close_price as varchar) as c from gold.fact_daily_stock_quotes where symbol = ? and quote_date = ?"
    )
    close = open_warehouse(year.settings).query(sql, ["GOOG", DAY])
    assert close["c"].tolist() == ["701.963200"]


def test_every_backfilled_day_is_the_recorded_bar_volume_included(year: Story) -> None:
    facts = bars_of(year)
    facts = facts[facts["quote_date"] < pd.Timestamp(DAY)]
    wanted = recorded()
    wanted = wanted[(wanted["day"] >= FIRST) & (wanted["day"] < DAY)].reset_index(drop=True)
    assert facts["symbol"].tolist() == wanted["symbol"].tolist()
    assert facts["quote_date"].dt.date.tolist() == wanted["day"].tolist()
    for name in PRICES:
        assert facts[f"{name}_price"].tolist() == wanted[name].tolist()
    assert facts["volume"].tolist() == wanted["volume"].tolist()
    assert facts["is_final"].all()
    assert set(facts["data_source"]) == {"finnhub"}


def test_closed_days_are_absent_and_no_session_is_missing(year: Story) -> None:
    days = {day.date() for day in bars_of(year)["quote_date"]}
    assert days.isdisjoint({date(2012, 10, 29), date(2012, 10, 30)})
    assert days == {session.session_date for session in sessions(FIRST, DAY)}
    facebook = bars_of(year)[bars_of(year)["symbol"] == "FB"]
    assert facebook["quote_date"].min().date() == date(2012, 5, 18)
    calendar = year.query("select * from gold.dim_date where calendar_date in ('2012-10-29', '2012-10-30')")
    assert calendar["is_trading_day"].tolist() == [False, False]
    assert calendar["holiday"].tolist() == ["Exchange closed"] * 2


def test_a_session_that_is_not_over_is_not_final_but_has_its_exact_open(year: Story) -> None:
    facts = bars_of(year, "a third of the session")
    today = facts[facts["quote_date"] == pd.Timestamp(DAY)].set_index("symbol")
    assert not today["is_final"].any()
    assert today["open_price"].to_dict() == {bar.symbol: bar.open for bar in recorded_bars(DAY, DAY)}
    candles = bars_of(year, "a third of the session", "gold_candlestick")
    minutes = candles[candles["resolution"] == "1m"].sort_values("candle_time")
    assert minutes.groupby("symbol")["is_final"].last().eq(False).all()
    assert minutes.groupby("symbol")["is_final"].first().all()


def test_what_landed_twice_is_counted_once(year: Story) -> None:
    seen = year.query("select count(distinct event_id) as e, count(*) as n from silver.int_quote_events")
    raw = year.query("select count(*) as n from bronze.stg_stock_quotes_raw")
    sent = 2 * len(SYMBOLS) * 391
    assert seen.iloc[0].tolist() == [sent, sent]
    assert raw["n"].iloc[0] == sent + 50


def test_streaming_a_session_twice_changes_no_bar(year: Story) -> None:
    assert year.hashes["streamed twice"] == year.hashes["the session"]
    times = year.query("select times_seen, count(*) as n from silver.stg_stock_quotes_cleaned group by 1")
    assert times["times_seen"].tolist() == [2]
    total = year.query("select distinct total_quotes from silver.dim_stock_symbols")
    assert total["total_quotes"].tolist() == [2 * 391]


def test_without_a_new_load_there_is_nothing_to_transform(year: Story) -> None:
    done = year.summaries[3]
    assert (done.models, done.tests) == (0, 0)
    assert "nothing new" in str(done)


def test_the_bars_within_a_day_follow_the_utc_clock(year: Story) -> None:
    candles = bars_of(year, table="gold_candlestick")
    for resolution, count, first, last in [
        ("1h", 7, "14:00", "20:00"),
        ("5m", 78, "14:30", "20:55"),
        ("1m", 390, "14:30", "20:59"),
    ]:
        bars = candles[(candles["resolution"] == resolution) & (candles["symbol"] == "AAPL")]
        assert len(bars) == count
        assert bars["candle_time"].min() == pd.Timestamp(f"2012-12-14 {first}")
        assert bars["candle_time"].max() == pd.Timestamp(f"2012-12-14 {last}")
        assert bars["candle_open"].iloc[0] == 514.75
        assert bars["candle_close"].iloc[-1] == 509.794
        assert bars["tick_count"].sum() == 391
        assert bars["is_final"].all()


def test_the_trend_of_an_intraday_bar_is_the_mean_of_twenty_closes(year: Story) -> None:
    candles = bars_of(year, table="gold_candlestick").sort_values("candle_time")
    for _, bars in candles.groupby(["symbol", "resolution"]):
        expected = bars["candle_close"].rolling(20).mean()
        pd.testing.assert_series_equal(bars["trend_line"], expected, check_names=False, atol=1e-6, rtol=0)


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_performance_agrees_with_pandas(year: Story, symbol: str) -> None:
    gold = year.query(f"select * from gold.fact_stock_performance where symbol = '{symbol}' order by quote_date")
    bars = recorded()
    close = bars[(bars["symbol"] == symbol) & (bars["day"] >= FIRST) & (bars["day"] <= DAY)]["close"].reset_index(
        drop=True
    )
    returns = close.pct_change()
    base = 0
    expected = {
        "adj_close_price": close,
        "ma_7day": close.rolling(7).mean(),
        "ma_30day": close.rolling(30).mean(),
        "ma_90day": close.rolling(90).mean(),
        "ytd_return_percent": (close / close[base] - 1) * 100,
        "momentum_30day_percent": (close / close.shift(30) - 1) * 100,
        "volatility_30day_percent": returns.rolling(30).std(ddof=1) * math.sqrt(252) * 100,
        "drawdown_percent": (close / close.cummax() - 1) * 100,
    }
    for name, values in expected.items():
        pd.testing.assert_series_equal(gold[name], values, check_names=False, atol=1.5e-6, rtol=0)
    assert gold["ytd_base_date"].dt.date.tolist()[-1] == (date(2012, 5, 18) if symbol == "FB" else FIRST)
    facts = bars_of(year)
    daily = facts[facts["symbol"] == symbol]["daily_return_percent"].reset_index(drop=True)
    pd.testing.assert_series_equal(daily, returns * 100, check_names=False, atol=1.5e-6, rtol=0)


def test_the_kpi_is_the_last_quote_against_the_close_before(year: Story) -> None:
    kpi = year.query("select * from gold.gold_kpi").set_index("symbol")
    assert len(kpi) == 5
    for bar in recorded_bars(DAY, DAY):
        row = kpi.loc[bar.symbol]
        assert row["current_price"] == bar.close
        assert row["change_amount"] == pytest.approx(bar.close - bar.prev_close, abs=1e-6)
        assert row["change_percent"] == pytest.approx((bar.close / bar.prev_close - 1) * 100, abs=1e-6)
        assert row["change_basis"] == "close"
        assert row["as_of"] == pd.Timestamp("2012-12-14 21:00:00")
        assert row["fetched_at"] == pd.Timestamp("2012-12-14 21:00:05")


def test_the_treemap_compares_the_symbols(year: Story) -> None:
    tree = year.query("select * from gold.gold_treechart").set_index("symbol")
    minutes = bars_of(year, table="gold_candlestick")
    minutes = minutes[minutes["resolution"] == "1m"].groupby("symbol")["candle_close"].mean()
    assert tree.loc["AAPL", "avg_price"] == pytest.approx(minutes["AAPL"], abs=1e-6)
    assert tree.loc["AAPL", "market_cap"] == pytest.approx(940_700_000 * 509.794)
    assert tree.loc["GOOG", "market_cap"] == 15_115_820_000 * 701.9632
    assert tree["relative_volatility"].median() == 1
    assert tree.loc["AAPL", "sector"] == "Information Technology"


def test_the_calendar_of_gold_ends_with_the_year_after_the_last_quote(year: Story) -> None:
    span = year.query("select min(calendar_date) as a, max(calendar_date) as z from gold.dim_date").iloc[0]
    assert (span["a"].date(), span["z"].date()) == (date(2000, 1, 1), date(2013, 12, 31))
