"""``make smoke``: the demo's stack in containers, from the build of its images to quotes in the warehouse, and down.

It needs Docker and any Python 3, and skips, with the reason, where no Docker engine answers. The stack is a project of
its own, ``stocks-smoke``, with secrets and volumes of its own, which are gone afterwards; its ports are those of any
other.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PROJECT = "stocks-smoke"
ONE_SHOT = {"minio-volume", "airflow-init"}
# Airflow writes to the warehouse by schedule, and it has one writer at a time.
SCHEDULES = ("SCHEDULE_LOAD", "SCHEDULE_DAILY", "SCHEDULE_REPORTS", "SCHEDULE_QUALITY")


def say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {text}\n")
    sys.stdout.flush()


def engine() -> str:
    """Why there is no Docker here; empty where there is."""
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        try:
            asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"`{' '.join(command)}`: {error}"
        if asked.returncode:
            return f"`{' '.join(command)}`: {asked.stderr.strip().splitlines()[-1:]}"
    return ""


class Stack:
    """The demo's services under another name."""

    def __init__(self, env: Path) -> None:
        made = [sys.executable, str(ROOT / "docker" / "make_env.py"), "--file", str(env)]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
        with env.open("a", encoding="utf-8") as file:
            file.writelines(f"{name}=off\n" for name in SCHEDULES)
        files = ["--env-file", str(env), "--env-file", str(ROOT / "docker" / "demo.env")]
        # what the caller's shell sets would win over the demo's file
        demo = (ROOT / "docker" / "demo.env").read_text(encoding="utf-8")
        theirs = {line.partition("=")[0] for line in demo.splitlines()}
        self._environ = {name: value for name, value in os.environ.items() if name not in theirs}
        self._compose = ["docker", "compose", *files, "--project-name", PROJECT, "--profile", "demo"]

    def do(self, *command: str, check: bool = True, seconds: float = 600) -> str:
        """Run a command of Compose; what it printed."""
        done = subprocess.run(
            [*self._compose, *command],
            cwd=ROOT,
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def containers(self) -> dict[str, dict[str, Any]]:
        lines = self.do("ps", "--all", "--format", "json").splitlines()
        return {facts["Service"]: facts for facts in map(json.loads, lines)}

    def stocks(self, service: str, *arguments: str, check: bool = True) -> str:
        return self.do("exec", "-T", service, "stocks", *arguments, check=check)


def look(stack: Stack) -> None:
    """Every container is healthy, the producer's quotes land, and gold holds them."""
    containers = stack.containers()
    for name, facts in containers.items():
        well = (
            facts["State"] == "exited" and facts["ExitCode"] == 0 if name in ONE_SHOT else facts["Health"] == "healthy"
        )
        assert well, f"{name} is {facts['State']} {facts['Health']}: {stack.do('logs', '--tail', '20', name)}"
    say(f"{len(containers)} containers are well: {', '.join(sorted(containers))}")
    deadline, seen = time.monotonic() + 180, {}
    while not {"producer", "consumer"} <= {
        role for role, fact in seen.items() if fact["is_alive"] and fact["last_event"]
    }:
        assert time.monotonic() < deadline, (
            f"no quotes: {seen}\n{stack.do('logs', '--tail', '20', 'producer', 'consumer')}"
        )
        time.sleep(2)
        told = json.loads(stack.stocks("jupyter", "status", "--json", check=False))
        seen = {process["role"].partition("-")[0]: process for process in told["processes"]}
    last = {role: seen[role]["last_event"] for role in ("producer", "consumer")}
    say(f"the newest quote that was sent is of {last['producer']}, the newest that landed of {last['consumer']}")
    for verb in ("load", "transform"):
        say(stack.stocks("jupyter", verb).strip().splitlines()[-1])
    sql = "select symbol, count(*) as quotes from silver.stg_stock_quotes_cleaned group by 1 order by 1"
    found = json.loads(stack.stocks("jupyter", "query", "--format", "json", sql))
    assert len(found) == 5, found
    say("silver holds quotes of " + ", ".join(f"{row['symbol']} ({row['quotes']})" for row in found))


def main() -> int:
    """Exit status 0 when it is well or skipped."""
    if reason := engine():
        say(f"skipped: no Docker engine answers here ({reason})")
        return 0
    with tempfile.TemporaryDirectory(prefix="smoke-") as folder:
        stack = Stack(Path(folder) / ".env")
        began = time.monotonic()
        try:
            stack.do("up", "--detach", "--build", "--wait", seconds=3600)
            say(f"images built and the stack up in {time.monotonic() - began:.0f} s")
            look(stack)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            say(f"FAILED: {error}\n{stack.do('ps', '--all', check=False)}")
            return 1
        finally:
            stack.do("down", "--volumes", "--remove-orphans", check=False)
    say("the smoke test succeeded")
    return 0


if __name__ == "__main__":
    sys.exit(main())
