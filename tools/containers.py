"""docker-compose.yml as Docker's own program reads it: interpolated, with the profiles asked for; no engine needed."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PROFILES = ("demo", "docs", "loader")


def tool(name: str) -> Path:
    """A program of the project's own virtual environment."""
    return Path(sys.executable).with_name(name)


def make_env(file: Path, *, rotate: Sequence[str] = ()) -> str:
    """Complete a .env as ``make env`` does; what was said."""
    command = [sys.executable, str(ROOT / "docker" / "make_env.py"), "--file", str(file)]
    command += [part for name in rotate for part in ("--rotate", name)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def compose(
    *env_files: Path, profiles: Sequence[str] = PROFILES, environ: Mapping[str, str] = {}
) -> "subprocess.CompletedProcess[str]":
    """``docker compose config``, in no environment but the given."""
    command = [str(tool("docker-compose")), "--file", str(ROOT / "docker-compose.yml")]
    command += [f"--env-file={file}" for file in env_files] + [f"--profile={profile}" for profile in profiles]
    return subprocess.run(
        [*command, "config", "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], **environ},
    )


def read_stack(*env_files: Path, profiles: Sequence[str] = PROFILES, environ: Mapping[str, str] = {}) -> dict[str, Any]:
    """The stack, every variable in its place."""
    read = compose(*env_files, profiles=profiles, environ=environ)
    assert read.returncode == 0, read.stderr
    stack: dict[str, Any] = json.loads(read.stdout)
    return stack
