"""Loading into Snowflake: each line once, whatever dies when."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from landed import DAY, Bar, landed, messages, polls_of
from snowflake.connector.errors import ProgrammingError
from snowflake_emulator import Emulator, end_sessions_of_others, environ_of, lose_staged_files

from stocklib.errors import CorruptObject, MissingObject, OtherRelease, WarehouseBusy, WarehouseError, WrongSource
from stocklib.settings import Settings
from stocklib.warehouse import LandedObject, open_warehouse
from stocklib.warehouse.snowflake import SnowflakeWarehouse

BAR = Bar("AAPL", DAY, 514.75, 518.132, 505.58, 509.794, prev_close=529.69)
LINES = messages(polls_of(BAR, every=3600))


def quotes(name: str = "q", **how: Any) -> LandedObject:
    return landed("stock_quotes", messages(polls_of(BAR, every=3600), **how), name=name)


def raw(settings: Settings) -> list[tuple[Any, ...]]:
    """Every line of RAW with where it came from, and what is remembered of its object."""
    return open_warehouse(settings).read(
        "select q.object_key, q.line_no, q.load_id, q.record:payload.c::varchar, h.loaded_lines "
        "from raw.stock_quotes as q left join raw.load_history as h on q.object_key = h.object_key order by 1, 2, 3"
    )


def staged(settings: Settings) -> list[tuple[Any, ...]]:
    return open_warehouse(settings).read("list @raw.landing")


def staging(settings: Settings) -> list[Path]:
    return [path for path in (settings.home / "warehouse" / "snowflake" / "staging").rglob("*") if path.is_file()]


@pytest.fixture
def ready(warehouse: Settings) -> Settings:
    """A warehouse whose tables are there."""
    open_warehouse(warehouse).initialise()
    return warehouse


def test_lines_are_loaded_with_object_line_and_load_and_nothing_is_left_behind(ready: Settings) -> None:
    result = open_warehouse(ready).load([quotes("a"), quotes("b")])
    assert (result.load_id, result.objects, result.rows, result.rejected) == (1, 2, 2 * len(LINES), 0)
    found = raw(ready)
    assert [row[:3] for row in found[: len(LINES)]] == [(quotes("a").key, n + 1, 1) for n in range(len(LINES))]
    assert {row[4] for row in found} == {len(LINES)}
    assert staged(ready) == []
    assert staging(ready) == []


def test_an_object_is_loaded_once_whatever_a_caller_lists(ready: Settings) -> None:
    warehouse = open_warehouse(ready)
    warehouse.load([quotes("a")])
    before = raw(ready)
    assert warehouse.load([quotes("a")]).load_id is None
    assert warehouse.load([quotes("a"), quotes("b"), quotes("b")]).objects == 1
    assert [row for row in raw(ready) if row[2] == 1] == before
    assert warehouse.known_keys("stock_quotes") == {quotes("a").key, quotes("b").key}
    assert warehouse.last_key("stock_quotes") == quotes("b").key
    assert warehouse.last_key("stock_quotes", before=quotes("b").key) == quotes("a").key


def test_a_bad_line_is_rejected_with_its_reason_and_the_rest_loads(ready: Settings) -> None:
    lines = [LINES[0], b'{"payload":{"c":NaN}}', b"[1]", b"\xff", LINES[1]]
    result = open_warehouse(ready).load([landed("stock_quotes", lines, name="q")])
    assert (result.rows, result.rejected) == (2, 3)
    told = open_warehouse(ready).read("select line_no, raw_text, reason from raw.rejected_lines order by 1")
    assert [row[0] for row in told] == [2, 3, 4]
    assert told[1][1:] == ("[1]", "not a JSON object")


def test_what_cannot_be_read_is_remembered_until_it_loads_or_is_gone(ready: Settings) -> None:
    answers: dict[str, bytes | Exception] = {"x": CorruptObject("x cannot be read"), "y": CorruptObject("y is broken")}

    def broken(name: str) -> LandedObject:
        def read() -> bytes:
            answer = answers[name]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return LandedObject("stock_quotes", f"stock_quotes/landed=2012-12-14T21/{name}", read)

    warehouse = open_warehouse(ready)
    assert warehouse.load([broken("x"), broken("y"), quotes("a")]).corrupt == ("x cannot be read", "y is broken")
    assert [one.key[-1] for one in warehouse.unreadable()] == ["x", "y"]
    answers |= {"x": LINES[0], "y": MissingObject("gone")}
    assert warehouse.load([broken("x"), broken("y")]).objects == 1
    assert warehouse.unreadable() == []


def test_live_and_replayed_data_do_not_meet(ready: Settings) -> None:
    warehouse = open_warehouse(ready)
    warehouse.load([quotes("a")])
    with pytest.raises(WrongSource, match="nothing was loaded"):
        warehouse.load([quotes("b"), quotes("c", source="finnhub")])
    assert warehouse.newest_load() == 1
    assert staging(ready) == []


def test_a_stage_that_lost_files_ends_the_load_and_loses_nothing(ready: Settings, killing: Emulator) -> None:
    warehouse = open_warehouse(ready)
    killing.before = lambda sql: lose_staged_files(ready) if sql.startswith("copy ") else None
    with pytest.raises(WarehouseError, match="nothing was loaded"):
        warehouse.load([quotes("a")])
    killing.before = lambda sql: None
    assert raw(ready) == []
    assert staging(ready) == []
    assert warehouse.load([quotes("a")]).load_id == 1


def test_a_warehouse_of_another_release_names_the_command(ready: Settings) -> None:
    warehouse = SnowflakeWarehouse(ready)
    warehouse._session().run("update ops.schema_version set version = 1")
    with pytest.raises(OtherRelease, match=r"schema version 1 .* run `stocks rebuild`"):
        warehouse.initialise()


def test_small_objects_are_loaded_together_in_one_file_and_by_one_copy(ready: Settings, killing: Emulator) -> None:
    seen = len(killing.seen)
    files: list[int] = []
    killing.before = lambda sql: files.append(len(staging(ready))) if sql.startswith("put ") else None
    assert open_warehouse(ready).load([quotes(f"{number:02}") for number in range(40)]).objects == 40
    verbs = [sql.split()[0] for sql in killing.seen[seen:]]
    # the connector asks once more for the address of each file
    assert set(files) == {1}
    assert verbs.count("copy") == 1
    assert verbs.count("insert") < 10


def test_an_object_that_copy_has_forgotten_is_not_loaded_again(ready: Settings) -> None:
    warehouse = open_warehouse(ready)
    warehouse.load([quotes("a")])
    warehouse.read("update raw.load_history set loaded_at = dateadd('day', -65, loaded_at)")
    before = raw(ready)
    assert warehouse.load([quotes("a")]).objects == 0
    assert warehouse.load([quotes("a"), quotes("b")]).objects == 1
    assert [row for row in raw(ready) if row[2] == 1] == before


@pytest.mark.parametrize(
    ("step", "number", "message", "told"),
    [
        ("put", 394400, "Programmatic access token is invalid.", "add programmatic access token"),
        ("copy", 90073, "Warehouse 'STOCKS_WH' cannot be resumed because resource monitor 'M' has exceeded its quota.",
         "held by a resource monitor"),
        ("insert", 3001, "Insufficient privileges to operate on table 'STOCK_QUOTES'", "lacks a grant"),
        ("commit", 604, "SQL execution canceled: statement reached its statement timeout", "SNOWFLAKE_TIMEOUT_SECONDS"),
    ],
)  # fmt: skip
def test_a_load_that_is_refused_on_its_way_changes_nothing_and_the_next_one_brings_it(
    ready: Settings, killing: Emulator, step: str, number: int, message: str, told: str
) -> None:
    def refuse(sql: str) -> None:
        # the lock's own row is written before
        if (sql.startswith(f"{step} ") and "writer_lock" not in sql) or sql == step:
            raise ProgrammingError(msg=message, errno=number)

    warehouse = open_warehouse(ready)
    killing.before = refuse
    with pytest.raises(WarehouseError, match=told):
        warehouse.load([quotes("a")])
    killing.before = lambda sql: None
    assert raw(ready) == []
    assert staging(ready) == []
    assert warehouse.load([quotes("a")]).objects == 1
    assert staged(ready) == []


def test_one_writes_at_a_time_and_the_other_learns_who(ready: Settings) -> None:
    one, other = open_warehouse(ready), open_warehouse(ready)
    with one.writing(), pytest.raises(WarehouseBusy, match=rf"process {os.getpid()} on "), other.writing(wait=0):
        pass
    with other.writing(wait=0):
        pass


def test_a_writer_that_lost_its_lock_commits_nothing(ready: Settings) -> None:
    warehouse = open_warehouse(ready)
    with warehouse.writing():
        warehouse.read("update PUBLIC.writer_lock set token = 'somebody else'")
        with pytest.raises(WarehouseBusy, match="nothing was written"):
            warehouse.load([quotes("a")])
    assert raw(ready) == []


# ── kills ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

VICTIM = """
import sys
sys.path[:0] = sys.argv[1:3]
from test_load import three_objects
from stocklib.settings import read_settings
from stocklib.warehouse import open_warehouse
print(open_warehouse(read_settings()).load(three_objects(sys.argv[3])), flush=True)
"""
_STEPS = ("put", "create", "copy", "begin", "insert", "update", "delete", "commit", "remove", "drop")


def three_objects(name: str) -> list[LandedObject]:
    return [quotes(f"{name}a"), quotes(f"{name}b"), landed("stock_quotes", [LINES[0], b"[1]"], name=f"{name}bad")]


def is_step(sql: str) -> bool:
    """A statement that changes something, or ends something."""
    return sql.split()[0] in _STEPS


@pytest.fixture
def killing(snow: Emulator) -> Iterator[Emulator]:
    yield snow
    snow.before = snow.after = lambda sql: None


@pytest.mark.timeout(600)
def test_a_load_that_is_killed_at_any_step_loses_nothing_and_doubles_nothing(
    ready: Settings, killing: Emulator
) -> None:
    warehouse = open_warehouse(ready)
    # the first load of all also says what kind of data this is
    warehouse.load(three_objects("first"))
    seen = len(killing.seen)
    warehouse.load(three_objects("whole"))
    steps = [sql for sql in killing.seen[seen:] if is_step(sql)]
    assert {sql.split()[0] for sql in steps} == set(_STEPS)
    one = 2 * len(LINES) + 1
    for number, step in enumerate(steps):
        kill_at(ready, killing, number, f"{number:02}")
        there = len(raw(ready))
        # it is all there or nothing of it: a load is there from its commit on
        committed = "commit" in [sql.split()[0] for sql in steps[:number]]
        assert there == one * (number + 2 + committed), f"killed before {step[:60]}"
        result = warehouse.load(three_objects(f"{number:02}"))
        assert result.objects == (0 if committed else 3)
        found = raw(ready)
        assert len(found) == len({row[:2] for row in found}) == one * (number + 3)
        assert all(row[4] in (1, len(LINES)) for row in found)
        assert len(warehouse.read("select * from raw.load_history")) == 3 * (number + 3)
        assert len(warehouse.read("select * from raw.rejected_lines")) == number + 3
        assert staged(ready) == []
        assert staging(ready) == []


def kill_at(settings: Settings, snow: Emulator, number: int, name: str) -> None:
    """A load in a process of its own, which dies when the server is about to do one of its steps."""
    child = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(Path(__file__).parent), str(Path(__file__).parents[1]), name],
        env={**os.environ, **environ_of(settings)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    left = number

    def strike(sql: str) -> None:
        nonlocal left
        if is_step(sql):
            if left == 0:
                child.send_signal(signal.SIGKILL)
                child.wait()
                raise ConnectionError("the client is dead")
            left -= 1

    snow.before = strike
    said, told = child.communicate(timeout=60)
    snow.before = lambda sql: None
    assert child.returncode == -signal.SIGKILL, said.decode() + told.decode()
    end_sessions_of_others(settings)
