"""The ledger: what is there balances, what is missing or doubled is named, what is on its way is waiting."""

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import orjson
import pytest
from click.testing import CliRunner
from conftest import names_of_its_own
from landed import Poll, landed, messages
from story import session_polls

from stocklib.errors import LedgerUnbalanced
from stocklib.lake import Lake
from stocklib.monitoring.heartbeat import Heartbeat
from stocklib.pipeline.landing import land, lander
from stocklib.pipeline.loading import load
from stocklib.pipeline.readmission import read_everywhere
from stocklib.pipeline.reconcile import balance, prepublish_check, record
from stocklib.pipeline.reconcile.balance import (
    CONFIRMED,
    KAFKA_LAKE,
    LAKE_RAW,
    OF_EVENTS,
    OF_MESSAGES,
    RAW_SILVER,
    Balance,
)
from stocklib.pipeline.reconcile.ledger_queries import Span
from stocklib.pipeline.transform import transform
from stocklib.settings import Settings, describe, read_settings
from stocklib.stream import Producer
from stocklib.warehouse import open_warehouse
from stocklib.warehouse.table_columns import columns
from workbench.cli import main
from workbench.embedded.kafka import BUCKET

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

RUN = "replay-run-1"
# Lines of JSON that are no messages, as a stranger with a key to the lake might leave them.
MALFORMED = [
    b"{}",
    b'{"topic":"t"}',
    b'{"topic":"t","topic_id":"i","partition":"first","offset":7}',
    b'{"topic":"t","topic_id":"i","partition":0,"offset":-1}',
    b'{"topic":"t","topic_id":"i","partition":0,"offset":9223372036854775808}',
    b'{"topic":"t","topic_id":"i","partition":0,"offset":null,"timestamp":"noon"}',
    b'{"topic":7,"topic_id":[],"partition":true,"offset":{}}',
]
NO_LETTERS = [
    b'{"topic":"t","topic_id":"i","partition":0,"offset":1,"headers":[1]}',
    b'{"topic":"t","topic_id":"i","partition":0,"offset":2,"headers":"reason"}',
    '{"topic":"t","topic_id":"i","partition":0,"offset":3,"headers":{},"payload_base64":"\u00fc"}'.encode(),
]


def publish(settings: Settings, polls: Sequence[Poll], *, run_id: str = RUN, bad: int = 0) -> dict[str, int]:
    """Publish quotes as the producer does, its heartbeat included; ``bad`` messages of AAPL follow."""
    with Producer(settings, source="replay", run_id=run_id) as producer:
        for poll in polls:
            value = orjson.dumps(poll.payload())
            producer.publish(settings.kafka_topic, poll.symbol, value, timestamp=poll.fetched_at)
        for _ in range(bad):
            producer.publish(settings.kafka_topic, "AAPL", b'{"symbol":"AAPL"}', timestamp=polls[-1].fetched_at)
        producer.flush()
        confirmed = dict(producer.confirmed)
    beat = {"state": "done", "topic": settings.kafka_topic, "confirmed": confirmed}
    Heartbeat(settings.home, role="producer", run_id=run_id).end(lambda: beat, ended="done")
    return confirmed


def quotes(settings: Settings) -> list[str]:
    """The keys of the quotes' objects."""
    return [found.key for found in Lake(settings).list("stock_quotes")]


def remove(settings: Settings, key: str) -> bytes:
    """Take an object out of the lake, as nobody should; its bytes."""
    lake = Lake(settings)
    content = bytes(lake._s3.cat_file(f"{lake.bucket}/{key}"))
    lake._s3.rm_file(f"{lake.bucket}/{key}")
    return content


def restore(settings: Settings, key: str, content: bytes) -> None:
    lake = Lake(settings)
    lake._s3.pipe_file(f"{lake.bucket}/{key}", content)


def said(found: Balance, hop: str) -> str:
    """Everything that is wrong with a hop."""
    return "\n".join(str(problem) for problem in found.problems if problem.hop == hop)


@pytest.fixture(scope="module")
def flow(stack: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A session of five symbols, some dead letters and a re-read, from Kafka to gold; its settings."""
    environ = stack | names_of_its_own(tmp_path_factory.mktemp("flow")) | {"CLOSE_SETTLE_SECONDS": "0"}
    settings = read_settings(environ=environ)
    publish(settings, session_polls(every=1800), bad=2)
    land(settings, until_idle=2)
    # the consumer died between upload and commit: the same messages are in a second object
    again = quotes(settings)[0]
    lines = Lake(settings).read(again).splitlines()
    Lake(settings).write("stock_quotes", again.split("/")[2].split("+", 1)[0] + "+again", lines, landed=_hour(again))
    load(settings)
    transform(settings)
    return environ


def _hour(key: str):
    from stocklib.lake import parse_key

    return parse_key(key).landed_hour


@pytest.fixture
def copied(flow: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The flow, with a warehouse and heartbeats of the test's own to damage."""
    shutil.copytree(flow["STOCKS_HOME"], tmp_path / "copied")
    return flow | {"STOCKS_HOME": str(tmp_path / "copied")}


def damage(environ: dict[str, str], *statements: str) -> Settings:
    """The settings, after some SQL on the private version."""
    settings = read_settings(environ=environ)
    with duckdb.connect(settings.home / "warehouse" / "build.duckdb") as con:
        for sql in statements:
            con.execute(sql)
    return settings


def test_a_flow_balances_to_the_message(copied: dict[str, str]) -> None:
    settings = read_settings(environ=copied)
    found = balance(settings)
    assert found.problems == ()
    assert (found.unchecked, found.exit_status) == ({}, 0)
    again = sum(row.duplicates for row in found.rows)
    sent = len(session_polls(every=1800))
    assert found.total("in_silver") == sent
    assert found.total("landed") == found.total("loaded") == sent + again > sent
    assert (found.total("dead_letters"), found.total("readmitted"), found.total("waiting")) == (2, 0, 0)
    assert sum(run.confirmed or 0 for run in found.runs) == sent + 2
    assert sum(run.in_raw + run.dead_letters for run in found.runs) == sent + 2
    # kept, and published, since nothing else waits to be
    record(settings, found)
    kept = open_warehouse(settings).query("select sum(in_silver) as n, sum(duplicates) as d from ops.ledger")
    assert (int(kept["n"][0]), int(kept["d"][0])) == (sent, again)


def test_a_deleted_object_and_a_deleted_row_are_both_named(copied: dict[str, str]) -> None:
    settings = read_settings(environ=copied)
    key = quotes(settings)[0]
    victim = "object_key = (select max(object_key) from raw.stock_quotes) and line_no = 2"
    content = remove(settings, key)
    try:
        with duckdb.connect(settings.home / "warehouse" / "build.duckdb") as con:
            other, event, offset = con.execute(
                "select object_key, run_id || '/' || symbol || '/' || seq, kafka_offset "
                f"from bronze.stg_stock_quotes_raw where {victim}"
            ).fetchall()[0]
            con.execute(f"delete from raw.stock_quotes where {victim}")
        found = balance(settings)
    finally:
        restore(settings, key, content)
    assert found.exit_status == 1
    assert f"{key} was loaded and is gone from the lake" in said(found, LAKE_RAW)
    assert "RAW lacks 1 of " in said(found, LAKE_RAW)
    assert other in said(found, LAKE_RAW)
    assert f"line 2 (event {event}, {settings.kafka_topic}/" in said(found, LAKE_RAW)
    assert f"offset {offset})" in said(found, LAKE_RAW)
    assert len(found.problems) >= 2


def test_a_row_that_silver_lacks_and_one_that_it_has_twice_are_named(copied: dict[str, str]) -> None:
    settings = damage(
        copied,
        f"delete from silver.int_quote_events where event_id = '{RUN}/IBM/3'",
        f"insert into silver.int_quote_events select * from silver.int_quote_events where event_id = '{RUN}/FB/4'",
        "delete from silver.stg_stock_quotes_cleaned where symbol = 'MSFT' and seq = 5",
        "update raw.load_history set rejected_lines = 1 where dataset = 'dead_letters'",
    )
    found = balance(settings)
    assert "raw.rejected_lines has 0 of 1 lines of dead_letters/" in said(found, LAKE_RAW)
    wrong = said(found, RAW_SILVER)
    assert f"silver lacks event {RUN}/IBM/3 ({settings.kafka_topic}/" in wrong
    assert f"silver has event {RUN}/FB/4 of stock_quotes 2 times" in wrong
    assert "events of MSFT on 2012-12-14, and its states count" in wrong
    assert found.total("lost") == 1


def test_a_tail_that_was_confirmed_and_is_nowhere_is_lost(copied: dict[str, str]) -> None:
    settings = read_settings(environ=copied)
    beat = settings.home / "heartbeats" / "producer.json"
    facts = json.loads(beat.read_text())
    last = facts["confirmed"]["GOOG"]
    facts["confirmed"]["GOOG"] = last + 3
    beat.write_text(json.dumps(facts))
    lost = f"3 events of GOOG in run {RUN} are lost, seq {last + 1}-{last + 3}"
    emptied = read_settings(environ=copied | {"STOCKS_HOME": f"{settings.home}-emptied"})
    shutil.copytree(settings.home, emptied.home)
    found = balance(settings)
    assert lost in said(found, CONFIRMED)
    assert len(found.problems) == 1
    # the same, and a power cut emptied the file: nobody knows what was confirmed, and nobody says that it balances,
    # whether a ledger before it found the loss or not
    beat.write_text("")
    (emptied.home / "heartbeats" / "producer.json").write_text("")
    record(emptied, found)
    for home, rest in ((settings.home, "Nothing else is wrong"), (emptied.home, "1 problems that an earlier ledger")):
        told = ask(copied | {"STOCKS_HOME": str(home)}, "ledger")
        assert told.exit_code == 2
        verdict = told.output.splitlines()[-1]
        assert verdict.startswith("the ledger could not be checked everywhere: confirmed → RAW: ")
        assert f"{home / 'heartbeats' / 'producer.json'} is empty" in verdict
        assert rest in verdict
    # nor where it was deleted by hand
    (emptied.home / "heartbeats" / "producer.json").unlink()
    told = ask(copied | {"STOCKS_HOME": str(emptied.home)}, "ledger")
    assert (told.exit_code, f"{emptied.home / 'heartbeats'} has no file of run '{RUN}'" in told.output) == (2, True)
    record(emptied, found)
    with pytest.raises(LedgerUnbalanced, match="3 events of GOOG"):
        prepublish_check.check(emptied, open_warehouse(emptied), since=1, upto=1)
    # what other runs confirmed is still compared
    other = beat.with_name("run-2.json")
    other.write_text(json.dumps(facts | {"run_id": "replay-run-2", "confirmed": {"AAPL": 2}}))
    found = balance(settings)
    assert "2 events of AAPL in run replay-run-2 are lost, seq 1-2" in said(found, CONFIRMED)
    assert (len(found.problems), set(found.unchecked)) == (1, {CONFIRMED})


def test_what_landed_and_was_lost_before_the_load_is_named_by_offset_and_seq(settings: Settings) -> None:
    polls = session_polls(every=3600, symbols=["AAPL"])
    publish(settings, polls[:3])
    land(settings, until_idle=1)
    (lost,) = quotes(settings)
    publish(settings, polls[3:], run_id="replay-run-2")
    # in Kafka, then in the lake, then loaded: on its way is not lost
    assert balance(settings).problems == ()
    assert balance(settings).total("waiting") == len(polls)
    land(settings, until_idle=1)
    assert balance(settings).total("waiting") == balance(settings).total("landed") == len(polls)
    content = remove(settings, lost)
    load(settings)
    found = balance(settings)
    assert "3 messages of" in said(found, KAFKA_LAKE)
    assert "are lost, offsets 0-2" in said(found, KAFKA_LAKE)
    assert f"3 events of AAPL in run {RUN} are lost, seq 1-3; 3 were confirmed" in said(found, CONFIRMED)
    # it is back, but in a place that the load has left behind only if it has moved on
    restore(settings, lost, content)
    assert balance(settings).problems == ()
    # a damaged object is named, and with it what it may hold
    restore(settings, lost, b"no gzip")
    found = balance(settings)
    assert f"{lost} cannot be read" in said(found, LAKE_RAW)
    assert f"an object that cannot be read may hold them [{lost}]" in said(found, KAFKA_LAKE)


def test_lines_that_no_consumer_wrote_are_left_out_and_what_was_never_built_counts_as_loaded(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    polls = session_polls(every=3600, symbols=["AAPL"])[:3]
    publish(settings, polls, bad=1)
    land(settings, until_idle=1)
    lake, now = Lake(settings), datetime.now(UTC)
    lake.write("dead_letters", "stranger", [*MALFORMED, *NO_LETTERS], landed=now)
    lake.write("stock_quotes", "stranger", MALFORMED, landed=now)
    # in the lake, then in RAW, with nothing built
    for loaded in (0, 3):
        found = balance(settings)
        assert found.problems == ()
        assert (found.exit_status, set(found.unchecked)) == (2, {RAW_SILVER})
        assert (found.total("landed"), found.total("loaded"), found.total("dead_letters")) == (3, loaded, 1)
        (run,) = found.runs
        assert (run.in_raw, run.in_lake, run.confirmed, run.lost) == (loaded, 3 - loaded, 4, 0)
        assert [str(letter.origin[3]) for letter in read_everywhere(settings).dead_letters] == ["3"]
        load(settings)
    assert "are no dead letters" in caplog.text
    transform(settings)
    assert balance(settings).exit_status == 0


@pytest.mark.embedded_kafka
def test_a_message_that_kafka_itself_lost_is_lost_by_seq_and_a_hole_in_its_log(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls = session_polls(every=3600, symbols=["AAPL"])
    for number, poll in enumerate(polls[:3]):
        publish(settings, [poll], run_id=f"replay-run-{number}")
    # what a broker leaves that is killed between counting a batch and writing it
    storage = Lake(settings)._s3
    batches = storage.glob(f"{BUCKET}/clusters/*/topics/{settings.kafka_topic}/partitions/*/records/*.batch")
    storage.rm_file(max(batches))
    # the last message is counted, and never given: a run that is to end with the topic ends all the same
    monkeypatch.setattr(lander, "_SLOW_ANSWER", 3.0)
    assert land(settings, until_idle=1).messages == 2
    publish(settings, polls[3:5], run_id="replay-run-3")
    assert land(settings, until_idle=1).messages == 2
    found = balance(settings)
    assert said(found, KAFKA_LAKE) == ""
    assert "1 events of AAPL in run replay-run-2 are lost, seq 1; 1 were confirmed" in said(found, CONFIRMED)
    # a producer that was not told of it sends it again
    publish(settings, [polls[2]], run_id="replay-run-2")
    land(settings, until_idle=1)
    assert balance(settings).problems == ()


def test_servers_that_are_down_leave_their_hops_unchecked(copied: dict[str, str]) -> None:
    without_kafka = balance(read_settings(environ=copied | {"KAFKA_BROKER": "127.0.0.1:9"}))
    assert (without_kafka.problems, without_kafka.exit_status) == ((), 2)
    assert set(without_kafka.unchecked) == {CONFIRMED, KAFKA_LAKE}
    assert "KAFKA_BROKER" in without_kafka.unchecked[KAFKA_LAKE]
    without_lake = balance(read_settings(environ=copied | {"MINIO_ENDPOINT": "http://127.0.0.1:9"}))
    assert (without_lake.problems, without_lake.exit_status) == ((), 2)
    assert set(without_lake.unchecked) == {CONFIRMED, KAFKA_LAKE, LAKE_RAW}
    # what can be checked still is
    settings = damage(copied, f"delete from silver.int_quote_events where event_id = '{RUN}/IBM/3'")
    assert balance(read_settings(environ=copied | {"KAFKA_BROKER": "127.0.0.1:9"})).exit_status == 1
    assert settings.home.exists()


def test_a_day_can_be_asked_for_alone(copied: dict[str, str]) -> None:
    settings = read_settings(environ=copied)
    whole = balance(settings)
    day = balance(settings, day=date(2012, 12, 14))
    assert (day.rows, day.problems) == (whole.rows, ())
    assert balance(settings, since=date(2012, 12, 15)).rows == ()


def test_a_bounded_ledger_begins_and_ends_at_midnight_in_new_york() -> None:
    rows = ["2012-12-14 04:59:59", "2012-12-14 05:00:00", "2012-12-15 04:59:59", "2012-12-15 05:00:00"]
    kept = Span(days=(date(2012, 12, 14), date(2012, 12, 14))).condition
    values = ", ".join(f"(1, timestamp '{at}')" for at in rows)
    asked = (
        f"select strftime(record_timestamp, '%Y-%m-%d %H:%M:%S') from (values {values}) r(load_id, record_timestamp)"
    )
    assert [at for (at,) in duckdb.sql(f"{asked} where {kept} order by 1").fetchall()] == rows[1:3]


def test_the_counts_are_stored_in_the_columns_that_they_name(copied: dict[str, str]) -> None:
    stated = {table: list(columns(f"ops.{table}", snowflake=False)) for table in ("ledger", "ledger_runs")}
    assert stated["ledger"][5:] == list(OF_MESSAGES)
    assert stated["ledger_runs"][2:] == list(OF_EVENTS)
    rows = balance(read_settings(environ=copied)).to_tables()
    assert all(len(row) == len(stated[table]) for table in stated for row in rows[table])


def test_the_command_prints_the_balance_and_its_exit_status_is_the_verdict(copied: dict[str, str]) -> None:
    good = ask(copied, "ledger")
    assert good.exit_code == 0, good.output
    assert good.output.splitlines()[-1].startswith("the ledger balances: ")
    torn = Path(copied["STOCKS_HOME"]) / "spool" / "run-0.torn"
    torn.parent.mkdir(exist_ok=True)
    torn.touch()
    told = ask(copied, "ledger")
    assert (told.exit_code, f"{torn} had lines" in told.output.splitlines()[-1]) == (2, True)
    torn.unlink()
    damage(copied, f"delete from silver.int_quote_events where event_id = '{RUN}/IBM/3'")
    told = ask(copied, "ledger", "--json")
    assert told.exit_code == 1
    answer = json.loads(told.output)
    assert not answer["is_balanced"]
    assert any(f"{RUN}/IBM/3" in problem["what"] for problem in answer["problems"])
    assert ask(copied, "ledger", "--accept").exit_code == 0
    assert "(accepted)" in ask(copied, "ledger").output
    assert ask(copied, "ledger", "--day", "2012-12-14", "--since", "2012-12-14").exit_code == 2


def ask(environ: dict[str, str], *arguments: str):
    names = {name: None for name, _, _ in describe()}
    return CliRunner().invoke(main, arguments, env={**names, **environ})


# ── the gate ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_imbalance_stops_the_publish_and_readers_keep_the_last_version(copied: dict[str, str]) -> None:
    settings = read_settings(environ=copied)
    warehouse = open_warehouse(settings)
    before = warehouse.published_build()
    lines = messages(
        session_polls(every=1800, symbols=["AAPL"]), run_id="late", first_offset=1000, seqs=lambda n: n + 1
    )
    warehouse.load([landed("stock_quotes", [*lines[:4], *lines[7:]], name="late")])
    facts = {"state": "done", "topic": settings.kafka_topic, "confirmed": {"AAPL": len(lines)}}
    Heartbeat(settings.home, role="producer", run_id="late").end(lambda: facts, ended="done")
    with pytest.raises(LedgerUnbalanced) as stopped:
        transform(settings)
    assert "3 events of AAPL in run late are lost, seq 5-7" in str(stopped.value)
    assert "readers still see the last good version" in str(stopped.value)
    assert warehouse.published_build() == before
    last = warehouse.query("select verb || ' ' || status as run from ops.pipeline_runs order by started_at")
    assert last["run"].iloc[-1] == "transform succeeded"


def test_the_gate_names_rows_that_are_missing_anywhere(copied: dict[str, str], tmp_path: Path) -> None:
    def stopped_by(*statements: str) -> str:
        home = tmp_path / f"gate-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(copied["STOCKS_HOME"], home)
        settings = damage(copied | {"STOCKS_HOME": str(home)}, *statements)
        with pytest.raises(LedgerUnbalanced) as stopped:
            prepublish_check.check(settings, open_warehouse(settings), since=0, upto=1)
        return str(stopped.value)

    settings = read_settings(environ=copied)
    prepublish_check.check(settings, open_warehouse(settings), since=0, upto=1)
    assert "RAW lacks 1 of" in stopped_by(
        "delete from raw.stock_quotes where object_key = (select min(object_key) from raw.stock_quotes) and line_no = 1"
    )
    assert f"silver lacks event {RUN}/IBM/3" in stopped_by(
        f"delete from silver.int_quote_events where event_id = '{RUN}/IBM/3'"
    )
    assert "its states count" in stopped_by(
        "delete from silver.stg_stock_quotes_cleaned where symbol = 'MSFT' and seq = 5"
    )


@pytest.mark.parametrize(
    ("statement", "failed"),
    [
        (
            f"delete from silver.int_quote_events where event_id = '{RUN}/IBM/3'",
            ["int_quote_events_has_every_message", "stg_stock_quotes_cleaned_counts_every_event"],
        ),
        (
            "delete from silver.stg_stock_quotes_cleaned where symbol = 'MSFT' and seq = 5",
            ["stg_stock_quotes_cleaned_counts_every_event"],
        ),
        ("select 1", []),
    ],
)
def test_dbt_itself_tests_that_silver_holds_every_message(
    copied: dict[str, str], statement: str, failed: list[str]
) -> None:
    warehouse = open_warehouse(damage(copied, statement))
    result = warehouse.dbt(["test", "--select", "tag:whole_tables"], keep=True)
    assert sorted(failure.split()[1].strip(":") for failure in result.failures) == failed
    assert sum(result.counts.values()) == 3


def test_a_part_of_the_models_is_built_without_the_tests_of_what_comes_after_it(copied: dict[str, str]) -> None:
    settings = read_settings(environ=copied)
    warehouse = open_warehouse(settings)
    late = messages(session_polls(every=1800, symbols=["AAPL"]), run_id="late", first_offset=1000)
    warehouse.load([landed("stock_quotes", late, name="late")])
    assert not transform(settings, select="stg_stock_quotes_raw").published
    assert transform(settings).published


def test_what_a_ledger_found_stops_the_publish_until_a_later_one_balances(copied: dict[str, str]) -> None:
    settings = read_settings(environ=copied)
    warehouse = open_warehouse(settings)
    key = quotes(settings)[0]
    content = remove(settings, key)
    try:
        record(settings, balance(settings))
        with pytest.raises(LedgerUnbalanced, match="is gone from the lake"):
            prepublish_check.check(settings, warehouse, since=1, upto=1)
        # a ledger that cannot look does not clear it
        away = read_settings(environ=copied | {"MINIO_ENDPOINT": "http://127.0.0.1:9"})
        still = record(away, balance(away))
        assert (still.is_balanced, still.exit_status) == (False, 2)
        with pytest.raises(LedgerUnbalanced, match="is gone from the lake"):
            prepublish_check.check(settings, warehouse, since=1, upto=1)
        # a loss that cannot be mended is taken note of
        assert record(settings, balance(settings), accept=True).is_balanced
        prepublish_check.check(settings, warehouse, since=1, upto=1)
    finally:
        restore(settings, key, content)
    assert record(settings, balance(settings)).problems == ()
    prepublish_check.check(settings, warehouse, since=1, upto=1)
