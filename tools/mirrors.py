"""Files that mirror others: environment.yml (uv.lock), .env.example (the settings), docs/tables.md (dbt's YAML),
docs/benchmarks.md (benchmarks/results).

``python tools/mirrors.py`` writes them again; tests/test_project.py says when one is out of date.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

from stocklib.settings import describe
from stocklib.warehouse.published import ops_tables

ROOT = Path(__file__).parents[1]

_ENVIRONMENT_HEAD = """\
# The same packages, at the versions of uv.lock, for people who prefer conda. Written by `python tools/mirrors.py`; a
# test compares it with uv.lock. conda itself was not run on it: everything but Python comes by pip.
name: stocks
channels:
  - conda-forge
dependencies:
  - python>=3.11,<3.14
  - pip
  - pip:
      - --editable .
"""

_ENV_HEAD = """\
# Copy to .env and fill in what you need. Every setting is here with its default; the environment wins over this file.
# Without a .env, and with nothing set in the environment, everything runs on the demo's embedded stack.
# Secrets belong here (git ignores .env) or in the environment, and nowhere else.
"""


def environment_yml() -> str:
    """What environment.yml should hold: every direct dependency, pinned to the locked version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    locked = {p["name"]: p["version"] for p in packages}
    lines = []
    own = project["project"]
    extras = [text for texts in own["optional-dependencies"].values() for text in texts]
    for text in [*own["dependencies"], *extras, *project["dependency-groups"]["dev"]]:
        wanted = Requirement(text)
        if wanted.name == own["name"]:
            continue
        parts = f"[{','.join(sorted(wanted.extras))}]" if wanted.extras else ""
        marker = str(wanted.marker).replace('"', "'") if wanted.marker else ""
        # some have a version of their own for an older Python
        for package in [p for p in packages if p["name"] == wanted.name.lower()]:
            pin = f"{wanted.name}{parts}=={package['version']}"
            where = " or ".join(_pythons(package)) or marker
            lines.append(f'      - "{pin}; {where}"' if where else f"      - {pin}")
    for text in project["tool"]["uv"]["override-dependencies"]:
        name = Requirement(text).name
        what = f"overrides {name} to {locked[name]}" if name in locked else f"leaves out {name}: imports are faster"
        lines.append(f"      # uv.lock also {what}")
    return _ENVIRONMENT_HEAD + "\n".join(lines) + "\n"


def _pythons(package: dict[str, Any]) -> list[str]:
    """The Pythons that a version is for, where the lock has several: ``python_full_version < '3.12'``."""
    markers = " ".join(package.get("resolution-markers", []))
    return sorted(set(re.findall(r"python_full_version [<>=]+ '3[.]\d+(?:[.][*])?'", markers)))


def env_example() -> str:
    """What .env.example should hold: every setting with its default, commented out."""
    lines = [_ENV_HEAD]
    for name, default, purpose in describe():
        if purpose:
            lines.append(f"# {purpose}")
        lines.append(f"# {name}={default}\n")
    return "\n".join(lines).rstrip() + "\n"


_BENCHMARKS_HEAD = """\
# Benchmarks

Every figure is a ratio of two measurements of one run: how many times as good this project is as the named alternative.
Above 1 it is better, below 1 worse. `make bench-check` runs the benchmarks again and fails when a ratio is more than a
quarter below this page; `make bench-check KEEP=1` writes new records, and `python tools/mirrors.py` this page from
`benchmarks/results`. Figures that are not ratios (seconds from a quote to gold, kills) are in [scale.md](scale.md).
"""


def benchmarks_md() -> str:
    """Return what docs/benchmarks.md must hold: each record of benchmarks/results, with where it was measured."""
    parts = [_BENCHMARKS_HEAD]
    for path in sorted((ROOT / "benchmarks" / "results").glob("*.json")):
        kept = json.loads(path.read_text(encoding="utf-8"))
        where = f"{kept['date']}, commit {kept['commit']}, {kept['processor']}"
        rows = "".join(f"| {name} | {ratio:,.6g} |\n" for name, ratio in kept["ratios"].items())
        parts.append(f"## {path.stem}\n\n`{kept['command']}`: {where}.\n\n| ratio | value |\n|---|---|\n{rows}")
    return "\n".join(parts)


_TABLES_HEAD = """\
# The tables

Every table of the warehouse with its grain and its columns. Written by `python tools/mirrors.py` from the descriptions
in `dbt_stocks/models` (`columns.md`, and the YAML of each layer) and in `lib/stocklib/warehouse/ops_tables.toml`.
`stocks tables` shows those of the published version, with types, units and rows; `stocks dbt -- docs generate` and
`stocks dbt -- docs serve` show the same with lineage. Instants are UTC, trading dates are New York's, prices are as
traded unless a name says otherwise, percent columns are in percent.
"""


def tables_md() -> str:
    """What docs/tables.md should hold: each layer's models, their descriptions and their columns."""
    models = ROOT / "dbt_stocks" / "models"
    blocks = (models / "columns.md").read_text(encoding="utf-8")
    meanings = {
        name: " ".join(text.split())
        for name, text in re.findall(r"{% docs (\w+) %}(.*?){% enddocs %}", blocks, flags=re.DOTALL)
    }
    parts = [_TABLES_HEAD]
    for layer in ("gold", "silver", "bronze"):
        parts.append(f"## {layer}\n")
        described = yaml.safe_load((models / layer / f"{layer}.yml").read_text(encoding="utf-8"))["models"]
        for model in sorted(described, key=lambda model: model["name"]):
            parts.append(f"### {layer}.{model['name']}\n\n{' '.join(model['description'].split())}\n")
            rows = [f"| `{column['name']}` | {_meaning(column, meanings)} |" for column in model["columns"]]
            parts.append("\n".join(["| column | what it is |", "|---|---|", *rows]) + "\n")
    parts.append("## ops\n")
    for name, table in sorted(ops_tables().items()):
        rows = [f"| `{column}` | {meaning} |" for column, meaning in table["columns"].items()]
        described = [f"### ops.{name}\n", f"{table['description']}\n", "| column | what it is |", "|---|---|", *rows]
        parts.append("\n".join(described) + "\n")
    return "\n".join(parts)


def _meaning(column: dict[str, str], meanings: dict[str, str]) -> str:
    text = " ".join(column.get("description", "").split())
    named = re.findall(r'{{ doc\("(\w+)"\) }}', text)
    if missing := [name for name in named if name not in meanings]:
        raise SystemExit(
            f"dbt_stocks/models/columns.md has no block {{% docs {missing[0]} %}}, which {column['name']} names"
        )
    return re.sub(r'{{ doc\("(\w+)"\) }}', lambda found: meanings[found[1]], text).replace("|", "\\|")


if __name__ == "__main__":
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs" / "benchmarks.md").write_text(benchmarks_md(), encoding="utf-8")
    (ROOT / "docs" / "tables.md").write_text(tables_md(), encoding="utf-8")
    (ROOT / "environment.yml").write_text(environment_yml(), encoding="utf-8")
    (ROOT / ".env.example").write_text(env_example(), encoding="utf-8")
