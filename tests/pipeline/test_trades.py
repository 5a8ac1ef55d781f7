"""The producer of trades against a replay and a real broker: what it publishes, what it survives, when it ends."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from conftest import StartReplay

from finnhub_replay import read_tape
from finnhub_replay.exchange import Exchange
from stocklib.errors import KeyRefused, SourceUnavailable
from stocklib.finnhub import Finnhub, trade_feed
from stocklib.pipeline.ingest import TradesResult, produce, produce_trades, step_clock
from stocklib.pipeline.landing import land
from stocklib.pipeline.loading import load
from stocklib.pipeline.transform import transform
from stocklib.settings import Settings, read_settings
from stocklib.stream import Consumer, Message
from stocklib.warehouse import open_warehouse

pytestmark = pytest.mark.stack


def new_york(hour: int, minute: int = 0, second: int = 0, *, day: int = 14) -> datetime:
    """An instant of December 2012 by the clock of New York."""
    return datetime(2012, 12, day, hour + 5, minute, second, tzinfo=UTC)


def published(settings: Settings, topic: str, count: int) -> list[Message]:
    """Everything on a topic: at least ``count`` messages, and whatever comes within a moment after them."""
    consumer = Consumer(settings, [topic])
    found: list[Message] = []
    deadline = time.monotonic() + 30
    try:
        while time.monotonic() < deadline:
            batch = [message for messages in consumer.poll(0.5).values() for message in messages]
            found += batch
            if len(found) >= count and not batch:
                break
    finally:
        consumer.close()
    return found


def heartbeat(settings: Settings) -> dict[str, Any]:
    content: dict[str, Any] = orjson.loads((settings.home / "heartbeats" / "trades.json").read_bytes())
    return content


def test_the_last_minutes_are_published_trade_by_trade_and_the_same_twice(
    replay: StartReplay, service_environ: dict[str, str]
) -> None:
    settings = replay(start="2012-12-14T15:50:00", environ=service_environ)
    first = produce_trades(settings, until_close=True)
    with Finnhub(settings) as finnhub:
        finnhub.set_clock(new_york(15, 50))
    second = produce_trades(settings, until_close=True)
    assert first.ended == "the session of 2012-12-14 is over"
    assert (first.last, first.reconnects, first.skipped) == (new_york(16), 0, {})
    messages = published(settings, settings.kafka_trades_topic, first.messages + second.messages)
    runs = [[m for m in messages if m.headers["run_id"] == run.run_id] for run in (first, second)]
    assert len(runs[0]) == first.messages
    # of one symbol, since only a partition has an order
    values = [[orjson.loads(m.value or b"") for m in run if m.key == "AAPL"] for run in runs]
    assert values[0] == values[1]
    expected = Exchange(read_tape()).trades("AAPL", new_york(15, 50), new_york(16))
    assert [{name: value[name] for name in "sptvc"} for value in values[0]] == expected
    for message, value in zip([m for m in runs[0] if m.key == "AAPL"], values[0], strict=True):
        assert value["since"] == new_york(15, 50).timestamp()
        assert value["t"] <= value["fetched_at"] * 1000 == message.timestamp_ms < value["t"] + 60_001
        assert message.headers["source"] == "replay"
    for symbol in ("AAPL", "FB", "GOOG", "IBM", "MSFT"):
        seqs = [int(m.headers["seq"]) for m in runs[0] if m.key == symbol]
        assert seqs == list(range(1, heartbeat(settings)["confirmed"][symbol] + 1))
    kept = settings.home / "heartbeats" / f"{first.run_id}.json"
    assert sum(orjson.loads(kept.read_bytes())["confirmed"].values()) == first.messages


def test_before_the_bell_it_waits_and_after_the_session_there_is_nothing(
    replay: StartReplay, service_environ: dict[str, str]
) -> None:
    settings = replay(start="2012-12-13T16:30:00", environ=service_environ)
    with Finnhub(settings) as finnhub:
        over = produce_trades(settings, until_close=True)
        assert (over.messages, over.ended) == (0, "the session of 2012-12-13 is over")
        assert finnhub.refresh_clock() == new_york(16, 30, day=13)
        texts: list[str] = []
        result = produce_trades(settings, max_trades=40, on_progress=lambda done, total, text: texts.append(text))
        assert (result.messages, result.first, result.ended) == (40, new_york(9, 30), "40 trades were asked for")
        assert texts[0] == "the market opens 2012-12-14 09:30:00 New York"
        assert new_york(9, 30) <= finnhub.refresh_clock() <= new_york(9, 33)


def test_quotes_and_trades_side_by_side_share_one_clock(
    replay: StartReplay, service_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # however long quotes take to begin here
    monkeypatch.setattr(step_clock, "_STILL_SECONDS", 20.0)
    settings = replay(start="2012-12-14T15:50:00", environ=service_environ)
    listening = threading.Event()

    def listen() -> TradesResult:
        return produce_trades(settings, until_close=True, on_progress=lambda *_: listening.set())

    with ThreadPoolExecutor() as pool:
        beside = pool.submit(listen)
        assert listening.wait(30)
        quotes = produce(settings, until_close=True)
        result = beside.result(30)
    # a second a quote, from ten to four on
    assert quotes.messages >= 600
    assert quotes.first == new_york(15, 50)
    exchange = Exchange(read_tape())
    symbols = ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
    assert result.messages == sum(len(exchange.trades(s, new_york(15, 50), new_york(16))) for s in symbols)


def test_a_stop_ends_it_with_nothing_unflushed(replay: StartReplay, service_environ: dict[str, str]) -> None:
    settings = replay(start="2012-12-14T09:29:00", environ=service_environ)
    stop = threading.Event()
    result = produce_trades(settings, stop=stop, on_progress=lambda done, *_: done >= 50 and stop.set())
    assert result.ended == "stopped as asked"
    assert result.messages >= 50
    beat = heartbeat(settings)
    assert (beat["run_id"], beat["ended"], sum(beat["confirmed"].values())) == (
        result.run_id,
        "stopped",
        result.messages,
    )
    assert len(published(settings, settings.kafka_trades_topic, result.messages)) == result.messages


def test_a_refused_key_and_a_websocket_that_is_not_there_are_errors(
    replay: StartReplay, service_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trade_feed, "_FIRST_PAUSE", 0.01)
    settings = replay(start="2012-12-14T10:00:00", environ=service_environ)
    nowhere = read_settings(environ={**own(settings), "FINNHUB_WS_URL": "ws://127.0.0.1:1"})
    with pytest.raises(SourceUnavailable, match="FINNHUB_WS_URL"):
        produce_trades(nowhere)
    assert heartbeat(settings)["ended"] == "error"
    # as a source of quotes that does not answer is named
    assert "is lost (ConnectionRefused" in heartbeat(settings)["trouble"]
    with pytest.raises(KeyRefused, match="FINNHUB_API_KEY"):
        produce_trades(read_settings(environ={**own(settings), "FINNHUB_API_KEY": "wrong"}))


def own(settings: Settings) -> dict[str, str]:
    """These settings as an environment."""
    shown = {name: value for name, value in settings.values.items() if settings.origins[name] == "environment"}
    return {name: value.reveal() if hasattr(value, "reveal") else str(value) for name, value in shown.items()}


def test_a_replayed_session_of_trades_is_the_recorded_bar_in_gold(
    replay: StartReplay, service_environ: dict[str, str]
) -> None:
    settings = replay(start="2012-12-14T09:29:00", environ=service_environ)
    produced = produce_trades(settings, symbols=["AAPL"], until_close=True)
    landed = land(settings, max_quotes=produced.messages)
    assert (landed.messages, landed.dead_letters) == (produced.messages, 0)
    load(settings)
    transform(settings)
    warehouse = open_warehouse(settings)
    bar = read_tape().bar("AAPL", new_york(12).date())
    assert bar is not None
    wanted = [bar.open, bar.high, bar.low, bar.close, bar.volume]
    columns = "candle_open, candle_high, candle_low, candle_close, volume"
    for resolution, bars in (("1m", 390), ("5m", 78), ("1h", 7), ("1d", 1)):
        found = warehouse.query(
            f"select {columns}, is_final from gold.gold_candlestick where resolution = '{resolution}' "
            "order by candle_time"
        )
        assert (len(found), found["is_final"].all()) == (bars, True)
        opened, high, low, close, volume = (found[name] for name in columns.split(", "))
        assert [opened.iloc[0], high.max(), low.min(), close.iloc[-1], volume.sum()] == wanted
    counted = warehouse.query(
        "select (select count(*) from silver.stg_stock_trades_cleaned) as cleaned, "
        "(select count(*) from silver.quarantined_trades) as refused"
    )
    assert counted.iloc[0].tolist() == [produced.messages, 0]
