"""Files that mirror another: environment.yml (of uv.lock) and .env.example (of the list in settings.py).

``python tests/mirrors.py`` writes them anew; tests/test_project.py says when one is out of date.
"""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

from stocklib.settings import describe

ROOT = Path(__file__).parents[1]

_ENVIRONMENT_HEAD = """\
# The same packages, at the versions of uv.lock, for people who prefer conda. Written by `python tests/mirrors.py`; a
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
    locked = {p["name"]: p["version"] for p in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    lines = []
    for text in [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]:
        wanted = Requirement(text)
        extras = f"[{','.join(sorted(wanted.extras))}]" if wanted.extras else ""
        pin = f"{wanted.name}{extras}=={locked[wanted.name.lower()]}"
        marker = str(wanted.marker).replace('"', "'") if wanted.marker else ""
        lines.append(f'      - "{pin}; {marker}"' if marker else f"      - {pin}")
    for text in project["tool"]["uv"]["override-dependencies"]:
        name = Requirement(text).name
        lines.append(f"      # uv.lock also overrides {name} to {locked[name]}")
    return _ENVIRONMENT_HEAD + "\n".join(lines) + "\n"


def env_example() -> str:
    """What .env.example should hold: every setting with its default, commented out."""
    lines = [_ENV_HEAD]
    for name, default, purpose in describe():
        if purpose:
            lines.append(f"# {purpose}")
        lines.append(f"# {name}={default}\n")
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    (ROOT / "environment.yml").write_text(environment_yml(), encoding="utf-8")
    (ROOT / ".env.example").write_text(env_example(), encoding="utf-8")
