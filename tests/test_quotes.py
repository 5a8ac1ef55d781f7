"""The records: prices are never made of zeros, and numbers travel unchanged."""

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stocklib.errors import BadAnswer, NoQuote
from stocklib.quotes import Candle, Quote, Trade

FETCHED = datetime(2012, 12, 14, 15, 0, tzinfo=UTC)
ANSWER = {"c": 509.79, "d": -19.9, "dp": -3.7567, "h": 518.13, "l": 505.58, "o": 514.75, "pc": 529.69, "t": 1355518800}


def test_a_quote_travels_under_finnhubs_names() -> None:
    sent = orjson.loads(Quote.parse("AAPL", ANSWER, fetched_at=FETCHED).to_json())
    assert sent == {"symbol": "AAPL", **ANSWER, "fetched_at": 1355497200}


@given(st.floats(min_value=1e-4, max_value=1e7))
def test_a_price_survives_the_journey_exactly(price: float) -> None:
    quote = Quote.parse("AAPL", {**ANSWER, "c": price}, fetched_at=FETCHED)
    assert orjson.loads(quote.to_json())["c"] == price


@pytest.mark.parametrize("name", ["c", "h", "l", "o", "pc", "t"])
@pytest.mark.parametrize("nothing", [0, 0.0, None])
def test_zeros_and_nulls_never_become_prices(name: str, nothing: object) -> None:
    with pytest.raises(NoQuote, match="AAPL"):
        Quote.parse("AAPL", {**ANSWER, name: nothing}, fetched_at=FETCHED)


@pytest.mark.parametrize("nonsense", ["509.79", True, [], float("nan"), float("inf"), -1.0])
def test_nonsense_never_becomes_a_price(nonsense: object) -> None:
    with pytest.raises(BadAnswer, match="AAPL"):
        Quote.parse("AAPL", {**ANSWER, "c": nonsense}, fetched_at=FETCHED)


NO_TIMES = [1355518800000, 1e300, -1, -1355518800, "1355518800", True, [1], float("nan"), float("inf"), 10**30]


@pytest.mark.parametrize("no_time", NO_TIMES)
def test_what_is_no_time_is_a_bad_answer(no_time: object) -> None:
    with pytest.raises(BadAnswer, match="AAPL"):
        Quote.parse("AAPL", {**ANSWER, "t": no_time}, fetched_at=FETCHED)
    # a trade's time is in milliseconds
    no_time = {1355518800000: 1355518800}.get(no_time, no_time) if isinstance(no_time, int) else no_time
    with pytest.raises(BadAnswer, match="AAPL"):
        Trade.parse({"s": "AAPL", "p": 1, "v": 1, "t": no_time}, fetched_at=FETCHED)


def test_a_quote_without_a_change_is_a_quote() -> None:
    quote = Quote.parse("AAPL", {**ANSWER, "d": None, "dp": None}, fetched_at=FETCHED)
    assert quote.change_amount is None


def test_a_daily_bar_lands_under_its_trade_date() -> None:
    candle = Candle(
        symbol="AAPL",
        resolution="D",
        candle_time=datetime(2012, 12, 14, tzinfo=UTC),
        open_price=514.75,
        high_price=518.13,
        low_price=505.58,
        close_price=509.79,
        volume=25_000_000.0,
        data_source="finnhub",
        fetched_at=FETCHED,
    )
    assert candle.to_record(source="replay") == {
        "symbol": "AAPL",
        "date": "2012-12-14",
        "open": 514.75,
        "high": 518.13,
        "low": 505.58,
        "close": 509.79,
        "volume": 25_000_000.0,
        "data_source": "finnhub",
        "source": "replay",
        "fetched_at": 1355497200,
    }
