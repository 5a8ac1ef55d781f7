"""Faults to order: what is drawn for a seed, what each kind does to an answer, and how they are ordered and counted."""

import http.client
import json
import math
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlsplit

import pytest
from conftest import StartReplay
from hypothesis import given
from hypothesis import strategies as st

from finnhub_replay.__main__ import main
from finnhub_replay.faults import KINDS, Fault, Faults, Sending, read_faults
from stocklib.errors import EmbeddedError

NOW = datetime(2012, 12, 14, 15, 0, tzinfo=UTC)
QUOTE = {"c": 509.79, "d": 1.0, "dp": 0.2, "h": 518.1, "l": 505.6, "o": 514.7, "pc": 529.7, "t": 1355497200}


def send(faults: Faults, n: int = 0, *, path: str = "/quote") -> Sending:
    """The n-th answer of a source whose price tells n."""
    sending = Sending(json.dumps({**QUOTE, "c": 500 + n}).encode(), NOW + timedelta(seconds=n))
    return faults.spoil(path, sending, query="AAPL", earlier=lambda at: {"t": at.timestamp()})


def kinds_of(text: str, seed: int, calls: int) -> list[str | None]:
    faults = Faults(text, seed=seed)
    return [fault and fault.kind for fault in (faults.draw() for _ in range(calls))]


EVERYTHING = ",".join(f"{kind}=0.02" for kind in KINDS)


@given(st.integers(0, 2**32))
def test_a_seed_and_a_sequence_of_calls_meet_the_same_faults(seed: int) -> None:
    assert kinds_of(EVERYTHING, seed, 200) == kinds_of(EVERYTHING, seed, 200)


def test_faults_are_as_frequent_as_ordered_and_another_seed_draws_others() -> None:
    drawn = kinds_of(EVERYTHING, 1, 50_000)
    counts = Counter(drawn)
    assert set(counts) == {*KINDS, None}
    assert all(abs(counts[kind] / 50_000 - 0.02) < 0.003 for kind in KINDS)
    assert drawn != kinds_of(EVERYTHING, 2, 50_000)


def test_a_burst_goes_on_for_so_many_calls_in_a_row() -> None:
    drawn = kinds_of("429=0.01:7", 3, 5_000)
    runs = "".join("x" if kind else " " for kind in drawn).split()
    # two bursts may meet
    assert len(runs) > 20
    assert all(len(run) % 7 == 0 for run in runs[:-1])


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("drop", "needs a chance from 0 to 1, such as drop=0.01"),
        ("drop=", "needs a chance"),
        ("drop=nan", "needs a chance"),
        ("drop=1.1", "needs a chance"),
        ("drop=-0.1", "needs a chance"),
        ("drop=0.1:3", "takes no size"),
        ("dropp=0.1", "is not a fault: kind=chance"),
        ("=0.1", "is not a fault"),
        ("drop=0.1,", "is not a fault"),
        ("slow=0.1:", "takes seconds"),
        ("slow=0.1:0s", "takes seconds"),
        ("slow=0.1:fast", "takes seconds"),
        ("slow=0.1:-3s", "takes seconds"),
        ("429=0.1:3s", "takes a count"),
        ("429=0.1:2.5", "takes a count"),
        ("5xx=0.1:0", "takes a count"),
        ("drop=0.6,cut=0.6", "sum to more than 1"),
        ("drop=0.1,drop=0.1", "name a kind twice"),
    ],
)
def test_a_malformed_order_is_one_error_that_names_it(
    text: str, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(EmbeddedError, match=wrong):
        read_faults(text)
    with pytest.raises(SystemExit) as ended:
        main(["--faults", text])
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("Error: ")


def test_sizes_have_units_and_defaults() -> None:
    assert read_faults("") == read_faults("  ") == ()
    assert read_faults("slow=0.1:500ms")[0].size == 0.5
    assert read_faults("late=0.1:5m")[0].size == 300
    assert read_faults("clock=0.1:+2h") == (Fault("clock", 0.1, 7200.0, "+"),)
    assert [fault.size for fault in read_faults("slow=0,429=0,5xx=0,late=0,clock=0")] == [3, 1, 1, 60, 3600]


def test_what_each_fault_makes_of_an_answer() -> None:
    body = json.dumps({**QUOTE, "c": 500}).encode()
    assert send(Faults("drop=1")).cut == 0
    assert send(Faults("cut=1")).cut == len(body) // 2
    assert send(Faults("slow=1:2")).delay == 2
    assert send(Faults("truncated=1")).body == body[: len(body) // 2]
    assert send(Faults("429=1")).status == 429
    gateway = send(Faults("5xx=1"))
    assert gateway.status in (502, 503)
    assert gateway.body.startswith(b"<html>")
    assert {send(Faults("clock=1:1h", seed=seed)).at - NOW for seed in range(9)} == {
        timedelta(hours=1),
        timedelta(hours=-1),
    }
    assert send(Faults("clock=1:-90s")).at == NOW - timedelta(seconds=90)
    assert json.loads(send(Faults("late=1:60")).body) == {"t": NOW.timestamp() - 60}
    zeros = json.loads(send(Faults("zeros=1")).body)
    assert (zeros["c"], zeros["pc"], zeros["d"], zeros["t"]) == (0, 0, None, QUOTE["t"])
    assert json.loads(send(Faults("negative=1")).body)["c"] == -500
    assert b'"c":NaN' in send(Faults("nan=1")).body
    assert math.isnan(json.loads(send(Faults("nan=1")).body)["h"])


def test_a_duplicate_is_the_answer_before_to_the_same_call_and_the_first_has_none() -> None:
    faults = Faults("duplicate=1")
    first, second, third = (send(faults, n) for n in range(3))
    assert json.loads(first.body)["c"] == 500
    assert (second.body, second.at) == (first.body, first.at)
    assert json.loads(third.body)["c"] == 501
    assert faults.injected == {"duplicate": 2}


def test_an_answer_that_holds_no_price_gets_no_wrong_one_and_is_not_counted() -> None:
    faults = Faults("zeros=0.3,nan=0.3,negative=0.4")
    plain = Sending(b'{"isOpen":true,"t":1}', NOW)
    assert faults.spoil("/stock/market-status", plain, query="", earlier=lambda at: {}) is plain
    assert (faults.injected, faults.spoiled, faults.calls) == ({}, {}, {"/stock/market-status": 1})


# ── over sockets ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Asking:
    """One client of a replay server."""

    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(self, path: str, *, body: object = None) -> tuple[HTTPResponse, bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request("POST" if sent else "GET", path, sent, {"X-Finnhub-Token": "replay-key"})
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def quote(self) -> tuple[HTTPResponse, bytes]:
        return self("/api/v1/quote?symbol=AAPL")

    def order(self, faults: str, seed: int = 0) -> int:
        return self("/replay/faults", body={"faults": faults, "seed": seed})[0].status

    def counts(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = json.loads(self("/replay/faults")[1])
        return found


@pytest.fixture
def ask(replay: StartReplay) -> Asking:
    settings = replay(start="2012-12-14T10:00:00", options=["--faults", "nan=1", "--fault-seed", "7"])
    return Asking(urlsplit(settings.finnhub_base_url).port or 0)


def test_faults_are_ordered_on_the_way_and_counted_and_the_clock_has_none(ask: Asking) -> None:
    assert b"NaN" in ask.quote()[1]
    found = ask.counts()
    assert found == {
        "faults": "nan=1",
        "seed": 7,
        "calls": {"/quote": 1},
        "spoiled": {"/quote": 1},
        "injected": {"nan": 1},
    }
    for kind in KINDS:
        assert ask.order(f"{kind}=1") == 200
        answer, body = ask("/replay/clock")
        assert answer.status == 200
        assert json.loads(body)["now"] == parsedate_to_datetime(answer.headers["Date"]).timestamp()
    for wrong in ({"faults": "drop=2"}, {"faults": 1}, {}, [], {"faults": "", "seed": "x"}, {"faults": "", "x": 1}):
        assert ask("/replay/faults", body=wrong)[0].status == 422
    assert ask.order("") == 200
    assert json.loads(ask.quote()[1])["c"] > 0
    assert ask.counts()["injected"] == {"nan": 1}


def test_a_connection_that_is_dropped_or_cut_ends_without_the_answer(ask: Asking) -> None:
    ask.order("drop=1")
    with pytest.raises(http.client.RemoteDisconnected):
        ask.quote()
    ask.order("cut=1")
    with pytest.raises(http.client.IncompleteRead):
        ask.quote()
    ask.order("slow=1:300ms")
    began = time.monotonic()
    answer, _ = ask.quote()
    assert answer.status == 200
    assert time.monotonic() - began >= 0.3
    # a virtual second each, whatever became of the answer
    assert json.loads(ask("/replay/clock")[1])["now"] == NOW.timestamp() + 3


def test_what_each_fault_makes_of_a_message_of_the_stream() -> None:
    trade = b'{"type":"trade","data":[{"s":"AAPL","p":509.79,"t":1355497200000,"v":100,"c":[]}],"now":1355497200.0}'
    ping = b'{"type":"ping","now":1355497200.0}'

    def relayed(faults: str, *messages: bytes) -> list[list[bytes] | None]:
        ordered, held = Faults(faults), []
        return [ordered.relay(message, held=held) for message in messages]

    assert relayed("slow=0.25,429=0.25,5xx=0.25,clock=0.25", trade) == [[trade]]
    assert relayed("drop=1", trade) == relayed("cut=1", trade) == [None]
    assert relayed("duplicate=1", trade) == [[trade, trade]]
    assert relayed("truncated=1", trade) == [[trade[: len(trade) // 2]]]
    # each leaves after the one that follows it
    late = Faults("late=1")
    held: list[bytes] = []
    assert late.relay(trade, held=held) == []
    late.order("")
    assert late.relay(ping, held=held) == [ping, trade]
    for kind, price in (("zeros", b'"p":0'), ("nan", b'"p":NaN'), ("negative", b'"p":-509.79')):
        (found,) = relayed(f"{kind}=1", trade)
        assert found
        assert price in found[0]
        assert relayed(f"{kind}=1", ping) == [[ping]]
    counted = Faults("zeros=1")
    counted.relay(ping, held=[])
    counted.relay(trade, held=[])
    assert (counted.calls, counted.spoiled, counted.injected) == ({"stream": 2}, {"stream": 1}, {"zeros": 1})
