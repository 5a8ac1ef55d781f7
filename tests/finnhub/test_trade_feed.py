"""The websocket client: what it takes for a trade, how it comes back, and that it keeps the key to itself."""

import json
import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from exchange import Exchange
from misbehaving import serving
from scripted_feed import Script, ScriptedFeed, feeding

from stocklib.errors import (
    BadAnswer,
    Interrupted,
    KeyRefused,
    PlanRefused,
    SettingsError,
    SourceUnavailable,
    StocksError,
)
from stocklib.finnhub import Finnhub, trade_feed, wire
from stocklib.finnhub.trade_feed import TradeFeed
from stocklib.quotes import Trade
from stocklib.settings import read_settings

KEY = "verysecretkey"
NOW = datetime(2012, 12, 14, 15, 0, tzinfo=UTC)
MS = int(NOW.timestamp() * 1000)
TRADE = {"s": "AAPL", "p": 509.5, "t": MS, "v": 100, "c": ["1", "12"]}

Listen = Callable[..., TradeFeed]


def said(*items: object, **more: object) -> dict[str, object]:
    return {"type": "trade", "data": list(items), **more}


@pytest.fixture
def exchange() -> Exchange:
    """What tells the time next to the websocket."""
    return Exchange(NOW)


@pytest.fixture
def listen(
    exchange: Exchange, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Listen]:
    """A feed of a server, whose clock says ten in the morning; pauses are short."""
    monkeypatch.setattr(trade_feed, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(wire, "_BARRIER_SECONDS", 0.5)
    opened: list[TradeFeed] = []
    with serving(exchange) as rest:

        def start(server: ScriptedFeed, *symbols: str, **environ: str) -> TradeFeed:
            own = {
                "STOCKS_HOME": str(tmp_path_factory.mktemp("feed")),
                "FINNHUB_API_KEY": KEY,
                "FINNHUB_BASE_URL": f"{rest.url}/api/v1",
                "FINNHUB_WS_URL": server.url,
            }
            settings = read_settings(environ=own | environ)
            feed = TradeFeed(settings, Finnhub(settings), symbols or ("AAPL",), stop=threading.Event())
            opened.append(feed)
            return feed

        yield start
        for feed in opened:
            feed.close()


def receive(feed: TradeFeed, count: int, *, seconds: float = 10) -> list[Trade]:
    """So many trades."""
    found: list[Trade] = []
    deadline = time.monotonic() + seconds
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} trades came"
        found += feed.receive(0.05)
    return found


def until(feed: TradeFeed, done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline
        feed.receive(0.05)


def test_a_trade_is_what_finnhub_said_with_the_time_of_the_source(listen: Listen) -> None:
    with feeding(Script([said(TRADE, {**TRADE, "p": 1.25, "v": 0.5, "c": None})], stays=True)) as server:
        feed = listen(server)
        first, second = receive(feed, 2)
    assert (first.symbol, first.price, first.volume, first.conditions) == ("AAPL", 509.5, 100, ("1", "12"))
    assert first.market_timestamp == first.fetched_at == NOW
    # live, the source's clock is known to a second
    assert first.covered_since == NOW + timedelta(seconds=1)
    assert (second.price, second.volume, second.conditions) == (1.25, 0.5, None)
    assert server.asked == [{"type": "subscribe", "symbol": "AAPL"}]
    assert server.tokens == [KEY]


def test_a_replay_says_what_time_it_is_with_each_message(listen: Listen) -> None:
    later = NOW.timestamp() + 7.5
    messages = [said(TRADE, now=later), {"type": "ping", "now": later + 1}]
    with feeding(Script(messages, stays=True), headers={"X-Stocks-Source": "replay"}) as server:
        feed = listen(server)
        (trade,) = receive(feed, 1)
        assert (trade.fetched_at.timestamp(), trade.covered_since) == (later, NOW)
        until(feed, lambda: feed.complete_until)
        assert feed.complete_until is not None
        assert feed.complete_until.timestamp() == later + 1


def test_a_lost_connection_is_replaced_and_subscribes_anew(listen: Listen, exchange: Exchange) -> None:
    again = Script([said({**TRADE, "p": 2})], after=2, stays=True)
    with feeding(Script([said(TRADE)], after=2), again, headers={"X-Stocks-Source": "replay"}) as server:
        feed = listen(server, "AAPL", "MSFT")
        (first,) = receive(feed, 1)
        exchange.now += timedelta(seconds=30)
        (second,) = receive(feed, 1)
        assert [asked["symbol"] for asked in server.asked] == ["AAPL", "MSFT", "AAPL", "MSFT"]
    assert (feed.connections, feed.reconnects, feed.losses) == (2, 1, 1)
    assert second.price == 2
    # what was traded in between is not known
    assert (first.covered_since, second.covered_since) == (NOW, NOW + timedelta(seconds=30))


def test_a_source_that_is_down_for_long_is_tried_until_it_is_back(listen: Listen) -> None:
    down = [Script(status=503)] * 5
    with feeding(Script([said(TRADE)]), *down, Script([said({**TRADE, "p": 2})], stays=True)) as server:
        feed = listen(server)
        assert [trade.price for trade in receive(feed, 2)] == [509.5, 2]
    assert feed.losses == 6
    assert feed.trouble is None


def test_a_source_that_never_took_a_connection_is_an_error(listen: Listen) -> None:
    with feeding(Script(status=503)) as server:
        feed = listen(server)
        with pytest.raises(SourceUnavailable, match="503"):
            receive(feed, 1)
        assert len(server.tokens) == 3


def test_a_connection_that_falls_silent_is_replaced(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_PING_SECONDS", 0.05)
    monkeypatch.setattr(wire, "_LOST_SECONDS", 0.3)
    monkeypatch.setattr(wire, "_DEAF_SECONDS", 0.3)
    with feeding(Script(freezes=1.0, stays=True), Script([said(TRADE)], stays=True)) as server:
        feed = listen(server)
        assert receive(feed, 1)[0].price == 509.5
    assert feed.losses == 1


def test_a_quiet_connection_that_answers_pings_is_kept(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_PING_SECONDS", 0.02)
    monkeypatch.setattr(wire, "_LOST_SECONDS", 0.2)
    with feeding(Script(stays=True)) as server:
        feed = listen(server)
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            feed.receive(0.05)
    assert (feed.connections, feed.losses) == (1, 0)


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (401, KeyRefused, "FINNHUB_API_KEY"),
        (403, PlanRefused, "plan lacks trades"),
        (404, BadAnswer, "FINNHUB_WS_URL"),
        (302, BadAnswer, "FINNHUB_WS_URL"),
    ],
)
def test_a_refusal_is_one_clear_error(listen: Listen, status: int, error: type[StocksError], says: str) -> None:
    with feeding(Script(status=status)) as server:
        with pytest.raises(error, match=says):
            listen(server).receive(0.1)
        assert len(server.tokens) == 1


@pytest.mark.parametrize("script", [Script(status=401), Script(status=302), Script(status=503), Script([said(TRADE)])])
def test_the_key_is_in_no_log_and_no_traceback(
    listen: Listen, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = ""
    with feeding(script) as server:
        feed = listen(server)
        try:
            for _ in range(30):
                feed.receive(0.02)
        except StocksError as error:
            shown = "".join(traceback.format_exception(error))
        shown += repr(feed) + str(feed.trouble)
    assert KEY in server.tokens
    assert KEY not in caplog.text + shown


def test_a_key_that_cannot_be_one_is_named_before_anything_is_sent(listen: Listen) -> None:
    with feeding(Script()) as server:
        with pytest.raises(SettingsError, match="FINNHUB_API_KEY") as error:
            listen(server, FINNHUB_API_KEY="two words").receive(0.1)
        assert "two words" not in str(error.value)
        assert not server.tokens


def test_what_is_no_trade_is_counted_and_its_neighbours_are_kept(
    listen: Listen, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [
        {**TRADE, "p": 0},
        {**TRADE, "p": -1},
        {**TRADE, "p": None},
        {**TRADE, "p": "12"},
        {**TRADE, "v": -1},
        {**TRADE, "t": 0},
        {**TRADE, "t": 1e300},
        {**TRADE, "t": TRADE["t"] * 1000},
        {**TRADE, "t": str(TRADE["t"])},
        {**TRADE, "s": "'; drop"},
        {**TRADE, "s": "MSFT"},
        {"s": "AAPL"},
        "trade",
    ]
    whole = json.dumps(said({**TRADE, "p": 3}))
    nan = whole.replace("[{", '[{"s":"AAPL","p":NaN,"t":1,"v":1},{')
    huge = whole.replace('"p": 3', '"p":1' + "0" * 400).replace("]}", ",NaN]}")
    with feeding(Script([said(*bad, TRADE), nan, huge, said(TRADE)], stays=True)) as server:
        feed = listen(server)
        assert [trade.price for trade in receive(feed, 3)] == [509.5, 3, 509.5]
    assert feed.rejected.total() == len(bad) + 3
    assert feed.rejected["MSFT"] == 1
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len([record for record in warnings if "AAPL" in record.getMessage()]) == 1


def test_a_message_that_cannot_be_read_begins_the_coverage_anew(listen: Listen, exchange: Exchange) -> None:
    half = '{"type":"trade","data":[{"s":"AAPL","p":509.5,'
    script = Script([said(TRADE), half, said(TRADE)], stays=True)
    with feeding(script, headers={"X-Stocks-Source": "replay"}) as server:
        feed = listen(server)
        (first,) = receive(feed, 1)
        exchange.now += timedelta(seconds=30)
        (second,) = receive(feed, 1)
    assert feed.garbled == 1
    assert (first.covered_since, second.covered_since) == (NOW, NOW + timedelta(seconds=30))


def test_errors_and_unknown_messages_are_said_once(listen: Listen, caplog: pytest.LogCaptureFixture) -> None:
    odd = [{"type": "news"}, {"type": "news"}, {"type": "error", "msg": "Subscribing to too many symbols"}, {"a": 1}]
    with feeding(Script([*odd, said(TRADE)], stays=True)) as server:
        assert receive(listen(server), 1)
    assert caplog.text.count("unknown type, 'news'") == 1
    assert caplog.text.count("Subscribing to too many symbols") == 1


def test_symbols_beyond_the_plan_are_named_and_left_out(listen: Listen, caplog: pytest.LogCaptureFixture) -> None:
    with feeding(Script([said(TRADE)], after=2, stays=True)) as server:
        feed = listen(server, "AAPL", "IBM", "MSFT", "FB", FINNHUB_WS_SYMBOLS="2")
        receive(feed, 1)
        assert [asked["symbol"] for asked in server.asked] == ["AAPL", "IBM"]
    assert feed.left_out == ["MSFT", "FB"]
    assert "MSFT, FB" in caplog.text


def test_a_stop_ends_the_trying(listen: Listen) -> None:
    with feeding(Script(status=503)) as server:
        feed = listen(server)
        feed._stop.set()  # type: ignore[attr-defined]
        with pytest.raises(Interrupted):
            feed.receive(0.1)
        assert not server.tokens
