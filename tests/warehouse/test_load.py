"""Landed objects in, RAW rows out: what the warehouse takes, what it refuses, and that it does so once."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from landed import Bar, actions, candles, landed, messages, polls_of, settings_in, utc

from stocklib.errors import CorruptObject, LakeError, MissingObject, WarehouseError, WrongSource
from stocklib.settings import Settings
from stocklib.warehouse import LandedObject, open_warehouse
from stocklib.warehouse.raw_lines import check_lines

BAR = Bar("AAPL", date(2012, 12, 14), 514.75, 518.132, 505.58, 509.794, prev_close=529.69)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = settings_in(tmp_path)
    open_warehouse(settings).initialise()
    return settings


def rows(settings: Settings, sql: str) -> list[tuple[object, ...]]:
    """Ask the private file."""
    with duckdb.connect(settings.home / "warehouse" / "build.duckdb", read_only=True) as con:
        return con.execute(sql).fetchall()


def quotes(name: str = "q", **how: object) -> LandedObject:
    return landed("stock_quotes", messages(polls_of(BAR, every=3600), **how), name=name)  # type: ignore[arg-type]


def test_every_line_is_kept_as_it_landed_with_its_object_line_and_load(settings: Settings) -> None:
    line = b'{"topic":"t","payload":{"c":1.10,"n":12345678901234567890123,"u":"\xc3\xa9"},"headers":{}}'
    result = open_warehouse(settings).load([landed("stock_quotes", [line, line], name="q")])
    assert (result.load_id, result.objects, result.rows, result.rejected, result.corrupt) == (1, 1, 2, 0, ())
    found = rows(
        settings, "select record::varchar, object_key, line_no, load_id from raw.stock_quotes order by line_no"
    )
    key = "stock_quotes/landed=2012-12-14T21/q+0123456789ab.ndjson.gz"
    assert found == [(line.decode(), key, 1, 1), (line.decode(), key, 2, 1)]
    history = rows(
        settings, "select dataset, object_key, load_id, lines, loaded_lines, rejected_lines from raw.load_history"
    )
    assert history == [("stock_quotes", key, 1, 2, 2, 0)]


def test_load_ids_grow_and_what_is_loaded_is_known(settings: Settings) -> None:
    warehouse = open_warehouse(settings)
    first, second = quotes("a"), quotes("b")
    assert [warehouse.load([one]).load_id for one in (first, second)] == [1, 2]
    assert warehouse.known_keys("stock_quotes") == {first.key, second.key}
    assert warehouse.known_keys("stock_quotes", since=second.key) == {second.key}
    assert warehouse.known_keys("stock_trades") == set()
    assert warehouse.last_key("stock_quotes") == second.key
    assert warehouse.last_key("stock_quotes", before=second.key) == first.key
    assert warehouse.last_key("stock_quotes", before=first.key) is None
    assert warehouse.last_key("stock_trades") is None


def test_an_older_object_that_comes_late_does_not_move_the_newest_back(settings: Settings) -> None:
    warehouse = open_warehouse(settings)
    warehouse.load([quotes("b")])
    warehouse.load([quotes("a")])
    assert warehouse.last_key("stock_quotes") == quotes("b").key


def test_nothing_to_load_is_no_load(settings: Settings) -> None:
    assert open_warehouse(settings).load([]).load_id is None
    assert open_warehouse(settings).newest_load() == 0


def test_a_bad_line_is_rejected_with_its_reason_and_the_rest_loads(settings: Settings) -> None:
    good = b'{"payload":{"c":1}}'
    lines = [good, b'{"payload":{"c":NaN}}', b"[1]", b'{"cut":', b'"text"', b"\xff\xfe", b'{"a":"\\ud800"}', b"", good]
    result = open_warehouse(settings).load([landed("stock_quotes", lines, name="q")])
    assert (result.rows, result.rejected) == (2, 6)
    rejected = rows(settings, "select line_no, raw_text, reason from raw.rejected_lines order by line_no")
    assert [line for line, _, _ in rejected] == [2, 3, 4, 5, 6, 7]
    assert rejected[0][1] == '{"payload":{"c":NaN}}'
    assert rejected[1][2] == "not a JSON object"
    assert rows(settings, "select line_no from raw.stock_quotes order by 1") == [(1,), (9,)]


def test_a_corrupt_object_is_named_and_not_recorded_and_the_rest_loads(settings: Settings) -> None:
    broken = True

    def read() -> bytes:
        if broken:
            raise CorruptObject("stock_quotes/broken cannot be read: its gzip ends early")
        return b'{"payload":{}}\n'

    warehouse = open_warehouse(settings)
    bad = LandedObject("stock_quotes", "stock_quotes/broken", read)
    result = warehouse.load([bad, quotes("b")])
    assert (result.objects, result.corrupt) == (1, ("stock_quotes/broken cannot be read: its gzip ends early",))
    assert bad.key not in warehouse.known_keys("stock_quotes")
    broken = False
    assert warehouse.load([bad]).rows == 1
    # and alone: no load
    broken = True
    assert warehouse.load([bad]).load_id is None


class Faulty:
    """An object of the lake that gives what it is told to."""

    def __init__(self, name: str) -> None:
        self.answer: bytes | LakeError = CorruptObject(f"{name} cannot be read: its gzip ends early")
        self.landed = LandedObject("stock_quotes", landed("stock_quotes", [], name=name).key, self.read)

    def read(self) -> bytes:
        if isinstance(self.answer, LakeError):
            raise self.answer
        return self.answer


def test_what_could_not_be_read_is_remembered_until_it_loads_or_is_gone(settings: Settings) -> None:
    warehouse = open_warehouse(settings)
    restored, removed = Faulty("restored"), Faulty("removed")
    warehouse.load([restored.landed, removed.landed, quotes("a")])
    first = {one.key: one for one in warehouse.unreadable()}
    assert set(first) == {restored.landed.key, removed.landed.key}
    assert first[restored.landed.key].dataset == "stock_quotes"
    assert first[restored.landed.key].reason == "restored cannot be read: its gzip ends early"

    # a later try, of them alone: when it was seen first stays
    restored.answer = CorruptObject("restored cannot be read: its name says another hash")
    assert warehouse.load([restored.landed, removed.landed]).load_id is None
    again = {one.key: one for one in warehouse.unreadable()}[restored.landed.key]
    assert again.reason == "restored cannot be read: its name says another hash"
    assert again.first_seen_at == first[again.key].first_seen_at == first[again.key].last_tried_at
    assert first[again.key].last_tried_at < again.last_tried_at <= datetime.now(UTC)

    restored.answer, removed.answer = b'{"payload":{}}\n', MissingObject("the lake has no such object")
    done = warehouse.load([restored.landed, removed.landed])
    assert (done.load_id, done.objects, done.corrupt) == (2, 1, ())
    assert warehouse.unreadable() == []


def test_an_unreadable_object_leaves_the_list_with_its_load_or_not_at_all(settings: Settings) -> None:
    warehouse = open_warehouse(settings)
    restored = Faulty("restored")
    warehouse.load([restored.landed])
    restored.answer = b'{"payload":{}}\n'

    def objects() -> Iterator[LandedObject]:
        yield restored.landed
        raise ConnectionError("the lake is gone")

    with pytest.raises(ConnectionError):
        warehouse.load(objects())
    assert [one.key for one in warehouse.unreadable()] == [restored.landed.key]


def test_a_table_of_ops_that_an_older_release_did_not_know_is_made(settings: Settings) -> None:
    with duckdb.connect(settings.home / "warehouse" / "build.duckdb") as con:
        con.execute("drop table ops.unreadable_objects")
    open_warehouse(settings).initialise()
    assert open_warehouse(settings).unreadable() == []


def test_a_load_that_breaks_halfway_leaves_nothing(settings: Settings) -> None:
    warehouse = open_warehouse(settings)

    def objects() -> Iterator[LandedObject]:
        yield quotes("a")
        raise ConnectionError("the lake is gone")

    with pytest.raises(ConnectionError):
        warehouse.load(objects())
    assert rows(settings, "select count(*) from raw.stock_quotes") == [(0,)]
    assert warehouse.newest_load() == 0
    assert warehouse.load([quotes("a")]).load_id == 1


@pytest.mark.parametrize(("first", "second"), [("replay", "finnhub"), ("finnhub", "replay"), ("yfinance", "replay")])
def test_live_and_replayed_data_do_not_meet(settings: Settings, first: str, second: str) -> None:
    warehouse = open_warehouse(settings)
    warehouse.load([quotes("a", source=first)])
    with pytest.raises(WrongSource, match="nothing was loaded"):
        warehouse.load([quotes("b", source=first), quotes("c", source=second)])
    history = landed("corporate_actions", actions(["AAPL"], utc("2012-12-14T14:00"), source=second), name="h")
    with pytest.raises(WrongSource, match="corporate_actions/landed"):
        warehouse.load([history])
    assert warehouse.newest_load() == 1
    assert warehouse.known_keys("stock_quotes") == {quotes("a").key}


def test_both_live_sources_go_together(settings: Settings) -> None:
    warehouse = open_warehouse(settings)
    warehouse.load([quotes("a", source="finnhub")])
    bars = candles([BAR], utc("2012-12-15T01:00"), source="yfinance")
    assert warehouse.load([landed("daily_historical_quotes", bars, name="h")]).rows == 1


def test_another_schema_version_says_to_rebuild(settings: Settings) -> None:
    with duckdb.connect(settings.home / "warehouse" / "build.duckdb") as con:
        con.execute("update ops.schema_version set version = 0")
    with pytest.raises(WarehouseError, match=r"schema version 0 .* run `stocks rebuild`"):
        open_warehouse(settings).initialise()


def test_a_file_that_is_no_database_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "warehouse").mkdir()
    (tmp_path / "warehouse" / "build.duckdb").write_bytes(b"not a database" * 1000)
    with pytest.raises(WarehouseError, match=r"build\.duckdb"):
        open_warehouse(settings_in(tmp_path)).initialise()


def test_a_home_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(WarehouseError, match="choose another STOCKS_HOME"):
        open_warehouse(settings_in(tmp_path / "file")).initialise()


def test_the_calendar_knows_the_closed_days_and_does_not_depend_on_today(settings: Settings) -> None:
    sql = "select is_trading_day, holiday from raw.trading_sessions where calendar_date = '{}'"
    assert rows(settings, sql.format("2012-10-29")) == [(False, "Exchange closed")]
    assert rows(settings, sql.format("2012-12-14")) == [(True, None)]
    span = "select min(calendar_date), max(calendar_date), count(*) from raw.trading_sessions"
    assert rows(settings, span) == [(date(2000, 1, 1), date(2049, 12, 31), 18263)]


def test_sessions_are_numbered_without_a_gap_in_a_calendar_of_an_older_release_too(settings: Settings) -> None:
    with duckdb.connect(settings.home / "warehouse" / "build.duckdb") as con:
        con.execute("alter table raw.trading_sessions drop column session_number")
        con.execute("alter table raw.trading_sessions drop column calendar")
        con.execute("update ops.schema_version set calendar = '4.13'")
    open_warehouse(settings).initialise()
    numbered = "select {} from raw.trading_sessions where is_trading_day"
    assert rows(settings, numbered.format("count(*) = max(session_number), min(session_number)")) == [(True, 1)]
    assert rows(settings, "select distinct calendar from raw.trading_sessions") == [("XNYS",)]
    # Hurricane Sandy closed the exchange for two days
    days = numbered.format("calendar_date, session_number - 3227") + " and calendar_date between '{}' and '{}'"
    assert rows(settings, days.format("2012-10-26", "2012-10-31")) == [(date(2012, 10, 26), 0), (date(2012, 10, 31), 1)]
    closed = "select count(*) from raw.trading_sessions where not is_trading_day and session_number is not null"
    assert rows(settings, closed) == [(0,)]


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_every_line_that_is_judged_good_is_json_to_the_engine(value: object) -> None:
    try:
        line = b'{"payload":' + orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS) + b"}"
    except orjson.JSONEncodeError:
        return
    checked = check_lines("stock_quotes", "k", line)
    for text in checked.good:
        assert duckdb.execute("select try_cast(? as json) is not null", [text.decode()]).fetchall() == [(True,)]
