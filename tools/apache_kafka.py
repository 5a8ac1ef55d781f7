"""Apache Kafka itself, for tests: one broker in KRaft mode on loopback, over a folder that it keeps.

It is fetched once from Maven Central through plain ``mvn`` into the user's cache folder. A broker is remembered like a
server of the embedded stack (``server.json`` in its folder), so that what ends or kills those ends and kills it too.
"""

import base64
import fcntl
import os
import re
import shutil
import subprocess
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template

from workbench.embedded import kafka, processes
from workbench.embedded.processes import Daemon

VERSION = "4.3.1"
_JAVA = 17
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tests</groupId><artifactId>apache-kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
    <!-- the broker logs through slf4j 1; without a backend it is silent -->
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.1</version>
    </dependency>
  </dependencies>
</project>
"""
_PROPERTIES = Template("""process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:$kafka,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$kafka
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:$controller
log.dirs=$data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# tests have members expire sooner than the 6 s that a broker allows by default
group.min.session.timeout.ms=1000
# back after a kill -9 in 4 s, not 12: the controller waits for its own dead session
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
# what is too old goes within a second, not five minutes, so that a test can see what stays
log.retention.check.interval.ms=1000
log.initial.task.delay.ms=1000
""")
# quick to start rather than quick for long
_JVM = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=WARN")


class NotToBeHad(Exception):
    """Why Apache Kafka cannot run here, in a sentence."""


@dataclass(frozen=True)
class Guard:
    """What a broker asks of clients: more lines of its properties, and users with their passwords.

    ``$secure`` and ``$tls`` in the lines are free ports.
    """

    properties: str
    users: Mapping[str, str]


def run(folder: Path) -> str:
    """Have a broker run over a folder's data, and return its address; ``NotToBeHad`` says why it cannot."""
    before = processes.recall(folder)
    if before and before.is_alive():
        return f"127.0.0.1:{before.ports['kafka']}"
    if before:
        # the threads of one that was killed may hold its ports for a moment longer than it lives
        _wait_for_ports(before)
    daemon = _start(folder, java=find_java(), jars=fetch(), wanted=before.ports if before else {})
    processes.wait_until(daemon, lambda: kafka.complaint(daemon), seconds=60)
    return f"127.0.0.1:{daemon.ports['kafka']}"


def run_guarded(folder: Path, guard: Guard) -> Daemon:
    """A broker that lets in only who may: its ports are ``secure`` (SASL over TLS) and ``tls`` (TLS alone)."""
    daemon = _start(folder, java=find_java(), jars=fetch(), wanted={}, guard=guard)
    processes.wait_until(daemon, lambda: kafka.complaint(daemon), seconds=60)
    return daemon


@cache
def find_java() -> str:
    """A Java that is new enough: that of JAVA_HOME, else the one on the PATH."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None) or shutil.which("java")
    if not java:
        raise NotToBeHad(
            f"Apache Kafka needs Java {_JAVA} or newer, and there is none (apt install openjdk-17-jre-headless)"
        )
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if not found or int(found[1]) < _JAVA:
        raise NotToBeHad(f"Apache Kafka needs Java {_JAVA} or newer, and {java} is: {said.splitlines()[:1]}")
    return java


@cache
def fetch() -> Path:
    """The folder of Apache Kafka's jars (43 MB); fetched where they are not there yet."""
    cached = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stocks-workbench"
    jars = cached / f"apache-kafka-{VERSION}"
    cached.mkdir(parents=True, exist_ok=True)
    with (cached / "lock").open("w") as lock:
        # of several processes of tests, one fetches
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.is_dir():
            _download(jars)
    return jars


def _download(jars: Path) -> None:
    maven = shutil.which("mvn")
    if not maven:
        raise NotToBeHad("Apache Kafka is fetched from Maven Central by mvn, and there is none (apt install maven)")
    partial = jars.with_name(f"{jars.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    (partial / "pom.xml").write_text(_POM)
    command = [maven, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib", "-DincludeScope=runtime"]
    fetched = subprocess.run(command, cwd=partial, capture_output=True, text=True, check=False, timeout=300)
    if fetched.returncode:
        raise NotToBeHad(f"mvn could not fetch Apache Kafka {VERSION}: {(fetched.stdout or fetched.stderr)[-300:]}")
    (partial / "lib").rename(jars)
    shutil.rmtree(partial)


def _wait_for_ports(daemon: Daemon) -> None:
    deadline = time.monotonic() + 10
    while not all(map(processes.is_free, daemon.ports.values())) and time.monotonic() < deadline:
        time.sleep(0.05)


def _start(folder: Path, *, java: str, jars: Path, wanted: Mapping[str, int], guard: Guard | None = None) -> Daemon:
    ports = processes.free_ports(["kafka", "controller", *(["secure", "tls"] if guard else [])], wanted=wanted)
    data = folder / "data"
    folder.mkdir(parents=True, exist_ok=True)
    properties = folder / "server.properties"
    text = _PROPERTIES.substitute(ports, data=data)
    # a property that is stated again is the later one
    properties.write_text(text + Template(guard.properties).substitute(ports) if guard else text)
    program = [java, *_JVM, "-cp", f"{jars}/*"]
    if not data.exists():
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = [*program, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(properties)]
        for name, password in guard.users.items() if guard else ():
            tool += ["--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]"]
        formatted = subprocess.run(tool, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
        if formatted.returncode:
            raise RuntimeError(f"Apache Kafka's storage could not be formatted: {formatted.stdout}{formatted.stderr}")
    return processes.start(
        "Apache Kafka", [*program, "kafka.Kafka", str(properties)], folder=folder, ports=ports, environ={}
    )
