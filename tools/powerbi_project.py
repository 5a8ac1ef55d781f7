"""The Power BI project that is checked in: made from the models and from gold over recorded bars.

``python tools/powerbi_project.py`` writes it again; tests/powerbi/test_project_of_powerbi.py says when it is stale.
With ``--pictures`` it also draws each page's wireframe for docs/powerbi.md, where Chromium is. With ``--take`` it first
takes over the report and the measures that Power BI Desktop saved in powerbi/ (docs/powerbi.md, *Change the report*).
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

# its gold, and the browser that draws, are those of the tests
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import chromium
from recorded_gold import published

from workbench.powerbi import NAME, write_project
from workbench.powerbi.design import DESIGN

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "powerbi"
TOOLS = Path(sys.executable).parent
PAGES = DESIGN / f"{NAME}.Report/definition/pages/pages.json"


def wireframe(report: Path, folder: Path) -> Path:
    """pbir-utils' drawing of a report: one HTML file under ``folder``."""
    command = [str(TOOLS / "pbir-utils"), "visualize", str(report)]
    environ = {"BROWSER": "true", "TMPDIR": str(folder), "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=environ).stdout
    found = re.search(r"generated: (\S.*\.html)", said)
    if not found:
        raise RuntimeError(said)
    return Path(found[1].strip())


def drawn(drawing: Path, profile: Path) -> Iterator[tuple[str, chromium.Page]]:
    """Each page of the wireframe in turn, opened in a browser."""
    with chromium.browser(profile) as browser:
        browser.open(drawing.as_uri(), width=1400, height=920)
        for name in json.loads(PAGES.read_text(encoding="utf-8"))["pageOrder"]:
            browser.ask(f"openPage('{name}')")
            browser.ask("Promise.all(document.getAnimations().map(moving => moving.finished)).then(() => true)")
            yield name, browser


def take_pictures(folder: Path) -> None:
    """One PNG a page under docs/images."""
    for name, browser in drawn(wireframe(FOLDER / f"{NAME}.Report", folder), folder / "profile"):
        browser.picture(ROOT / "docs" / "images" / f"powerbi-{name}.png", whole=False)


def take_design(saved: Path, design: Path) -> None:
    """Copy the report, and what else ``design`` holds, from the project that Power BI Desktop saved."""
    report = f"{NAME}.Report"
    others = [path.relative_to(design) for path in design.rglob("*") if path.is_file()]
    shutil.rmtree(design / report)
    # .pbi holds the settings and the cache of one machine
    shutil.copytree(saved / report, design / report, ignore=shutil.ignore_patterns(".pbi"))
    for name in others:
        if name.parts[0] != report:
            shutil.copyfile(saved / name, design / name)


if __name__ == "__main__":
    if "--take" in sys.argv:
        take_design(FOLDER, DESIGN)
    with tempfile.TemporaryDirectory(prefix="powerbi-") as home:
        written = write_project(published(Path(home)), FOLDER, force=True)
        print(f"{len(written)} files in {FOLDER}")
        if "--pictures" in sys.argv:
            take_pictures(Path(home))
