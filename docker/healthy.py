#!/usr/bin/env python3
"""The health checks of docker-compose.yml. Standard library only, since they run every few seconds.

``healthy http URL``             the address answers without an error
``healthy replay URL``           the same, with the key of this container's replay server
``healthy airflow PART URL``     Airflow's own health page calls this part healthy
``healthy heartbeat ROLE``       a process of this container wrote its heartbeat within half a minute
"""

import json
import os
import socket
import sys
import time
import urllib.request
from pathlib import Path

_FRESH_SECONDS = 30


def answers(url: str, **headers: str) -> str:
    """Return the body of the answer; an HTTP error raises."""
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as answer:  # noqa: S310
        return str(answer.read(1_000_000), "utf-8")


def responds(url: str) -> bool:
    # an answer may be empty, as the scheduler's is
    return answers(url) is not None


def replays(url: str) -> bool:
    return "now" in json.loads(answers(url, **{"X-Finnhub-Token": os.environ["STOCKS_REPLAY_KEY"]}))


def is_healthy(part: str, url: str) -> bool:
    return bool(json.loads(answers(url))[part]["status"] == "healthy")


def beats(role: str) -> bool:
    files = (Path(os.environ["STOCKS_HOME"]) / "heartbeats").glob(f"{role}*.json")
    heartbeats = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    running = [beat for beat in heartbeats if beat["host"] == socket.gethostname() and not beat["ended"]]
    return any(time.time() - beat["at"] < _FRESH_SECONDS for beat in running)


def main(check: str, *arguments: str) -> int:
    is_well = {"http": responds, "replay": replays, "airflow": is_healthy, "heartbeat": beats}[check](*arguments)
    return 0 if is_well else 1


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.stderr.write(f"{error!r}\n")
        sys.exit(1)
