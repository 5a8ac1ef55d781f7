"""Whether this tree is as fast as the records that are checked in.

    .venv-peers/bin/python benchmarks/bench_check.py [--keep] [NAME …]

Runs the benchmarks that have a record in benchmarks/results/, by the recorded command, and exits 1 when a ratio is more
than a quarter below the recorded one. ``--keep`` writes what was measured in its place; a new benchmark is kept by
naming it.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from record import FOLDER, RESULTS, ROOT

# How far a ratio may fall: two runs of the same tree differ by some percent, on a busy machine by more.
TOLERANCE = 0.25


def measure(name: str, folder: Path) -> dict[str, float]:
    """Run a benchmark by its recorded command, and return its ratios."""
    kept = RESULTS / f"{name}.json"
    command = json.loads(kept.read_text())["command"] if kept.exists() else f"benchmarks/{name}.py"
    environ = os.environ | {FOLDER: str(folder)}
    subprocess.run([sys.executable, *shlex.split(command)], cwd=ROOT, env=environ, check=True)
    ratios: dict[str, float] = json.loads((folder / f"{name}.json").read_text())["ratios"]
    return ratios


def fallen(kept: dict[str, float], found: dict[str, float]) -> list[str]:
    """Each ratio that is there no more or fell by more than a quarter, a sentence each.

    >>> fallen({"a / b": 2.0, "c / d": 1.0}, {"a / b": 1.4, "c / d": 0.8})
    ['a / b is 1.4, 30 % below the recorded 2']
    """
    gone = [f"{name} was not measured" for name in kept if name not in found]
    return gone + [
        f"{name} is {found[name]:.3g}, {100 * (1 - found[name] / ratio):.0f} % below the recorded {ratio:.3g}"
        for name, ratio in kept.items()
        if name in found and found[name] < (1 - TOLERANCE) * ratio
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as indicators; default: all that have a record")
    parser.add_argument("--keep", action="store_true", help="write the records")
    chosen = parser.parse_args()
    names = chosen.names or sorted(path.stem for path in RESULTS.glob("*.json"))
    if not names:
        parser.error("there is no record yet: name a benchmark, with --keep")
    RESULTS.mkdir(exist_ok=True)
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            print(f"== {name}", flush=True)
            found = measure(name, Path(folder))
            if chosen.keep:
                (RESULTS / f"{name}.json").write_bytes((Path(folder) / f"{name}.json").read_bytes())
            else:
                faults += [
                    f"{name}: {fault}"
                    for fault in fallen(json.loads((RESULTS / f"{name}.json").read_text())["ratios"], found)
                ]
    print("\n".join(faults) or "no ratio fell by more than a quarter")
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
