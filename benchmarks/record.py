"""What a benchmark says of its run: when, at which commit, on which processor, by which command, and its ratios."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"
# Where a run writes its record instead of only printing it: ``benchmarks/bench_check.py`` sets it.
FOLDER = "STOCKS_BENCH_RESULTS"


def record(ratios: Mapping[str, float]) -> None:
    """Print where these ratios were measured, and write them as JSON where ``STOCKS_BENCH_RESULTS`` names a folder.

    A ratio says how many times as good as the named alternative this project was in the same run: larger is better.
    """
    script = Path(sys.argv[0])
    found = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": _commit(),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "command": " ".join(["benchmarks/" + script.name, *sys.argv[1:]]),
        "ratios": {name: float(f"{ratio:.3g}") for name, ratio in ratios.items()},
    }
    print(f"\n{found['command']}: {found['date']}, commit {found['commit']}, {found['processor']}")
    for name, ratio in found["ratios"].items():
        print(f"  {name:<60}{ratio:>10,.6g}")
    if folder := os.environ.get(FOLDER):
        (Path(folder) / f"{script.stem}.json").write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
