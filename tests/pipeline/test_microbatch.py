"""Every few seconds a new version: what a batch of quotes builds, tests and publishes is what a rebuild would."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest
from landed import DAY, gold_hashes, landed, messages, settings_in, trade_messages
from story import Story, history, session_polls

from stocklib.errors import LedgerUnbalanced, TransformFailed
from stocklib.lake import Lake, name_batch
from stocklib.pipeline.loading import load
from stocklib.pipeline.reconcile import balance, record
from stocklib.pipeline.transform import transform
from stocklib.pipeline.transform.micro_batches import MicroBatches, PublishedBatch
from stocklib.settings import Settings
from stocklib.warehouse import LandedObject
from stocklib.warehouse.described import described_models

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


class Stream:
    """Lands objects in the lake of these settings, and takes them in batch by batch."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lake = Lake(settings)
        self.batches = MicroBatches(settings)
        self.offset = 0

    def land(self, *objects: LandedObject) -> None:
        for one in objects:
            self.lake.write(one.dataset, one.key.split("/")[-1].split("+")[0], one.read().splitlines(), landed=_now())

    def land_quotes(self, lines: list[bytes], *, topic: str = "", dataset: str = "stock_quotes") -> None:
        what = name_batch(topic or self.settings.kafka_topic, 0, first=self.offset, last=self.offset + len(lines) - 1)
        self.offset += len(lines)
        self.lake.write(dataset, what, lines, landed=_now())

    def take(self) -> PublishedBatch:
        return self.batches.run_once()


def _now() -> datetime:
    return datetime.now(UTC)


def tables(path: Path) -> dict[str, list[str]]:
    """Every row of every table of a warehouse file, as text, in order."""
    with duckdb.connect(path, read_only=True) as con:
        names = con.execute("select schema_name || '.' || table_name from duckdb_tables() order by 1").fetchall()
        return {
            name: [row[0] for row in con.execute(f"select cast(t as varchar) from {name} as t order by 1").fetchall()]
            for (name,) in names
        }


def published_is_the_build(settings: Settings) -> None:
    folder = settings.home / "warehouse"
    assert tables(folder / "published.duckdb") == tables(folder / "build.duckdb")


def comments(settings: Settings) -> dict[tuple[str, str], str]:
    """What readers see of each column of gold, by table and column."""
    with duckdb.connect(settings.home / "warehouse" / "published.duckdb", read_only=True) as con:
        rows = con.execute("select table_name, column_name, comment from duckdb_columns() where schema_name = 'gold'")
        return {(table, column): " ".join(comment.split()) for table, column, comment in rows.fetchall()}


def build(settings: Settings) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(settings.home / "warehouse" / "build.duckdb")


def past() -> list[LandedObject]:
    return history(date(2012, 11, 1), date(2012, 12, 13), "2012-12-14T14:00", name="h")


def pieces(lines: list[bytes], count: int) -> list[list[bytes]]:
    size = -(-len(lines) // count)
    return [lines[start : start + size] for start in range(0, len(lines), size)]


READER = """
import sys, time, duckdb
con = duckdb.connect(sys.argv[1], read_only=True)
print(con.execute("select count(*) from silver.int_quote_events").fetchall()[0][0], flush=True)
sys.stdin.readline()
print(con.execute("select count(*) from silver.int_quote_events").fetchall()[0][0], flush=True)
"""
CANDLE_BELOW_ITSELF = """
insert into gold.gold_candlestick
select 'AAPL', '1m', timestamp '{} 20:30:00', 2, 1, 3, 2, null, null, 1, null, 'quotes', true
"""


def test_batches_make_the_gold_that_one_build_makes(settings: Settings, tmp_path: Path) -> None:
    """Steps of one story, since each costs a dbt run."""
    lines = messages(session_polls(every=300))
    trades = trade_messages(
        [("AAPL", 510.0 + n, 100.0, datetime(2012, 12, 14, 15, n, tzinfo=UTC)) for n in range(30)], run_id="trades"
    )
    # polled a day before, and told late
    late = messages(session_polls(date(2012, 12, 13), every=1800), run_id="late", topic_id="topic-3")
    first, second, third, fourth = pieces(lines, 4)
    stream = Stream(settings)
    stream.land(*past())
    assert stream.take().built.is_whole

    stream.land_quotes(first)
    done = stream.take()
    assert (done.built.is_whole, done.loaded.rows) == (False, len(first))
    assert done.built.models < 28
    published_is_the_build(settings)
    # also of a table that the batch made again
    assert comments(settings)["gold_kpi", "as_of"] == described_models(settings)["gold_kpi"].columns["as_of"]
    before = gold_hashes(settings)

    # a row that fails a test where the batch touched: readers keep the version before, and the next one makes it good
    with build(settings) as con:
        con.execute(CANDLE_BELOW_ITSELF.format(DAY))
    stream.land_quotes(second)
    stream.land_quotes(trades[:20], topic=settings.kafka_trades_topic, dataset="stock_trades")
    with pytest.raises(TransformFailed, match="gold_candlestick"):
        stream.take()
    assert gold_hashes(settings) == before
    with build(settings) as con:
        con.execute("delete from gold.gold_candlestick where candle_high < candle_low")
    done = stream.take()
    assert (done.loaded.objects, done.built.is_whole) == (0, False)
    published_is_the_build(settings)

    # what the gate stopped is published once the gap is filled, or taken note of
    before = gold_hashes(settings)
    stream.land_quotes(late[20:])
    with pytest.raises(LedgerUnbalanced, match="in run late are lost, seq"):
        stream.take()
    assert gold_hashes(settings) == before
    record(settings, balance(settings), accept=True)
    assert not stream.take().is_empty
    published_is_the_build(settings)
    assert gold_hashes(settings) != before

    # a reader of another process keeps its version, also when it is the one to be brought forward
    with reading(settings) as reader:
        stream.land_quotes(late[:20])
        stream.land_quotes(third)
        stream.take()
        published_is_the_build(settings)
        stream.land_quotes(trades[20:], topic=settings.kafka_trades_topic, dataset="stock_trades")
        stream.take()
        published_is_the_build(settings)
        assert reader() == len(first) + len(second) + len(late[20:])

    # history that the gate stopped goes along with the quotes after it
    more = history(date(2012, 10, 1), date(2012, 10, 31), "2012-12-14T14:30", name="more")
    gappy = messages(session_polls(date(2012, 12, 12), every=1800), run_id="gappy", topic_id="topic-4")
    stream.land(*more)
    stream.land_quotes(gappy[20:])
    # by hand, since the stream itself looks for history every half minute
    assert load(settings).objects == 4
    with pytest.raises(LedgerUnbalanced, match="in run gappy are lost, seq"):
        stream.take()
    record(settings, balance(settings), accept=True)
    stream.land_quotes(fourth)
    stream.take()
    published_is_the_build(settings)
    assert stream.take().is_empty
    stream.land_quotes(gappy[:20])
    # as a kill between a spare's commit and its checkpoint leaves it
    stray = settings.home / "warehouse" / "spare.duckdb.wal"
    stray.write_bytes(b"of another file")
    stream.take()
    published_is_the_build(settings)
    assert not stray.exists()
    assert (settings.home / "warehouse" / "spare.duckdb").exists()

    at_once = Story(settings_in(tmp_path / "at-once", CLOSE_SETTLE_SECONDS="1200"))
    at_once.tell(
        *past(),
        landed("stock_quotes", lines, name="q"),
        landed("stock_quotes", late, name="late"),
        landed("stock_trades", trades, name="t"),
        *more,
        landed("stock_quotes", gappy, name="gappy"),
    )
    assert gold_hashes(settings) == gold_hashes(at_once.settings)

    # whole tables are still to be tested: what no batch touched is found then
    with build(settings) as con:
        con.execute(CANDLE_BELOW_ITSELF.format("2012-12-03"))
    with pytest.raises(TransformFailed, match="gold_candlestick"):
        transform(settings)
    with build(settings) as con:
        con.execute("delete from gold.gold_candlestick where candle_high < candle_low")
    assert transform(settings).tests > 50
    assert transform(settings).tests == 0
    assert not (settings.home / "warehouse" / "spare.duckdb").exists()


@contextmanager
def reading(settings: Settings) -> Iterator[Callable[[], int]]:
    """A process that reads what is published now, and reads it again when asked."""
    published = settings.home / "warehouse" / "published.duckdb"
    command = [sys.executable, "-c", READER, str(published)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        seen = int(reader.stdout.readline())

        def again() -> int:
            said, _ = reader.communicate("go on\n", timeout=30)
            assert int(said) == seen
            return seen

        yield again
