"""One writer at a time, and readers who never see half a version: the lock, the swap, and what a crash leaves."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from landed import landed, settings_in

from stocklib.errors import WarehouseBusy, WarehouseError
from stocklib.settings import Settings
from stocklib.warehouse import Touched, open_warehouse

LIB = Path(__file__).resolve().parents[2] / "lib"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = settings_in(tmp_path)
    open_warehouse(settings).initialise()
    return settings


def build_path(settings: Settings) -> Path:
    return settings.home / "warehouse" / "build.duckdb"


def make_gold(settings: Settings, version: int, *, table_rows: int = 1) -> None:
    """A gold table that says which version it is."""
    with duckdb.connect(build_path(settings)) as con:
        con.execute("create schema if not exists gold")
        con.execute(
            f"create or replace table gold.versions as select {version} as version, i as row_no, "
            f"sha256(i::varchar) as filler from range({table_rows}) as r(i)"
        )


def version_seen(settings: Settings) -> int:
    return int(open_warehouse(settings).query("select max(version) as v from gold.versions")["v"].iloc[0])


def in_another_process(settings: Settings, code: str) -> "subprocess.Popen[str]":
    """Run Python that has a `warehouse` of the same home, its module on the path, and prints to us."""
    head = f"""
import sys, time, os, resource
sys.path[:0] = [{str(LIB)!r}, {str(LIB.parent / "tests")!r}]
from pathlib import Path
from landed import landed, settings_in
from stocklib.errors import StocksError
from stocklib.warehouse import LandedObject, open_warehouse
settings = settings_in(Path({str(settings.home)!r}))
warehouse = open_warehouse(settings)
def say(text): print(text, flush=True)
"""
    return subprocess.Popen([sys.executable, "-c", head + code], stdout=subprocess.PIPE, text=True)


def heard(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def other(settings: Settings) -> "Callable[[str], subprocess.Popen[str]]":
    started = []

    def start(code: str) -> "subprocess.Popen[str]":
        process = in_another_process(settings, code)
        started.append(process)
        return process

    yield start  # type: ignore[misc]
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


HOLD = """
with warehouse.writing():
    say("held")
    time.sleep(60)
"""


def test_a_second_writer_learns_who_holds_the_warehouse(settings: Settings, other: Callable) -> None:
    holder = other(HOLD)
    assert heard(holder) == "held"
    says = f"process {holder.pid} has been writing to it since"
    with pytest.raises(WarehouseBusy, match=says), open_warehouse(settings).writing(wait=0.2):
        pass


def test_a_second_writer_waits_for_the_first(settings: Settings, other: Callable) -> None:
    holder = other("with warehouse.writing():\n    say('held')\n    time.sleep(0.5)\n")
    assert heard(holder) == "held"
    with open_warehouse(settings).writing(wait=20):
        assert holder.poll() is not None or holder.wait(10) == 0


def test_a_killed_writer_holds_nothing(settings: Settings, other: Callable) -> None:
    holder = other(HOLD)
    assert heard(holder) == "held"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with open_warehouse(settings).writing(wait=5):
        pass


def test_two_threads_of_one_process_take_turns(settings: Settings) -> None:
    warehouse = open_warehouse(settings)
    inside = []

    def write(name: int) -> None:
        with warehouse.writing():
            inside.append(name)
            time.sleep(0.05)
            inside.append(name)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(a == b for a, b in zip(inside[::2], inside[1::2], strict=True))


def test_a_program_that_has_the_private_file_open_is_named(settings: Settings, other: Callable) -> None:
    browser = other(f"import duckdb; con = duckdb.connect({str(build_path(settings))!r}); say('open'); time.sleep(60)")
    assert heard(browser) == "open"
    with pytest.raises(WarehouseBusy, match=str(browser.pid)):
        open_warehouse(settings).newest_load()


def test_before_the_first_publication_a_query_says_what_to_do(settings: Settings) -> None:
    with pytest.raises(WarehouseError, match="stocks transform"):
        open_warehouse(settings).query("select 1")
    assert "nothing is published yet" in open_warehouse(settings).check()
    assert open_warehouse(settings).published_build() is None


def test_readers_see_the_last_published_version(settings: Settings) -> None:
    make_gold(settings, 1)
    open_warehouse(settings).publish()
    make_gold(settings, 2)
    assert version_seen(settings) == 1
    open_warehouse(settings).publish()
    assert version_seen(settings) == 2


def test_a_column_that_became_wider_is_published_as_a_copy(settings: Settings) -> None:
    touched = Touched(0, (), None)
    for version in (1, 2, 3):
        make_gold(settings, version)
        open_warehouse(settings).publish(touched=touched)
    inode = (settings.home / "warehouse" / "spare.duckdb").stat().st_ino
    with duckdb.connect(build_path(settings)) as con:
        con.execute("alter table gold.versions alter version type decimal(36, 6)")
        con.execute("update gold.versions set version = 3e29")
    open_warehouse(settings).publish(touched=touched)
    assert open_warehouse(settings).query("select version from gold.versions")["version"].tolist() == [3e29]
    assert (settings.home / "warehouse" / "published.duckdb").stat().st_ino != inode


def test_a_reader_who_keeps_the_old_version_open_does_not_hold_the_others_back(settings: Settings) -> None:
    make_gold(settings, 1)
    open_warehouse(settings).publish()
    # a notebook of this very process, whose connection stays open
    with duckdb.connect(settings.home / "warehouse" / "published.duckdb", read_only=True) as notebook:
        assert notebook.execute("select version from gold.versions").fetchall() == [(1,)]
        make_gold(settings, 2)
        open_warehouse(settings).publish()
        assert version_seen(settings) == 2
        assert notebook.execute("select version from gold.versions").fetchall() == [(1,)]


def test_readers_never_see_half_a_version(settings: Settings) -> None:
    make_gold(settings, 0, table_rows=2000)
    open_warehouse(settings).publish()
    seen: list[tuple[int, int, int]] = []
    done = threading.Event()

    def read() -> None:
        sql = "select min(version) as low, max(version) as high, count(*) as rows from gold.versions"
        while not done.is_set():
            seen.append(tuple(int(v) for v in open_warehouse(settings).query(sql).iloc[0]))  # type: ignore[arg-type]

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for version in range(1, 6):
        make_gold(settings, version, table_rows=2000)
        open_warehouse(settings).publish()
    done.set()
    for reader in readers:
        reader.join()
    assert seen
    assert all(low == high and rows == 2000 for low, high, rows in seen)
    assert version_seen(settings) == 5
    assert list((settings.home / "warehouse").glob(".*")) == []


@pytest.mark.parametrize(
    "sql",
    [
        "create table gold.mine (a int)",
        "delete from gold.versions",
        "copy gold.versions to 'stolen.csv'",
        "drop schema gold",
    ],
)
def test_a_query_changes_nothing(settings: Settings, sql: str) -> None:
    make_gold(settings, 1)
    open_warehouse(settings).publish()
    with pytest.raises(WarehouseError):
        open_warehouse(settings).query(sql)
    assert version_seen(settings) == 1


def test_a_query_takes_values_as_parameters_and_tells_its_mistakes(settings: Settings) -> None:
    make_gold(settings, 1)
    open_warehouse(settings).publish()
    frame = open_warehouse(settings).query("select ? as text, ? as number", ["'; drop table", 2])
    assert frame.iloc[0].tolist() == ["'; drop table", 2]
    with pytest.raises(WarehouseError, match="no_such_table"):
        open_warehouse(settings).query("select * from gold.no_such_table")


def test_what_a_crash_during_publication_left_is_removed(settings: Settings) -> None:
    folder = settings.home / "warehouse"
    dead = subprocess.Popen(["true"])
    dead.wait()
    strays = [folder / f".publishing-{os.getpid()}-77.tmp", folder / f".reading-{dead.pid}-0.tmp"]
    for stray in strays:
        stray.write_bytes(b"half")
    make_gold(settings, 1)
    open_warehouse(settings).publish()
    assert [stray for stray in strays if stray.exists()] == []
    assert version_seen(settings) == 1


def test_a_load_that_is_killed_leaves_nothing_and_the_next_one_makes_it_good(
    settings: Settings, other: Callable
) -> None:
    killed = other("""
line = b'{"payload":{"c":1},"headers":{"source":"replay"}}'
def objects():
    for number in range(10_000):
        if number == 60:
            say("loading")
            time.sleep(60)
        yield landed("stock_quotes", [line] * 5000, name=f"o{number:05d}")
warehouse.load(objects())
""")
    assert heard(killed) == "loading"
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    warehouse = open_warehouse(settings)
    assert (warehouse.newest_load(), warehouse.known_keys("stock_quotes")) == (0, set())
    result = warehouse.load([landed("stock_quotes", [b'{"payload":{}}'] * 3, name="o00000")])
    assert (result.load_id, result.rows) == (1, 3)
    with duckdb.connect(build_path(settings)) as con:
        assert con.execute("select count(*) from raw.stock_quotes").fetchall() == [(3,)]


def test_a_full_disk_is_one_clear_error_and_loses_nothing(settings: Settings, other: Callable) -> None:
    make_gold(settings, 1)
    open_warehouse(settings).load([landed("stock_quotes", [b'{"payload":{}}'], name="a")])
    open_warehouse(settings).publish()
    size = build_path(settings).stat().st_size
    # no file may grow past a little more than the database has now
    full = other(f"""
import random, sys
sys.dont_write_bytecode = True
resource.setrlimit(resource.RLIMIT_FSIZE, ({size} + 300_000, {size} + 300_000))
random.seed(1)
lines = [('{{"payload":{{"x":"' + random.randbytes(100).hex() + '"}}}}').encode() for _ in range(30_000)]
try:
    warehouse.load([landed("stock_quotes", lines, name="b")])
    say("loaded")
except StocksError as error:
    say(f"{{type(error).__name__}}: {{error}}")
""")
    said = heard(full)
    full.wait(30)
    assert said.startswith("WarehouseError:"), said
    assert "disk full" in said
    warehouse = open_warehouse(settings)
    assert warehouse.newest_load() == 1
    assert version_seen(settings) == 1
    assert warehouse.load([landed("stock_quotes", [b'{"payload":{}}'], name="b")]).load_id == 2


def test_a_publication_onto_a_full_disk_leaves_the_old_version(settings: Settings, other: Callable) -> None:
    make_gold(settings, 1)
    open_warehouse(settings).publish()
    make_gold(settings, 2, table_rows=200_000)
    full = other("""
import sys
sys.dont_write_bytecode = True
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    warehouse.publish()
    say("published")
except StocksError as error:
    say(f"{type(error).__name__}: {error}")
""")
    said = heard(full)
    full.wait(30)
    assert said.startswith("WarehouseError:"), said
    assert version_seen(settings) == 1
    assert list((settings.home / "warehouse").glob(".*")) == []
    open_warehouse(settings).publish()
    assert version_seen(settings) == 2
