"""What an analyst reads is what was recorded, on the basis that was asked for, with its time zone said."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from landed import recorded
from recorded_gold import FIRST, LAST, SPLIT, SYMBOLS, copy, published

import stocklib
from stocklib import market
from stocklib.errors import DateRangeError, InputError, SymbolError, WarehouseError
from stocklib.settings import Settings, read_settings


@pytest.fixture(scope="session")
def gold(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return published(tmp_path_factory.getbasetemp() / "recorded-gold")


def as_recorded(symbol: str, first: date, last: date) -> pd.DataFrame:
    bars = recorded()
    return bars[(bars["symbol"] == symbol) & bars["day"].between(first, last)]


def test_unadjusted_prices_are_exactly_as_recorded(gold: Settings) -> None:
    for symbol in SYMBOLS:
        read = market.prices(symbol, FIRST, LAST, adjust="none", settings=gold)
        bars = as_recorded(symbol, FIRST, LAST)
        assert read["date"].dt.date.tolist() == bars["day"].tolist()
        for column in ("open", "high", "low", "close"):
            assert read[column].tolist() == bars[column].tolist()


def test_split_adjusted_prices_are_on_one_basis(gold: Settings) -> None:
    around = ("AAPL", "2005-02-14", "2005-03-11")
    traded = market.prices(*around, adjust="none", settings=gold).set_index("date")
    adjusted = market.prices(*around, settings=gold).set_index("date")
    before, after = traded.index < pd.Timestamp(SPLIT), traded.index >= pd.Timestamp(SPLIT)
    assert (adjusted.loc[before, "close"] * 2 == traded.loc[before, "close"]).all()
    assert (adjusted.loc[before, "volume"] == traded.loc[before, "volume"] * 2).all()
    pd.testing.assert_frame_equal(adjusted[after], traded[after])
    # nobody lost half of his money that day
    assert traded["close"].pct_change().min() < -0.4
    assert adjusted["close"].pct_change().abs().max() < 0.1


def test_bars_within_a_day_are_adjusted_like_the_day(gold: Settings, tmp_path: Path) -> None:
    split = copy(
        gold, tmp_path, "update gold.fact_daily_stock_quotes set split_factor = 4 where quote_date = '2012-12-14'"
    )
    traded = market.prices("FB", LAST, LAST, resolution="5m", adjust="none", settings=split)
    adjusted = market.prices("FB", LAST, LAST, resolution="5m", settings=split)
    assert (adjusted["close"] * 4 == traded["close"]).all()


def test_daily_bars_carry_a_date_and_shorter_ones_an_instant(gold: Settings) -> None:
    daily = market.prices("IBM", LAST, LAST, settings=gold)
    assert daily["date"].tolist() == [pd.Timestamp(LAST)]
    minutes = market.prices("IBM", LAST, LAST, resolution="1m", settings=gold)
    assert str(minutes["time"].dt.tz) == "UTC"
    assert minutes["time"].iloc[0] == pd.Timestamp("2012-12-14T14:30:00Z")
    assert minutes["time"].iloc[-1] == pd.Timestamp("2012-12-14T20:59:00Z")
    assert len(minutes) == 390


def test_every_resolution_tells_the_same_day(gold: Settings) -> None:
    day = market.prices("MSFT", LAST, LAST, settings=gold).iloc[0]
    for resolution in ("1m", "5m", "1h"):
        bars = market.prices("MSFT", LAST, LAST, resolution=resolution, settings=gold)
        assert bars["high"].max() == day["high"]
        assert bars["low"].min() == day["low"]
        assert (bars["open"].iloc[0], bars["close"].iloc[-1]) == (day["open"], day["close"])


def test_prices_are_tidy_and_say_what_they_are(gold: Settings) -> None:
    frame = market.prices(["MSFT", "aapl", "MSFT"], "2012-12-10", date(2012, 12, 11), settings=gold)
    assert frame["symbol"].tolist() == ["AAPL", "AAPL", "MSFT", "MSFT"]
    assert frame.index.tolist() == [0, 1, 2, 3]
    columns = ["symbol", "date", "open", "high", "low", "close", "volume", "is_final", "data_source"]
    assert list(frame.columns) == columns
    version = market.data_version(settings=gold)
    assert frame.attrs == {"resolution": "1d", "adjust": "split", "data_version": version}


def test_a_symbol_that_began_later_does_not_hide_the_others(gold: Settings) -> None:
    frame = market.prices(["FB", "IBM"], "2012-05-17", "2012-05-18", settings=gold)
    assert frame["symbol"].tolist() == ["FB", "IBM", "IBM"]


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"symbols": "APPL"}, SymbolError, "Did you mean AAPL"),
        ({"symbols": ["AAPL", "TSLA"]}, SymbolError, "no prices of TSLA.* AAPL, FB, GOOG"),
        ({"symbols": "'; drop table gold.gold_kpi; --"}, SymbolError, "not a stock symbol"),
        ({"symbols": []}, SymbolError, "no symbol was asked for"),
        ({"symbols": "FB", "end": "2012-05-17"}, DateRangeError, "FB 2012-05-18 to 2012-12-14"),
        ({"start": "2020-01-01"}, DateRangeError, "2020-01-01 to the end; there are: AAPL 2005-02-14"),
        ({"start": "2012-12-15", "end": "2012-12-16"}, DateRangeError, "to 2012-12-14"),
        ({"end": "2012-12-13", "resolution": "1m"}, DateRangeError, "AAPL 2012-12-14 to 2012-12-14"),
        ({"start": "2012-06-01", "end": "2012-05-01"}, DateRangeError, "after end"),
        ({"start": "June"}, DateRangeError, "start='June'"),
        ({"start": 20120601}, DateRangeError, "start=20120601"),
        ({"resolution": "2h"}, InputError, "1m, 5m, 1h, 1d"),
        ({"adjust": "dividends"}, InputError, "split, none"),
    ],
)
def test_what_cannot_be_answered_says_what_there_is(
    gold: Settings, asked: dict[str, object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        market.prices(**asked, settings=gold)  # type: ignore[arg-type]


def test_symbols_are_those_with_prices(gold: Settings) -> None:
    assert market.symbols(settings=gold) == SYMBOLS


def test_a_table_is_read_by_its_name(gold: Settings) -> None:
    kpi = market.table("gold_kpi", settings=gold)
    assert sorted(kpi["symbol"]) == SYMBOLS
    assert set(market.table("silver.dim_stock_symbols", settings=gold)["symbol"]) == set(SYMBOLS)


@pytest.mark.parametrize(
    "name", ["nothing", "raw.stock_quotes", "gold_kpi; drop table x", "information_schema.tables", "", "gold.", "a.b.c"]
)
def test_another_name_is_refused_with_those_there_are(gold: Settings, name: str) -> None:
    with pytest.raises(InputError, match="gold_candlestick"):
        market.table(name, settings=gold)


def test_a_replay_is_known_as_one(gold: Settings, tmp_path: Path) -> None:
    assert market.is_replay(settings=gold)
    assert not market.is_replay(settings=copy(gold, tmp_path, "update ops.warehouse_source set kind = 'live'"))


def test_another_load_is_another_version(gold: Settings, tmp_path: Path) -> None:
    other = copy(gold, tmp_path, "update ops.builds set load_id = load_id + 1")
    assert market.data_version(settings=other) != market.data_version(settings=gold)


def test_without_settings_those_of_the_machine_are_read(gold: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCKS_HOME", str(gold.home))
    assert len(stocklib.prices("AAPL", LAST, LAST)) == 1
    assert stocklib.symbols() == SYMBOLS


def test_where_nothing_is_published_the_next_step_is_named(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="make demo"):
        market.prices("AAPL", settings=read_settings(environ={"STOCKS_HOME": str(tmp_path)}))
