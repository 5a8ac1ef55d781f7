"""Imports go one way: each rule holds, and fails on a tree in which it is broken."""

import importlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import import_rules
import pytest
from mirrors import ROOT

RULES: dict[Callable[[Path], list[str]], tuple[str, str]] = {
    import_rules.vendors: ("lib/stocklib/market/gold_bars.py", "import duckdb"),
    import_rules.private_names: ("lib/stocklib/report/page.py", "from stocklib.market.gold_bars import _frame"),
    import_rules.names_in_strings: (
        "lib/stocklib/metrics/risk.py",
        'import_module("stocklib.pipeline.landing.lander")',
    ),
    import_rules.upwards: ("lib/stocklib/settings/secret.py", "from stocklib.market import prices"),
    import_rules.dags: ("dags/reports.py", "import pandas"),
    import_rules.notebooks: ("notebooks/analysis/risk.ipynb", "from stocklib.pipeline.landing import land"),
}
# One import for each contract of pyproject.toml that breaks it.
MUTANTS = {
    "the library stands below the application": ("stocklib/market/gold_bars.py", "import workbench.runner"),
    "the simulator knows records, calendar and errors": ("finnhub_replay/clock.py", "import stocklib.settings"),
    "the rooms of the library, from above to below": ("stocklib/lake/keys.py", "import stocklib.stream"),
    "the arrows of the pipeline, from the last to the first": (
        "stocklib/pipeline/loading/loader.py",
        "import stocklib.pipeline.transform",
    ),
    "the engines of the warehouse know nothing of each other": (
        "stocklib/warehouse/local/lock.py",
        "import stocklib.warehouse.snowflake.lease",
    ),
    "what computes asks for nothing": ("stocklib/plots/candlesticks.py", "import stocklib.market"),
    "the rooms of the application, from above to below": ("workbench/runner.py", "import workbench.demo"),
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what is imported."""
    for folder in ("lib", "dags", "notebooks"):
        ignored = shutil.ignore_patterns("__pycache__", "data", "*.parquet")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "architecture.md", tmp_path / "docs")
    return tmp_path


def add(path: Path, statement: str) -> None:
    if path.suffix == ".py":
        path.write_text(path.read_text() + f"\n{statement}\n")
        return
    notebook = json.loads(path.read_text())
    notebook["cells"][1]["source"].append(f"\n{statement}")
    path.write_text(json.dumps(notebook))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_holds_and_finds_what_breaks_it(tree: Path, rule: Callable[[Path], list[str]]) -> None:
    assert rule(ROOT) == []
    name, statement = RULES[rule]
    add(tree / name, statement)
    (fault,) = rule(tree)
    assert statement.replace('"', " ").split()[1].split(".")[0] in fault


def test_each_contract_between_rooms_fails_on_a_mutant(tree: Path) -> None:
    for name, statement in MUTANTS.values():
        add(tree / "lib" / name, statement)
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    done = subprocess.run(command, cwd=tree, env={"PYTHONPATH": str(tree / "lib")}, capture_output=True, text=True)
    broken = set(re.findall(r"^(.*) BROKEN", done.stdout, re.MULTILINE))
    assert broken == set(MUTANTS), done.stdout + done.stderr
    assert done.returncode == 1
    contracts = set(re.findall(r'^name = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    assert set(MUTANTS) == contracts - {"stocks-workbench"}


def test_a_backtest_imports_figures_and_pages_in_one_place(tree: Path) -> None:
    for statement in ("import stocklib.plots", "import stocklib.report"):
        add(tree / "lib/stocklib/backtest/engine.py", statement)
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    done = subprocess.run(command, cwd=tree, env={"PYTHONPATH": str(tree / "lib")}, capture_output=True, text=True)
    named = set(re.findall(r"stocklib\.backtest\.\w+ -> stocklib\.(?:plots|report)\b", done.stdout))
    assert named == {"stocklib.backtest.engine -> stocklib.plots", "stocklib.backtest.engine -> stocklib.report"}


def test_one_name_is_one_thing() -> None:
    assert import_rules.doubled_names(ROOT / "lib") == []


def test_a_helper_has_a_name_of_its_own_and_a_folder_of_tests_that_of_a_room() -> None:
    helpers = [
        path.name
        for folder in ("tests", "tools", "benchmarks")
        for path in (ROOT / folder).glob("*.py")
        if not path.name.startswith("test_")
    ]
    assert sorted(helpers) == sorted(set(helpers))
    # a folder without Python holds what an older checkout compiled
    folders = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("*.py"))}
    rooms = {path.name for path in [*ROOT.iterdir(), *(ROOT / "lib").iterdir(), *(ROOT / "lib").glob("*/*")]}
    # the models, and the libraries that others trust
    assert folders - rooms == {"dbt", "peers"}


def test_a_doubled_name_is_found(tree: Path) -> None:
    (tree / "lib" / "workbench" / "sessions.py").write_text("class Candle:\n    pass\n")
    assert import_rules.doubled_names(tree / "lib") == [
        "class Candle: stocklib.quotes, workbench.sessions",
        "module sessions: stocklib.sessions, workbench.sessions",
    ]


def test_the_names_that_moved_forward_for_one_release() -> None:
    sys.modules.pop("stocklib.runner", None)
    with pytest.warns(DeprecationWarning, match="stocklib.runner is workbench.runner now"):
        moved = importlib.import_module("stocklib.runner")
    assert moved.run is importlib.import_module("workbench.runner").run
    sys.modules.pop("stocklib.airflow", None)
    with pytest.warns(DeprecationWarning, match="stocklib.airflow is workbench.airflow now"):
        # a module in it, that needs no Airflow
        days = importlib.import_module("stocklib.airflow.days")
    assert days.__file__ == importlib.import_module("workbench.airflow.days").__file__


def test_the_library_needs_nothing_of_the_application() -> None:
    rooms = ("market", "report", "stream", "lake", "warehouse", "finnhub", "yahoo", "settings")
    code = "import sys\n" + "".join(f"import stocklib.{room}\n" for room in rooms)
    code += "print([name for name in sys.modules if name.startswith(('workbench', 'finnhub_replay'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
