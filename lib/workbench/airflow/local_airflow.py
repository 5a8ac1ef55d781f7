"""A local Airflow for people without Docker: three processes on SQLite, on loopback, with a generated password.

Its files are under ``STOCKS_HOME/airflow``. The embedded servers start first, and stop with Airflow unless they ran
before. SQLite and one machine are for trying out; docker-compose.yml is for production.
"""

import base64
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from stocklib.errors import EmbeddedError
from stocklib.host import environment
from stocklib.settings import Settings
from stocklib.state_files import read_record, write_promise
from stocklib.text_files import read_text
from workbench import embedded
from workbench.runner import kernel_environment

# each process imports for seconds, on a busy machine for minutes; an ended one is noticed at once
_HEALTHY_SECONDS = 600.0
_STOP_SECONDS = 20.0
_PASSWORDS = "passwords.json"
_LOST_KEYS = "delete it: the next start makes new ones; what Airflow's database keeps encrypted must be entered again"

Say = Callable[[str], None]


def run_local(settings: Settings, *, port: int, say: Say) -> int:
    """Run everything until Ctrl-C; return the exit status. ``EmbeddedError`` where a server does not start."""
    home = settings.home / "airflow"
    home.mkdir(parents=True, exist_ok=True)
    with (
        embedded.running(settings, on_progress=say),
        kernel_environment(settings),
        environment(configuration(settings, port=port)),
    ):
        say("airflow: creating its database")
        _prepare_in_a_child(settings, home / "prepare.log")
        with _processes(settings, home, port) as running:
            _wait_until_healthy(running, port)
            say(f"airflow: http://127.0.0.1:{port}, user admin, password in {home / _PASSWORDS}")
            say("airflow: Ctrl-C stops everything; the data stays")
            return _stay(running, say)


def configuration(settings: Settings, *, port: int) -> dict[str, str]:
    """Return Airflow's environment; the keys are generated once and readable only by their owner."""
    home = settings.home / "airflow"
    keys = _keys(home)
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(settings.root / "dags"),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__FERNET_KEY": keys["fernet"],
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / _PASSWORDS),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        # three processes write to one file: wait for a lock longer than SQLite's default of 5 s
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout=60",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__SECRET_KEY": keys["api"],
        "AIRFLOW__API_AUTH__JWT_SECRET": keys["jwt"],
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }


def prepare(settings: Settings) -> None:
    """Migrate Airflow's database and create the pools of ``config/airflow_pools.json``."""
    from airflow.models.pool import Pool
    from airflow.utils.db import initdb

    initdb()
    pools = json.loads(read_text(settings.root / "config" / "airflow_pools.json"))
    for name, pool in pools.items():
        Pool.create_or_update_pool(name, pool["slots"], pool["description"], pool["include_deferred"])


@contextmanager
def _processes(settings: Settings, home: Path, port: int) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Run the three processes, each with its log; end them and their children after the block."""
    commands = {
        "api-server": ["api-server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
        # the log servers would listen on every address; the page reads the files
        "scheduler": ["scheduler", "--skip-serve-logs"],
        "dag-processor": ["dag-processor"],
    }
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, command in commands.items():
            with (home / f"{name}.log").open("ab") as log:
                running[name] = subprocess.Popen(  # noqa: S603
                    [sys.executable, "-m", "airflow", *command],
                    cwd=settings.root,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    # this process passes Ctrl-C on
                    start_new_session=True,
                )
        yield running
    finally:
        _stop(running)


def _wait_until_healthy(running: dict[str, subprocess.Popen[bytes]], port: int) -> None:
    deadline = time.monotonic() + _HEALTHY_SECONDS
    while time.monotonic() < deadline:
        _all_alive(running)
        with contextlib.suppress(URLError, OSError, ValueError):
            with urlopen(f"http://127.0.0.1:{port}/api/v2/monitor/health", timeout=5) as answer:
                health = json.load(answer)
            if all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor")):
                return
        time.sleep(0.5)
    raise EmbeddedError(f"Airflow was not healthy after {_HEALTHY_SECONDS:.0f} s; its logs are next to its database")


def _stay(running: dict[str, subprocess.Popen[bytes]], say: Say) -> int:
    try:
        while True:
            _all_alive(running)
            time.sleep(1)
    except KeyboardInterrupt:
        say("\nairflow: stopping")
        return 0


def _all_alive(running: dict[str, subprocess.Popen[bytes]]) -> None:
    for name, process in running.items():
        if process.poll() is not None:
            raise EmbeddedError(f"Airflow's {name} ended with {process.returncode}: see {name}.log in its folder")


def _stop(running: dict[str, subprocess.Popen[bytes]]) -> None:
    # a second Ctrl-C must not leave processes behind
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for process in reversed(running.values()):
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for process in running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            # its children may outlive it
            _signal(process, signal.SIGKILL)
            process.wait()
    finally:
        signal.signal(signal.SIGINT, before)


def _signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _prepare_in_a_child(settings: Settings, log: Path) -> None:
    command = [sys.executable, "-m", "workbench.airflow", "--prepare"]
    with log.open("wb") as file:
        done = subprocess.run(command, cwd=settings.root, stdout=file, stderr=subprocess.STDOUT, check=False)  # noqa: S603
    if done.returncode:
        raise EmbeddedError(f"Airflow's database could not be created: see {log}")


def _keys(home: Path) -> dict[str, str]:
    """Return the generated keys, made once, as the password is."""
    keys, passwords = home / "keys.json", home / _PASSWORDS
    if not keys.exists():
        fernet = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        made = {"fernet": fernet, "api": secrets.token_hex(32), "jwt": secrets.token_hex(32)}
        write_promise(keys, json.dumps(made).encode(), private=True)
    if not passwords.exists():
        write_promise(passwords, json.dumps({"admin": secrets.token_urlsafe(16)}).encode(), private=True)
    read_record(passwords, shape={"admin": str}, remedy="delete it: the next start makes a new password")
    return read_record(keys, shape=dict.fromkeys(("fernet", "api", "jwt"), str), remedy=_LOST_KEYS)
