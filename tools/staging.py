"""Services of docker-compose.yml run natively: each at a loopback address of its own, with the file's environment,
command, volumes, health check and conditions.

What a container would give is given otherwise: a service's name is its address (127.x.y.n, at the ports of the file),
``0.0.0.0``, ``127.0.0.1`` and ``localhost`` are it, a volume is a folder, and ``/app`` a copy of what the image copies.
The programs are real ones: Apache Kafka's jars, MinIO, PostgreSQL, and those of this virtual environment.
"""

import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apache_kafka
import psutil
from containers import ROOT

from workbench.embedded import s3
from workbench.embedded.home import Keys

# The last source of MinIO's archived project; built once into the user's cache folder, where Go is.
_MINIO = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stocks-workbench"
_POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
# What neither image nor program can be had of, and what only an engine can do.
NOT_REHEARSED = ("kafka-ui", "minio-volume")


class NotToBeHad(Exception):
    """What is missing on this machine, and how to get it."""


@dataclass
class Staged:
    """A service that was started: its process, and where it is."""

    name: str
    address: str
    process: "subprocess.Popen[bytes]"
    log: Path
    peak: int = 0

    def look(self) -> None:
        """Note how much memory it and its children hold; shared pages are counted once."""
        held = 0
        for one in self.processes():
            try:
                held += one.memory_full_info().pss
            except (psutil.Error, AttributeError):
                continue
        self.peak = max(self.peak, held)

    def processes(self) -> list[psutil.Process]:
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.Error:
            return []


@dataclass
class Stage:
    """A folder and a /16 of loopback for one rehearsal."""

    folder: Path
    services: dict[str, Any]
    running: dict[str, Staged] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        net = f"127.{random.randint(64, 250)}.{random.randint(1, 250)}"
        self.addresses = {name: f"{net}.{n}" for n, name in enumerate(sorted(self.services), 10)}
        tools = self.folder / "tools"
        tools.mkdir(parents=True)
        for source, name in (("healthy.py", "healthy"), ("airflow_password.py", "airflow-password")):
            shutil.copy(ROOT / "docker" / source, tools / name)
            (tools / name).chmod(0o755)
        for part in ("lib", "dbt_stocks", "config", "notebooks", "dags"):
            shutil.copytree(
                ROOT / part, self.folder / "app" / part, ignore=shutil.ignore_patterns("__pycache__", "target")
            )

    def start(self, name: str) -> Staged:
        """Start a service whose conditions are met; return when it is healthy, or has ended well if it is to end."""
        for other, how in self.services[name].get("depends_on", {}).items():
            wanted = self.done if how["condition"] == "service_completed_successfully" else set(self.running)
            if other not in NOT_REHEARSED and other in self.services:
                assert other in wanted, f"{name} needs {other}, which is not {how['condition']}"
        home = self.folder / "containers" / name
        home.mkdir(parents=True, exist_ok=True)
        log = home / "log"
        environ = self._environ(name)
        with log.open("ab") as out:
            process = subprocess.Popen(
                self._command(name, environ, home),
                cwd=self.folder / "app",
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # PostgreSQL refuses to be run by root, as the file's own user does
                user="postgres" if name == "postgres" and os.geteuid() == 0 else None,
            )
        staged = self.running[name] = Staged(name, self.addresses[name], process, log)
        if self.services[name]["restart"] == "no":
            assert process.wait(timeout=900) == 0, f"{name} failed: {tail(log)}"
            self.done.add(name)
            del self.running[name]
        else:
            self._wait(staged, environ)
        return staged

    def stop(self, name: str) -> float:
        """As ``docker compose down``: SIGTERM, the file's grace, SIGKILL; how many seconds it took."""
        staged, began = self.running.pop(name), time.monotonic()
        family = staged.processes()
        grace = self.services[name].get("stop_grace_period", "10s")
        seconds = sum(int(n) * {"m": 60, "s": 1}[unit] for n, unit in re.findall(r"(\d+)([ms])", grace))
        staged.process.send_signal(signal.SIGTERM)
        try:
            staged.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            staged.process.kill()
        _, alive = psutil.wait_procs(family, timeout=2)
        for one in alive:
            one.kill()
        return time.monotonic() - began

    def run(self, name: str, *command: str, cwd: Path | None = None) -> str:
        """As ``docker compose exec``: a command in a service's place; what it printed."""
        environ = self._environ(name)
        if name == "postgres":
            # inside its container it would be at a socket
            environ["PGHOST"] = self.addresses[name]
        done = subprocess.run(
            command,
            cwd=cwd or self.folder / "app",
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        assert done.returncode == 0, f"{' '.join(command)} in {name}: {done.stdout}{done.stderr}"
        return done.stdout

    def listening(self) -> dict[str, set[str]]:
        """Every address that a service listens on."""
        found: dict[str, set[str]] = {}
        for name, staged in self.running.items():
            for process in staged.processes():
                with suppress(psutil.NoSuchProcess):
                    for one in process.net_connections("inet"):
                        if one.status == psutil.CONN_LISTEN:
                            # Java listens on IPv4 by way of IPv6
                            address = one.laddr.ip.removeprefix("::ffff:")
                            found.setdefault(name, set()).add(f"{address}:{one.laddr.port}")
        return found

    def _wait(self, staged: Staged, environ: dict[str, str]) -> None:
        check = self.services[staged.name]["healthcheck"]
        test = [self._here(staged.name, part) for part in check["test"][1:]]
        began, pause = time.monotonic(), 0.5
        while time.monotonic() < began + 900:
            assert staged.process.poll() is None, f"{staged.name} ended: {tail(staged.log)}"
            if _is_well(test, environ):
                return
            # asking is work too, which a slow machine does not do for the asked
            time.sleep(pause := min(pause * 1.5, 10))
        raise AssertionError(f"{staged.name} is not healthy after 15 minutes: {tail(staged.log)}")

    def _here(self, name: str, text: str) -> str:
        """A text of the file as it reads on this machine."""
        places = {"/app": self.folder / "app", "/opt/airflow": self.folder / "containers" / name / "airflow"}
        for mount in self.services[name].get("volumes", []):
            own = self.folder / "volumes" / mount["source"] if mount["type"] == "volume" else None
            if own:
                own.mkdir(parents=True, exist_ok=True)
                places[mount["target"]] = own
        for target in sorted(places, key=len, reverse=True):
            text = re.sub(rf"(?<![\w/:.-]){re.escape(target)}(?=[/\"' ]|$)", str(places[target]), text)
        text = re.sub(r"\b(0\.0\.0\.0|127\.0\.0\.1|localhost)\b", self.addresses[name], text)
        for other, address in self.addresses.items():
            text = re.sub(rf"(?<![\w.-]){re.escape(other)}(?=:\d)", address, text)
        return text

    def _environ(self, name: str) -> dict[str, str]:
        home = self.folder / "containers" / name
        (home / "airflow").mkdir(parents=True, exist_ok=True)
        told = {
            key: value for key, value in (self.services[name].get("environment") or {}).items() if value is not None
        }
        path = [
            str(self.folder / "tools"),
            str(Path(sys.executable).parent),
            *map(str, _POSTGRES[-1:]),
            os.environ["PATH"],
        ]
        image = {"PATH": ":".join(path), "HOME": str(home), "LOGNAME": "stocks", "PYTHONUNBUFFERED": "1"}
        if "airflow" in name:
            image["AIRFLOW_HOME"] = str(home / "airflow")
        return image | {key: self._here(name, value) for key, value in told.items()}

    def _command(self, name: str, environ: dict[str, str], home: Path) -> list[str]:
        command = [self._here(name, part) for part in self.services[name].get("command") or []]
        if name == "kafka":
            return self._kafka(environ, home)
        if name == "postgres":
            return self._postgres(environ)
        if name == "minio":
            return self._minio(command, environ, home)
        return command

    def _kafka(self, environ: dict[str, str], home: Path) -> list[str]:
        """As the image does it: KAFKA_A_B is a.b in server.properties; the folder is formatted where it is empty."""
        own = {key.removeprefix("KAFKA_"): value for key, value in environ.items() if key.startswith("KAFKA_")}
        heap = own.pop("HEAP_OPTS").split()
        properties = home / "server.properties"
        properties.write_text("".join(f"{key.lower().replace('_', '.')}={value}\n" for key, value in own.items()))
        java = [apache_kafka.find_java(), *heap, "-Dlog4j2.level=WARN", "-cp", f"{apache_kafka.fetch()}/*"]
        form = [*java, "kafka.tools.StorageTool", "format", "--ignore-formatted"]
        form += [f"--cluster-id={environ['CLUSTER_ID']}", "-c", str(properties)]
        subprocess.run(form, check=True, capture_output=True, cwd=home)
        return [*java, "kafka.Kafka", str(properties)]

    def _postgres(self, environ: dict[str, str]) -> list[str]:
        """As the image does it: a cluster with the user, the password and the database of the environment."""
        if not _POSTGRES:
            raise NotToBeHad("PostgreSQL is not there: apt-get install postgresql")
        data = Path(self._here("postgres", "/var/lib/postgresql/data"))
        user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        command = [str(_POSTGRES[-1] / "postgres"), "-D", str(data), "-c", "unix_socket_directories="]
        if not (data / "PG_VERSION").exists():
            secret = data.parent / "password"
            secret.write_text(environ["POSTGRES_PASSWORD"])
            for path in (data, secret):
                shutil.chown(path, user)
            for parent in (data.parent, *data.parent.parents):
                if parent == self.folder.parent:
                    break
                parent.chmod(parent.stat().st_mode | 0o011)
            data.chmod(0o700)
            _as(user, str(_POSTGRES[-1] / "initdb"), "-D", str(data), f"--username={environ['POSTGRES_USER']}",
                f"--pwfile={secret}", "--encoding=UTF8", *environ["POSTGRES_INITDB_ARGS"].split())  # fmt: skip
            secret.unlink()
            single = [*command[:1], "--single", "-D", str(data), "postgres"]
            _as(user, *single, said=f'create database "{environ["POSTGRES_DB"]}"\n')
        return [*command, "-c", f"listen_addresses={self.addresses['postgres']}"]

    def _minio(self, command: list[str], environ: dict[str, str], home: Path) -> list[str]:
        if binary := find_minio():
            return [str(binary), *command]
        # the embedded S3 server takes its place, with MinIO's credentials and the same port; it has no console
        keys = Keys(environ["MINIO_ROOT_USER"], environ["MINIO_ROOT_PASSWORD"])
        return _weed(keys, self.addresses["minio"], home)


def find_minio() -> Path | None:
    """MinIO itself: on the PATH, in the cache, or built there by Go; None where there is no Go."""
    if there := shutil.which("minio"):
        return Path(there)
    binary = _CACHE / "minio" / "minio"
    if binary.exists() or not shutil.which("go"):
        return binary if binary.exists() else None
    sys.stdout.write("building MinIO from its source, once: minutes, 1.2 GB of module cache\n")
    subprocess.run(["go", "install", _MINIO], check=True, env=os.environ | {"GOBIN": str(binary.parent)})
    return binary


def _weed(keys: Keys, address: str, home: Path) -> list[str]:
    identities = home / "s3.json"
    identities.write_text(s3._identities(keys))
    (home / "data").mkdir(exist_ok=True)
    options = ["-dir=" + str(home / "data"), "-ip=" + address, "-ip.bind=" + address, "-s3", "-s3.port=9000"]
    options += ["-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.preStopSeconds=0"]
    options += ["-master.electionTimeout=1s", "-master.heartbeatInterval=100ms", f"-s3.config={identities}"]
    return [str(s3.find_binary()), "-logtostderr=true", "server", *options]


def _as(user: str, *command: str, said: str | None = None) -> None:
    done = subprocess.run(
        command,
        input=said,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        user=user if os.geteuid() == 0 else None,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
    )
    assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"


def _is_well(test: list[str], environ: dict[str, str]) -> bool:
    if test[:2] == ["nc", "-z"]:
        with socket.socket() as probe:
            probe.settimeout(5)
            return probe.connect_ex((test[2], int(test[3]))) == 0
    try:
        return subprocess.run(test, env=environ, capture_output=True, check=False, timeout=120).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def tail(log: Path) -> str:
    """The end of a log, for an error."""
    return log.read_text(errors="replace")[-2500:]
