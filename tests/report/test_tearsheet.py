"""A tear sheet says what the backtest said, in one page that needs nothing else; so does the report of a session."""

import re
import subprocess
import sys
from datetime import date
from html import unescape
from pathlib import Path

import chromium
import pandas as pd
import pytest
from click.testing import CliRunner
from page_parts import SCROLL_THROUGH, json_in, own_text
from recorded_gold import SYMBOLS, copy

from stocklib import backtest, market, metrics, plots
from stocklib.backtest import Result, buy_and_hold, run, sma_crossover, summary
from stocklib.backtest.gains import compare_gains
from stocklib.errors import DateRangeError, InputError, ParameterError, WarehouseError
from stocklib.plots.house import number
from stocklib.report import write_report
from stocklib.report.replay import read_replay
from stocklib.report.sheet import tearsheet
from stocklib.report.sheet_tables import years_table
from stocklib.report.strategies import STRATEGIES, try_strategy
from stocklib.settings import Settings
from workbench.cli import main

COSTS = {"commission_bps": 5.0, "slippage_bps": 5.0}


@pytest.fixture(scope="module")
def bars(gold: Settings) -> pd.DataFrame:
    return market.prices("AAPL", date(2011, 12, 30), settings=gold)


@pytest.fixture(scope="module")
def rule(bars: pd.DataFrame) -> Result:
    return run(bars, sma_crossover(bars, 10, 30), **COSTS)


@pytest.fixture(scope="module")
def held(bars: pd.DataFrame) -> Result:
    return run(bars, buy_and_hold(bars), **COSTS)


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory, bars: pd.DataFrame, rule: Result, held: Result) -> Path:
    path = tmp_path_factory.mktemp("sheet") / "sheet.html"
    parameters = {"fast": 10, "slow": 30, **COSTS}
    return tearsheet(rule, path, title="SMA <10/30>", benchmark=held, prices=bars, parameters=parameters)


def rows(page: str, section: str) -> list[list[str]]:
    """The cells of a section's table."""
    found = re.search(rf'<section class="card[^"]*" id="{section}">(.*?)</section>', page, re.S)
    assert found
    body = found.group(1).split("<tbody>")[1]
    return [
        [unescape(re.sub(r"<[^>]+>", "", cell)) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)]
        for row in re.findall(r"<tr>(.*?)</tr>", body, re.S)
    ]


def cards_of(page: str) -> list[str]:
    return re.findall(r'<section class="card[^"]*" id="([^"]+)"', page)


def test_its_metrics_are_those_of_the_result_and_of_the_benchmark(sheet: Path, rule: Result, held: Result) -> None:
    shown = {name: values for name, *values in rows(sheet.read_text(encoding="utf-8"), "metrics")}
    said = summary({"rule": rule, "held": held}, held.equity)
    for name, values in said.iterrows():
        assert shown[str(name)] == [number(value, 0 if name == "trades" else 2) for value in values]
    assert shown["price return %"] == ["22.36", "24.40"]
    assert shown["trades that gained %, with open ones"] == ["66.67", "100.00"]


def test_bars_with_their_dates_as_index_give_the_same_sheet(
    gold: Settings, sheet: Path, held: Result, tmp_path: Path
) -> None:
    indexed = market.prices("AAPL", date(2011, 12, 30), index=True, settings=gold)
    rule = run(indexed, sma_crossover(indexed, 10, 30), **COSTS)
    again = tearsheet(rule, tmp_path / "again.html", title="SMA <10/30>", benchmark=held, prices=indexed)
    pages = [own_text(path.read_text(encoding="utf-8")) for path in (sheet, again)]
    assert json_in(pages[0], "figures") == json_in(pages[1], "figures")
    assert rows(pages[0], "trades") == rows(pages[1], "trades")


def test_its_trades_and_costs_are_those_of_the_result(sheet: Path, rule: Result) -> None:
    page = sheet.read_text(encoding="utf-8")
    shown = rows(page, "trades")
    assert [row[2] for row in shown] == [f"{day:%Y-%m-%d}" for day in rule.trades["entry_date"]]
    assert [row[8] for row in shown] == [number(profit, 2, sign=True) for profit in rule.trades["profit"]]
    fee, slippage = (number(rule.fills[name].sum(), 2) for name in ("fee", "slippage"))
    assert "The table scrolls." not in page
    assert f"6 fills cost {fee} USD in commissions and {slippage} in slippage" in page
    assert f'<span class="name">costs, USD</span><span class="price">{number(rule.costs, 2)}</span>' in page


def test_its_drawdowns_are_those_of_the_account_and_an_open_one_says_so(sheet: Path, rule: Result) -> None:
    page = sheet.read_text(encoding="utf-8")
    shown = rows(page, "drawdowns")
    fell = metrics.worst_drawdowns(rule.equity)
    assert [row[0] for row in shown] == [f"{one.peak:%Y-%m-%d}" for one in fell]
    assert [(row[1], row[4]) for row in shown] == [(number(one.percent, 2), f"{one.sessions:,}") for one in fell]
    assert len(shown) == 10
    assert shown[0][1] == dict(row[:2] for row in rows(page, "metrics"))["max drawdown %"] == "−12.14"
    assert [row[3] for row in shown].count("not yet recovered") == sum(one.recovered is None for one in fell) == 1


def test_its_years_are_those_of_the_heat_map_and_a_part_of_a_year_says_so(
    sheet: Path, rule: Result, held: Result
) -> None:
    # 30 December 2011 is the last session of its year, from which 2012 counts
    mine, theirs = (100 * (one.equity.iloc[-1] / one.equity.iloc[0] - 1) for one in (rule, held))
    shown = rows(sheet.read_text(encoding="utf-8"), "by-year")
    assert shown == [["2012 to 14 December", *(number(x, 2, sign=True) for x in (mine, theirs, mine - theirs))]]
    assert plots.monthly_heatmap(rule.equity).data[0].z[0][-1] == pytest.approx(mine)


@pytest.mark.parametrize(
    ("first", "last", "parts"),
    [
        ("2010-12-31", "2012-12-31", ["", ""]),
        ("2011-01-03", "2012-12-28", ["", "to 28 December"]),
        ("2011-01-04", "2011-12-30", ["from 4 January"]),
        ("2012-05-18", "2012-12-14", ["from 18 May, to 14 December"]),
        ("1998-06-01", "1999-12-31", ["from 1 June", "to 31 December"]),
    ],
)
def test_a_year_is_whole_by_the_trading_calendar(first: str, last: str, parts: list[str]) -> None:
    days = pd.bdate_range(first, last)
    bars = pd.DataFrame({"date": days, "open": 10.0, "close": [10.0 + n % 3 for n in range(len(days))]})
    assert [row["part"] for row in years_table({"A": run(bars, buy_and_hold(bars))})] == parts


def test_its_best_and_worst_sessions_have_their_dates(sheet: Path, rule: Result, held: Result) -> None:
    changes = pd.DataFrame({"rule": 100 * metrics.returns(rule.equity), "held": 100 * metrics.returns(held.equity)})
    ordered = changes.sort_values("rule")
    expected = [*ordered[::-1].head(5).iterrows(), *ordered.head(5).iterrows()]
    found = re.search(r'id="sessions">(.*?)</section>', sheet.read_text(encoding="utf-8"), re.S)
    assert found
    shown = re.findall(
        r'<th scope="row">(\S+)</th><td class="\w+">(\S+)</td><td class="\w+">(\S+)</td>', found.group(1)
    )
    wanted = [(f"{day:%Y-%m-%d}", *(number(x, 2, sign=True) for x in values)) for day, values in expected]
    assert shown == wanted


def test_gains_and_losses_are_those_of_closed_trades_and_of_sessions(sheet: Path, rule: Result) -> None:
    # three closed trades, worked by hand; the open one counts in none of the figures
    trades = pd.DataFrame(
        {
            "exit_date": pd.to_datetime(["2012-02-01", "2012-03-01", "2012-04-02", None]),
            "return_percent": [10.0, -5.0, 20.0, 40.0],
            "profit": [30.0, -10.0, 20.0, 99.0],
        }
    )
    by_hand = compare_gains(trades, None)["closed trades"]
    assert by_hand.round(10).tolist() == [3, round(200 / 3, 10), 15, -5, 20, -5, 5]
    figures = (metrics.hit_rate, metrics.average_gain, metrics.average_loss)
    of_sessions = rule.wins_and_losses()["sessions"]
    assert of_sessions.iloc[1:4].tolist() == pytest.approx([figure(rule.equity) for figure in figures])
    assert of_sessions["profit factor"] == pytest.approx(metrics.profit_factor(rule.equity))
    shown = {row[0]: row[1:] for row in rows(sheet.read_text(encoding="utf-8"), "gains")}
    assert shown["number"] == ["3", "240", "240"]
    assert shown["profit factor"][:2] == [number(x, 2) for x in rule.wins_and_losses().loc["profit factor"]]


def test_open_trades_are_named_where_they_count_and_where_they_do_not(gold: Settings, tmp_path: Path) -> None:
    page, metrics_shown = sheet_of(gold, tmp_path / "open.html", "sma_crossover", "--start", "2012-01-03")
    trial = try_strategy(gold, "sma_crossover", given={}, start=date(2012, 1, 3))
    trades = trial.result.trades
    still_open = trades[trades["exit_date"].isna()]
    assert len(still_open) > 1
    value = number(still_open["profit"].sum(), 2, sign=True)
    assert f"Not among them: {len(still_open)} trades still open, at {value} USD by the last close." in page
    gained = {row[0]: row[1:] for row in rows(page, "gains")}
    assert gained["number"][0] == number(len(trades) - len(still_open), 0)
    assert metrics_shown["trades that gained %, with open ones"][0] == number(100 * (trades["profit"] > 0).mean(), 2)
    assert metrics_shown["trades"][0] == number(len(trades), 0)


def test_shallow_drawdowns_are_left_out_unless_there_are_no_others(tmp_path: Path) -> None:
    days = pd.bdate_range("2012-01-02", periods=8)
    close = pd.Series([100.0, 100.0, 99.0, 100.0, 99.97, 101.0, 100.95, 102.0])
    frame = pd.DataFrame({"date": days, "open": close, "close": close})
    page = tearsheet(run(frame, buy_and_hold(frame)), tmp_path / "deep.html").read_text(encoding="utf-8")
    assert [row[1] for row in rows(page, "drawdowns")] == ["−1.00"]
    assert "Drawdowns below 0.1 % are left out." in page
    flat = frame[3:].reset_index(drop=True)
    page = tearsheet(run(flat, buy_and_hold(flat)), tmp_path / "flat.html").read_text(encoding="utf-8")
    assert [row[1] for row in rows(page, "drawdowns")] == ["−0.05"]
    assert "are left out" not in page


def test_the_band_of_its_sharpe_ratio_is_the_one_of_the_metrics(sheet: Path, rule: Result) -> None:
    page = sheet.read_text(encoding="utf-8")
    shown, band = {row[0]: row[1] for row in rows(page, "metrics")}, metrics.sharpe_band(rule.equity)
    assert [shown["Sharpe, 95 % from"], shown["Sharpe, 95 % to"]] == [number(band.low, 2), number(band.high, 2)]
    assert f"95 %: {number(band.low, 2)} to {number(band.high, 2)}" in page
    # under the strategy's own figure, before the benchmark's
    assert re.search(r'>Sharpe</span><span class="price">[^<]+</span><span class="small">95 %: ', page)
    assert shown["Ulcer index %"] == number(metrics.ulcer_index(rule.equity), 2)


def test_the_benchmark_has_its_name_wherever_it_is_compared(gold: Settings, tmp_path: Path) -> None:
    page, _ = sheet_of(gold, tmp_path / "all.html", "buy_and_hold", "--start", "2012-06-01")
    held = "Buy and hold, equal weights"
    assert f"Benchmark: {held} (AAPL, FB, GOOG, IBM, MSFT)" in page
    assert f'<span class="small">{held} ' in page
    assert f"beta to {held}" in page
    page, _ = sheet_of(gold, tmp_path / "late.html", "sma_crossover", "--start", "2012-01-03")
    bought = "on 4 January 2012 (FB on 18 May 2012, in cash until then), and never rebalances"
    assert f"It buys each symbol once, {bought}; the market" in page
    page, _ = sheet_of(gold, tmp_path / "one.html", "buy_and_hold", "--symbols", "IBM", "--benchmark", "MSFT")
    assert "Benchmark: Buy and hold MSFT</p>" in page
    assert "It buys each symbol" not in page
    page, _ = sheet_of(gold, tmp_path / "own.html", "buy_and_hold", "--symbols", "IBM")
    assert "Benchmark: Buy and hold IBM</p>" in page
    assert "benchmark" not in re.sub(r"<(style|script).*?</\1>", "", page, flags=re.S)


def test_it_says_the_parameters_the_period_and_the_version_of_the_data(sheet: Path, bars: pd.DataFrame) -> None:
    page = own_text(sheet.read_text(encoding="utf-8"))
    assert "<dt>fast</dt><dd>10</dd><dt>slow</dt><dd>30</dd><dt>commission_bps</dt><dd>5.0</dd>" in page
    assert "30 December 2011 to 14 December 2012, 241 sessions" in page
    assert f"Data version {bars.attrs['data_version']}, written" in page
    assert "<title>SMA &lt;10/30&gt;</title>" in page
    figures = json_in(page, "figures")
    assert set(figures) == {"equity", "candles", "months", "rolling", "returns", "exposure"}
    stamped = [name for name in figures if bars.attrs["data_version"] in str(figures[name])]
    assert stamped == list(figures)


def test_it_is_one_file_that_names_no_other_address(sheet: Path) -> None:
    page = own_text(sheet.read_text(encoding="utf-8"))
    assert sheet.stat().st_size < 8_000_000
    assert not re.findall(r"https?://\S+", page)
    assert "default-src 'none'" in page
    assert [path.name for path in sheet.parent.iterdir()] == [sheet.name]


def test_a_result_plots_sums_up_and_reports_itself(rule: Result, held: Result, tmp_path: Path) -> None:
    drawn = rule.plot(benchmark=held, title="SMA", unit="EUR")
    assert [trace.name for trace in drawn.data if trace.showlegend is not False] == ["strategy", "benchmark"]
    assert list(drawn.data[0].y) == list(rule.equity)
    named = rule.plot(benchmark=held, name="SMA", benchmark_name="Buy and hold AAPL")
    assert [trace.name for trace in named.data if trace.showlegend is not False] == ["SMA", "Buy and hold AAPL"]
    assert rule.summary(held.equity).to_dict() == summary({"rule": rule}, held.equity)["rule"].to_dict()
    page = rule.report(tmp_path / "own.html", title="Own <rule>", benchmark=held).read_text(encoding="utf-8")
    assert "<h1>Own &lt;rule&gt; " in page


def test_a_backtest_loads_neither_figures_nor_pages() -> None:
    code = "import sys, stocklib.backtest; print({'plotly', 'jinja2', 'stocklib.report'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_without_a_benchmark_it_stands_alone(rule: Result, tmp_path: Path) -> None:
    page = backtest.report(rule, tmp_path / "alone.html").read_text(encoding="utf-8")
    shown = rows(page, "metrics")
    assert {len(row) for row in shown} == {2}
    assert "beta" not in [row[0] for row in shown]
    assert "candles" not in json_in(own_text(page), "figures")


def test_a_rule_that_never_traded_says_so(bars: pd.DataFrame, tmp_path: Path) -> None:
    idle = run(bars, 0 * buy_and_hold(bars))
    page = tearsheet(idle, tmp_path / "idle.html").read_text(encoding="utf-8")
    assert "It never traded." in page
    assert not rows(page, "trades")
    # no card without anything to show
    assert cards_of(page) == ["equity", "metrics", "parameters", "trades"]
    assert "nan" not in re.sub(r"<script.*?</script>", "", page, flags=re.S).lower()


def test_a_ruined_account_says_when(tmp_path: Path) -> None:
    days = pd.bdate_range("2012-01-02", periods=6)
    jump = pd.DataFrame({"date": days, "open": [10.0, 10, 10, 40, 40, 40], "close": [10.0, 10, 10, 40, 40, 40]})
    ruined = run(jump, -buy_and_hold(jump))
    page = tearsheet(ruined, tmp_path / "ruined.html").read_text(encoding="utf-8")
    assert ruined.ruined is not None
    assert f"The account was ruined on {ruined.ruined:%-d %B %Y}." in page
    assert ["CAGR %", "−100.00"] in rows(page, "metrics")
    assert "ratios, years, months and drawdowns are left out" in page
    assert not {"by-year", "drawdowns", "sessions", "gains"} & set(
        re.findall(r'<section class="card[^"]*" id="([^"]+)"', page)
    )
    held = run(jump, buy_and_hold(jump))
    page = tearsheet(held, tmp_path / "other.html", benchmark=ruined).read_text(encoding="utf-8")
    assert len(rows(page, "by-year")[0]) == 2


def test_long_histories_keep_the_page_small_and_say_what_is_left_out(tmp_path: Path) -> None:
    days = pd.bdate_range("1990-01-01", periods=9_000)
    close = pd.Series(100 + (pd.RangeIndex(9_000) % 7).to_numpy(dtype="float64"))
    frame = pd.DataFrame({"symbol": "X", "date": days, "open": close, "high": close, "low": close, "close": close})
    busy = run(frame, sma_crossover(frame, 1, 2))
    path = tearsheet(busy, tmp_path / "long.html", prices=frame)
    assert path.stat().st_size < 8_000_000
    page = path.read_text(encoding="utf-8")
    assert f"The last 250 of {len(busy.trades):,} round trips" in page
    assert len(rows(page, "trades")) == 250
    assert "candles" not in json_in(own_text(page), "figures")
    assert "The chart of the trades is left out, since the prices are more than 2,600 bars" in page
    assert "The table scrolls." in page
    assert '<div class="scroll tall" tabindex="0" role="region" aria-label="Trades">' in page


def test_a_benchmark_of_other_sessions_is_refused(bars: pd.DataFrame, rule: Result, tmp_path: Path) -> None:
    shorter = run(bars[5:], buy_and_hold(bars[5:]))
    with pytest.raises(InputError, match="same sessions"):
        tearsheet(rule, tmp_path / "sheet.html", benchmark=shorter)
    with pytest.raises(InputError, match="both called 'Buy'"):
        tearsheet(rule, tmp_path / "sheet.html", benchmark=rule, title="Buy", benchmark_name="Buy")
    assert not list(tmp_path.iterdir())


# ── by name ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_strategy_can_be_tried_by_its_name(gold: Settings) -> None:
    for name in STRATEGIES:
        # each parameter has a default
        trial = try_strategy(gold, name, given={}, start=date(2011, 12, 30), **COSTS)
        assert trial.result.bars.symbols == SYMBOLS
        assert trial.benchmark.equity.index.equals(trial.result.equity.index)


def test_symbols_under_a_rule_for_one_have_an_equal_part_each(gold: Settings) -> None:
    both = try_strategy(
        gold, "sma_crossover", given={"fast": "5", "slow": "20"}, symbols=["AAPL", "IBM"], start=date(2012, 1, 3)
    )
    bars = market.prices("AAPL", date(2012, 1, 3), settings=gold)
    alone = run(bars, sma_crossover(bars, 5, 20))
    entries = both.result.trades[both.result.trades["symbol"] == "AAPL"]["entry_date"]
    assert entries.tolist() == alone.trades["entry_date"].tolist()
    assert both.result.exposure.max() <= 1 + 1e-9


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("moon", {}, "no strategy 'moon'; there are sma_crossover, ema_crossover"),
        ("rsi_reversion", {"windw": "3"}, "no parameter 'windw'; it takes window, buy_below, sell_above"),
        ("rsi_reversion", {"window": "soon"}, "window='soon' is not a valid int, as its default 14 is"),
    ],
)
def test_what_is_not_there_is_named(gold: Settings, name: str, given: dict[str, str], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        try_strategy(gold, name, given=given)


def test_a_benchmark_that_begins_later_is_refused(gold: Settings) -> None:
    with pytest.raises(DateRangeError, match="the benchmark FB has prices from 2012-05-18 on"):
        try_strategy(gold, "buy_and_hold", given={}, symbols=["IBM"], benchmark="FB")


def test_the_verb_writes_the_same_numbers(gold: Settings, rule: Result, tmp_path: Path) -> None:
    out = tmp_path / "sheet.html"
    arguments = "tearsheet sma_crossover -p fast=10 -p slow=30 --symbols AAPL --start 2011-12-30 --out"
    done = CliRunner(env={"STOCKS_HOME": str(gold.home)}).invoke(main, [*arguments.split(), str(out)])
    assert done.exit_code == 0, done.output
    assert done.output.strip().splitlines()[-1] == str(out)
    shown = {name: values for name, *values in rows(out.read_text(encoding="utf-8"), "metrics")}
    assert shown["price return %"][0] == number(100 * (rule.equity.iloc[-1] / rule.equity.iloc[0] - 1), 2)


def test_it_says_plainly_that_a_replay_is_one(gold: Settings, sheet: Path, tmp_path: Path) -> None:
    banner = "<strong>Replayed market data: 14 December 2012.</strong> Recorded prices (14 February 2005 to"
    page, _ = sheet_of(gold, tmp_path / "replayed.html", "buy_and_hold")
    assert banner in page
    live = copy(gold, tmp_path / "home", "update ops.warehouse_source set kind = 'live'")
    page, _ = sheet_of(live, tmp_path / "live.html", "buy_and_hold")
    assert "Replayed" not in page
    # what cannot be read does not pass for live data
    with pytest.raises(WarehouseError, match="warehouse_source does not exist"):
        read_replay(copy(gold, tmp_path / "older", "drop table ops.warehouse_source"))
    # of frames of one's own nothing is known
    assert "Replayed" not in own_text(sheet.read_text(encoding="utf-8"))


def sheet_of(settings: Settings, path: Path, *arguments: str) -> tuple[str, dict[str, list[str]]]:
    """The page that the verb writes, and its metrics."""
    told = ["tearsheet", *arguments, "--commission-bps", "0", "--slippage-bps", "0", "--out", str(path)]
    done = CliRunner(env={"STOCKS_HOME": str(settings.home)}).invoke(main, told)
    assert done.exit_code == 0, done.output
    page = path.read_text(encoding="utf-8")
    return own_text(page), {name: values for name, *values in rows(page, "metrics")}


def test_a_price_return_is_none_of_dividends_and_adjust_total_counts_them(gold: Settings, tmp_path: Path) -> None:
    # Apple paid 2.65 on two days of 2012, at closes before of 619.86 and 582.8495
    paid = copy(
        gold,
        tmp_path / "home",
        "insert into gold.dim_corporate_action by name select 'AAPL' as symbol, date '2012-08-09' as date, "
        "'dividend' as kind, 2.65 as amount",
        "insert into gold.dim_corporate_action by name select 'AAPL' as symbol, date '2012-11-07' as date, "
        "'dividend' as kind, 2.65 as amount",
    )
    asked = ("buy_and_hold", "--symbols", "AAPL", "--start", "2012-01-03")
    page, shown = sheet_of(paid, tmp_path / "price.html", *asked)
    bars = market.prices("AAPL", "2012-01-04", settings=paid)
    growth = bars["close"].iloc[-1] / bars["open"].iloc[0]
    assert shown["price return %"][0] == number(100 * (growth - 1), 2)
    assert "total return" not in page
    assert "returns are price returns, without dividends" in page
    assert "<dt>adjust</dt><dd>split</dd>" in page
    page, shown = sheet_of(paid, tmp_path / "total.html", *asked, "--adjust", "total")
    kept = (1 - 2.65 / 619.86) * (1 - 2.65 / 582.8495)
    assert shown["total return %"][0] == number(100 * (growth / kept - 1), 2)
    assert float(shown["total return %"][0]) > float(number(100 * (growth - 1), 2)) + 1
    assert "price return" not in page
    assert "returns are total returns" in page
    page, shown = sheet_of(paid, tmp_path / "held.html", *asked, "--adjust", "total", "--benchmark", "AAPL")
    assert len(set(shown["total return %"])) == 1


@pytest.mark.parametrize("lost", [["2012-06-15"], ["2012-06-15", "2012-06-18"], ["2012-01-03"], ["2012-12-14"]])
def test_a_benchmark_that_lacks_a_session_is_worth_its_last_close_there(
    gold: Settings, tmp_path: Path, lost: list[str]
) -> None:
    days = ", ".join(f"'{day}'" for day in lost)
    holed = copy(
        gold,
        tmp_path / "home",
        f"delete from gold.fact_daily_stock_quotes where symbol = 'IBM' and quote_date in ({days})",
    )
    trial = try_strategy(holed, "buy_and_hold", given={}, symbols=["AAPL"], start=date(2012, 1, 3), benchmark="IBM")
    assert trial.benchmark.equity.index.equals(trial.result.equity.index)
    assert len(trial.benchmark.fills) == 1
    for day in lost:
        place = trial.benchmark.equity.index.get_loc(pd.Timestamp(day))
        assert trial.benchmark.equity.iloc[place] == trial.benchmark.equity.iloc[max(place - 1, 0)]
    tearsheet(trial.result, tmp_path / "sheet.html", benchmark=trial.benchmark)
    bars = market.prices("IBM", "2012-01-03", settings=holed)
    shorter = run(bars, buy_and_hold(bars))
    with pytest.raises(InputError, match=f"same sessions .*240 and 241|same sessions.*{lost[0]}"):
        tearsheet(trial.result, tmp_path / "other.html", benchmark=shorter)


def test_a_strategy_holds_through_a_session_that_a_symbol_lacks(gold: Settings, tmp_path: Path) -> None:
    asked = ("sma_crossover", "-p", "fast=5", "-p", "slow=20", "--symbols", "AAPL,IBM", "--start", "2012-01-03")
    whole = sheet_of(gold, tmp_path / "whole.html", *asked)[1]["trades"][0]
    bars = market.prices("IBM", "2012-01-03", settings=gold)
    signal = sma_crossover(bars, 5, 20)
    inside = signal.index[(signal == 1) & (signal.shift(1) == 1) & (signal.shift(-3) == 1)][8]
    holed = copy(
        gold,
        tmp_path / "home",
        f"delete from gold.fact_daily_stock_quotes where symbol = 'IBM' and quote_date = '{inside:%Y-%m-%d}'",
    )
    assert sheet_of(holed, tmp_path / "holed.html", *asked)[1]["trades"][0] == whole


def test_a_symbol_that_is_too_young_is_left_out_and_named(
    gold: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    young = copy(
        gold,
        tmp_path / "home",
        "delete from gold.fact_daily_stock_quotes where symbol = 'FB' and quote_date < '2012-12-14'",
        "delete from gold.fact_stock_performance where symbol = 'FB' and quote_date < '2012-12-14'",
    )
    trial = try_strategy(young, "sma_crossover", given={})
    assert "FB is left out: 1 bars are too few" in caplog.text
    others = try_strategy(gold, "sma_crossover", given={}, symbols=["AAPL", "GOOG", "IBM", "MSFT"])
    assert trial.result.equity.iloc[-1] == pytest.approx(others.result.equity.iloc[-1])
    with pytest.raises(InputError, match="1 bars are too few"):
        try_strategy(young, "sma_crossover", given={}, symbols=["FB"])


# ── the report of an earlier session ──────────────────────────────────────────────────────────────────────────────────


def test_the_report_of_an_earlier_session_knows_nothing_later(gold: Settings, tmp_path: Path) -> None:
    page = own_text(write_report(gold, day=date(2012, 6, 29), path=tmp_path / "june.html").read_text(encoding="utf-8"))
    assert "Market report, 29 June 2012" in page
    assert "As of 16:00:00 New York time (EDT), 29 June 2012 · session final · 5 symbols" in page
    bars = market.prices("IBM", date(2012, 6, 28), date(2012, 6, 29), settings=gold)["close"]
    change = 100 * (bars.iloc[1] / bars.iloc[0] - 1)
    assert number(bars.iloc[1], 2) in page
    assert f"({number(change, 2, sign=True)} %)" in page
    assert "2012-07" not in page
    assert "Dec 2012" not in page
    assert 'id="delivery"' not in page


def test_a_day_without_bars_is_refused(gold: Settings, tmp_path: Path) -> None:
    with pytest.raises(DateRangeError, match="no bars of 2012-07-04: choose a session from 2005-02-14 to 2012-12-14"):
        write_report(gold, day=date(2012, 7, 4), path=tmp_path / "closed.html")


# ── in a browser ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.browser
@pytest.mark.parametrize(("width", "phone"), [(1280, False), (390, True)])
@pytest.mark.parametrize("dark", [False, True])
def test_in_a_browser_it_fits_draws_and_asks_for_nothing(
    page: chromium.Page, sheet: Path, *, width: int, phone: bool, dark: bool
) -> None:
    page.requests.clear()
    page.errors.clear()
    page.open(sheet.as_uri(), width=width, phone=phone, dark=dark)
    page.ask(SCROLL_THROUGH)
    page.wait_for("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 6")
    assert page.ask("document.querySelectorAll('.js-plotly-plot').length") == 6
    assert page.ask("document.documentElement.scrollWidth") <= width
    assert page.ask("[...document.querySelectorAll('.js-plotly-plot')].every((f) => f.scrollWidth <= innerWidth)")
    months = page.ask("[...document.querySelectorAll('#exposure .xtick text')].map((tick) => tick.textContent)")
    assert len(months) > 2
    assert all(month.endswith("2012") for month in months)
    # a label of two lines is twice as high
    assert page.ask("document.getElementById('theme').offsetHeight") < 45
    cells = page.ask("document.querySelector('#months .js-plotly-plot').data[0].text[0]")
    assert "-" not in "".join(cells)
    assert "−6" in cells if phone else "−6.3" in cells
    # the cells of the heat map are a picture that the page makes itself
    assert [each for each in page.requests if not each.startswith("data:image/")] == [sheet.as_uri()]
    assert page.errors == []


@pytest.mark.browser
def test_what_is_printed_has_every_figure(page: chromium.Page, sheet: Path) -> None:
    page.open(sheet.as_uri(), width=390, phone=True)
    page.wait_for("document.querySelectorAll('.js-plotly-plot .main-svg').length > 0")
    drawn = "document.querySelectorAll('.js-plotly-plot').length"
    assert page.ask(drawn) < 6
    page.ask("dispatchEvent(new Event('beforeprint'))")
    assert page.ask(drawn) == 6
