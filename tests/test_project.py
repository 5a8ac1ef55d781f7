"""The project keeps its own promises: mirrored files, one-way imports, a quick import, notebooks in form."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from mirrors import ROOT, env_example, environment_yml, tables_md
from notebook_form import faults, notebooks

LIBRARY = ROOT / "lib" / "stocklib"

# Which rooms a room may import. Rooms are named by their first part below stocklib.
RANKS = [
    {"errors"},
    {"text_files", "state_files"},
    {"env_file", "notebook_files", "quotes", "sessions"},
    {"watchlists", "reference_data"},
    {"settings", "host", "logs", "web_guard"},
    {"finnhub", "yahoo", "stream", "lake", "warehouse", "clocks", "budget"},
    {"pipeline", "market"},
    {"runner", "report", "doctor", "powerbi"},
    {"demo", "continuous"},
    {"cli", "airflow"},
]
RANK_OF_BOXES = next(number for number, rooms in enumerate(RANKS) if "finnhub" in rooms)
PURE = {"indicators", "metrics", "backtest", "plots"}
# Each heavy vendor library, and the one room that may import it; numba compiles in two.
VENDORS = {
    "kafka": "stream",
    "s3fs": "lake",
    "duckdb": "warehouse",
    "dbt": "warehouse",
    "snowflake": "warehouse",
    "requests": "finnhub",
    "websocket": "finnhub",
    "yfinance": "yahoo",
    "papermill": "runner",
    "exchange_calendars": "sessions",
    "tornado": "embedded",
    "plotly": "plots",
    "prometheus_client": "pipeline",
    "talib": "indicators",
    "numba": "backtest indicators",
    "airflow": "airflow",
    "croniter": "airflow",
}


def imports() -> list[tuple[str, str, Path]]:
    """(room, imported module, file) for every import statement of the library."""
    found = []
    for path in sorted(LIBRARY.rglob("*.py")):
        room = path.relative_to(LIBRARY).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [(room, name, path) for name in names]
    assert len(found) > 100
    return found


def rank(room: str) -> int | None:
    return next((number for number, rooms in enumerate(RANKS) if room in rooms), None)


def test_imports_go_one_way() -> None:
    wrong = []
    for room, name, path in imports():
        parts = name.split(".")
        if parts[0] != "stocklib" or len(parts) < 2 or parts[1] in (room, "__version__"):
            continue
        other, mine, theirs = parts[1], rank(room), rank(parts[1])
        if room in PURE:
            allowed = other in PURE | {"errors", "sessions"}
        elif room == "embedded":
            allowed = other in {
                "errors",
                "settings",
                "quotes",
                "sessions",
                "host",
                "text_files",
                "state_files",
                "web_guard",
            }
        elif other == "embedded":
            allowed = room in {"cli", "demo", "continuous", "airflow"}
        elif other in PURE:
            allowed = room in {"report", "powerbi", "cli"}
        elif room in {"finnhub", "yahoo", "stream", "lake", "warehouse"}:
            allowed = theirs is not None and (theirs < RANK_OF_BOXES or other in {"clocks", "budget"})
        elif room in {"quotes", "sessions"}:
            allowed = other in {"errors", "quotes"}
        else:
            allowed = (mine is not None and theirs is not None and theirs < mine) or room == "__init__"
        if not allowed:
            wrong.append(f"{path.relative_to(ROOT)}: {room} imports {other}")
    assert not wrong


def test_a_vendor_library_is_imported_in_one_room() -> None:
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for room, name, path in imports()
        if (vendor := name.split(".")[0]) in VENDORS and room not in VENDORS[vendor].split()
    }
    assert not wrong


def test_every_room_of_the_library_is_on_the_list() -> None:
    rooms = {path.name.removesuffix(".py") for path in LIBRARY.iterdir() if path.suffix == ".py" or path.is_dir()}
    known = set.union(*RANKS, PURE, {"embedded", "__init__", "__pycache__"})
    assert rooms <= known


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
    assert (ROOT / "environment.yml").read_text() == environment_yml(), "run: .venv/bin/python tests/mirrors.py"


def test_env_example_has_every_setting() -> None:
    assert (ROOT / ".env.example").read_text() == env_example(), "run: .venv/bin/python tests/mirrors.py"


def test_the_list_of_tables_is_that_of_the_models() -> None:
    assert (ROOT / "docs" / "tables.md").read_text() == tables_md(), "run: .venv/bin/python tests/mirrors.py"


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
