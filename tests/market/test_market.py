"""What an analyst reads is what was recorded, on the basis that was asked for, with its time zone said."""

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from landed import recorded
from recorded_gold import FIRST, LAST, SPLIT, SYMBOLS, copy

import stocklib
from stocklib import market
from stocklib.errors import DateRangeError, InputError, SettingsError, SymbolError, WarehouseError
from stocklib.market.adjusting import adjusted, dividend_factors
from stocklib.settings import Settings, read_settings
from stocklib.warehouse import open_warehouse


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


# Apple paid 2.65 USD a share on each of these; the closes before them were 619.86 and 582.8495.
APPLE_PAID = [
    "insert into gold.dim_corporate_action values ('AAPL', '2012-08-09', 'dividend', null, null, 2.65, 1)",
    "insert into gold.dim_corporate_action values ('AAPL', '2012-11-07', 'dividend', null, null, 2.65, 1)",
]


@pytest.fixture(scope="module")
def paid(gold: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return copy(gold, tmp_path_factory.mktemp("paid"), *APPLE_PAID)


def test_total_return_prices_count_apple_s_dividends_of_2012(paid: Settings) -> None:
    total = market.prices("AAPL", FIRST, LAST, adjust="total", settings=paid).set_index("date")["close"]
    august, november = 1 - 2.65 / 619.86, 1 - 2.65 / 582.8495
    assert total["2012-11-07"] == 558.0019
    assert total["2012-11-06"] == pytest.approx(582.8495 * november, rel=1e-14)
    assert total["2012-11-06"] == pytest.approx(582.8495 - 2.65, rel=1e-14)
    assert total["2012-08-09"] == pytest.approx(620.73 * november, rel=1e-14)
    assert total["2012-08-08"] == pytest.approx(619.86 * august * november, rel=1e-14)
    assert total["2012-01-03"] == pytest.approx(411.23 * 0.9957248411 * 0.9954533717, rel=1e-9)
    # a holder over the ex-date had the price and the dividend
    assert total["2012-11-07"] / total["2012-11-06"] == pytest.approx(558.0019 / (582.8495 - 2.65))


def test_total_return_goes_through_a_split_and_all_later_dividends(paid: Settings) -> None:
    total = market.prices("AAPL", "2005-02-25", SPLIT, adjust="total", settings=paid)["close"]
    kept = (1 - 2.65 / 619.86) * (1 - 2.65 / 582.8495)
    assert total.tolist() == pytest.approx([88.99 / 2 * kept, 44.86 * kept], rel=1e-14)
    # one paid the day before the split is for twice as few shares; on the day itself it is for the new ones
    sql = "insert into gold.dim_corporate_action values ('AAPL', '{}', 'dividend', null, null, 1, 1)"
    closes = market.prices("AAPL", "2005-02-24", SPLIT, adjust="none", settings=paid)["close"].tolist()
    for day, factors in (
        ("2005-02-25", [1 - 1 / closes[0], 1.0]),
        ("2005-02-28", [1 - 1 / (closes[1] / 2), 1 - 1 / (closes[1] / 2)]),
    ):
        warehouse = copy(paid, paid.home / day, sql.format(day))
        read = market.prices("AAPL", "2005-02-24", SPLIT, adjust="total", settings=warehouse)["close"].tolist()
        shares = [closes[0] / 2 * kept * factors[0], closes[1] / 2 * kept * factors[1], closes[2] * kept]
        assert read == pytest.approx(shares, rel=1e-14)


def test_total_return_does_not_depend_on_the_range_that_is_read(paid: Settings) -> None:
    whole = market.prices(adjust="total", settings=paid)
    part = market.prices(start="2012-05-01", end="2012-08-08", adjust="total", settings=paid)
    same = whole[whole["date"].between("2012-05-01", "2012-08-08")].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, same)
    others = market.prices(["FB", "IBM"], settings=paid)
    pd.testing.assert_frame_equal(market.prices(["FB", "IBM"], adjust="total", settings=paid), others)


def test_bars_within_a_day_count_dividends_like_the_day(paid: Settings, tmp_path: Path) -> None:
    later = copy(
        paid,
        tmp_path,
        "insert into gold.dim_corporate_action values ('AAPL', '2012-12-17', 'dividend', null, null, 5, 1)",
        "update gold.gold_candlestick set candle_time = candle_time - interval 39 day where resolution = '5m'",
    )
    bars = market.prices("AAPL", "2012-11-05", "2012-11-05", resolution="5m", adjust="none", settings=later)
    total = market.prices("AAPL", "2012-11-05", "2012-11-05", resolution="5m", adjust="total", settings=later)
    # that of 17 December is announced, not paid
    assert (total["close"] / bars["close"]).tolist() == pytest.approx([1 - 2.65 / 582.8495] * len(bars), rel=1e-14)


@pytest.mark.parametrize(
    ("closes", "splits", "paid", "total"),
    [
        ([100, 100, 89.5, 89.5], [], [0.5, 10.0], 89.5),
        ([100, 100, 89.5, 89.5], [], [10.0, 0.5], 89.5),
        ([100, 100, 24.5, 24.5], [(1, 4)], [0.5], 24.5),
        ([100, 100, 1960, 1960], [(20, 1)], [25.0, 15.0], 1960.0),
    ],
    ids=["two", "two the other way round", "with a split of the day", "two with a reverse split of the day"],
)
def test_dividends_of_one_ex_date_and_a_split_of_the_day_leave_the_total_where_it_was(
    closes: list[float], splits: list[tuple[float, float]], paid: list[float], total: float
) -> None:
    days = pd.to_datetime(["2024-06-12", "2024-06-13", "2024-06-14", "2024-06-17"])
    bars = pd.DataFrame({"symbol": "A", "date": days, "close": closes}).astype({"close": "float64"})
    bars = bars.assign(open=bars["close"], high=bars["close"], low=bars["close"], volume=1.0)
    rows = [("split", old, new, None) for old, new in splits] + [("dividend", None, None, amount) for amount in paid]
    actions = pd.DataFrame(rows, columns=["kind", "from_factor", "to_factor", "amount"])
    actions = actions.assign(symbol="A", date=days[2]).astype({"from_factor": "float64", "to_factor": "float64"})
    ratio = splits[0][1] / splits[0][0] if splits else 1.0
    bars["split_factor"] = [ratio, ratio, 1.0, 1.0]
    bars["dividend_factor"] = dividend_factors(bars, actions)
    assert adjusted(bars, adjust="total")["close"].tolist() == pytest.approx([total] * 4, rel=1e-14)


def test_dividends_between_two_bars_are_paid_together(paid: Settings, tmp_path: Path) -> None:
    # the bar of the first ex-date is missing, so both fall between the bars of 8 and 10 August
    hole = copy(
        paid,
        tmp_path,
        "insert into gold.dim_corporate_action values ('AAPL', '2012-08-10', 'dividend', null, null, 10, 1)",
        "delete from gold.fact_daily_stock_quotes where symbol = 'AAPL' and quote_date = '2012-08-09'",
    )
    total = market.prices("AAPL", "2012-08-08", "2012-08-10", adjust="total", settings=hole)["close"].tolist()
    traded = market.prices("AAPL", "2012-08-08", "2012-08-10", adjust="none", settings=hole)["close"].tolist()
    later = 1 - 2.65 / 582.8495
    assert total == pytest.approx([(traded[0] - 12.65) * later, traded[1] * later], rel=1e-14)


def test_a_dividend_above_the_price_is_one_symbol_s_matter(
    paid: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = copy(paid, tmp_path, "update gold.dim_corporate_action set amount = 700 where date = '2012-08-09'")
    with pytest.raises(WarehouseError, match=r"dividend of AAPL on 2012-08-09 .* adjust=\"split\""):
        market.prices("AAPL", adjust="total", settings=wrong)
    every = market.prices(adjust="total", settings=wrong)
    assert "dividend of AAPL on 2012-08-09" in caplog.text
    right = market.prices(adjust="total", settings=paid)
    unknown = right["symbol"].eq("AAPL") & (right["date"] < "2012-08-09")
    assert every[unknown]["close"].isna().all()
    pd.testing.assert_frame_equal(every[~unknown], right[~unknown], check_exact=True)


def changes(settings: Settings, folder: Path, text: str) -> Settings:
    """The same settings with another ``config/symbol_changes.csv``."""
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "symbol_changes.csv").write_text(text)
    return replace(settings, root=folder)


def test_a_renamed_symbol_has_its_older_bars_under_both_names(gold: Settings) -> None:
    old = market.prices("FB", settings=gold)
    new = market.prices("META", settings=gold)
    assert set(new["symbol"]) == {"META"}
    pd.testing.assert_frame_equal(new.drop(columns="symbol"), old.drop(columns="symbol"))
    both = market.prices(["META", "IBM", "FB"], LAST, LAST, resolution="5m", settings=gold)
    assert both["symbol"].unique().tolist() == ["FB", "IBM", "META"]
    assert "META" not in market.symbols(settings=gold)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("from,to,date\n", "must begin with the line old,new,date"),
        ("", "must begin with the line old,new,date"),
        ("old,new,date\nFB,META\n", "line 2 must be like FB,META,2022-06-09"),
        ("old,new,date\nFB,META,9 June\n", "line 2 must be like"),
        ("old,new,date\n\nF B,META,2022-06-09\n", "line 3 must be like"),
        ("old,new,date\nFB,FB,2022-06-09\n", "cannot become itself"),
        ("old,new,date\nFB,META,2022-06-09\nFB,XYZ,2023-01-02\n", "line 3: FB or XYZ is in its column twice"),
        ("old,new,date\nFB,META,2022-06-09\nMETA,FB,2022-06-09\n", "became FB before it was there"),
    ],
)
def test_a_malformed_list_of_renamed_symbols_is_one_clear_error(
    gold: Settings, tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(SettingsError, match=said) as raised:
        market.prices("FB", settings=changes(gold, tmp_path, text))
    assert "symbol_changes.csv" in str(raised.value)


def test_a_wide_frame_has_a_column_a_symbol(gold: Settings) -> None:
    tidy = market.prices(["FB", "IBM"], "2012-05-16", "2012-05-21", settings=gold)
    wide = market.prices(["FB", "IBM"], "2012-05-16", "2012-05-21", wide="close", settings=gold)
    assert (wide.index.name, wide.columns.name) == ("date", "symbol")
    assert wide["FB"].isna().tolist() == [True, True, False, False]
    assert wide["IBM"].tolist() == tidy.loc[tidy["symbol"] == "IBM", "close"].tolist()
    assert wide.attrs == tidy.attrs
    minutes = market.prices("IBM", LAST, LAST, resolution="5m", wide="high", settings=gold)
    assert str(minutes.index.tz) == "UTC"  # type: ignore[attr-defined]
    assert minutes.shape == (78, 1)


def test_a_publish_in_between_changes_nothing_that_is_being_read(gold: Settings, tmp_path: Path) -> None:
    old = copy(gold, tmp_path / "old")
    new = copy(
        gold,
        tmp_path / "new",
        "update ops.builds set load_id = load_id + 1",
        "delete from gold.fact_daily_stock_quotes where symbol <> 'IBM'",
    )
    count = "select count(distinct symbol) as n from gold.fact_daily_stock_quotes"
    with open_warehouse(old).reading() as look:
        before = look.published_build()
        (new.home / "warehouse" / "published.duckdb").replace(old.home / "warehouse" / "published.duckdb")
        assert look.query(count)["n"].tolist() == look.arrow(count)["n"].to_pylist() == [5]
        assert look.published_build() == before
    assert open_warehouse(old).query(count)["n"].tolist() == [1]
    assert not list(old.home.rglob("*.tmp"))
    shutil.rmtree(new.home)


def test_daily_bars_carry_a_date_and_shorter_ones_an_instant(gold: Settings) -> None:
    daily = market.prices("IBM", LAST, LAST, settings=gold)
    assert daily["date"].tolist() == [pd.Timestamp(LAST)]
    minutes = market.prices("IBM", LAST, LAST, resolution="1m", settings=gold)
    assert str(minutes["time"].dt.tz) == "UTC"
    assert minutes["time"].iloc[0] == pd.Timestamp("2012-12-14T14:30:00Z")
    assert minutes["time"].iloc[-1] == pd.Timestamp("2012-12-14T20:59:00Z")
    assert len(minutes) == 390


@pytest.mark.parametrize(("resolution", "name"), [("1d", "date"), ("5m", "time")])
def test_times_are_the_index_on_request(gold: Settings, resolution: str, name: str) -> None:
    asked = (["AAPL", "IBM"], LAST, LAST)
    bars = market.prices(*asked, resolution=resolution, settings=gold)
    indexed = market.prices(*asked, resolution=resolution, index=True, settings=gold)
    assert isinstance(indexed.index, pd.DatetimeIndex)
    assert indexed.index.name == name
    # the same bars, in the same order; the symbol stays a column
    pd.testing.assert_frame_equal(indexed.reset_index()[list(bars)], bars)
    assert indexed.attrs == bars.attrs
    # a wide frame has that index in any case
    wide, again = (market.prices(*asked, wide="close", index=index, settings=gold) for index in (False, True))
    pd.testing.assert_frame_equal(wide, again)


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
        ({"symbols": []}, SymbolError, "the list of symbols is empty"),
        ({"symbols": "FB", "end": "2012-05-17"}, DateRangeError, "FB 2012-05-18 to 2012-12-14"),
        ({"start": "2020-01-01"}, DateRangeError, "2020-01-01 to the end; there are: AAPL 2005-02-14"),
        ({"start": "2012-12-15", "end": "2012-12-16"}, DateRangeError, "to 2012-12-14"),
        ({"end": "2012-12-13", "resolution": "1m"}, DateRangeError, "AAPL 2012-12-14 to 2012-12-14"),
        ({"start": "2012-06-01", "end": "2012-05-01"}, DateRangeError, "after end"),
        ({"start": "June"}, DateRangeError, "start='June'"),
        ({"start": 20120601}, DateRangeError, "start=20120601"),
        ({"resolution": "2h"}, InputError, "1m, 5m, 1h, 1d"),
        ({"adjust": "dividends"}, InputError, "none, split, total"),
        ({"wide": "symbol"}, InputError, "open, high, low, close, volume"),
    ],
)
def test_what_cannot_be_answered_says_what_there_is(
    gold: Settings, asked: dict[str, object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        market.prices(**asked, settings=gold)  # type: ignore[arg-type]


def test_symbols_are_those_with_prices(gold: Settings) -> None:
    assert market.symbols(settings=gold) == SYMBOLS


def test_a_symbol_is_completed_and_looked_up(gold: Settings) -> None:
    there = stocklib.symbols(settings=gold)
    assert there.AAPL == "AAPL"
    assert set(SYMBOLS) <= set(dir(there))
    with pytest.raises(AttributeError, match="Did you mean MSFT"):
        _ = there.MSFF
    assert market.symbols("apple", settings=gold) == ["AAPL"]
    assert market.symbols("b", settings=gold) == ["FB", "IBM"]
    assert market.symbols("nothing like it", settings=gold) == []


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


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_an_aware_datetime_is_its_date_in_new_york(gold: Settings, zone: str) -> None:
    # 21:00 in New York is the next day in UTC and in Tokyo
    instant = pd.Timestamp("2012-12-12 21:00", tz="America/New_York").tz_convert(zone)
    for at in (instant, instant.to_pydatetime()):
        read = market.prices("AAPL", at, at, settings=gold)
        assert read["date"].tolist() == [pd.Timestamp("2012-12-12")]
    # without a zone it is the date that it says
    assert market.prices("AAPL", instant.tz_localize(None), settings=gold)["date"].min() == pd.Timestamp(instant.date())


def test_no_date_at_all_is_no_bound(gold: Settings) -> None:
    with pytest.raises(DateRangeError, match="start=NaT is not a date"):
        market.prices("AAPL", pd.NaT, settings=gold)  # type: ignore[arg-type]
