"""The Power BI project that is checked in: made from the models and from gold over recorded bars.

``python tools/powerbi_project.py`` writes it again; tests/powerbi/test_project_of_powerbi.py says when it is stale.
With ``--pictures`` it also draws each page's wireframe for docs/powerbi.md, where Chromium is.
"""

import re
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
from workbench.powerbi.pages import pages

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "powerbi"
TOOLS = Path(sys.executable).parent


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
        for page in pages(""):
            browser.ask(f"openPage('{page.name}')")
            browser.ask("Promise.all(document.getAnimations().map(moving => moving.finished)).then(() => true)")
            yield page.name, browser


def take_pictures(folder: Path) -> None:
    """One PNG a page under docs/images."""
    for name, browser in drawn(wireframe(FOLDER / f"{NAME}.Report", folder), folder / "profile"):
        browser.picture(ROOT / "docs" / "images" / f"powerbi-{name}.png", whole=False)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="powerbi-") as home:
        written = write_project(published(Path(home)), FOLDER, force=True)
        print(f"{len(written)} files in {FOLDER}")
        if "--pictures" in sys.argv:
            take_pictures(Path(home))
