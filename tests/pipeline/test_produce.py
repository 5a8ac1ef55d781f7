"""The producer against a source and a real broker: what it publishes, when it ends, what it survives."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import cycle
from typing import Any

import orjson
import pytest
from exchange import Exchange
from misbehaving import Asked, Reply, serving

from stocklib.errors import KeyRefused, SettingsError, SourceUnavailable, SymbolError
from stocklib.finnhub import Finnhub
from stocklib.pipeline.ingest import feed_run as module
from stocklib.pipeline.ingest import produce, quote_producer
from stocklib.settings import Settings, read_settings
from stocklib.stream import Consumer, Message

pytestmark = pytest.mark.stack

SYMBOLS = ["AAPL", "FB", "GOOG", "IBM", "MSFT"]


def new_york(hour: int, minute: int = 0, second: int = 0, *, day: int = 14) -> datetime:
    """An instant of December 2012 by the clock of New York."""
    return datetime(2012, 12, day, hour + 5, minute, second, tzinfo=UTC)


Begin = Callable[..., tuple[Exchange, Settings]]


@pytest.fixture
def begin(service_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """A source of the test's own at a certain instant, and settings that point at it; pauses are short."""
    monkeypatch.setattr(module, "Finnhub", partial(Finnhub, attempts=2, first_pause=0.01))
    monkeypatch.setattr(quote_producer, "_FIRST_PAUSE", 0.01)
    servers = []

    def start(now: datetime, **environ: str) -> tuple[Exchange, Settings]:
        exchange = Exchange(now)
        serves = serving(exchange)
        servers.append(serves)
        own = {
            "FINNHUB_API_KEY": "k",
            "FINNHUB_BASE_URL": f"{serves.__enter__().url}/api/v1",
            "FINNHUB_CALLS_PER_MINUTE": "0",
            "FINNHUB_CALLS_PER_SECOND": "0",
            "POLL_SECONDS": "0",
            "CLOSE_SETTLE_SECONDS": "0",
        }
        return exchange, read_settings(environ={**service_environ, **own, **environ})

    yield start
    for serves in servers:
        serves.__exit__(None, None, None)


class Failing:
    """Refuses ``count`` quotes in a row once ``after`` were answered."""

    def __init__(self, *, after: int, count: int, status: int = 503) -> None:
        self.after, self.count, self.status = after, count, status

    def __call__(self, asked: Asked) -> Reply | None:
        if not asked.path.endswith("/quote"):
            return None
        self.after -= 1
        if self.after >= 0 or self.count <= 0:
            return None
        self.count -= 1
        return Reply({"error": "no"}, status=self.status)


def published(settings: Settings, count: int) -> list[Message]:
    """Everything on the topic: at least ``count`` messages, and whatever comes within a moment after them."""
    consumer = Consumer(settings, [settings.kafka_topic])
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
    assert len(found) >= count
    return found


def heartbeat(settings: Settings) -> dict[str, Any]:
    content: dict[str, Any] = orjson.loads((settings.home / "heartbeats" / "producer.json").read_bytes())
    return content


def fields(message: Message) -> dict[str, Any]:
    assert message.value is not None
    content: dict[str, Any] = orjson.loads(message.value)
    return content


def test_a_replayed_session_is_published_to_its_last_price_and_the_same_twice(
    replay: Callable[..., Settings], service_environ: dict[str, str]
) -> None:
    settings = replay(start="2012-12-14T15:59:00", environ=service_environ)
    first = produce(settings, until_close=True)
    with Finnhub(settings) as finnhub:
        finnhub.set_clock(new_york(15, 59))
    second = produce(settings, until_close=True)
    messages = published(settings, first.messages + second.messages)
    # a virtual second a quote: twelve rounds in the last minute, and the one or two that find the market closed
    assert first.messages == second.messages == len(messages) / 2 == 5 * first.rounds
    assert first.rounds in (13, 14)
    assert first.ended == "the session of 2012-12-14 is over"
    assert f"{first.messages} quotes in {first.rounds} rounds from replay" in str(first)
    messages.sort(key=lambda m: m.timestamp_ms)
    runs = [[m for m in messages if m.headers["run_id"] == result.run_id] for result in (first, second)]
    assert [m.value for m in runs[0]] == [m.value for m in runs[1]]
    for message, symbol in zip(runs[0], cycle(SYMBOLS), strict=False):
        assert message.key == fields(message)["symbol"] == symbol
        assert message.timestamp_ms == fields(message)["fetched_at"] * 1000
        assert message.headers["source"] == "replay"
    for symbol in SYMBOLS:
        assert [int(m.headers["seq"]) for m in runs[0] if m.key == symbol] == list(range(1, first.rounds + 1))
    # a round that began before the close is not the last one
    assert all(fields(message)["fetched_at"] >= new_york(16).timestamp() for message in runs[0][-5:])


def test_a_session_that_is_over_is_asked_for_its_last_prices_once(begin: Begin) -> None:
    for now in (new_york(16, 30), new_york(11, day=15)):
        _, settings = begin(now)
        result = produce(settings, until_close=True, symbols=SYMBOLS)
        assert (result.messages, result.rounds, result.ended) == (5, 1, "the session of 2012-12-14 is over")


def test_the_close_is_asked_for_again_when_it_has_settled(begin: Begin) -> None:
    exchange, settings = begin(new_york(16, 1), CLOSE_SETTLE_SECONDS="1200")
    result = produce(settings, until_close=True, symbols=["AAPL"])
    assert (result.messages, result.rounds) == (2, 2)
    assert result.last is not None
    assert result.last >= new_york(16, 20)
    assert exchange.now < new_york(16, 21)


def test_before_the_bell_it_waits_and_a_round_starts_every_poll_seconds(begin: Begin) -> None:
    _, settings = begin(new_york(9, 28, 30), POLL_SECONDS="15")
    result = produce(settings, max_quotes=6, symbols=["AAPL", "MSFT"])
    times = sorted({fields(m)["fetched_at"] - new_york(9, 30).timestamp() for m in published(settings, 6)})
    assert times == [1, 2, 16, 17, 31, 32]
    assert result.ended == "6 quotes were asked for"


def test_over_night_it_waits_for_the_next_session(begin: Begin) -> None:
    _, settings = begin(new_york(15, 59, 58, day=13))
    result = produce(settings, max_quotes=6, symbols=["AAPL"])
    times = sorted(datetime.fromtimestamp(fields(m)["fetched_at"], UTC) for m in published(settings, 6))
    assert times[:3] == [new_york(15, 59, 59, day=13), new_york(16, 0, 0, day=13), new_york(16, 0, 1, day=13)]
    assert times[3] == new_york(9, 30, 1)
    assert result.skipped == result.failed == {}


def test_a_stop_ends_it_with_nothing_unflushed(begin: Begin) -> None:
    _, settings = begin(new_york(10))
    stop = threading.Event()
    result = produce(settings, symbols=SYMBOLS, stop=stop, on_progress=lambda done, *_: done >= 50 and stop.set())
    assert result.ended == "stopped as asked"
    assert result.messages == 50
    assert heartbeat(settings)["confirmed"] == dict.fromkeys(SYMBOLS, 10)
    assert heartbeat(settings)["run_id"] == result.run_id
    assert len(published(settings, 50)) == 50


def test_a_duration_ends_it_even_while_it_waits(begin: Begin) -> None:
    exchange, settings = begin(new_york(10))
    exchange.refuses = Failing(after=3, count=9999)
    began = time.monotonic()
    result = produce(settings, symbols=SYMBOLS, duration=1.5)
    assert time.monotonic() - began < 15
    assert (result.messages, result.ended) == (3, "stopped as asked")
    assert len(published(settings, 3)) == 3


def test_a_symbol_without_a_price_is_counted_and_the_others_go_on(begin: Begin) -> None:
    exchange, settings = begin(new_york(15, 59, 50))
    exchange.unknown.add("ZZZZ")
    result = produce(settings, until_close=True, symbols=["AAPL", "ZZZZ", "MSFT"])
    assert set(result.skipped) == {"ZZZZ"}
    assert {message.key for message in published(settings, result.messages)} == {"AAPL", "MSFT"}
    assert "no usable price: ZZZZ" in str(result)
    assert heartbeat(settings)["skipped"] == result.skipped


def test_a_time_in_milliseconds_costs_its_answer_and_nothing_else(
    begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    exchange, settings = begin(new_york(10))
    asked: Counter[str] = Counter()

    def odd(request: Asked) -> Reply | None:
        subject = request.query.get("symbol", request.path)
        asked[subject] += 1
        if subject == "MSFT" and asked[subject] in (2, 3):
            return Reply(exchange.answer(request) | {"t": (1355497200000, 1e300)[asked[subject] - 2]})
        if request.path.endswith("/market-status") and asked[subject] > 1:
            return Reply({"isOpen": True, "t": 1355497200000})
        return None

    exchange.refuses = odd
    result = produce(settings, max_quotes=200, symbols=["AAPL", "MSFT", "IBM"])
    assert (result.skipped, result.failed) == ({"MSFT": 2}, {})
    assert "t=1355497200000 for MSFT" in caplog.text
    assert asked["/api/v1/stock/market-status"] > 1
    published_of = Counter(message.key for message in published(settings, 200))
    assert published_of["MSFT"] == asked["MSFT"] - 2


def test_a_key_that_is_refused_ends_it_after_what_was_published_is_flushed(begin: Begin) -> None:
    exchange, settings = begin(new_york(10))
    refuse = Failing(after=7, count=999, status=401)
    exchange.refuses = refuse
    with pytest.raises(KeyRefused, match="FINNHUB_API_KEY"):
        produce(settings, symbols=SYMBOLS)
    assert heartbeat(settings)["state"] == "ended by an error"
    assert sum(heartbeat(settings)["confirmed"].values()) == 7
    assert len(published(settings, 7)) == 7


def test_a_source_that_goes_down_is_asked_until_it_answers(begin: Begin) -> None:
    exchange, settings = begin(new_york(10))
    exchange.refuses = Failing(after=7, count=12)
    result = produce(settings, symbols=SYMBOLS, max_quotes=20)
    assert result.messages == 20
    assert sum(result.failed.values()) == 6
    messages = published(settings, 20)
    for symbol in SYMBOLS:
        seqs = sorted(int(m.headers["seq"]) for m in messages if m.key == symbol)
        assert seqs == list(range(1, len(seqs) + 1))


def test_a_source_that_is_down_over_the_close_still_gives_the_last_prices(begin: Begin) -> None:
    exchange, settings = begin(new_york(15, 59, 50))
    exchange.refuses = Failing(after=10, count=14)
    result = produce(settings, until_close=True, symbols=SYMBOLS)
    assert result.failed
    last = {
        m.key: fields(m)["fetched_at"] for m in sorted(published(settings, result.messages), key=lambda m: m.offset)
    }
    assert min(last.values()) >= new_york(16).timestamp()
    assert set(last) == set(SYMBOLS)


def test_a_source_that_never_answers_is_an_error_and_no_endless_wait(begin: Begin) -> None:
    exchange, settings = begin(new_york(10))
    exchange.refuses = Failing(after=0, count=9999)
    with pytest.raises(SourceUnavailable):
        produce(settings, symbols=SYMBOLS)


def test_a_market_status_that_fails_does_not_keep_quotes_back(begin: Begin) -> None:
    exchange, settings = begin(new_york(10))
    exchange.refuses = lambda asked: Reply({}, status=500) if "status" in asked.path and exchange.asked > 1 else None
    result = produce(settings, symbols=["AAPL"], max_quotes=200)
    assert (result.messages, result.failed) == (200, {})


def test_what_is_no_symbol_is_refused_before_anything_is_asked(begin: Begin) -> None:
    exchange, settings = begin(new_york(10))
    with pytest.raises(SymbolError):
        produce(settings, symbols=["AAPL", "'; drop table"])
    assert exchange.asked == 0


def test_a_home_that_cannot_be_written_is_one_clear_error(begin: Begin) -> None:
    _, settings = begin(new_york(10))
    settings.home.mkdir(parents=True)
    (settings.home / "heartbeats").write_text("not a folder")
    with pytest.raises(SettingsError, match="STOCKS_HOME"):
        produce(settings, symbols=["AAPL"], max_quotes=1)


def test_the_heartbeat_of_the_run_before_is_kept(begin: Begin) -> None:
    _, settings = begin(new_york(10))
    first = produce(settings, symbols=["AAPL"], max_quotes=3)
    second = produce(settings, symbols=["AAPL"], max_quotes=2)
    assert heartbeat(settings)["run_id"] == second.run_id
    kept = orjson.loads((settings.home / "heartbeats" / f"{first.run_id}.json").read_bytes())
    assert kept["confirmed"] == {"AAPL": 3}
