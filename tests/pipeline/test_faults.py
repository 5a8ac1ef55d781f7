"""The producer against each fault of its source: what was answered well is published once, and nothing else is."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPConnection
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import StartReplay
from exchange import Exchange
from misbehaving import Asked, Reply, serving
from outages import drain

from finnhub_replay import read_tape, recorded_bars
from finnhub_replay.exchange import Exchange as Recorded
from stocklib.finnhub import Finnhub
from stocklib.pipeline.ingest import ProduceResult, produce, produce_trades, quote_producer
from stocklib.pipeline.ingest import feed_run as module
from stocklib.pipeline.landing import land
from stocklib.pipeline.loading import load
from stocklib.pipeline.transform import transform
from stocklib.quotes import from_epoch
from stocklib.settings import Settings, read_settings
from stocklib.stream import Message
from stocklib.warehouse import open_warehouse

pytestmark = pytest.mark.stack

SYMBOLS = ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
CLOSE = datetime(2012, 12, 14, 21, 0, tzinfo=UTC)
# what costs the answer, and what makes it late, old or doubled only; an answer of a wrong time is not taken
LOSING = ["drop=0.2", "cut=0.2", "429=0.05:4", "5xx=0.05:4", "truncated=0.2", "zeros=0.2", "nan=0.2", "negative=0.2"]
KEEPING = ["slow=0.2:20ms", "duplicate=0.2", "late=0.2:60"]


@dataclass(frozen=True)
class Session:
    """The last minute of a session with one kind of fault."""

    faults: str
    result: ProduceResult
    counts: dict[str, dict[str, int]]
    heartbeat: dict[str, Any]


def order(settings: Settings, faults: str, *, seed: int = 1) -> dict[str, Any]:
    """Have a running replay make these faults; its counts up to now."""
    at = urlsplit(settings.finnhub_base_url)
    connection = HTTPConnection(at.hostname or "", at.port, timeout=10)
    try:
        key = {"X-Finnhub-Token": settings.finnhub_api_key.reveal()}
        connection.request("POST", "/replay/faults", json.dumps({"faults": faults, "seed": seed}), headers=key)
        counts: dict[str, Any] = json.loads(connection.getresponse().read())
        return counts
    finally:
        connection.close()


def since(before: dict[str, Any], after: dict[str, Any]) -> dict[str, dict[str, int]]:
    names = ("calls", "spoiled", "injected")
    return {name: {key: count - before[name].get(key, 0) for key, count in after[name].items()} for name in names}


@pytest.fixture
def source(replay: StartReplay, service_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A replay to order faults from; pauses between tries are short."""
    monkeypatch.setattr(module, "Finnhub", partial(Finnhub, attempts=4, first_pause=0.001))
    monkeypatch.setattr(quote_producer, "_FIRST_PAUSE", 0.001)
    return replay(environ=service_environ)


def run(settings: Settings, faults: str) -> Session:
    """Produce the last minute of a session with these faults."""
    with Finnhub(settings) as finnhub:
        finnhub.set_clock(CLOSE - timedelta(minutes=1))
    before = order(settings, faults)
    result = produce(settings, until_close=True)
    counts = since(before, order(settings, ""))
    return Session(faults, result, counts, json.loads((settings.home / "heartbeats" / "producer.json").read_bytes()))


def test_what_was_answered_well_is_published_once_and_nothing_else_is(source: Settings) -> None:
    sessions = [run(source, faults) for faults in [*LOSING, *KEEPING, "clock=0.2:1h"]]
    published = drain(source, count=sum(session.result.messages for session in sessions))
    for session in sessions:
        mine = [message for message in published if message.headers["run_id"] == session.result.run_id]
        spoiled = session.counts["spoiled"]["/quote"]
        assert spoiled > 5, session.faults
        good = session.counts["calls"]["/quote"] - (0 if session.faults in KEEPING else spoiled)
        assert session.result.messages == len(mine) == good, session.faults
        for symbol in SYMBOLS:
            seqs = sorted(int(message.headers["seq"]) for message in mine if message.key == symbol)
            assert seqs == list(range(1, len(seqs) + 1)), session.faults
            # the run did not end before each symbol's last price was known
            assert max(m.timestamp_ms for m in mine if m.key == symbol) >= CLOSE.timestamp() * 1000, session.faults
        assert_true(mine, late="late" in session.faults)
        assert session.result.ended == "the session of 2012-12-14 is over", session.faults
        # what was not answered shows
        said = sum(session.heartbeat["failed"].values()) + sum(session.heartbeat["skipped"].values())
        assert session.heartbeat["errors"] == said
        assert said > 0 or session.faults not in LOSING[4:], session.faults


def assert_true(published: list[Message], *, late: bool) -> None:
    """Every price is one that the market had at the time that the quote says, or a minute before."""
    recorded = Recorded(read_tape())
    for quote in (json.loads(message.value or b"") for message in published):
        at = from_epoch(quote["fetched_at"])
        states = [recorded.quote(quote["symbol"], at - timedelta(seconds=ago)) for ago in ((0, 60) if late else (0,))]
        assert any(quote | state == quote for state in states), quote


@pytest.mark.parametrize("hours", [-24, -1, 1])
def test_a_clock_that_really_was_set_is_believed_and_delays_nothing(
    service_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    monkeypatch.setattr(module, "Finnhub", partial(Finnhub, first_pause=0.001))
    exchange = Exchange(CLOSE - timedelta(hours=5))

    def answer(asked: Asked) -> Reply:
        if asked.path.endswith("/quote") and len(seen) == 7:
            exchange.now += timedelta(hours=hours)
        seen.extend([exchange.now] if asked.path.endswith("/quote") else [])
        return exchange(asked)

    seen: list[datetime] = []
    with serving(answer) as server:
        own = {"FINNHUB_API_KEY": "k", "FINNHUB_BASE_URL": f"{server.url}/api/v1", "POLL_SECONDS": "15"}
        limits = {"FINNHUB_CALLS_PER_MINUTE": "0", "FINNHUB_CALLS_PER_SECOND": "0"}
        result = produce(read_settings(environ=service_environ | own | limits), symbols=SYMBOLS[:2], max_quotes=20)
    assert result.messages == 20
    # two answers were not taken, and the next round began a quarter of a minute later
    assert len(seen) == 22
    assert all(timedelta(0) < later - sooner <= timedelta(seconds=16) for sooner, later in pairwise(seen[7:]))


def test_a_session_full_of_faults_makes_the_recorded_bars_and_doubles_nothing(source: Settings) -> None:
    everything = [*LOSING, *KEEPING, "clock=0.2:1h"]
    order(source, ",".join(fault.replace("=0.2", "=0.03").replace("=0.05", "=0.01") for fault in everything))
    with Finnhub(source) as finnhub:
        finnhub.set_clock(CLOSE - timedelta(minutes=3))
    result = produce(source, until_close=True)
    assert len(order(source, "")["injected"]) > 8
    assert land(source, until_idle=1).messages == result.messages
    load(source)
    transform(source)
    warehouse = open_warehouse(source)
    bars = warehouse.query("select * from gold.fact_daily_stock_quotes order by symbol")
    truth = recorded_bars().query("date == @CLOSE.date()").sort_values("symbol")
    assert list(bars["symbol"]) == SYMBOLS
    assert bars["is_final"].all()
    for ours, theirs in (
        ("open_price", "open"),
        ("high_price", "high"),
        ("low_price", "low"),
        ("close_price", "close"),
    ):
        assert [float(price) for price in bars[ours]] == pytest.approx(list(truth[theirs]), abs=1e-9)
    counted = warehouse.query(
        "select count(*) as states, sum(times_seen) as seen, "
        "count(distinct (symbol, market_timestamp, current_price, day_high, day_low, day_open, prev_close)) as apart "
        "from silver.stg_stock_quotes_cleaned"
    ).iloc[0]
    assert counted["states"] == counted["apart"]
    assert counted["seen"] == result.messages


def test_trades_over_a_faulty_stream_are_true_ones_and_the_run_ends_with_the_session(source: Settings) -> None:
    faults = "drop=0.04,late=0.1,truncated=0.1,zeros=0.1,nan=0.1,negative=0.1"
    with Finnhub(source) as finnhub:
        finnhub.set_clock(CLOSE - timedelta(minutes=15))
    order(source, faults)
    result = produce_trades(source, until_close=True)
    counts = order(source, "")
    assert result.ended == "the session of 2012-12-14 is over"
    # a message that is no JSON, and a price that is none, show
    assert sum(counts["injected"].values()) > 5
    assert (result.garbled > 0) == bool(counts["injected"].keys() & {"truncated", "nan"})
    assert bool(result.skipped) == bool(counts["injected"].keys() & {"zeros", "negative"})
    published = drain(source, count=result.messages, topic=source.kafka_trades_topic)
    assert len(published) == result.messages > 100
    recorded = Recorded(read_tape())
    true = {
        (symbol, *(trade[name] for name in "ptv"))
        for symbol in SYMBOLS
        for trade in recorded.trades(symbol, CLOSE - timedelta(minutes=15), CLOSE)
    }
    found = [json.loads(message.value or b"") for message in published]
    assert {(trade["s"], trade["p"], trade["t"], trade["v"]) for trade in found} <= true
    for symbol in SYMBOLS:
        seqs = sorted(int(message.headers["seq"]) for message in published if message.key == symbol)
        assert seqs == list(range(1, len(seqs) + 1))
