"""Rules about imports that import-linter does not know: vendors, private names, names in strings, DAGs, notebooks.

Each function takes the project's folder and returns the faults, a sentence each. Which room may import which is in
``pyproject.toml`` (``make lint``).
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("stocklib", "workbench", "finnhub_replay")
# Each heavy vendor library, and the rooms that may import it.
VENDORS = {
    "kafka": ["stocklib.stream"],
    "s3fs": ["stocklib.lake"],
    "duckdb": ["stocklib.warehouse"],
    "dbt": ["stocklib.warehouse"],
    "snowflake": ["stocklib.warehouse"],
    "requests": ["stocklib.finnhub"],
    "websocket": ["stocklib.finnhub"],
    "yfinance": ["stocklib.yahoo"],
    "exchange_calendars": ["stocklib.sessions"],
    "plotly": ["stocklib.plots"],
    "xlsxwriter": ["stocklib.warehouse"],
    "prometheus_client": ["stocklib.monitoring"],
    "talib": ["stocklib.indicators"],
    "numba": ["stocklib.backtest", "stocklib.indicators"],
    "tornado": ["finnhub_replay"],
    "papermill": ["workbench.runner"],
    "airflow": ["workbench.airflow"],
    "croniter": ["workbench.airflow"],
}
# What an analysis notebook imports of ours: what reads gold and what computes.
ANALYSIS = {"market", "indicators", "metrics", "backtest", "plots", "report"}
# Old names, for one release.
_FORWARDING = ("stocklib.airflow", "stocklib.runner")
# The imports that go upwards: a result shows itself as a figure and as a tear sheet. Only `backtest.shown` has them.
_UPWARDS = {("stocklib.backtest", "stocklib.plots"), ("stocklib.backtest", "stocklib.report")}


def vendors(root: Path) -> list[str]:
    """A vendor library that is imported outside of its rooms."""
    return [
        f"{module} imports {name}"
        for module, name, _ in _imports(root)
        if (allowed := VENDORS.get(name.split(".")[0])) and _room(module) not in allowed
    ]


def private_names(root: Path) -> list[str]:
    """A name with an underscore that another room imports."""
    return [
        f"{module} imports {name}"
        for module, name, _ in _imports(root)
        if name.split(".")[0] in PACKAGES
        and _room(module) != _room(name)
        and any(part.startswith("_") and not part.startswith("__") for part in name.split("."))
    ]


def names_in_strings(root: Path) -> list[str]:
    """A module that is imported by ``import_module`` although an import statement of it would break a contract."""
    found = []
    for module, name, is_statement in _imports(root):
        upwards = module.startswith("stocklib.") and name.startswith(("workbench", "finnhub_replay"))
        computes = _room(module).removeprefix("stocklib.") in {"indicators", "metrics", "backtest", "plots"}
        asks = name.startswith("stocklib.") and _room(name).removeprefix("stocklib.") not in ANALYSIS - {
            "market",
            "report",
        }
        if not is_statement and (upwards or (computes and asks)):
            found.append(f"{module} imports {name} by name")
    return found


def upwards(root: Path) -> list[str]:
    """A room that imports one below it in the table of ``docs/architecture.md``, so that the graph has no circle."""
    page = (root / "docs" / "architecture.md").read_text(encoding="utf-8")
    paths = re.findall(r"^\| `lib/([\w/]+?)(?:\.py|/)` \|", page, re.MULTILINE)
    order = {path.replace("/", "."): number for number, path in enumerate(paths)}
    edges = {(_room(module), _room(name)) for module, name, _ in _imports(root)} - _UPWARDS
    return [
        f"{importer} imports {room}, which stands below it"
        for importer, room in sorted(edges)
        if importer in order and room in order and order[room] > order[importer]
    ]


def dags(root: Path) -> list[str]:
    """A DAG that imports anything but Airflow, the standard library and ``workbench.airflow``."""
    return [
        f"{path.name} imports {name}"
        for path in sorted((root / "dags").glob("*.py"))
        for name, _ in _names(ast.parse(path.read_text(encoding="utf-8")), "")
        if name.split(".")[0] not in {"airflow", "datetime"} and not name.startswith("workbench.airflow")
    ]


def notebooks(root: Path) -> list[str]:
    """An analysis notebook that imports the pipeline or the application, and any notebook that imports Kafka or S3."""
    found = []
    for path in sorted((root / "notebooks").glob("[!.]*/*.ipynb")) + sorted((root / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        for name, _ in _names(ast.parse(code), ""):
            first, _, rest = name.partition(".")
            is_analysis = path.parent.name != "pipeline"
            ours = first in PACKAGES and (
                first != "stocklib" or rest.split(".")[0] not in ANALYSIS | {"prices", "symbols", ""}
            )
            if (is_analysis and ours) or first in {"kafka", "s3fs", "duckdb", "snowflake"}:
                found.append(f"{path.name} imports {name}")
    return found


def _room(name: str) -> str:
    return ".".join(name.split(".")[: 1 if name.startswith("finnhub_replay") else 2])


def _imports(root: Path) -> Iterator[tuple[str, str, bool]]:
    """(module, what it imports, whether by a statement) for every import of our packages."""
    for package in PACKAGES:
        for path in sorted((root / "lib" / package).rglob("*.py")):
            module = ".".join(path.relative_to(root / "lib").with_suffix("").parts).removesuffix(".__init__")
            for name, is_statement in _names(ast.parse(path.read_text(encoding="utf-8")), module):
                yield module, name, is_statement


def _names(tree: ast.AST, module: str) -> Iterator[tuple[str, bool]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, True) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # rooms import one another by their full names
            yield from ((f"{node.module}.{alias.name}", True) for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "import_module":
            yield from ((arg.value, False) for arg in node.args if isinstance(arg, ast.Constant))


def doubled_names(lib: Path) -> list[str]:
    """Modules and public classes that share their name with another; those that forward to a new place count once."""
    found: dict[str, list[str]] = {}
    for path in sorted(lib.rglob("*.py")):
        module = ".".join(path.relative_to(lib).with_suffix("").parts).removesuffix(".__init__")
        name = module.rpartition(".")[2]
        if module in _FORWARDING or name == "__main__":
            continue
        found.setdefault(f"module {name}", []).append(module)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(f"class {node.name}", []).append(module)
    return sorted(f"{what}: {', '.join(where)}" for what, where in found.items() if len(where) > 1)
