"""A web page in a browser of this machine reads, changes and plants nothing in any server of ours on loopback."""

import http.client
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import chromium
import psutil
import pytest
import requests
import s3fs
from web_page import Got, Stranger, stranger

from stocklib.monitoring.prometheus import MetricsServer
from stocklib.settings import Settings, read_settings
from stocklib.stream import Consumer, Producer
from workbench.embedded import kafka, processes, replay_server
from workbench.embedded.home import Keys

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium.find() is None, reason="no Chromium here: install one, or name it in CHROMIUM"),
]
OBJECT, CONTENT = "treasure.txt", b"nobody else reads this"
MESSAGES = [b"%d" % n for n in range(20)]
# An administrator's own requests, by which a master, a volume or a filer server would change what it holds or says.
ADMIN = (
    "/", "/?pretty=y", "/ui/index.html", "/status", "/metrics", "/debug/pprof/", "/dir/assign", "/dir/status",
    "/dir/lookup?volumeId=1", "/vol/status", "/vol/vacuum", "/vol/grow?count=1&collection=planted", "/cluster/status",
    "/submit", "/1,01637037d6", "/2,ff00000001", "/3,ff00000002", "/buckets/", "/etc/planted", "/.tus/planted",
    "/?Action=ListUsers&Version=2010-05-08", "/?Action=CreateUser&UserName=planted&Version=2010-05-08",
)  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    with stranger(tmp_path_factory.mktemp("stranger")) as page:
        yield page


@pytest.mark.stack
def test_a_web_page_reads_changes_and_plants_nothing_in_s3_and_kafka(settings: Settings, page: Stranger) -> None:
    bucket, s3_port = settings.minio_bucket, urlsplit(settings.minio_endpoint).port
    files = s3(settings)
    files.mkdir(bucket)
    files.pipe(f"{bucket}/{OBJECT}", CONTENT)
    send(settings)
    assert s3_port
    ports = listening_beside(s3_port)
    assert len(ports) >= 8, "four servers, each with gRPC"
    ports |= listening_beside(int(settings.kafka_broker.rpartition(":")[2]))
    speak_http = [port for port in sorted(ports) if speaks_http(port)]
    paths = [
        *ADMIN,
        *(
            f"/{bucket}{end}"
            for end in ("", "/", "?list-type=2", f"/{OBJECT}", "/planted", "?delete", "?policy", "?cors")
        ),
        *(f"/buckets/{bucket}{end}" for end in ("/", "/?recursive=true", f"/{OBJECT}", "/planted")),
        f"/col/delete?collection={bucket}",
    ]
    before, volumes = held(settings), collections(speak_http)

    got = page.attack(speak_http, paths)
    others = sorted(ports - set(speak_http))
    got += page.attack(others, ["/", f"/buckets/{bucket}/", f"/{bucket}/{OBJECT}"], seconds=0.5)
    rebound = [answer for port in speak_http for answer in page.rebound(port, paths)]

    assert len(got) > 6 * len(paths) * len(speak_http)
    assert sum(answer.status > 0 for answer in got) > 100, "the page reaches them: it is refused, not lost"
    assert [answer for answer in got if answer.is_read] == []
    # under a stranger's name a page also reads the status pages: no object's name, and nothing of what it holds
    assert sum(answer.status in (401, 403, 404) for answer in rebound) > 100
    assert [answer for answer in rebound if has_object(answer)] == []
    assert (held(settings), collections(speak_http)) == (before, volumes)
    assert files.cat(f"{bucket}/{OBJECT}") == CONTENT
    assert received(settings) == MESSAGES


def test_a_web_page_does_not_move_the_replay_and_reads_no_metrics(
    page: Stranger, guard: Callable[[Path], None], tmp_path: Path
) -> None:
    guard(tmp_path)
    at_home = read_settings(environ={"STOCKS_HOME": str(tmp_path), "REPLAY_SPEED": "step"})
    # one that takes any key: nothing but the guard is between it and the page
    replay = replay_server.start(at_home, Keys("", ""), wanted={})
    facts = {"ended": False, "at": 0.0, "last_event_at": None, "errors": 0}
    metrics = MetricsServer(9464, kind="loader", latest=lambda: facts)
    try:
        processes.wait_until(replay, lambda: replay_server.complaint(replay, Keys("", "")), seconds=60)
        ports = [replay.ports["replay"], urlsplit(metrics.address).port or 0]
        ours = [f"http://127.0.0.1:{port}" for port in ports]
        control = [f"{ours[0]}/replay/clock", f"{ours[0]}/replay/faults"]
        before = [requests.get(address, timeout=5).json() for address in control]
        paths = ["/replay/clock", "/replay/faults", "/api/v1/quote?symbol=AAPL", "/metrics", "ws:/", "ws:/ws"]
        got = []
        for body in ('{"advance": 3600}', '{"faults": "drop=1", "seed": 7}'):
            got += page.attack(ports, paths, body=body)
            got += [answer for port in ports for answer in page.rebound(port, paths, body=body)]
        assert {answer.status for answer in got} <= {0, 403}
        assert sum("this server is not called rebound.example" in answer.body for answer in got) > 20
        assert [requests.get(address, timeout=5).json() for address in control] == before
        # a program is answered, and so is a page of the server's own
        assert "stocks_up" in requests.get(metrics.address, timeout=5).text
        own = {"Origin": ours[0], "Sec-Fetch-Site": "same-origin"}
        assert requests.post(control[0], json={"advance": 60}, headers=own, timeout=5).json()["now"] > before[0]["now"]
    finally:
        metrics.close()
        replay_server.stop(replay)


def has_object(answer: Got) -> bool:
    """Whether an answer tells an object's name (not only that which was asked for) or content, or of something done."""
    told = CONTENT.decode() in answer.body or (OBJECT in answer.body and OBJECT not in answer.path)
    return told or (answer.method not in ("GET", "HEAD", "OPTIONS") and answer.status in (201, 202, 204))


def listening_beside(port: int) -> set[int]:
    """Every port of the process that listens on this one; none where it is not on this machine."""
    for process in psutil.process_iter():
        try:
            listens = {c.laddr.port for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
        except psutil.Error:
            continue
        if port in listens:
            return listens
    return set()


def speaks_http(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def s3(settings: Settings) -> s3fs.S3FileSystem:
    return s3fs.S3FileSystem(
        key=settings.minio_access_key,
        secret=settings.minio_secret_key.reveal(),
        endpoint_url=settings.minio_endpoint,
        use_listings_cache=False,
        skip_instance_cache=True,
    )


def held(settings: Settings) -> dict[str, Any]:
    """Every bucket with its objects, by name and digest; of the broker's, which change by themselves, the planted."""
    files = s3(settings)
    found: dict[str, Any] = {}
    for bucket in files.ls(""):
        objects = {name: facts["ETag"] for name, facts in files.find(bucket, detail=True).items()}
        found[bucket] = [name for name in objects if "planted" in name] if bucket == kafka.BUCKET else objects
    return found


def collections(ports: Iterable[int]) -> set[tuple[int, str]]:
    """The volumes that the volume server has, and whose they are."""
    for port in ports:
        answer = requests.get(f"http://127.0.0.1:{port}/status", timeout=5)
        if answer.ok and "Volumes" in answer.text:
            return {(volume["Id"], volume["Collection"]) for volume in answer.json()["Volumes"]}
    raise AssertionError("no volume server among them")


def send(settings: Settings) -> None:
    with Producer(settings, source="replay") as producer:
        for value in MESSAGES:
            producer.publish(settings.kafka_topic, "AAPL", value, timestamp=datetime(2012, 12, 14, tzinfo=UTC))


def received(settings: Settings) -> list[bytes]:
    """What Kafka answers afterwards."""
    consumer = Consumer(settings, [settings.kafka_topic])
    found: list[bytes] = []
    deadline = time.monotonic() + 20
    while len(found) < len(MESSAGES) and time.monotonic() < deadline:
        found += [message.value or b"" for batch in consumer.poll(0.2).values() for message in batch]
    consumer.close()
    return found
