"""What the README tells people to type, edit and read is there."""

import pkgutil
import re
import subprocess

import pytest
from mirrors import ROOT
from notebook_form import notebooks

from stocklib.settings import describe
from workbench.cli import main

PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
SETTINGS = {name for name, _, _ in describe()}
# names in capitals that are not settings: files, SQL types, constants of tests, values of settings
OTHER = {"STOCKS_REPLAY_KEY", "SASL_SSL", "AIRFLOW_CONN_MINIO", "POWERBI_SCHEMAS"}
# … the default names of Snowflake's databases and roles
OTHER |= {f"STOCKS_{name}" for name in ("BUILD", "REBUILD", "LOADER", "TRANSFORMER", "REPORTER", "TEST_")}
# … and what docker-compose.yml reads from .env
OTHER |= set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text(encoding="utf-8")))


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def exists(dotted: str) -> bool:
    """Return whether a module, or a name in it, can be imported."""
    try:
        pkgutil.resolve_name(dotted)
    except (ImportError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("name", PAGES)
def test_every_verb_that_is_named_exists(name: str) -> None:
    named = set(re.findall(r"`?(?:\.venv/bin/)?stocks (?:-- )?([a-z]+)(?=[ `\n|])", page(name)))
    named -= {"workbench"}
    assert named <= set(main.commands)


@pytest.mark.parametrize("name", PAGES)
def test_every_make_target_that_is_named_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", page("Makefile"), flags=re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", page(name), flags=re.MULTILINE))
    assert named <= targets


@pytest.mark.parametrize("name", PAGES)
def test_every_setting_that_is_named_exists(name: str) -> None:
    named = set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)", page(name)))
    assert named - OTHER <= SETTINGS


@pytest.mark.parametrize("name", PAGES)
def test_every_file_that_is_named_exists(name: str) -> None:
    # reports/ is there once a demo ran, and holds what this machine wrote
    there = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")} - {"reports"}
    folders = "|".join(sorted(there))
    named = re.findall(rf"(?<=[`\s(])((?:{folders})/[\w./*-]*[\w*/])(?=[`\s.,:;)])", page(name))
    named += re.findall(r"\]\((docs/[^)]+)\)", page(name))
    assert not [path for path in named if not list(ROOT.glob(path.rstrip("/")))]


@pytest.mark.parametrize("name", PAGES)
def test_every_module_that_is_named_exists(name: str) -> None:
    # the old names warn
    named = set(re.findall(r"`((?:stocklib|workbench)(?:\.\w+)+)", page(name))) - {
        "stocklib.airflow",
        "stocklib.runner",
    }
    assert [dotted for dotted in named if not exists(dotted)] == []


def test_every_verb_is_in_the_readme() -> None:
    assert not [verb for verb in main.commands if f"`{verb}`" not in page("README.md")]


def test_every_notebook_is_in_the_readme() -> None:
    there = {path.stem for path in notebooks()}
    assert not [name for name in there if name not in page("README.md")]


def test_every_room_is_on_the_map() -> None:
    rooms = [path for path in (ROOT / "lib").glob("[!_]*/*") if not path.name.startswith(("_", "py.typed"))]
    # a room that moved leaves its compiled code behind
    rooms = [path for path in rooms if path.is_file() or any(path.glob("*.py"))]
    forwarding = {"airflow", "runner.py"}
    rooms = [path for path in rooms if path.parent.name != "stocklib" or path.name not in forwarding]
    rooms = [path for path in rooms if path.parent.name != "finnhub_replay"] + [ROOT / "lib" / "finnhub_replay"]
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    top = {
        name.split("/")[0] + "/" for name in tracked if "/" in name and not name.startswith((".", "lib/", "reports/"))
    }
    named = set(re.findall(r"^\| `([\w./]+)` \|", page("docs/architecture.md"), re.MULTILINE))
    inside = {str(path.relative_to(ROOT)) + ("/" if path.is_dir() else "") for path in rooms}
    assert inside - named == set()
    assert not [name for name in top if not any(room.startswith(name) for room in named)]


def test_every_reason_to_quarantine_a_row_is_on_its_page() -> None:
    sql = [*(ROOT / "dbt_stocks" / "models" / "silver").glob("*.sql"), ROOT / "dbt_stocks" / "macros" / "ranges.sql"]
    cases = re.findall(
        r"\bcase\b(?:(?!\bend\b).)*\bend as reject_reason|macro \w+_fault.*?endmacro",
        "".join(path.read_text(encoding="utf-8") for path in sorted(sql)),
        re.DOTALL,
    )
    reasons = {reason for case in cases for reason in re.findall(r"then '([a-z ]+)'", case)}
    assert len(reasons) > 20
    assert not [reason for reason in reasons if f"`{reason}`" not in page("docs/numbers.md")]


def test_the_glossary_is_short_in_order_and_near_at_hand() -> None:
    _, _, words = page("docs/architecture.md").partition("## Words")
    terms = re.findall(r"^\| ([^|]+?) \|", words, re.MULTILINE)[1:]
    assert terms == sorted(terms, key=str.lower)
    assert 20 < len(terms) <= 40
    assert "docs/architecture.md" in "".join(page("README.md").splitlines(keepends=True)[:35])
