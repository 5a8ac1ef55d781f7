"""The analyst's half works on a system without POSIX, such as Windows: nothing of it needs a POSIX-only module."""

import os
import re
import subprocess
import sys
from pathlib import Path

from stocklib.settings import Settings

# What Windows' Python lacks: modules, and names of the module os.
_AS_ON_WINDOWS = """
import os, sys
from importlib.machinery import PathFinder
LACKS = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty")
class OnWindows(PathFinder):
    others = list(sys.meta_path)
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        specs = (other.find_spec(name, path, target) for other in cls.others)
        return None if name in LACKS else next(filter(None, specs), None)
sys.meta_path[:] = [OnWindows]
for name in LACKS:
    sys.modules.pop(name, None)
for name in ("fork", "getsid", "geteuid", "getuid", "killpg", "pread", "setsid", "statvfs"):
    delattr(os, name)
"""


def without_posix(code: str, *arguments: str, home: Path) -> "subprocess.CompletedProcess[str]":
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "STOCKS_HOME": str(home)}
    command = [sys.executable, "-c", _AS_ON_WINDOWS + code, *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)


def stocks(*arguments: str, home: Path) -> str:
    done = without_posix("from workbench.cli import main; main(prog_name='stocks')", *arguments, home=home)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_missing_modules_are_missing(tmp_path: Path) -> None:
    assert "No module named 'fcntl'" in without_posix("import fcntl", home=tmp_path).stderr


def test_import_prices_and_query_work_without_posix(gold: Settings) -> None:
    code = "import stocklib; print(len(stocklib.prices('AAPL')), stocklib.symbols(), stocklib.tearsheet)"
    done = without_posix(code, home=gold.home)
    assert done.stdout.startswith("2"), done.stderr
    assert "AAPL" in stocks("query", "select symbol from gold.gold_kpi", home=gold.home)
    assert "Usage: stocks" in stocks("--help", home=gold.home)


def test_export_and_report_work_without_posix(gold: Settings, tmp_path: Path) -> None:
    stocks("export", str(tmp_path / "tables"), home=gold.home)
    assert (tmp_path / "tables" / "gold_kpi.parquet").exists()
    stocks("export", str(tmp_path / "tables"), "--format", "xlsx", home=gold.home)
    assert (tmp_path / "tables" / "gold.xlsx").exists()
    stocks("report", "--out", str(tmp_path / "market.html"), home=gold.home)
    assert "14 December 2012" in (tmp_path / "market.html").read_text(encoding="utf-8")


def test_the_power_bi_project_is_written_without_posix(gold: Settings, tmp_path: Path) -> None:
    stocks("powerbi", "--out", str(tmp_path / "powerbi"), home=gold.home)
    assert list((tmp_path / "powerbi").rglob("*.tmdl"))


def test_no_format_of_a_date_is_one_that_windows_lacks() -> None:
    lib = Path(__file__).parent.parent / "lib"
    # d3 in the browser formats what is pointed at
    texts = {path: path.read_text(encoding="utf-8").replace('hover = "%-d', "") for path in lib.rglob("*.py")}
    texts |= {path: path.read_text(encoding="utf-8") for path in lib.rglob("templates/*.html")}
    found = [str(path.relative_to(lib)) for path, text in texts.items() if re.search(r"%-[a-zA-Z]", text)]
    assert found == ["stocklib/plots/house.py"]
