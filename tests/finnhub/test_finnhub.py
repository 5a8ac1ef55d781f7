"""The Finnhub client against a server that misbehaves: what it asks, what it accepts, what it says when it cannot."""

import itertools
import logging
import threading
import time
import traceback
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from misbehaving import Asked, Reply, Server, serving

from stocklib.clocks import Deadline
from stocklib.errors import (
    BadAnswer,
    DateRangeError,
    Interrupted,
    KeyRefused,
    NoQuote,
    PlanRefused,
    RateLimited,
    SettingsError,
    SourceUnavailable,
    StocksError,
    SymbolError,
)
from stocklib.finnhub import Finnhub
from stocklib.quotes import SymbolMatch
from stocklib.rate_limit import RateLimit
from stocklib.settings import Settings, read_settings

KEY = "sk-4242-never-to-be-seen"
QUOTE = {"c": 72.8, "d": -2.7, "dp": -3.6, "h": 74.0, "l": 72.0, "o": 73.5, "pc": 75.5, "t": 1355495400}
DAYS = {
    "s": "ok",
    "t": [1355356800, 1355443200],
    "o": [1.0, 2.0],
    "h": [3.0, 3.0],
    "l": [0.5, 1.5],
    "c": [2.0, 2.5],
    "v": [100, 200.5],
}
STATUS = {"exchange": "US", "holiday": None, "isOpen": True, "session": "regular", "t": 1355497200}


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    def build(server: Server | str, **more: str) -> Settings:
        url = server if isinstance(server, str) else f"{server.url}/api/v1"
        environ = {"STOCKS_HOME": str(tmp_path), "FINNHUB_API_KEY": KEY, "FINNHUB_BASE_URL": url}
        return read_settings(environ=environ | more)

    return build


@pytest.fixture
def client(settings: Callable[..., Settings]) -> Callable[..., Finnhub]:
    """A client of a server, with retries that do not keep a test waiting."""

    def build(server: Server | str, *, environ: dict[str, str] | None = None, **more: Any) -> Finnhub:
        return Finnhub(settings(server, **environ or {}), **{"first_pause": 0.01} | more)

    return build


Client = Callable[..., Finnhub]


def text_of(error: BaseException) -> str:
    """Everything that could reach a screen or a log of an error."""
    return "".join(traceback.format_exception(error)) + str(error) + repr(error) + repr(error.__cause__)


# ── what it asks ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_key_travels_in_the_header_and_nowhere_else(client: Client) -> None:
    with serving(Reply(QUOTE)) as server, client(server) as finnhub:
        quote = finnhub.quote("AAPL")
    assert server.asked[0].headers["x-finnhub-token"] == KEY
    assert server.asked[0].path == "/api/v1/quote"
    assert server.asked[0].query == {"symbol": "AAPL"}
    assert (quote.current_price, quote.day_open, quote.prev_close) == (72.8, 73.5, 75.5)


@pytest.mark.parametrize("symbol", ["BRK.B", "^GSPC", "BINANCE:BTCUSDT", "EURUSD=X"])
def test_an_odd_symbol_arrives_as_it_is_written(client: Client, symbol: str) -> None:
    with serving(Reply(QUOTE)) as server, client(server) as finnhub:
        assert finnhub.quote(symbol).symbol == symbol
    assert server.asked[0].query == {"symbol": symbol}


@pytest.mark.parametrize("symbol", ["'; drop table", "", "A" * 40, "AAPL&token=1", "../stock"])
def test_what_is_no_symbol_is_refused_before_anything_is_asked(client: Client, symbol: str) -> None:
    with serving(Reply(QUOTE)) as server, client(server) as finnhub:
        for ask in (
            finnhub.quote,
            finnhub.profile,
            lambda s: finnhub.candles(s, "D", date(2012, 1, 1), date(2012, 1, 2)),
        ):
            with pytest.raises(SymbolError):
                ask(symbol)
    assert not server.asked


def test_fetched_at_is_the_date_of_the_answer(client: Client) -> None:
    with serving(Reply(QUOTE, date="Fri, 14 Dec 2012 20:59:58 GMT")) as server, client(server) as finnhub:
        assert finnhub.quote("AAPL").fetched_at == datetime(2012, 12, 14, 20, 59, 58, tzinfo=UTC)


def test_daily_candles_are_asked_from_midnight_to_midnight_utc(client: Client) -> None:
    with serving(Reply(DAYS)) as server, client(server) as finnhub:
        candles = finnhub.candles("AAPL", "D", date(2012, 12, 13), date(2012, 12, 14))
    assert server.asked[0].query == {"symbol": "AAPL", "resolution": "D", "from": "1355356800", "to": "1355443200"}
    assert [c.quote_date for c in candles] == [date(2012, 12, 13), date(2012, 12, 14)]
    assert candles[1].volume == 200.5
    assert candles[1].data_source == "finnhub"


def test_minutes_of_a_quarter_are_asked_a_month_at_a_time_without_gap_or_overlap(client: Client) -> None:
    with serving(Reply({"s": "no_data"})) as server, client(server) as finnhub:
        assert finnhub.candles("AAPL", "1", date(2012, 9, 1), date(2012, 11, 30)) == []
    spans = [(int(asked.query["from"]), int(asked.query["to"])) for asked in server.asked]
    assert len(spans) == 4
    assert all(last - first <= 31 * 86400 for first, last in spans)
    assert all(second[0] == first[1] + 1 for first, second in itertools.pairwise(spans))
    assert spans[0][0] == datetime(2012, 9, 1, 4, tzinfo=UTC).timestamp()
    assert spans[-1][1] == datetime(2012, 12, 1, 4, 59, 59, tzinfo=UTC).timestamp()


# ── what it accepts ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "answer",
    [
        {"c": 0, "d": None, "dp": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0},
        {**QUOTE, "c": None},
        {**QUOTE, "h": 0},
        {},
    ],
)
def test_zeros_and_nulls_are_no_quote(client: Client, answer: dict[str, Any]) -> None:
    with serving(Reply(answer)) as server, client(server) as finnhub, pytest.raises(NoQuote, match="ZZZZ"):
        finnhub.quote("ZZZZ")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"c": 72.8, "d": -2.7',
        b"<html>maintenance</html>",
        b"",
        b"[]",
        b"null",
        b'{"c": NaN, "h": 74, "l": 72, "o": 73.5, "pc": 75.5, "t": 1355495400}',
        b'{"c": "72.8", "h": 74, "l": 72, "o": 73.5, "pc": 75.5, "t": 1355495400}',
        b'{"c": -72.8, "h": 74, "l": 72, "o": 73.5, "pc": 75.5, "t": 1355495400}',
        b'{"c": true, "h": 74, "l": 72, "o": 73.5, "pc": 75.5, "t": 1355495400}',
        b'{"c": 1e999, "h": 74, "l": 72, "o": 73.5, "pc": 75.5, "t": 1355495400}',
        b'{"error": "Symbol not supported."}',
        b'{"c": 72.8, "h": 74, "l": 72, "o": 73.5, "pc": 75.5, "t": 1355495400000}',
        b'{"c": 72.8, "h": 74, "l": 72, "o": 73.5, "pc": 75.5, "t": 1e300}',
    ],
)
def test_what_is_no_quote_answer_is_a_bad_answer(client: Client, body: bytes) -> None:
    with serving(Reply(body)) as server, client(server) as finnhub, pytest.raises(BadAnswer):
        finnhub.quote("AAPL")


@pytest.mark.parametrize(
    "change",
    [
        {"v": None},
        {"o": [1.0]},
        {"c": [2.0, None]},
        {"c": [2.0, 0]},
        {"l": [0.5, -1.5]},
        {"v": [100, -1]},
        {"t": [1355356800, 1355356800]},
        {"t": [1355356800, None]},
        {"t": [1355356800, 1355443200000]},
        {"t": [1355356800, -1e300]},
        {"t": [1355356800, "1355443200"]},
        {"h": ["3.0", 3.0]},
        {"s": "error"},
        {"s": None},
    ],
)
def test_candles_that_do_not_hold_together_are_a_bad_answer_as_a_whole(client: Client, change: dict[str, Any]) -> None:
    with serving(Reply(DAYS | change)) as server, client(server) as finnhub, pytest.raises(BadAnswer, match="AAPL"):
        finnhub.candles("AAPL", "D", date(2012, 12, 13), date(2012, 12, 14))


def test_nan_among_candles_is_a_bad_answer(client: Client) -> None:
    body = str(DAYS).replace("'", '"').replace("2.5", "NaN").encode()
    with serving(Reply(body)) as server, client(server) as finnhub, pytest.raises(BadAnswer):
        finnhub.candles("AAPL", "D", date(2012, 12, 13), date(2012, 12, 14))


def test_a_missing_volume_is_none_and_no_data_is_no_candles(client: Client) -> None:
    answers = [Reply(DAYS | {"v": [100, None]}), Reply({"s": "no_data"})]
    with serving(answers) as server, client(server) as finnhub:
        first = finnhub.candles("AAPL", "D", date(2012, 12, 13), date(2012, 12, 14))
        assert [c.volume for c in first] == [100.0, None]
        assert finnhub.candles("AAPL", "D", date(2012, 12, 13), date(2012, 12, 14)) == []


def test_a_range_that_runs_backwards_is_refused(client: Client) -> None:
    with serving(Reply(DAYS)) as server, client(server) as finnhub:
        for ask in (finnhub.splits, finnhub.dividends, lambda s, a, b: finnhub.candles(s, "D", a, b)):
            with pytest.raises(DateRangeError, match="reversed"):
                ask("AAPL", date(2012, 12, 14), date(2012, 12, 13))
    assert not server.asked


def test_splits_say_first_how_far_they_were_asked_for(client: Client) -> None:
    rows = [
        {"symbol": "AAPL", "date": "2014-06-09", "fromFactor": 1, "toFactor": 7},
        {"symbol": "AAPL", "date": "2005-02-28", "fromFactor": 1, "toFactor": 2},
    ]
    with serving(Reply(rows)) as server, client(server) as finnhub:
        checked, *splits = finnhub.splits("AAPL", date(2000, 1, 1), date(2020, 1, 1))
    # the answer is of 2012-12-14: a split announced for later is neither known nor excluded
    assert (checked.kind, checked.action_date, checked.checked_to) == ("checked", date(2000, 1, 1), date(2012, 12, 14))
    assert [(s.action_date, s.from_factor, s.to_factor) for s in splits] == [(date(2005, 2, 28), 1.0, 2.0)]


@pytest.mark.parametrize(
    "rows", [{}, [{"date": "2005-02-28"}], [{"date": "soon", "fromFactor": 1, "toFactor": 2}], [[]], "none"]
)
def test_splits_that_cannot_be_read_are_a_bad_answer_and_not_no_splits(client: Client, rows: Any) -> None:
    with serving(Reply(rows)) as server, client(server) as finnhub, pytest.raises(BadAnswer):
        finnhub.splits("AAPL", date(2000, 1, 1), date(2012, 1, 1))


def test_dividends_are_in_the_amounts_that_were_paid(client: Client) -> None:
    rows = [{"symbol": "AAPL", "date": "2012-11-07", "amount": 2.65, "adjustedAmount": 0.0946, "currency": "USD"}]
    with serving(Reply(rows)) as server, client(server) as finnhub:
        checked, dividend = finnhub.dividends("AAPL", date(2012, 1, 1), date(2012, 12, 14))
    assert (checked.kind, checked.action_date, checked.checked_to, checked.fetched_at) == (
        "checked_dividends",
        date(2012, 1, 1),
        date(2012, 12, 14),
        dividend.fetched_at,
    )
    assert (dividend.kind, dividend.action_date, dividend.amount) == ("dividend", date(2012, 11, 7), 2.65)


def test_a_profile_keeps_the_answers_fields_and_an_unknown_company_is_a_symbol_error(client: Client) -> None:
    answers = [Reply({"ticker": "AAPL", "name": "Apple Inc", "shareOutstanding": 940.7}), Reply({})]
    with serving(answers) as server, client(server) as finnhub:
        assert finnhub.profile("AAPL").fields["shareOutstanding"] == 940.7
        with pytest.raises(SymbolError, match="ZZZZ"):
            finnhub.profile("ZZZZ")


def test_a_search_is_read_in_the_answers_order(client: Client) -> None:
    rows = [
        {
            "description": "BERKSHIRE HATHAWAY INC-CL B",
            "displaySymbol": "BRK.B",
            "symbol": "BRK.B",
            "type": "Common Stock",
        },
        {"description": "BERKSHIRE HATHAWAY INC-CL A", "symbol": "BRK.A", "type": ""},
        {"description": "a row without a symbol", "symbol": None},
    ]
    with serving(Reply({"count": 3, "result": rows})) as server, client(server) as finnhub:
        assert finnhub.search("berkshire & co") == [
            SymbolMatch("BRK.B", "BERKSHIRE HATHAWAY INC-CL B", "Common Stock"),
            SymbolMatch("BRK.A", "BERKSHIRE HATHAWAY INC-CL A"),
        ]
        assert server.asked[0].query == {"q": "berkshire & co"}


@pytest.mark.parametrize("answer", [[], {}, {"count": 1}, {"count": 1, "result": ["AAPL"]}, {"result": None}])
def test_a_search_of_another_shape_is_a_bad_answer(client: Client, answer: object) -> None:
    with serving(Reply(answer)) as server, client(server) as finnhub, pytest.raises(BadAnswer, match="search"):
        finnhub.search("apple")


@pytest.mark.parametrize(("price", "is_priced"), [(91_305.27, True), (0, False)])
def test_a_symbol_without_a_quote_is_not_priced(client: Client, price: float, is_priced: bool) -> None:
    quote = dict.fromkeys(("c", "h", "l", "o", "pc"), price) | {"d": None, "dp": None, "t": 1355495400 if price else 0}
    with serving(Reply(quote)) as server, client(server) as finnhub:
        assert finnhub.is_priced("BINANCE:BTCUSDT") == is_priced


def test_the_market_status_and_holidays_are_read(client: Client) -> None:
    holidays = {"data": [{"eventName": "Christmas", "atDate": "2012-12-25", "tradingHour": ""}], "exchange": "US"}
    with serving([Reply(STATUS), Reply(holidays)]) as server, client(server) as finnhub:
        status = finnhub.market_status()
        assert (status.is_open, status.session, status.at) == (True, "regular", datetime(2012, 12, 14, 15, tzinfo=UTC))
        assert finnhub.market_holidays()[0].holiday_date == date(2012, 12, 25)


@pytest.mark.parametrize("no_time", [1355495400000, 1e300, -5, "1355495400"])
def test_a_market_status_of_no_time_is_a_bad_answer(client: Client, no_time: object) -> None:
    status = {"isOpen": True, "session": "regular", "holiday": None, "t": no_time}
    with serving(Reply(status)) as server, client(server) as finnhub, pytest.raises(BadAnswer, match="market status"):
        finnhub.market_status()


@pytest.mark.parametrize("date_header", ["Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2300", "Friday"])
def test_a_date_header_that_is_no_time_of_a_market_is_none(client: Client, date_header: str) -> None:
    with serving(Reply(QUOTE, date=date_header)) as server, client(server) as finnhub:
        assert abs(finnhub.quote("AAPL").fetched_at - datetime.now(UTC)) < timedelta(minutes=1)


# ── what it says when it cannot ───────────────────────────────────────────────────────────────────────────────────────


def test_no_key_is_one_clear_error(settings: Callable[..., Settings]) -> None:
    with pytest.raises(SettingsError, match="FINNHUB_API_KEY"):
        Finnhub(settings("http://127.0.0.1:9/api/v1", FINNHUB_API_KEY=""))


def test_a_refused_key_names_the_setting_and_is_not_tried_twice(client: Client) -> None:
    with (
        serving(Reply({"error": "Invalid API key."}, status=401)) as server,
        client(server) as finnhub,
        pytest.raises(KeyRefused, match="FINNHUB_API_KEY"),
    ):
        finnhub.quote("AAPL")
    assert len(server.asked) == 1


def test_a_plan_without_candles_names_the_other_history_source(client: Client) -> None:
    reply = Reply({"error": "You don't have access to this resource."}, status=403)
    with serving(reply) as server, client(server) as finnhub:
        with pytest.raises(PlanRefused, match=r"/stock/candle for AAPL \(403.*HISTORY_SOURCE=yfinance"):
            finnhub.candles("AAPL", "D", date(2012, 12, 13), date(2012, 12, 14))
        with pytest.raises(PlanRefused) as refused:
            finnhub.quote("7203.T")
    assert "yfinance" not in str(refused.value)
    assert len(server.asked) == 2


def test_a_server_error_is_tried_again_until_it_recovers(client: Client) -> None:
    replies = [Reply(b"oops", status=500), Reply(b"", status=502), Reply(b"{}", status=503), Reply(QUOTE)]
    with serving(replies) as server, client(server) as finnhub:
        assert finnhub.quote("AAPL").current_price == 72.8
    assert len(server.asked) == 4


def test_a_server_that_stays_down_is_unavailable_after_every_try(client: Client) -> None:
    with (
        serving(Reply(b"oops", status=500)) as server,
        client(server, attempts=3) as finnhub,
        pytest.raises(SourceUnavailable, match=r"AAPL \(500"),
    ):
        finnhub.quote("AAPL")
    assert len(server.asked) == 3


class Pauses(threading.Event):
    """A stop that nobody sets: it notes how long it is asked to wait, and does not."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.asked.append(timeout or 0.0)
        return False


def test_pauses_grow_and_differ(client: Client) -> None:
    runs = []
    for _ in range(2):
        stop = Pauses()
        with (
            serving(Reply(b"", status=500)) as server,
            client(server, stop=stop, attempts=4, first_pause=0.05) as finnhub,
            pytest.raises(SourceUnavailable),
        ):
            finnhub.quote("AAPL")
        assert len(server.asked) == 4
        assert [
            0.75 * pause <= asked <= 1.25 * pause for pause, asked in zip((0.05, 0.1, 0.2), stop.asked, strict=True)
        ] == [True, True, True]
        runs.append(stop.asked)
    assert runs[0] != runs[1]


def test_too_many_calls_wait_as_long_as_the_source_says(client: Client) -> None:
    replies = [Reply({"error": "API limit reached."}, status=429, headers={"Retry-After": "1"}), Reply(QUOTE)]
    with serving(replies) as server, client(server) as finnhub:
        assert finnhub.quote("AAPL").current_price == 72.8
    assert server.asked[1].at - server.asked[0].at >= 1.0


def test_too_many_calls_for_ever_are_rate_limited(client: Client) -> None:
    with (
        serving(Reply({"error": "API limit reached."}, status=429)) as server,
        client(server, attempts=3) as finnhub,
        pytest.raises(RateLimited, match="FINNHUB_CALLS_PER_MINUTE"),
    ):
        finnhub.quote("AAPL")
    assert len(server.asked) == 3


def test_an_answer_that_does_not_come_is_asked_for_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stocklib.finnhub.rest._TIMEOUT", (0.2, 0.2))
    with serving([Reply(QUOTE, delay=0.6), Reply(QUOTE)]) as server, client(server) as finnhub:
        assert finnhub.quote("AAPL").current_price == 72.8
    assert len(server.asked) == 2


def test_a_truncated_body_is_asked_for_again(client: Client) -> None:
    with serving([Reply(QUOTE, truncate=True), Reply(QUOTE)]) as server, client(server) as finnhub:
        assert finnhub.quote("AAPL").current_price == 72.8
    assert len(server.asked) == 2


def test_nobody_there_is_unavailable_and_says_where_to_look(client: Client) -> None:
    with (
        client("http://127.0.0.1:9/api/v1", attempts=2) as finnhub,
        pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1:9 .*stocks up"),
    ):
        finnhub.quote("AAPL")


def test_a_redirect_is_not_followed(client: Client) -> None:
    with serving(Reply(QUOTE)) as elsewhere:
        reply = Reply(b"", status=302, headers={"Location": f"{elsewhere.url}/api/v1/quote?symbol=AAPL"})
        with serving(reply) as server, client(server) as finnhub, pytest.raises(BadAnswer, match="redirect"):
            finnhub.quote("AAPL")
    assert not elsewhere.asked


def test_a_wrong_address_says_so(client: Client) -> None:
    with (
        serving(Reply(b"not here", status=404)) as server,
        client(server) as finnhub,
        pytest.raises(BadAnswer, match="FINNHUB_BASE_URL"),
    ):
        finnhub.quote("AAPL")


SECRETIVE = [
    Reply({"error": f"Invalid API key {KEY}."}, status=401),
    Reply({"error": f"{KEY} has no access"}, status=403),
    Reply({"error": f"limit of {KEY}"}, status=429),
    Reply({"error": KEY}, status=500),
    Reply(f"what is {KEY}?".encode()),
    Reply({"error": KEY}),
    Reply({"error": KEY}, status=418),
    Reply(QUOTE, truncate=True),
    Reply(b"", status=302, headers={"Location": f"http://elsewhere/?token={KEY}"}),
]


@pytest.mark.parametrize("reply", SECRETIVE, ids=lambda reply: f"{reply.status}")
def test_the_key_is_in_no_error_no_traceback_and_no_log(
    client: Client, reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    # commands that ran in this process before may have quietened it
    caplog.set_level(logging.DEBUG, logger="urllib3")
    with serving(reply) as server, client(server, attempts=2) as finnhub:
        with pytest.raises(StocksError) as raised:
            finnhub.quote("AAPL")
        shown = text_of(raised.value) + caplog.text + repr(finnhub) + repr(vars(finnhub))
    assert KEY not in shown
    assert caplog.text


@pytest.mark.parametrize("key", ["with\nbreak-1234", "with space-1234", "ключ-1234"])
def test_a_key_that_cannot_be_a_header_is_refused_without_being_shown(
    settings: Callable[..., Settings], key: str
) -> None:
    with pytest.raises(SettingsError, match="FINNHUB_API_KEY") as raised:
        Finnhub(settings("http://127.0.0.1:9/api/v1", FINNHUB_API_KEY=key))
    assert "1234" not in text_of(raised.value)


# ── budget and clock ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_rate_budget_waits_and_then_goes_on(client: Client) -> None:
    limits = {"FINNHUB_CALLS_PER_SECOND": "5", "FINNHUB_CALLS_PER_MINUTE": "0"}
    with serving(Reply(QUOTE)) as server, client(server, environ=limits) as finnhub:
        for _ in range(11):
            finnhub.quote("AAPL")
    times = [asked.at for asked in server.asked]
    assert all(later - sooner >= 0.95 for sooner, later in zip(times, times[5:], strict=False))
    assert times[-1] - times[0] < 4


def test_a_lifted_budget_waits_for_nothing() -> None:
    rate_limit = RateLimit(per_minute=0, per_second=0)
    assert sum(rate_limit.acquire(threading.Event().wait) for _ in range(10_000)) == 0


def test_a_minute_of_the_budget_counts_beside_the_second() -> None:
    rate_limit = RateLimit(per_minute=3, per_second=100)
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return True

    for _ in range(3):
        rate_limit.acquire(wait)
    with pytest.raises(Interrupted):
        rate_limit.acquire(wait)
    assert 59 < waits[0] < 62


def test_a_stop_interrupts_a_pause_between_tries(client: Client) -> None:
    stop = threading.Event()
    reply = Reply(b"", status=503, headers={"Retry-After": "60"})
    with serving(reply) as server, client(server, stop=stop) as finnhub:
        threading.Timer(0.2, stop.set).start()
        began = time.monotonic()
        with pytest.raises(Interrupted):
            finnhub.quote("AAPL")
    assert time.monotonic() - began < 5


def test_a_deadline_ends_a_wait_by_itself(client: Client) -> None:
    with serving(Reply(STATUS)) as server, client(server, stop=Deadline(threading.Event(), seconds=0.2)) as finnhub:
        began = time.monotonic()
        assert finnhub.wait(60) is False
    assert time.monotonic() - began < 5


def test_live_time_runs_on_from_the_last_answer(client: Client) -> None:
    with serving(Reply(STATUS)) as server, client(server) as finnhub:
        first = finnhub.now()
        time.sleep(0.05)
        assert timedelta(seconds=0.05) <= finnhub.now() - first < timedelta(seconds=5)
        assert first - datetime(2012, 12, 14, 15, tzinfo=UTC) < timedelta(seconds=5)
        assert finnhub.source == "finnhub"
    assert server.paths() == ["/api/v1/stock/market-status"]


class Replay:
    """The clock of a replay server, and nothing else of it."""

    def __init__(self, mode: str, speed: float) -> None:
        self.now = 1355495400.0
        self.mode, self.speed = mode, speed

    def __call__(self, asked: Asked) -> Reply:
        headers = {"X-Stocks-Source": "replay"}
        if asked.path != "/replay/clock":
            return Reply(STATUS, headers=headers, date="Fri, 14 Dec 2012 14:30:00 GMT")
        if asked.method == "POST":
            import json

            move = json.loads(asked.body)
            self.now = move["now"] if "now" in move else self.now + move["advance"]
        return Reply({"now": self.now, "mode": self.mode, "speed": self.speed}, headers=headers)


def test_a_stepping_replay_stands_still_until_a_wait_moves_it(client: Client) -> None:
    with serving(Replay("step", 1)) as server, client(server) as finnhub:
        assert finnhub.source == "replay"
        before = finnhub.now()
        time.sleep(0.02)
        assert finnhub.now() == before == datetime(2012, 12, 14, 14, 30, tzinfo=UTC)
        assert finnhub.wait(90) is True
        assert finnhub.now() - before == timedelta(seconds=90)
        assert finnhub.set_clock(before) == finnhub.now() == before
    # only a caller with the key may read the clock
    assert {asked.headers.get("x-finnhub-token") for asked in server.asked if asked.path == "/replay/clock"} == {KEY}


def test_a_replay_at_speed_waits_a_fraction(client: Client) -> None:
    with serving(Replay("speed", 3600)) as server, client(server) as finnhub:
        first, began = finnhub.now(), time.monotonic()
        assert finnhub.wait(360) is True
        assert 0.09 <= time.monotonic() - began < 2
        assert finnhub.now() - first >= timedelta(seconds=360)


def test_a_clock_that_may_not_be_moved_says_so(client: Client) -> None:
    def answer(asked: Asked) -> Reply:
        status = 403 if asked.path == "/replay/clock" else 200
        return Reply(STATUS, status=status, headers={"X-Stocks-Source": "replay"})

    with serving(answer) as server, client(server) as finnhub, pytest.raises(BadAnswer, match="clock"):
        finnhub.now()
