"""The project keeps its own promises: mirrored files, a quick import, notebooks in form."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from bench_check import fallen
from import_rules import VENDORS
from mirrors import ROOT, benchmarks_md, env_example, environment_yml, tables_md
from notebook_form import faults, notebooks


def test_importing_the_library_is_quick_and_brings_no_vendor() -> None:
    code = "import sys, time; t = time.process_time(); import stocklib, stocklib.settings, stocklib.quotes;"
    code += "print(time.process_time() - t, [m for m in sys.argv[1:] if m in sys.modules])"
    best = 9.0
    for _ in range(3):
        out = subprocess.run(
            [sys.executable, "-c", code, "pandas", *VENDORS], capture_output=True, text=True, check=True
        ).stdout
        seconds, loaded = out.split(" ", 1)
        assert loaded.strip() == "[]"
        best = min(best, float(seconds))
    assert best < 0.2


def test_environment_yml_is_that_of_the_lock() -> None:
    assert (ROOT / "environment.yml").read_text() == environment_yml(), "run: .venv/bin/python tools/mirrors.py"


def test_env_example_has_every_setting() -> None:
    assert (ROOT / ".env.example").read_text() == env_example(), "run: .venv/bin/python tools/mirrors.py"


def test_the_page_of_benchmarks_has_the_records() -> None:
    assert (ROOT / "docs" / "benchmarks.md").read_text() == benchmarks_md(), "run: .venv/bin/python tools/mirrors.py"


def test_the_list_of_tables_is_that_of_the_models() -> None:
    assert (ROOT / "docs" / "tables.md").read_text() == tables_md(), "run: .venv/bin/python tools/mirrors.py"


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_a_notebook_keeps_the_form(path: Path) -> None:
    assert not faults(path)


def test_no_test_and_no_module_writes_a_path_of_somebodys_machine() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    wrong = []
    for name in filter(None, tracked.split("\0")):
        path = ROOT / name
        if path.suffix in {".py", ".sql", ".yml", ".yaml", ".md", ".toml", ".ipynb", ".json"} and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            wrong += [name for marker in ("/root" + "/", "/work" + "/", "/home" + "/") if marker in text]
    assert not wrong


def test_a_ratio_that_fell_by_more_than_a_quarter_is_named() -> None:
    assert fallen({"a / b": 2.0, "c / d": 1.0, "e / f": 1.0}, {"a / b": 1.4, "c / d": 0.8}) == [
        "e / f was not measured",
        "a / b is 1.4, 30 % below the recorded 2",
    ]


def test_every_notebook_and_output_is_an_exposure_of_dbt() -> None:
    models = ROOT / "dbt_stocks" / "models"
    exposures = yaml.safe_load((models / "exposures.yml").read_text(encoding="utf-8"))["exposures"]
    notebooks_there = {f"notebook_{path.stem}" for path in notebooks("analysis")}
    assert {one["name"] for one in exposures} == notebooks_there | {"market_report", "tear_sheet", "power_bi"}
    named = {ref for one in exposures for ref in re.findall(r"'(\w+)'", " ".join(one["depends_on"]))}
    assert named <= {path.stem for path in models.rglob("*.sql")}
    # what a notebook says that it reads is what dbt draws
    for path in notebooks("analysis"):
        says = set(
            re.findall(r"`((?:gold|fact|dim)_\w+)`", "".join(json.loads(path.read_text())["cells"][0]["source"]))
        )
        drawn = next(one["depends_on"] for one in exposures if one["name"] == f"notebook_{path.stem}")
        assert says <= set(re.findall(r"'(\w+)'", " ".join(drawn)))
