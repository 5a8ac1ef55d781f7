"""State files: whole or as they were, and one sentence where a power cut left something else."""

import ast
import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from zlib import crc32

import orjson
import pytest
from landed import settings_in
from mirrors import ROOT
from outages import files_of_at_most

from stocklib.errors import StateError, StocksError
from stocklib.monitoring.health import examine
from stocklib.monitoring.heartbeat import Heartbeat, damaged_heartbeats, read_heartbeats
from stocklib.pipeline.reconcile.evidence import read_confirmed
from stocklib.settings import read_settings
from stocklib.state_files import read_record, write_promise, write_state
from stocklib.stream.sent import Sent
from stocklib.stream.spool import Spool, abandoned, count_torn, damaged_spools, encode, keep_torn, read_spool
from stocklib.warehouse import open_warehouse
from stocklib.warehouse.local.lock import hold
from workbench import embedded
from workbench.embedded import home as embedded_home
from workbench.embedded import processes
from workbench.powerbi.folder import write_folder


def begin_run(home: Path) -> Path:
    """The heartbeat of a producer that confirmed three quotes of AAPL."""
    heartbeat = Heartbeat(home, role="producer", run_id="run-1")
    heartbeat.end(lambda: {"state": "done", "topic": "stock-quotes", "confirmed": {"AAPL": 3}}, ended="done")
    return heartbeat.path


def test_a_file_that_a_full_disk_does_not_take_is_named(tmp_path: Path) -> None:
    with files_of_at_most(0):
        with pytest.raises(OSError, match="too large") as written:
            write_state(tmp_path / "state.json", b"x" * 100, durable=True)
        with pytest.raises(OSError, match="too large") as held, hold(tmp_path / "lock", wait=1):
            pass
    assert written.value.filename == f"{tmp_path / 'state.json'}"
    assert held.value.filename == f"{tmp_path / 'lock'}"
    assert not (tmp_path / "state.json").exists()


def start_server(home: Path) -> Path:
    folder = home / "embedded" / "kafka"
    folder.mkdir(parents=True)
    daemon = processes.start("Kafka", ["true"], folder=folder, ports={"kafka": 12_345}, environ={})
    processes.stop(daemon, grace=5)
    return folder / "server.json"


def write_env(home: Path) -> Path:
    settings = settings_in(home)
    text = embedded._env(settings, embedded_home.Keys("a" * 20, "s" * 40, "replay"), up=False)
    write_promise(settings.embedded_env, text.encode(), private=True)
    assert read_settings(environ={"STOCKS_HOME": f"{home}"}).kafka_broker == "127.0.0.1:1"
    return settings.embedded_env


def make_keys(home: Path) -> Path:
    (home / "embedded").mkdir(parents=True)
    embedded_home.read_keys(settings_in(home))
    return home / "embedded" / "keys.json"


def publish_warehouse(home: Path) -> Path:
    warehouse = open_warehouse(settings_in(home))
    warehouse.initialise()
    with warehouse.writing():
        warehouse.publish()
    return home / "warehouse" / "published.duckdb"


def raise_alarm(home: Path) -> None:
    (error,) = damaged_heartbeats(home)
    assert read_heartbeats(home, past=True) == []
    assert [str(error) in alarm for alarm in examine(settings_in(home)).alarms] == [True]
    raise error


def confirm(home: Path) -> None:
    confirmed, damaged = read_confirmed(home, {"stock-quotes"})
    assert confirmed == {}
    raise StocksError(*damaged)


def write_project(home: Path) -> Path:
    write_folder(home / "powerbi", {"model.tmdl": "model"}, force=False)
    return home / "powerbi" / ".written"


# Each state file: what writes it and gives its path, and what reads it.
FILES: dict[str, tuple[Callable[[Path], Path], Callable[[Path], object]]] = {
    "heartbeat of a feed, for status": (begin_run, raise_alarm),
    "heartbeat of a feed, for the ledger": (begin_run, confirm),
    "keys of the embedded stack": (make_keys, lambda home: embedded_home.read_keys(settings_in(home))),
    "record of a server": (start_server, lambda home: processes.recall(home / "embedded" / "kafka")),
    "addresses of the servers": (write_env, lambda home: read_settings(environ={"STOCKS_HOME": f"{home}"})),
    "published tables": (publish_warehouse, lambda home: open_warehouse(settings_in(home)).query("select 1 as one")),
    "private tables": (
        lambda home: publish_warehouse(home).with_name("build.duckdb"),
        lambda home: open_warehouse(settings_in(home)).initialise(),
    ),
    "list of a Power BI project": (
        write_project,
        lambda home: write_folder(home / "powerbi", {"model.tmdl": "another"}, force=False),
    ),
}
# What a power cut, a full disk or another program makes of a file.
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "torn": lambda content: content[: min(len(content) // 2, 5000)],
    "torn at the end of a line": lambda content: content[: content.rfind(b"\n", 0, min(len(content) - 1, 5000)) + 1],
    "zero bytes": lambda content: bytes(len(content)),
    "zero bytes at its end": lambda content: content[:9] + bytes(len(content) - 9),
    "another type": lambda content: b'["not", "this"]\n',
    "a number": lambda content: b"7",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Path], Path]:
    """A home like the one in which a state file was written, and the file in it."""

    @cache
    def write(name: str) -> tuple[Path, Path]:
        home = tmp_path_factory.mktemp("home")
        return home, FILES[name][0](home)

    def copy(name: str, home: Path) -> Path:
        whole, path = write(name)
        shutil.copytree(whole, home, dirs_exist_ok=True)
        return home / path.relative_to(whole)

    return copy


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_state_file_is_one_sentence_that_names_it_and_the_remedy(
    name: str, damage: str, tmp_path: Path, made: Callable[[str, Path], Path]
) -> None:
    read = FILES[name][1]
    path = made(name, tmp_path)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(StocksError) as caught:
        read(tmp_path)
    said = str(caught.value)
    assert str(path) in said
    assert "delete it" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    "change",
    [
        {"confirmed": ["AAPL"]},
        {"confirmed": {"AAPL": "3"}},
        {"confirmed": {"AAPL": -1}},
        {"confirmed": {"AAPL": True}},
        {"run_id": 7},
        {"at": "now"},
        {"clock": "noon"},
        {"clock": {"now": "noon"}},
        {"last_event_at": "noon"},
    ],
)
def test_a_heartbeat_with_a_field_of_another_type_is_damaged(change: dict[str, object], tmp_path: Path) -> None:
    path = begin_run(tmp_path)
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | change))
    told = [*map(str, damaged_heartbeats(tmp_path)), *read_confirmed(tmp_path, {"stock-quotes"})[1]]
    assert told
    assert all(str(path) in sentence for sentence in told)
    assert examine(settings_in(tmp_path)) is not None


@pytest.mark.parametrize("ports", [{}, {"kafka": "12345"}, {"s3": 12345}, [12345]])
def test_a_record_of_a_server_without_its_port_is_damaged(ports: object, tmp_path: Path) -> None:
    path = start_server(tmp_path)
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | {"ports": ports}))
    with pytest.raises(StateError, match="has no valid 'ports': delete it"):
        embedded.status(settings_in(tmp_path))


def test_a_damaged_heartbeat_of_a_consumer_is_no_matter_of_the_ledger_and_goes_with_the_next_run(
    tmp_path: Path,
) -> None:
    producer = begin_run(tmp_path)
    consumer = tmp_path / "heartbeats" / "consumer-4711.json"
    consumer.write_bytes(b"")
    assert read_confirmed(tmp_path, {"stock-quotes"}) == ({("run-1", "AAPL"): 3}, [])
    assert len(examine(settings_in(tmp_path)).damaged) == 1
    Heartbeat(tmp_path, role="consumer-12", run_id="consumer-2")
    assert not consumer.exists()
    # that of a producer stays: the ledger counts by it
    producer.write_bytes(b"")
    Heartbeat(tmp_path, role="producer", run_id="run-2").beat(lambda: {"state": "polling", "confirmed": {}})
    assert producer.exists()
    assert [str(producer) in sentence for sentence in read_confirmed(tmp_path, {"stock-quotes"})[1]] == [True]


def signed(body: bytes) -> bytes:
    """A line of a spool with the checksum of what is no event of ours."""
    return b"%08x %b\n" % (crc32(body), body)


def test_the_lines_that_a_power_cut_tore_in_a_spool_are_counted_and_the_rest_is_sent(tmp_path: Path) -> None:
    spool = Spool(tmp_path, run_id="run-1")
    for seq in (1, 2, 3):
        spool.append(Sent("stock-quotes", b"AAPL", b"{}", 0, [], "AAPL", seq), waits=True)
    content = spool.path.read_bytes()
    lines = content.splitlines(keepends=True)
    for damage, torn, left in (
        (content[:-9], 1, [1, 2]),
        (lines[0] + bytes(len(lines[1])) + b"\n" + lines[2], 1, [1, 3]),
        (bytes(len(content)), 1, []),
        (b'["another"]\n' + lines[1], 1, [2]),
        (b"", 0, []),
        (lines[0] + signed(b"7") + signed(b'{"number":1}') + signed(b"\xff") + lines[2], 3, [1, 3]),
        (lines[0] + signed(lines[1][9:-1].replace(b'"seq":2', b'"seq":"2"')) + lines[2], 1, [1, 3]),
        (encode(Sent("t", b"A", b"", 0, [], "A", 9), number=1, confirmed=0), 0, [9]),
    ):
        spool.path.write_bytes(damage)
        assert count_torn(spool.path) == torn
        assert [message.seq for message in read_spool(spool.path)] == left
    spool.close()


def test_a_spool_that_lost_events_or_cannot_be_read_is_named_until_somebody_deletes_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path, run_id="run-1")
    spool.append(Sent("stock-quotes", b"AAPL", b"{}", 0, [], "AAPL", 1), waits=True)
    assert damaged_spools(tmp_path) == []
    keep_torn(spool.path)
    unreadable = tmp_path / "spool" / "run-2.spool"
    unreadable.mkdir()
    torn, closed = damaged_spools(tmp_path)
    assert torn.startswith(f"{spool.path.with_suffix('.torn')} had lines that were torn")
    assert closed.startswith(f"{unreadable} cannot be read (Is a directory)")
    with abandoned(tmp_path) as files:
        assert files == []
    spool.close()


def test_whoever_holds_the_warehouse_is_asked_for_by_the_lock_and_not_by_what_the_file_says(tmp_path: Path) -> None:
    # a lock is of the kernel: what a power cut left in its file locks nobody out
    for content in (b"", bytes(40), b'{"pid":'):
        (tmp_path / "lock").write_bytes(content)
        with hold(tmp_path / "lock", wait=0):
            pass


def test_a_promise_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    sync, rename = os.fsync, os.replace

    def note_sync(handle: int) -> None:
        done.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")  # noqa: PTH112
        sync(handle)

    def note_rename(*names: object, **more: object) -> None:
        done.append("rename")
        rename(*names, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_rename)
    write_promise(tmp_path / "kept", b"1")
    assert [step for step in done if step != "rename"] == ["file", "folder"]
    done.clear()
    write_state(tmp_path / "kept", b"2", durable=False)
    assert [step for step in done if step != "rename"] == []
    done.clear()
    heartbeat = Heartbeat(tmp_path, role="producer", run_id="run-1")
    for seq in (1, 2):
        heartbeat.beat(lambda seq=seq: {"state": "polling", "confirmed": {"AAPL": seq}}, now=True)
    # its folder at the first and the last word alone: in between the version before will do
    assert [step for step in done if step != "rename"] == ["file", "folder", "file"]
    done.clear()
    Heartbeat(tmp_path, role="loader", run_id="run-2").beat(lambda: {"state": "loading"}, now=True)
    assert [step for step in done if step != "rename"] == []


def test_what_cannot_be_written_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    write_promise(path, b"old", private=True)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(TypeError):
        write_state(path, "text", durable=True)  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    path.unlink()
    path.mkdir()
    with pytest.raises(StateError, match="cannot be read"):
        read_record(path, shape={}, remedy="delete it")


def test_state_files_are_written_in_one_place() -> None:
    """Nothing in the library writes a file in place: what does so on purpose is named here, with its reason."""
    on_purpose = {
        "state_files.py",  # the place
        "warehouse/local/lock.py",  # a lock must stay the same file
        "pipeline/exporting.py",  # into a folder of unfinished files, which are renamed when they are whole
    }
    found = set()
    for path in (ROOT / "lib" / "stocklib").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in ("write_text", "write_bytes", "dump"):
                found.add(path.relative_to(ROOT / "lib" / "stocklib").as_posix())
    assert found <= on_purpose
