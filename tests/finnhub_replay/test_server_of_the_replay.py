"""The replay over real sockets: Finnhub's paths, keys, limits and bodies, the virtual time, and the clock's control."""

import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import websocket
from conftest import StartReplay

from finnhub_replay.clock import read_start as new_york
from stocklib.errors import SourceUnavailable
from stocklib.finnhub import Finnhub
from stocklib.settings import Settings, read_settings
from workbench.embedded import processes, replay_server
from workbench.embedded.home import Keys, folder_of

KEY = {"X-Finnhub-Token": "replay-key"}
AT = "/api/v1"


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def date(self) -> float:
        return parsedate_to_datetime(self.headers["Date"]).timestamp()


Ask = Callable[..., Answer]


def port_of(settings: Settings) -> int:
    return urlsplit(settings.finnhub_base_url).port or 0


def asking(port: int, *, host: str = "127.0.0.1") -> Ask:
    where = f"{host}:{port}"

    def ask(path: str, *, method: str = "GET", headers: Mapping[str, str] = KEY, body: bytes | None = None) -> Answer:
        connection = HTTPConnection(where, timeout=10)
        connection.request(method, path, headers=dict(headers), body=body)
        answer = connection.getresponse()
        found = Answer(answer.status, answer.headers, json.loads(answer.read()))
        connection.close()
        return found

    return ask


def move(ask: Ask, **what: Any) -> Answer:
    return ask("/replay/clock", method="POST", body=json.dumps(what).encode())


@pytest.fixture(scope="module")
def server(guard: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """One server for the tests that need no other rules than a key."""
    home = tmp_path_factory.mktemp("replay")
    guard(home)
    settings = read_settings(environ={"STOCKS_HOME": str(home), "REPLAY_SPEED": "step"})
    keys = Keys("", "", "replay-key")
    daemon = replay_server.start(settings, keys, wanted={})
    processes.wait_until(daemon, lambda: replay_server.complaint(daemon, keys), seconds=60)
    yield asking(daemon.ports["replay"])
    replay_server.stop(daemon)


@pytest.fixture
def ask(server: Ask) -> Ask:
    """It is ten in the morning."""
    move(server, now=new_york("2012-12-14T10:00").timestamp())
    return server


def test_every_path_answers_with_its_source_and_the_virtual_time(ask: Ask) -> None:
    now = new_york("2012-12-14T10:00").timestamp()
    span = "from=1355097600&to=1355443200"
    shapes = {
        "/stock/market-status?exchange=US": {"exchange", "holiday", "isOpen", "session", "timezone", "t"},
        "/stock/market-holiday?exchange=US": {"data", "exchange", "timezone"},
        "/stock/profile2?symbol=AAPL": {"name", "ticker", "ipo"},
        "/search?q=apple": {"count", "result"},
        f"/stock/candle?symbol=AAPL&resolution=D&{span}": set("ohlcvts"),
        "/quote?symbol=aapl": {"c", "d", "dp", "h", "l", "o", "pc", "t"},
    }
    for path, names in shapes.items():
        answer = ask(AT + path)
        assert (answer.status, answer.headers["X-Stocks-Source"], answer.date) == (200, "replay", now)
        assert names <= set(answer.body)
        assert answer.headers["Content-Type"].startswith("application/json")
        assert "Server" not in answer.headers
    listed = [found["symbol"] for found in ask(f"{AT}/stock/symbol?exchange=US").body]
    assert listed == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
    splits = ask(f"{AT}/stock/split?symbol=AAPL&from=2005-01-01&to=2005-12-31").body
    assert splits == [{"symbol": "AAPL", "date": "2005-02-28", "fromFactor": 1.0, "toFactor": 2.0}]
    assert ask(f"{AT}/stock/dividend?symbol=AAPL&from=2005-01-01&to=2005-12-31").body == []


def test_a_quote_costs_one_virtual_second_and_nothing_else_does(ask: Ask) -> None:
    begin = new_york("2012-12-14T10:00").timestamp()
    for second in range(3):
        assert ask(f"{AT}/quote?symbol=AAPL").date == begin + second
        ask(f"{AT}/stock/market-status?exchange=US")
        ask(f"{AT}/stock/profile2?symbol=AAPL")
        ask(f"{AT}/quote")
        ask(f"{AT}/quote?symbol=AAPL", headers={"X-Finnhub-Token": "wrong"})
        assert ask("/replay/clock").body == {"now": begin + second + 1, "mode": "step", "speed": 1}


def test_the_key_comes_by_header_or_token_also_behind_a_double_slash(ask: Ask) -> None:
    refused = (401, {"error": "Invalid API key."})
    for path in (f"{AT}/stock/market-status", f"{AT}//stock/market-status", f"{AT}///stock/market-status/"):
        assert ask(path).status == 200
        assert ask(f"{path}?token=replay-key", headers={}).status == 200
        for asked in (path, f"{path}?token=wrong"):
            answer = ask(asked, headers={})
            assert (answer.status, answer.body, answer.headers["X-Stocks-Source"]) == (*refused, "replay")


def test_what_makes_no_sense_is_refused_in_json(ask: Ask) -> None:
    candle, split = f"{AT}/stock/candle?symbol=AAPL", f"{AT}/stock/split?symbol=AAPL"
    refusals = {
        404: (f"{AT}/nowhere", "/quote?symbol=AAPL", "/", f"{AT}/stock", "/api/v2/quote?symbol=AAPL"),
        422: (
            *(f"{AT}/quote", f"{AT}/quote?symbol=", f"{AT}/search", split, candle),
            f"{candle}&resolution=7&from=1&to=2",
            f"{candle}&resolution=D&from=yesterday&to=2",
            f"{candle}&resolution=D&from=1e999&to=2",
            f"{candle}&resolution=D&from=1",
            f"{split}&from=2012-13-01&to=2012-12-01",
        ),
    }
    for status, paths in refusals.items():
        for path in paths:
            answer = ask(path)
            assert (answer.status, set(answer.body)) == (status, {"error"})
            assert answer.headers["X-Stocks-Source"] == "replay"


def test_odd_symbols_and_bytes_are_unknown_symbols(ask: Ask) -> None:
    for symbol in ("NOBODY", "%27%3B+drop+table", "%FF%FE", "%5EGSPC", "BRK.B", "A" * 3000):
        answer = ask(f"{AT}/quote?symbol={symbol}")
        assert (answer.status, answer.body["c"], answer.body["dp"]) == (200, 0, None)
        assert ask(f"{AT}/stock/profile2?symbol={symbol}").body == {}
    assert ask(f"{AT}/quote?symbol=AAPL", method="POST", body=b"").status == 405


def test_a_free_plan_has_no_history_and_sixty_calls_a_minute_are_a_limit(replay: StartReplay) -> None:
    ask = asking(port_of(replay(options=["--free-plan", "--calls-per-minute", "6"])))
    for path in (
        "/stock/candle?symbol=AAPL&resolution=D&from=1&to=2",
        "/stock/split?symbol=AAPL&from=2005-01-01&to=2005-12-31",
        "//stock/dividend?symbol=AAPL&from=2005-01-01&to=2005-12-31",
    ):
        answer = ask(AT + path)
        assert (answer.status, answer.body) == (403, {"error": "You don't have access to this resource."})
    for path in ("/quote?symbol=AAPL", "/stock/profile2?symbol=AAPL", "/stock/market-status"):
        assert ask(AT + path).status == 200
    before = ask("/replay/clock").body["now"]
    answer = ask(f"{AT}/quote?symbol=AAPL")
    limit = {"error": "API limit reached. Please try again later. Remaining Limit: 0"}
    assert (answer.status, answer.body) == (429, limit)
    # the clock is no call of the API, and a refused quote costs no time
    assert ask("/replay/clock").body["now"] == before


def test_the_clock_is_set_and_advanced_by_hand(ask: Ask) -> None:
    close = new_york("2012-12-14T16:00").timestamp()
    assert move(ask, now=close - 60).body == {"now": close - 60, "mode": "step", "speed": 1}
    assert move(ask, advance=60).body["now"] == close
    assert ask(f"{AT}/quote?symbol=AAPL").body["c"] == 509.794
    # back, too: a day is run again from its start
    opened = new_york("2012-12-14T09:30").timestamp()
    assert move(ask, now=opened).date == opened
    assert ask(f"{AT}/quote?symbol=AAPL").body["t"] == opened
    assert move(ask, advance=0.5).body["now"] == opened + 1.5


def test_a_clock_that_is_sent_nonsense_stays_where_it_was(ask: Ask) -> None:
    before = ask("/replay/clock").body
    nonsense: list[Any] = [
        *(b"", b"{", b"null", b"[]", b"{}", b'"now"', b'{"now": null}', b'{"now": "NaN"}', b'{"now": "x"}'),
        *(b'{"advance": -1}', b'{"advance": "nan"}', b'{"advance": 1e300}', b'{"now": 1, "advance": 1}'),
        # before and after the trading calendar
        *(b'{"now": 0}', b'{"now": 2600000000}', b'{"now": -1e9}', b'{"advance": 3e9}', b'{"now": 1e18}'),
    ]
    for body in nonsense:
        answer = ask("/replay/clock", method="POST", body=body)
        assert (answer.status, set(answer.body)) == (422, {"error"})
    assert ask("/replay/clock").body == before


@pytest.mark.parametrize("starts", ["quote", "subscription", "move", "producer"])
def test_a_clock_with_a_speed_waits_for_the_first_quote(replay: StartReplay, starts: str) -> None:
    settings = replay(start="2012-12-14T09:29:00", speed="60")
    ask, begin = asking(port_of(settings)), new_york("2012-12-14T09:29").timestamp()
    with Finnhub(settings) as finnhub:
        # a backfill, a doctor and a reader of the clock do not start it
        finnhub.candles("AAPL", "D", date(2012, 12, 1), date(2012, 12, 13))
        assert finnhub.market_status().is_open is False
        time.sleep(0.2)
        # as the client counts the time from its last look at the clock on
        assert begin <= finnhub.now().timestamp() < begin + 6
        assert ask("/replay/clock").body == {"now": begin, "mode": "speed", "speed": 60, "waiting": True}
        if starts == "quote":
            # a symbol's first quote is that of the instant at which the clock stood
            assert ask(f"{AT}/quote?symbol=AAPL").date == begin
        elif starts == "subscription":
            with closing(websocket.create_connection(f"{settings.finnhub_ws_url}?token=replay-key")) as wire:
                wire.send('{"type": "subscribe", "symbol": "AAPL"}')
                wire.recv()
        elif starts == "move":
            assert move(ask, now=begin).body["now"] >= begin
        else:
            finnhub.start_clock()
        time.sleep(0.2)
        assert "waiting" not in ask("/replay/clock").body
        assert finnhub.now().timestamp() >= begin + 10


def test_a_replay_that_goes_away_before_its_first_quote_leaves_its_time_known(replay: StartReplay) -> None:
    settings = replay(start="2012-12-14T09:29:00", speed="60")
    with Finnhub(settings, attempts=1) as finnhub:
        finnhub.market_status()
        before = finnhub.now()
        server = processes.recall(folder_of(settings, "replay"), port="replay")
        assert server
        replay_server.stop(server)
        assert finnhub.now() >= before
        with pytest.raises(SourceUnavailable):
            finnhub.market_status()


def test_a_running_clock_runs_so_many_times_as_fast(replay: StartReplay) -> None:
    ask = asking(port_of(replay(start="2012-12-14T10:00:00", speed="600")))
    ask(f"{AT}/quote?symbol=AAPL")
    began, first = time.monotonic(), ask("/replay/clock").body
    assert (first["mode"], first["speed"]) == ("speed", 600)
    deadline = began + 10
    while (last := ask("/replay/clock").body)["now"] < first["now"] + 300:
        assert time.monotonic() < deadline
    passed = last["now"] - first["now"]
    assert 300 <= passed <= (time.monotonic() - began) * 600 + 1
    quote = ask(f"{AT}/quote?symbol=AAPL")
    assert abs(quote.date - quote.body["t"]) <= 1
    close = new_york("2012-12-14T16:00").timestamp()
    assert move(ask, now=close).body["now"] >= close
    assert move(ask, advance=3600).body["now"] >= close + 3600
    assert ask(f"{AT}/stock/market-status").body["session"] == "post-market"


def test_the_clock_is_moved_by_whoever_has_the_key_wherever_he_is(replay: StartReplay) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            own = probe.getsockname()[0]
        except OSError:
            own = "127.0.0.1"
    if own.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    port = port_of(replay(options=["--host", "0.0.0.0", "--name", own, "--name", "Replay"]))
    ask = asking(port)
    before = ask("/replay/clock").body
    elsewhere = asking(port, host=own)
    assert elsewhere(f"{AT}/stock/market-status").status == 200
    for address in ("/replay/clock", "/replay/faults"):
        assert elsewhere(address, headers={}).status == 401
        assert elsewhere(address, headers={"X-Finnhub-Token": "wrong"}, method="POST", body=b"{}").status == 401
    assert ask("/replay/clock").body == before
    assert move(elsewhere, advance=3600).body["now"] == before["now"] + 3600
    # a container is asked by its name, and by no other
    assert elsewhere("/replay/clock", headers={**KEY, "Host": f"replay:{port}"}).status == 200
    assert elsewhere("/replay/clock", headers={**KEY, "Host": f"rebound.example:{port}"}).status == 403


def test_many_clients_at_once_each_pay_their_second(ask: Ask) -> None:
    begin = ask("/replay/clock").body["now"]
    with ThreadPoolExecutor(8) as pool:
        dates = list(pool.map(lambda n: ask(f"{AT}/quote?symbol=IBM").date, range(80)))
    assert sorted(dates) == [begin + n for n in range(80)]


def test_the_projects_own_client_understands_it(replay: StartReplay) -> None:
    with Finnhub(replay(start="2012-12-14T16:00:00")) as finnhub:
        quote = finnhub.quote("AAPL")
        assert (quote.current_price, quote.day_high) == (509.794, 518.132)
        assert quote.market_timestamp == quote.fetched_at == new_york("2012-12-14T16:00")
        assert finnhub.source == "replay"
