"""The Python of docs/files.md runs, over an export and the published file."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from mirrors import ROOT

from stocklib.pipeline.exporting import export
from stocklib.settings import Settings

PAGE = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(gold: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder such as the page describes."""
    folder = tmp_path_factory.mktemp("analyst")
    export(gold, folder / "tables")
    export(gold, folder / "tables", format="xlsx")
    (folder / ".stocks" / "demo" / "warehouse").mkdir(parents=True)
    shutil.copy(gold.home / "warehouse" / "published.duckdb", folder / ".stocks" / "demo" / "warehouse")
    return folder


@pytest.fixture(autouse=True)
def there(folder: Path, gold: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in that folder."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("STOCKS_HOME", str(gold.home))


@pytest.mark.parametrize("library", ["stocklib", "duckdb", "pandas", "polars"])
def test_the_commands_of_the_page_run(library: str) -> None:
    pytest.importorskip(library)
    found = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (block,) = [block for block in found if re.match(rf"(import|from) {library}\b", block)]
    names: dict[str, Any] = {}
    exec(block, names)
    if library == "stocklib":
        assert Path("symbols.xlsx").exists()
    elif library == "duckdb":
        assert names["kpi"]["symbol"].tolist() == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
        assert len(names["bars"]) == 5
    elif library == "pandas":
        assert names["close"].columns.tolist() == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
        assert names["kpi"]["symbol"].tolist() == names["close"].columns.tolist()
    else:
        assert names["last"]["symbol"].to_list()[0] == "AAPL"


def test_every_table_that_the_page_names_is_exported() -> None:
    assert {path for path in re.findall(r"tables/\w+\.\w+", PAGE) if not Path(path).exists()} == set()
