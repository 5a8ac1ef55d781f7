"""The trades of a replay: their minutes are the minutes' candles, and a websocket brings them as time passes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

import pytest
import websocket
from conftest import StartReplay

from finnhub_replay import read_tape
from finnhub_replay.exchange import Exchange
from stocklib.finnhub import Finnhub
from stocklib.sessions import session
from stocklib.settings import Settings

SYMBOLS = ["AAPL", "FB", "GOOG", "IBM", "MSFT"]


@pytest.fixture(scope="module")
def exchange() -> Exchange:
    return Exchange(read_tape())


def new_york(hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2012, 12, 14, hour + 5, minute, second, tzinfo=UTC)


@pytest.mark.parametrize("day", [date(2012, 12, 14), date(2012, 11, 23), date(2000, 6, 21)])
def test_each_minute_of_trades_is_the_minutes_candle(exchange: Exchange, day: date) -> None:
    hours = session(day)
    assert hours is not None
    seconds = {"first": int(hours.open.timestamp()), "last": int(hours.close.timestamp())}
    for symbol in SYMBOLS:
        bar = exchange.tape.bar(symbol, day)
        if bar is None:
            continue
        trades = exchange.trades(symbol, hours.open - timedelta(seconds=1), hours.close)
        assert trades == sorted(trades, key=lambda trade: trade["t"])
        prices = [trade["p"] for trade in trades]
        assert [prices[0], max(prices), min(prices), prices[-1]] == [bar.open, bar.high, bar.low, bar.close]
        assert sum(trade["v"] for trade in trades) == bar.volume
        minutes: dict[int, list[dict[str, Any]]] = {}
        for trade in trades:
            minutes.setdefault(min(trade["t"] // 1000, seconds["last"] - 1) // 60 * 60, []).append(trade)
        candles = exchange.candles(symbol, "1", **seconds, now=hours.close + timedelta(days=1))
        assert list(minutes) == candles["t"]
        for place, found in enumerate(minutes.values()):
            prices = [trade["p"] for trade in found]
            expected = [candles[name][place] for name in "ohlcv"]
            assert [prices[0], max(prices), min(prices), prices[-1], sum(t["v"] for t in found)] == expected


def test_trades_are_the_same_on_every_machine_and_none_is_of_the_future(exchange: Exchange) -> None:
    day = exchange.trades("AAPL", new_york(9), new_york(17))
    assert Exchange(read_tape()).trades("AAPL", new_york(9), new_york(17)) == day
    pieces = [exchange.trades("AAPL", new_york(9, m), new_york(9, m + 1)) for m in range(59)]
    assert list(chain(*pieces)) == [trade for trade in day if trade["t"] <= new_york(9, 59).timestamp() * 1000]
    assert exchange.trades("AAPL", new_york(17), new_york(18)) == []


@contextmanager
def connected(settings: Settings, *, key: str = "replay-key", path: str = "") -> Iterator[Any]:
    wire = websocket.create_connection(f"{settings.finnhub_ws_url}{path}?token={key}", timeout=10)
    try:
        yield wire
    finally:
        wire.close()


def ask(wire: Any, kind: str, symbol: str) -> None:
    wire.send(json.dumps({"type": kind, "symbol": symbol}))


def upto_ping(wire: Any) -> list[dict[str, Any]]:
    """The messages up to the next ping, that included."""
    messages = [json.loads(wire.recv())]
    while messages[-1]["type"] != "ping":
        messages.append(json.loads(wire.recv()))
    return messages


def trades_of(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [trade for message in messages if message["type"] == "trade" for trade in message["data"]]


def test_a_wrong_key_a_web_page_and_a_plain_request_are_refused(replay: StartReplay) -> None:
    settings = replay()
    with pytest.raises(websocket.WebSocketBadStatusException) as refused, connected(settings, key="wrong"):
        pass
    assert refused.value.status_code == 401
    assert refused.value.resp_body == b'{"error":"Invalid API key."}'
    # a page of another site, though it knew the key
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        websocket.create_connection(f"{settings.finnhub_ws_url}?token=replay-key", origin="https://news.example")
    assert refused.value.status_code == 403
    import http.client

    for path in ("/", "/ws"):
        connection = http.client.HTTPConnection(urlsplit(settings.finnhub_ws_url).netloc, timeout=10)
        connection.request("GET", path)
        assert connection.getresponse().status == 404
        connection.close()


def test_trades_come_as_a_stepping_clock_is_moved(replay: StartReplay, exchange: Exchange) -> None:
    settings = replay(options=["--ws-symbols", "2"])
    with Finnhub(settings) as finnhub, connected(settings, path="/ws") as wire:
        for symbol in ("AAPL", "IBM", "MSFT", "NOBODY"):
            ask(wire, "subscribe", symbol)
        wire.send("not json")
        errors = [json.loads(wire.recv()) for _ in range(3)]
        assert [error["msg"] for error in errors] == [
            "Subscribing to too many symbols",
            "Invalid symbol NOBODY",
            "Invalid message",
        ]
        finnhub.wait_until(new_york(9, 31))
        messages = upto_ping(wire)
        expected = [t for s in ("AAPL", "IBM") for t in exchange.trades(s, new_york(9, 29), new_york(9, 31))]
        assert trades_of(messages) == sorted(expected, key=lambda trade: trade["t"])
        assert {message["now"] for message in messages} == {new_york(9, 31).timestamp()}
        # a quote is a second, and a minute of them is told
        ask(wire, "unsubscribe", "IBM")
        for _ in range(60):
            finnhub.quote("AAPL")
        messages = upto_ping(wire)
        assert trades_of(messages) == exchange.trades("AAPL", new_york(9, 31), new_york(9, 32))
        # a clock that is set jumps; a moment that is over is no way to go
        finnhub.set_clock(new_york(12))
        assert upto_ping(wire) == [{"type": "ping", "now": new_york(12).timestamp()}]
        finnhub.wait_until(new_york(11))
        assert upto_ping(wire) == [{"type": "ping", "now": new_york(12).timestamp()}]
        finnhub.set_clock(new_york(10))
        finnhub.wait_until(new_york(10, 1))
        assert trades_of(upto_ping(wire) + upto_ping(wire)) == exchange.trades("AAPL", new_york(10), new_york(10, 1))


def test_trades_come_as_a_running_clock_passes_them(replay: StartReplay, exchange: Exchange) -> None:
    settings = replay(start="2012-12-14T10:00:00", speed="600")
    with connected(settings) as wire:
        ask(wire, "subscribe", "AAPL")
        messages = upto_ping(wire)
        while not trades_of(messages):
            messages += upto_ping(wire)
    trades = trades_of(messages)
    begun, told = (trades[0]["t"] // 1000, messages[-1]["now"])
    span = [datetime.fromtimestamp(at, UTC) for at in (begun - 1, told)]
    assert trades == exchange.trades("AAPL", *span)
    for message in messages:
        assert all(trade["t"] <= message["now"] * 1000 for trade in trades_of([message]))
