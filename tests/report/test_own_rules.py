"""A function of the user's own file is a strategy like the built-in ones, and an error of it names its line."""

import inspect
import re
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from stocklib import backtest, market
from stocklib.backtest import run
from stocklib.errors import InputError, ParameterError
from stocklib.indicators import sma
from stocklib.report.strategies import STRATEGIES, find_strategy, try_strategy
from stocklib.settings import Settings
from workbench.cli import main

RULES = '''"""Rules of my own."""
import pandas as pd

from stocklib.indicators import sma
from levels_of_mine import LEVEL


def dip(bars, window=5, fall: float = 2, patient=False, name="x", only=None):
    """Hold while the close is some percent below its mean."""
    below = bars["close"] < sma(bars["close"], window) * (1 - fall / 100)
    return (below if not patient else below.shift(1, fill_value=False)).astype(float) * LEVEL


def thirds(bars, most: int = 3) -> pd.DataFrame:
    closes = bars.reset_index().pivot(index="date", columns="symbol", values="close")
    return closes.notna().astype(float) / most / closes.shape[1]


def needy(bars, fast, slow):
    return bars["close"] * 0


def failing(bars):
    window = 0
    return sma(bars["close"], window)


def by_column(bars):
    return (bars["date"].dt.month == 1).astype(float)


def numbers(bars):
    return bars["close"].to_numpy()


def short(bars):
    return bars["close"].tail(3) * 0


def by_place(bars):
    return bars["close"].reset_index(drop=True) * 0


def several(bars):
    return bars[["close"]] * 0


def nothing():
    return 1


def _hidden(bars):
    return bars["close"] * 0
'''
ASKED = {"symbols": ["AAPL"], "start": date(2012, 1, 3)}


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "my_rules.py"
    path.write_text(RULES, encoding="utf-8")
    (tmp_path / "levels_of_mine.py").write_text("LEVEL = 0.5\n", encoding="utf-8")
    return path


def line_of(text: str) -> int:
    return RULES[: RULES.index(text)].count("\n") + 1


def test_a_function_of_a_file_is_backtested_with_its_parameters(gold: Settings, rules: Path) -> None:
    given = {"window": "10", "fall": "1.5", "patient": "true", "name": "10", "only": "[1, 2]"}
    trial = try_strategy(gold, f"{rules}:dip", given=given, commission_bps=5.0, **ASKED)
    assert {key: trial.parameters[key] for key in given} == {
        "window": 10,
        "fall": 1.5,
        "patient": True,
        "name": "10",
        "only": [1, 2],
    }
    bars = market.prices("AAPL", date(2012, 1, 3), index=True, settings=gold)
    below = bars["close"] < sma(bars["close"], 10) * (1 - 1.5 / 100)
    expected = run(bars, below.shift(1, fill_value=False) * 0.5, commission_bps=5.0)
    pd.testing.assert_series_equal(trial.result.equity, expected.equity)
    assert len(trial.result.trades) > 3
    assert trial.name == "dip"


def test_symbols_share_the_account_unless_the_function_returns_a_frame(gold: Settings, rules: Path) -> None:
    asked = {"symbols": ["AAPL", "IBM"], "start": date(2012, 1, 3)}
    each = try_strategy(gold, f"{rules}:dip", given={}, **asked)
    assert each.result.bars.symbols == ["AAPL", "IBM"]
    assert each.result.exposure.max() <= 0.5 + 1e-9
    together = try_strategy(gold, f"{rules}:thirds", given={"most": "2"}, rebalance="bar", **asked)
    assert together.result.exposure.iloc[-1] == pytest.approx(0.5, rel=0.05)
    with pytest.raises(InputError, match=re.escape("several returns a frame: annotate it with -> pd.DataFrame")):
        try_strategy(gold, f"{rules}:several", given={}, **asked)


def test_a_sweep_takes_the_function_as_it_is(gold: Settings, rules: Path) -> None:
    bars = market.prices("AAPL", date(2012, 1, 3), index=True, settings=gold)
    table = backtest.sweep(bars, find_strategy(f"{rules}:dip"), {"window": [5, 10], "fall": [1, 2]})
    assert table[["window", "fall"]].to_numpy().tolist() == [[5, 1], [5, 2], [10, 1], [10, 2]]
    assert "No look-ahead found" in repr(backtest.check_no_look_ahead(bars, find_strategy(f"{rules}:dip")))


@pytest.mark.parametrize(
    ("function", "given", "said"),
    [
        ("", {}, "my_rules.py needs the name of a function, as in .*my_rules.py:dip; it has dip, thirds, needy"),
        (":dp", {}, "my_rules.py has no function 'dp', as in .*:dip; it has dip, thirds.*Did you mean dip"),
        (":needy", {"fast": "1"}, "needy needs slow; it takes fast, slow"),
        (":needy", {}, "needy needs fast and slow"),
        (
            ":dip",
            {"windw": "3"},
            "dip has no parameter 'windw'; it takes window, fall, patient, name, only. Did you mean window",
        ),
        (":dip", {"window": "2.5"}, "dip: window='2.5' is not a valid int, as its default 5 is"),
        (":dip", {"fall": "far"}, "dip: fall='far' is not a valid float, as its default 2 is"),
        (":dip", {"patient": "yes"}, "dip: patient='yes' is not true or false, as its default False is"),
    ],
)
def test_a_missing_function_or_parameter_is_named(
    gold: Settings, rules: Path, function: str, given: dict[str, str], said: str
) -> None:
    with pytest.raises(ParameterError, match=said):
        try_strategy(gold, f"{rules}{function}", given=given, **ASKED)


@pytest.mark.parametrize(
    ("function", "text", "said"),
    [
        ("failing", 'return sma(bars["close"], window)', "in failing: window=0 is not possible"),
        ("by_column", 'return (bars["date"]', "in by_column: KeyError: 'date'; the bars have symbol, open, high"),
        ("numbers", "def numbers", "numbers returns ndarray: it must return a series by date"),
        ("short", "def short", "short returns 3 weights for 240 bars: it must return one for each bar"),
        ("by_place", "def by_place", "by_place returns weights on other dates than the bars'"),
        ("nothing", "def nothing", "in nothing: TypeError: nothing() takes 0 positional arguments"),
    ],
)
def test_an_error_of_the_function_names_its_line(
    gold: Settings, rules: Path, function: str, text: str, said: str
) -> None:
    where = f"{rules}, line {line_of(text)}, "
    with pytest.raises(InputError, match=re.escape(where + said)):
        try_strategy(gold, f"{rules}:{function}", given={}, **ASKED)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import pandas\n\ndef dip(bars)\n    return 1\n", "line 3: SyntaxError: expected ':'"),
        ("x = 1\n\ny = x / 0\n", "line 3: ZeroDivisionError: division by zero"),
        ("import no_such_module\n", "line 1: ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_a_file_that_cannot_be_run_names_its_line(gold: Settings, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(f"{path}, {said}")):
        try_strategy(gold, f"{path}:dip", given={}, **ASKED)


def test_the_verb_names_page_and_title_after_the_function(
    gold: Settings, rules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(rules.parent)
    (rules.parent / "dbt_stocks").mkdir()
    (rules.parent / "dbt_stocks" / "dbt_project.yml").touch()
    asked = ["tearsheet", "my_rules.py:dip", "-p", "window=10", "--symbols", "AAPL"]
    done = CliRunner(env={"STOCKS_HOME": str(gold.home)}).invoke(main, asked)
    assert done.exit_code == 0, done.output
    written = Path(done.output.strip().splitlines()[-1])
    assert written.name == "dip.html"
    page = written.read_text(encoding="utf-8")
    assert "<title>dip</title>" in page
    assert "<dt>window</dt><dd>10</dd><dt>fall</dt><dd>2</dd>" in page
    missing = CliRunner(env={"STOCKS_HOME": str(gold.home)}).invoke(main, ["tearsheet", "rules.py:dip"])
    assert missing.exit_code == 1
    assert missing.output.startswith(f"Error: there is no file rules.py in {rules.parent}: give its path")


def test_the_help_names_every_strategy_with_its_parameters_and_defaults() -> None:
    said = " ".join(CliRunner().invoke(main, ["tearsheet", "--help"]).output.split())
    for name, rule in STRATEGIES.items():
        takes = list(inspect.signature(rule).parameters.values())[1:]
        assert all(each.default is not each.empty for each in takes), name
        shown = ", ".join(f"{each.name}={each.default}" for each in takes) or "no parameter"
        assert f"{name} {shown}." in said
