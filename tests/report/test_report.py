"""The report is one page that needs nothing else, says what it shows, and reads well on a phone."""

import dataclasses
import io
import itertools
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import chromium
import duckdb
import pandas as pd
import pytest
import two_places
from page_parts import SCROLL_THROUGH, json_in, own_text, packed_in, plotly_numbers, unpacked
from recorded_gold import LAST, SYMBOLS, copy

from stocklib import market, plots
from stocklib.errors import InputError, StocksError, SymbolError, VersionChanged, WarehouseError
from stocklib.plots.house import day_text
from stocklib.report import cards, charts, write_report
from stocklib.report.facts import gather
from stocklib.report.shell import part
from stocklib.settings import Settings, read_settings
from stocklib.warehouse import Reader


@pytest.fixture(scope="module")
def report(gold: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(gold, path=tmp_path_factory.mktemp("report") / "market.html")


def test_it_is_one_file_under_8_megabytes(report: Path) -> None:
    assert report.stat().st_size < 8_000_000
    assert [path.name for path in report.parent.iterdir()] == ["market.html"]


def test_it_names_no_other_address(report: Path) -> None:
    page = own_text(report.read_text(encoding="utf-8"))
    assert len(page) < 1_000_000
    assert not re.findall(r"https?://\S+", page)
    assert re.findall(r'(?:src|href)="([^"#][^"]*)"', page) == ["data:,"]
    assert "default-src 'none'" in page


def test_it_says_plainly_that_a_replay_is_one(report: Path, gold: Settings) -> None:
    page = report.read_text(encoding="utf-8")
    assert "Replayed market data: 14 December 2012." in page
    # the whole data, of which the charts show the end
    assert f"Recorded prices ({day_text(market.prices(settings=gold)['date'].min())} to 14 December 2012)" in page
    assert "The charts begin on 30 December 2011." in page
    assert "As of 16:00:00 New York time (EST), 14 December 2012 · session final · 5 symbols" in page
    assert 'data-as-of=""' in page
    assert "reconstructed" in page


@pytest.mark.parametrize(
    ("replayed", "said"), [("{home}/market/bars.csv", "Made-up prices"), ("mine/own.csv", "The prices of own.csv")]
)
def test_it_says_whose_prices_are_replayed(gold: Settings, replayed: str, said: str) -> None:
    assert gather(dataclasses.replace(gold, replay_data=replayed.format(home=gold.home))).replayed == said


def test_live_data_has_an_age_and_no_banner(gold: Settings, tmp_path: Path) -> None:
    live = copy(gold, tmp_path / "home", "update ops.warehouse_source set kind = 'live'")
    page = write_report(live, path=tmp_path / "live.html").read_text(encoding="utf-8")
    assert "Replayed" not in own_text(page)
    assert "reconstructed" not in own_text(page)
    assert "personal use" in page
    assert "public domain" not in page
    assert f'data-as-of="{datetime(2012, 12, 14, 21, tzinfo=UTC).timestamp():.0f}"' in page


def test_it_shows_the_numbers_of_gold(report: Path) -> None:
    page = own_text(report.read_text(encoding="utf-8"))
    for said in ("509.79", "−19.90 (−3.76 %)", "Year to date −29.9 %", "Information Technology", "14 Dec 16:00"):
        assert said in page
    assert set(json_in(page, "charts")) == set(SYMBOLS)
    correlations = {"correlation-21", "correlation-63"}
    assert set(json_in(page, "figures")) == {"comparison", "treemap", "ytd", "volatility", "drawdown", *correlations}


def test_a_figure_that_two_places_show_is_one(gold: Settings) -> None:
    assert two_places.disagreements(gold) == []


def test_card_row_and_download_show_one_figure(report: Path, gold: Settings) -> None:
    page = own_text(report.read_text(encoding="utf-8"))
    rows = page.split('id="table"')[1].split("<tr")[2:]
    csv = pd.read_csv(io.StringIO(json.loads(packed_in(page, "csv"))), index_col="symbol")
    symbols = gather(gold).symbols.set_index("symbol")
    assert list(csv.index) == [re.findall(r'data-symbol="(\w+)"', row)[0] for row in rows] == SYMBOLS
    for symbol, row in zip(SYMBOLS, rows, strict=True):
        cells = re.findall(r'<td[^>]*?(?: data-v="([^"]*)")?>', row)
        shown = [float(value) for value in cells[:6]]
        columns = ["current_price", "change_percent", *(f"return_1{unit}_percent" for unit in "wm")]
        columns += ["return_3m_percent", "ytd_return_percent"]
        assert shown == pytest.approx(symbols.loc[symbol, columns].astype(float).tolist(), rel=1e-8)
        assert csv.loc[symbol, columns].tolist() == pytest.approx(shown, rel=1e-8)
        card = re.search(rf'class="card kpi" href="#candles" data-symbol="{symbol}">(.*?)</a>', page, re.S)
        assert card
        assert f"({cards.number(csv.loc[symbol, 'change_percent'], 2, sign=True)} %)" in card.group(1)
        assert f"Year to date {cards.number(csv.loc[symbol, 'ytd_return_percent'], 1, sign=True)} %" in card.group(1)
    # no bar a year ago: a column that no symbol has is named, and not shown
    assert csv["return_1y_percent"].isna().all()
    assert "Left out, since no symbol has a value: 1Y, Volume." in page
    # the last label of a drawdown is the table's figure
    figure = json.loads(json.dumps(json_in(page, "figures")["drawdown"]))
    last = {trace["name"]: plotly_numbers(trace["y"])[-1] for trace in figure["data"]}
    for symbol in SYMBOLS:
        assert last[symbol] == pytest.approx(symbols.loc[symbol, "drawdown_percent"])
    # a number without a double's noise, a flag, and an unknown flag
    assert csv["is_above_200"].fillna("unknown").tolist() == [False, "unknown", True, False, False]
    assert not re.search(r"\d\.\d{12}", json.loads(packed_in(page, "csv")))


def test_a_symbol_has_one_colour_and_one_order_and_the_version_stands_in_the_footer(report: Path) -> None:
    page = own_text(report.read_text(encoding="utf-8"))
    figures = json_in(page, "figures")
    compared, fell = (
        {trace["name"]: (trace["line"]["color"], trace["line"]["dash"]) for trace in figures[name]["data"]}
        for name in ("comparison", "drawdown")
    )
    assert list(compared) == sorted(compared)
    assert list(fell) == list(compared)
    assert fell == compared
    # as in a figure without the benchmark
    assert [compared[symbol][0] for symbol in SYMBOLS] == [plots.colours(SYMBOLS)[symbol] for symbol in SYMBOLS]
    assert figures["correlation-21"]["data"][0]["x"] == SYMBOLS
    version = re.findall(r"Data version (\S+),", page)[0]
    assert version not in json.dumps([figures, json_in(page, "market")])


def test_it_says_of_how_many_symbols_a_mean_is_known_and_what_the_benchmark_is(report: Path) -> None:
    page = own_text(report.read_text(encoding="utf-8"))
    assert re.findall(r'<span class="meaning">(\d of \d symbols)</span>', page) == ["2 of 5 symbols", "1 of 4 symbols"]
    assert "a symbol joins with its first bar" in page
    assert "the equal-weight index of all symbols since 30 December 2011." in page


def test_the_line_of_a_card_is_that_of_its_year_to_date(gold: Settings) -> None:
    facts = gather(gold)
    line = [point.split(",") for point in cards.sparkline(facts, "FB").split()]
    assert len(line) == facts.daily.loc[facts.daily["symbol"] == "FB", "date"].ge("2012-05-18").sum()
    # down is a larger y
    assert float(line[-1][1]) > float(line[0][1])
    assert facts.symbols.set_index("symbol").loc["FB", "ytd_return_percent"] < 0


def test_a_name_that_looks_like_a_formula_stays_text_in_the_download(gold: Settings, tmp_path: Path) -> None:
    sql = "update silver.dim_stock_symbols set company_name = '=1+1' where symbol = 'FB'"
    page = write_report(copy(gold, tmp_path / "home", sql), path=tmp_path / "formula.html").read_text("utf-8")
    csv = json.loads(packed_in(page, "csv"))
    assert ",'=1+1," in csv
    # a number keeps its sign
    assert re.search(r"^FB,26\.812\d*,-1\.42", csv, re.M)


def test_chosen_symbols_have_the_cards_and_a_symbol_is_the_benchmark(gold: Settings, tmp_path: Path) -> None:
    path = write_report(gold, path=tmp_path / "mine.html", symbols=["MSFT", "aapl"], benchmark="IBM")
    page = own_text(path.read_text(encoding="utf-8"))
    assert re.findall(r'class="card kpi" href="#candles" data-symbol="(\w+)"', page) == ["MSFT", "AAPL"]
    assert re.findall(r'<h2>Fell most</h2>\s*<a data-symbol="(\w+)"', page) == ["FB"]
    figures = json_in(page, "figures")
    assert [trace["name"] for trace in figures["comparison"]["data"]] == ["AAPL", "IBM", "MSFT"]
    assert "The broad violet line is IBM." in page
    facts = gather(gold, benchmark="IBM")
    ours = facts.symbols.set_index("symbol").loc["IBM"]
    assert facts.benchmark_returns["1d"] == pytest.approx(ours["change_percent"], abs=1e-6)
    assert facts.benchmark_returns["ytd"] == pytest.approx(ours["ytd_return_percent"], abs=1e-6)
    assert facts.benchmark_returns["1m"] == ours["return_1m_percent"]
    with pytest.raises(SymbolError, match="there are no prices of NOPE"):
        write_report(gold, path=tmp_path / "none.html", benchmark="NOPE")
    with pytest.raises(SymbolError, match=r"FB has no bar in the 13 months up to 2012-04-02"):
        write_report(gold, path=tmp_path / "none.html", day=date(2012, 4, 2), symbols=["FB"])
    with pytest.raises(InputError, match="up to 10"):
        write_report(gold, path=tmp_path / "none.html", symbols=[f"S{n}" for n in range(11)])
    assert not (tmp_path / "none.html").exists()


def test_the_figures_of_an_earlier_session_know_nothing_later(gold: Settings, tmp_path: Path) -> None:
    day, tables = date(2012, 6, 29), ("fact_daily_stock_quotes", "fact_stock_performance")
    ended = copy(gold, tmp_path / "home", *(f"delete from gold.{name} where quote_date > '{day}'" for name in tables))
    earlier, then = gather(gold, day=day), gather(ended, day=day)
    columns = ["return_1w_percent", "return_3m_percent", "range_percent", "is_above_50", "relative_volume"]
    assert earlier.symbols[columns].notna().any().all()
    pd.testing.assert_frame_equal(earlier.symbols[columns], then.symbols[columns])
    assert str(earlier.benchmark_returns) == str(then.benchmark_returns)
    pd.testing.assert_frame_equal(earlier.drawdowns, then.drawdowns)


def test_a_range_before_a_split_is_that_of_the_prices_of_then(gold: Settings) -> None:
    aapl = gather(gold, day=date(2005, 2, 25)).symbols.set_index("symbol").loc["AAPL"]
    traded = market.prices("AAPL", "2005-02-14", "2005-02-25", adjust="none", settings=gold)
    assert traded["high"].max() > 80
    assert (aapl["range_low"], aapl["range_high"]) == pytest.approx((traded["low"].min(), traded["high"].max()))


@pytest.mark.parametrize("left", ["symbol = 'AAPL'", "quote_date = '2012-12-14'"])
def test_one_symbol_and_one_session_make_a_report(gold: Settings, tmp_path: Path, left: str) -> None:
    tables = ["fact_daily_stock_quotes", "fact_stock_performance"]
    tables += ["gold_kpi", "gold_treechart"] if "symbol" in left else []
    small = copy(gold, tmp_path / "home", *(f"delete from gold.{name} where not ({left})" for name in tables))
    page = own_text(write_report(small, path=tmp_path / "small.html").read_text(encoding="utf-8"))
    assert not [name for name in json_in(page, "figures") if name.startswith("correlation")]
    assert {"comparison", "drawdown"} <= set(json_in(page, "figures"))


def test_the_bars_of_a_chart_are_those_of_prices(report: Path, gold: Settings) -> None:
    page = report.read_text(encoding="utf-8")
    coded, frame = json_in(page, "charts")["AAPL"]["daily"], json_in(page, "market")["frames"]["daily"]
    bars = market.prices("AAPL", "2011-12-30", settings=gold)
    assert [frame["times"][place][:10] for place in itertools.accumulate(coded["places"])] == [
        f"{day:%Y-%m-%d}" for day in bars["date"]
    ]
    for column in ("open", "high", "low", "close"):
        shown = [whole / 10 ** coded["digits"] for whole in itertools.accumulate(coded[column])]
        assert shown == pytest.approx(bars[column].tolist(), abs=0.00501)
    mean = [step for step in coded["SMA 20"] if step is not None]
    assert len(mean) == len(bars) - 19
    assert sum(mean) / 100 == pytest.approx(bars["close"].tail(20).mean(), abs=0.00501)


def test_an_axis_writes_dates_and_digits_one_way(report: Path) -> None:
    layouts = {
        name: frame["figure"]["layout"] for name, frame in json_in(report.read_text(), "market")["frames"].items()
    }
    assert layouts["session"]["xaxis"]["title"]["text"] == "New York time"
    assert "title" not in layouts["daily"]["xaxis"]
    for layout in layouts.values():
        assert [stop["value"] for stop in layout["xaxis"]["tickformatstops"]][:2] == ["%H:%M\n%-d %b %Y", "%-d %b\n%Y"]
        stops = layout["yaxis"]["tickformatstops"]
        for distance, form in ((0.0002, ",.4f"), (0.05, ",.2f"), (0.2, ",.1f"), (1, ",.0f"), (50_000, ",.0f")):
            low_high = (
                stop for stop in stops if stop["dtickrange"][0] <= distance <= (stop["dtickrange"][1] or distance)
            )
            assert [stop["value"] for stop in low_high] == [form]


def test_where_room_is_short_every_symbol_keeps_its_last_bars(gold: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = gather(gold)
    whole = json.loads(unpacked(charts.compact(facts, ["FB"])))
    assert all("session" in chart for chart in whole.values())
    monkeypatch.setattr(charts, "_BYTES", 12_000)
    monkeypatch.setattr(charts, "_SESSIONS", 4)
    made = charts.compact(facts, ["FB"])
    assert len(made) <= 12_000 - 5 * 1_000
    short = json.loads(unpacked(made))
    assert list(short) == SYMBOLS
    assert [symbol for symbol, chart in short.items() if "session" in chart] == ["FB"]
    for symbol in SYMBOLS:
        for column in ("places", "close", "volume", "EMA 50"):
            last, before = (
                list(itertools.accumulate(filter(None, of[symbol]["daily"][column]))) for of in (short, whole)
            )
            assert 1 < len(last) < len(before)
            assert last[-1] == before[-1]


def test_it_names_the_terms_of_the_data_and_its_version(report: Path) -> None:
    page = report.read_text(encoding="utf-8")
    assert "public domain" in page
    assert "personal use" not in page
    assert "advice" in page
    assert re.search(r"Data version \d+\.[0-9a-f]{8}\.\d{14}, written", page)


def test_a_company_s_name_is_never_markup(report: Path) -> None:
    page = own_text(report.read_text(encoding="utf-8"))
    assert "International &lt;b&gt;Business&lt;/b&gt; &amp; Machines" in page
    assert "<script>alert" not in page
    assert "<b>Business" not in page


def test_odd_symbols_are_shown_as_they_are(gold: Settings, tmp_path: Path) -> None:
    tables = ("fact_daily_stock_quotes", "fact_stock_performance", "gold_kpi", "gold_treechart", "gold_candlestick")
    odd = "'^GS&<i>'"
    renamed = [f"update gold.{name} set symbol = {odd} where symbol = 'GOOG'" for name in tables]
    page = write_report(copy(gold, tmp_path / "home", *renamed), path=tmp_path / "odd.html").read_text()
    assert '<span class="symbol">^GS&amp;&lt;i&gt;</span>' in page
    assert "<i>" not in own_text(page)
    assert "^GS&<i>" in json_in(page, "charts")


def test_a_symbol_that_has_not_been_quoted_since_says_so(gold: Settings, tmp_path: Path) -> None:
    stale = copy(gold, tmp_path / "home", "update gold.gold_kpi set as_of = '2012-12-12 21:00' where symbol = 'FB'")
    page = write_report(stale, path=tmp_path / "stale.html").read_text(encoding="utf-8")
    assert page.count("last price 12 Dec 2012") == 1


def test_a_symbol_without_a_bar_for_many_sessions_is_marked_and_left_out(gold: Settings, tmp_path: Path) -> None:
    gone = [
        "delete from gold.fact_daily_stock_quotes where symbol = 'FB' and quote_date > '2012-11-30'",
        "delete from gold.fact_stock_performance where symbol = 'FB' and quote_date > '2012-11-30'",
        "delete from gold.fact_daily_stock_quotes where symbol = 'IBM' and quote_date > '2011-12-30'",
        "delete from gold.fact_stock_performance where symbol = 'IBM' and quote_date > '2011-12-30'",
        "update gold.gold_kpi set as_of = '2012-11-30 21:00' where symbol = 'FB'",
        "update gold.gold_kpi set as_of = '2011-12-30 21:00', ytd_return_percent = 12.34 where symbol = 'IBM'",
    ]
    page = own_text(write_report(copy(gold, tmp_path / "home", *gone), path=tmp_path / "gone.html").read_text("utf-8"))
    shown = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert shown.count("no bar since 30 Nov 2012") == 1
    assert shown.count("no bar since 30 Dec 2011") == 1
    assert "delisted" not in shown.lower()
    assert "Left out, without a bar: FB since 30 Nov 2012, IBM since 30 Dec 2011." in shown
    figures = json_in(page, "figures")
    for name in ("treemap", "ytd", "volatility", "comparison"):
        assert "AAPL" in json.dumps(figures[name])
        assert not re.search(r'"(FB|IBM)"', json.dumps(figures[name])), name
    # a return of the year that is shown, and none of another one
    assert "+12.3" not in shown
    assert shown.count('class="stale-row"') == 2
    assert "30 Nov 2012</td>" in shown
    cards = dict(re.findall(r'data-symbol="(\w+)">(.*?)</a>', shown, re.S))
    assert "Year to date – %" in cards["IBM"]
    assert "■ – (– %)" in cards["IBM"]
    assert "■ – (– %)" in cards["FB"]
    assert "no bar" not in cards["AAPL"]


def test_a_few_sessions_without_a_bar_are_a_hole_and_no_end(gold: Settings, tmp_path: Path) -> None:
    hole = [
        f"delete from gold.{name} where symbol = 'FB' and quote_date > '2012-12-07'"
        for name in ("fact_daily_stock_quotes", "fact_stock_performance")
    ]
    old = "update gold.gold_kpi set as_of = '2012-12-07 21:00' where symbol = 'FB'"
    page = own_text(write_report(copy(gold, tmp_path / "home", *hole, old), path=tmp_path / "hole.html").read_text())
    assert page.count("last price 7 Dec 2012") == 1
    assert "no bar since" not in page
    assert '"FB"' in json.dumps(json_in(page, "figures")["treemap"])


def test_an_earlier_session_says_what_its_own_tables_said(gold: Settings, tmp_path: Path) -> None:
    unknown = "quote_date = '2012-12-13' and symbol = 'IBM'"
    bare = copy(
        gold,
        tmp_path / "home",
        f"update gold.fact_stock_performance set ytd_return_percent = null, ytd_base_date = null where {unknown}",
        # no bar of the session before, and one that is not final: there is no change to show
        "delete from gold.fact_daily_stock_quotes where quote_date = '2012-12-12' and symbol = 'FB'",
        "update gold.fact_daily_stock_quotes set is_final = false where quote_date = '2012-12-12' and symbol = 'GOOG'",
    )
    symbols = gather(bare, day=date(2012, 12, 13)).symbols.set_index("symbol")
    assert symbols["ytd_return_percent"].isna().to_dict() == {symbol: symbol == "IBM" for symbol in symbols.index}
    unknown_change = {symbol: symbol in ("FB", "GOOG") for symbol in symbols.index}
    for column in ("change_percent", "change_amount", "change_basis"):
        assert symbols[column].isna().to_dict() == unknown_change


def test_what_is_not_known_leaves_a_dash_and_no_figure(gold: Settings, tmp_path: Path) -> None:
    bare = copy(
        gold,
        tmp_path / "home",
        "update gold.gold_treechart set market_cap = null, sector = null",
        "update gold.fact_stock_performance set volatility_30day_percent = null",
        "update gold.gold_kpi set change_amount = null, change_percent = null",
        "delete from gold.gold_candlestick where resolution <> '1d'",
        "delete from silver.dim_stock_symbols",
        "update gold.fact_daily_stock_quotes set is_final = false where quote_date = '2012-12-14'",
    )
    page = own_text(write_report(bare, path=tmp_path / "bare.html").read_text(encoding="utf-8"))
    correlations = {"correlation-21", "correlation-63"}
    assert set(json_in(page, "figures")) == {"comparison", "ytd", "drawdown", *correlations}
    assert "nan" not in re.sub(r'<script type="application/\w+".*?</script>', "", page, flags=re.S).lower()
    assert "session not final" in page
    assert "■ – (– %)" in page
    assert "has-session" not in page.split("<script")[0]


def test_it_says_whether_every_quote_is_accounted_for(gold: Settings, report: Path, tmp_path: Path) -> None:
    # without a ledger there is nothing to say
    assert 'id="delivery"' not in report.read_text(encoding="utf-8")
    at = "timestamp '2012-12-14 22:00'"
    day = f"select {at}, 'stock-quotes', 'id', 0, date '2012-12-14', 1207, 1207, 1200, 2, 5, 0, 3, 1"
    run = f"select {at}, 'run', 1205, 1202, 0, 0, 3"
    counted = (f"insert into ops.ledger {day}, 0", f"insert into ops.ledger_runs {run}, 0")
    page = own_text(write_report(copy(gold, tmp_path / "good", *counted), path=tmp_path / "1.html").read_text("utf-8"))
    assert "the ledger balances" in page
    assert "counted on 14 December 2012, 22:00 UTC" in page
    for count, label in (("1,205", "Confirmed"), ("1,200", "In silver"), ("5", "Duplicates removed"), ("0", "Lost")):
        assert f'<span class="small">{label}</span><span class="count">{count}</span>' in page
    lost = f"insert into ops.ledger_problems select {at}, 'id', 'hop', 'lost', '<b>', 3, false"
    wrong = (counted[0], f"insert into ops.ledger_runs {run}, 3", lost)
    page = own_text(write_report(copy(gold, tmp_path / "bad", *wrong), path=tmp_path / "2.html").read_text("utf-8"))
    assert "the ledger does not balance" in page
    assert '<div class="tile down"><span class="small">Lost</span><span class="count">3</span>' in page


def test_a_report_is_of_one_version_however_often_another_is_published(
    gold: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = copy(gold, tmp_path / "home")
    path = settings.home / "warehouse" / "published.duckdb"
    before, table, published = market.data_version(settings=settings), market.table, []

    def publish_and_read(name: str, **more: Any) -> pd.DataFrame:
        fresh = path.with_name("fresh.duckdb")
        shutil.copyfile(path, fresh)
        with duckdb.connect(fresh) as con:
            con.execute("update gold.gold_kpi set current_price = 1")
            con.execute("update ops.builds set load_id = load_id + 1")
        fresh.replace(path)
        published.append(name)
        return table(name, **more)

    monkeypatch.setattr(market, "table", publish_and_read)
    facts = gather(settings)
    assert len(published) > 3
    assert facts.data_version == before != market.data_version(settings=settings)
    assert (facts.symbols["current_price"] > 1).all()


def test_where_a_version_cannot_be_held_a_report_is_tried_again_and_not_for_ever(
    gold: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin, left = market.pin, [2]

    @contextmanager
    def pin_and_lose(settings: Settings) -> Iterator[Reader]:
        with pin(settings) as look:
            yield look
        left[0] -= 1
        if left[0] >= 0:
            raise VersionChanged("another was published")

    monkeypatch.setattr(market, "pin", pin_and_lose)
    assert gather(gold).data_version == market.data_version(settings=gold)
    left[0] = 99
    with pytest.raises(VersionChanged):
        gather(gold)
    assert left == [96]


def test_an_old_report_is_replaced_whole_or_not_at_all(gold: Settings, tmp_path: Path) -> None:
    path = tmp_path / "market.html"
    path.write_text("the old one")
    write_report(gold, path=path)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(gold: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StocksError, match=r"cannot be written to .*market\.html.*--out"):
        write_report(gold, path=tmp_path / "file" / "market.html")


def test_where_nothing_is_published_there_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="make demo"):
        write_report(read_settings(environ={"STOCKS_HOME": str(tmp_path)}), path=tmp_path / "market.html")
    assert not (tmp_path / "market.html").exists()


# ── in a browser ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.browser
@pytest.mark.parametrize(("width", "phone"), [(1280, False), (390, True)])
@pytest.mark.parametrize("dark", [False, True])
def test_in_a_browser_it_fits_draws_and_asks_for_nothing(
    page: chromium.Page, report: Path, *, width: int, phone: bool, dark: bool
) -> None:
    page.requests.clear()
    page.errors.clear()
    page.open(report.as_uri(), width=width, phone=phone, dark=dark)
    page.ask(SCROLL_THROUGH)
    page.wait_for("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 7")
    assert page.ask("document.documentElement.scrollWidth") <= width
    assert page.ask("document.querySelectorAll('.js-plotly-plot').length") == 7
    # no figure is wider than its card
    assert page.ask("[...document.querySelectorAll('.js-plotly-plot')].every((f) => f.scrollWidth <= innerWidth)")
    # plotly.js draws a heat map as an image of its own
    assert [each for each in page.requests if not each.startswith("data:image/")] == [report.as_uri()]
    assert page.errors == []


@pytest.mark.browser
def test_in_a_browser_the_table_fits_on_paper_without_hints_to_click(page: chromium.Page, report: Path) -> None:
    page.open(report.as_uri(), width=718)
    page.call("Emulation.setEmulatedMedia", media="print")
    table = "document.getElementById('table')"
    assert page.ask(f"{table}.getBoundingClientRect().right <= innerWidth")
    assert page.ask(f"{table}.rows[1].lastElementChild.checkVisibility()")
    assert not page.ask("document.querySelector('.screen').checkVisibility()")
    assert not page.ask("document.getElementById('download').checkVisibility()")
    page.call("Emulation.setEmulatedMedia", media="")
    assert page.ask("document.querySelector('.screen').checkVisibility()")


@pytest.mark.browser
def test_in_a_browser_a_symbol_and_a_range_can_be_chosen(page: chromium.Page, report: Path) -> None:
    page.open(report.as_uri(), width=390, phone=True)
    page.ask("document.getElementById('candles').scrollIntoView({behavior: 'instant'})")
    candles = "document.getElementById('candlestick')"
    page.wait_for(f"{candles}.data !== undefined")
    assert page.ask(f"{candles}.data[0].name") == "AAPL"
    assert page.ask(f"{candles}.data[0].x.length") == 126
    page.ask(
        "(() => { const s = document.getElementById('symbol');s.value = 'FB'; s.dispatchEvent(new Event('change')) })()"
    )
    page.wait_for(f"{candles}.data[0].name === 'FB'")
    page.ask("document.querySelector('#range button[value=\"0\"]').click()")
    page.wait_for(f"{candles}.data.length === 1")
    assert page.ask(f"{candles}.data[0].x.length") == 78
    page.ask("document.querySelector('.kpi[data-symbol=IBM]').click()")
    page.wait_for(f"{candles}.data[0].name === 'IBM'")


@pytest.mark.browser
def test_in_a_browser_the_switch_changes_page_and_figures(page: chromium.Page, report: Path) -> None:
    page.open(report.as_uri(), dark=True)
    page.ask(SCROLL_THROUGH)
    page.wait_for("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 7")
    papers = "[...document.querySelectorAll('.js-plotly-plot')].map((f) => f._fullLayout.paper_bgcolor)"
    card = "getComputedStyle(document.querySelector('.card')).backgroundColor"
    label, dark, drawn = page.ask("document.getElementById('theme').textContent"), page.ask(card), page.ask(papers)
    assert label == "Light mode"
    page.ask("document.getElementById('theme').click()")
    assert page.ask("document.getElementById('theme').textContent") == "Dark mode"
    assert page.ask(card) == "rgb(255, 255, 255)" != dark
    assert set(page.ask(papers)) == {"#ffffff"} != set(drawn)
    page.ask("document.getElementById('theme').click()")
    assert page.ask(card) == dark
    assert page.ask(papers) == drawn


def test_a_template_escapes_all_but_json_scripts_style_and_finished_parts() -> None:
    folder = files("stocklib.report") / "templates"
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.name.endswith(".html")}
    # what the cells of a notebook return is markup already
    named = re.findall(r"(\w+) \| safe", own := texts.pop("notebook.html"))
    assert sorted(named) == ["code", "code_style", "html"]
    assert len(re.findall(r"\bsafe\b|autoescape", own)) == len(named)
    named = [name for text in texts.values() for name in re.findall(r"(\w+) \| safe", text)]
    assert set(named) == {"style", "drawing", "plotly", "figures", "templates", "market", "charts", "csv"}
    assert sum(len(re.findall(r"\bsafe\b|autoescape", text)) for text in texts.values()) == len(named)
    bar = {"symbol": "<b>'&", "quote_date": LAST, "close_price": 9.5, "previous_close": None, "next_close": 1}
    assert "<li>&lt;b&gt;&#39;&amp; on 14 December 2012: 9.50 between – and 1.00</li>" in part(
        "suspects.html", suspects=pd.DataFrame([bar])
    )
