"""What the replayed market says of prices, companies, splits and hours at an instant, and what it does not say yet."""

from datetime import date, datetime, timedelta

import pytest

from finnhub_replay.clock import read_start as new_york
from finnhub_replay.exchange import Exchange
from finnhub_replay.tape import Bar, Dividend, Tape

NOBODY = {"c": 0, "d": None, "dp": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0}
# https://finnhub.io/docs/api/company-profile2
DOCUMENTED = {
    *("country", "currency", "exchange", "finnhubIndustry", "ipo", "logo"),
    *("marketCapitalization", "name", "phone", "shareOutstanding", "ticker", "weburl"),
}


def epoch(text: str) -> int:
    return int(new_york(text).timestamp())


def ohlc(quote: dict[str, float]) -> tuple[float, ...]:
    return quote["o"], quote["h"], quote["l"], quote["c"]


# ── quotes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("when", ["2012-12-14T16:00", "2012-12-14T20:00", "2012-12-15T12:00", "2012-12-17T09:29:59"])
def test_from_the_close_to_the_next_open_the_quote_is_the_recorded_bar(exchange: Exchange, when: str) -> None:
    for symbol in exchange.tape.symbols:
        bar = exchange.tape.bar(symbol, date(2012, 12, 14))
        before = exchange.tape.bar(symbol, date(2012, 12, 13))
        quote = exchange.quote(symbol, new_york(when))
        assert bar
        assert before
        assert ohlc(quote) == (bar.open, bar.high, bar.low, bar.close)
        assert quote["pc"] == before.close
        assert quote["t"] == epoch("2012-12-14T16:00")


def test_the_numbers_of_one_close_by_hand(exchange: Exchange) -> None:
    quote = exchange.quote("AAPL", new_york("2012-12-14T16:00"))
    assert quote == {
        "c": 509.794,
        "d": -19.896,
        "dp": -3.7562,
        "h": 518.132,
        "l": 505.58,
        "o": 514.75,
        "pc": 529.69,
        "t": 1355518800,
    }


def test_a_session_begins_at_its_open_and_shows_only_what_was_seen(exchange: Exchange) -> None:
    opened = new_york("2012-12-14T09:30")
    high = low = 514.75
    for second in range(0, 23_401, 7):
        quote = exchange.quote("AAPL", opened + timedelta(seconds=second))
        high, low = max(high, quote["c"]), min(low, quote["c"])
        assert quote["h"] >= high
        assert quote["l"] <= low
        assert quote["o"] == 514.75
        assert quote["t"] == int(opened.timestamp()) + second
        if second == 0:
            assert ohlc(quote) == (514.75,) * 4


def test_fractions_of_a_second_do_not_reach_into_the_next_one(exchange: Exchange) -> None:
    now = new_york("2012-12-14T11:11:11")
    assert exchange.quote("IBM", now + timedelta(seconds=0.999)) == exchange.quote("IBM", now)


def test_a_half_day_is_final_at_one(exchange: Exchange) -> None:
    bar = exchange.tape.bar("IBM", date(2012, 11, 23))
    assert bar
    quote = exchange.quote("IBM", new_york("2012-11-23T13:00"))
    assert ohlc(quote) == (bar.open, bar.high, bar.low, bar.close)
    assert exchange.quote("IBM", new_york("2012-11-23T15:00"))["t"] == epoch("2012-11-23T13:00")
    assert exchange.quote("IBM", new_york("2012-11-23T12:59:59"))["t"] == epoch("2012-11-23T12:59:59")


@pytest.mark.parametrize("when", ["2012-10-27T12:00", "2012-10-29T12:00", "2012-10-30T12:00", "2012-10-31T09:29:59"])
def test_on_weekends_and_holidays_the_last_close_stands(exchange: Exchange, when: str) -> None:
    quote = exchange.quote("MSFT", new_york(when))
    bar = exchange.tape.bar("MSFT", date(2012, 10, 26))
    assert bar
    assert (quote["c"], quote["t"]) == (bar.close, epoch("2012-10-26T16:00"))


def test_a_symbol_is_worth_nothing_before_its_first_trade(exchange: Exchange) -> None:
    assert exchange.quote("FB", new_york("2012-05-17T12:00")) == NOBODY
    assert exchange.quote("FB", new_york("2012-05-18T09:29:59")) == NOBODY
    first = exchange.quote("FB", new_york("2012-05-18T09:30"))
    assert ohlc(first) == (first["pc"],) * 4
    assert first["pc"] == exchange.tape.bars["FB"][0].open


@pytest.mark.parametrize("symbol", ["NOBODY", "'; DROP TABLE", "^GSPC", "BRK.B", "Ü", "A" * 500])
def test_an_unknown_symbol_is_zeros_and_nulls(exchange: Exchange, symbol: str) -> None:
    assert exchange.quote(symbol, new_york("2012-12-14T12:00")) == NOBODY


def test_after_the_last_recorded_day_its_close_stands(exchange: Exchange) -> None:
    quote = exchange.quote("GOOG", new_york("2013-05-01T12:00"))
    assert (quote["c"], quote["t"]) == (exchange.tape.bars["GOOG"][-1].close, epoch("2013-03-01T16:00"))


def test_the_previous_close_is_on_the_basis_of_an_ex_split_date(exchange: Exchange) -> None:
    before = exchange.tape.bar("AAPL", date(2005, 2, 25))
    assert before
    assert before.close == 88.99
    # in the night before, the last close stands as it was traded
    assert exchange.quote("AAPL", new_york("2005-02-28T09:29"))["c"] == 88.99
    quote = exchange.quote("AAPL", new_york("2005-02-28T16:00"))
    assert quote["pc"] == 44.495
    assert abs(quote["dp"]) < 2
    day_after = exchange.tape.bar("AAPL", date(2005, 2, 28))
    assert day_after
    assert exchange.quote("AAPL", new_york("2005-03-01T12:00"))["pc"] == day_after.close


# ── companies, splits, dividends ──────────────────────────────────────────────────────────────────────────────────────


def test_a_profile_has_finnhubs_fields_and_no_others(exchange: Exchange) -> None:
    now = new_york("2012-12-14T16:00")
    for symbol in exchange.tape.symbols:
        assert set(exchange.profile(symbol, now)) == DOCUMENTED
    apple = exchange.profile("AAPL", now)
    assert (apple["name"], apple["ipo"], apple["shareOutstanding"]) == ("Apple Inc", "1980-12-12", 940.7)
    assert apple["marketCapitalization"] == round(940.7 * 509.794, 4)


def test_a_company_is_nobody_before_its_ipo_and_when_unknown(exchange: Exchange) -> None:
    assert exchange.profile("FB", new_york("2012-05-17T23:59")) == {}
    assert exchange.profile("FB", new_york("2012-05-18T00:00"))["ticker"] == "FB"
    assert exchange.profile("NOBODY", new_york("2012-12-14T12:00")) == {}
    assert {found["symbol"] for found in exchange.listed(new_york("2004-08-18T12:00"))} == {"AAPL", "IBM", "MSFT"}
    assert [found["symbol"] for found in exchange.listed(new_york("2012-12-14T12:00"), "apple")] == ["AAPL"]


def test_a_split_is_unknown_before_its_date(exchange: Exchange) -> None:
    years = {"first": date(2001, 1, 1), "last": date(2013, 1, 1)}
    split = {"symbol": "AAPL", "date": "2005-02-28", "fromFactor": 1.0, "toFactor": 2.0}
    assert exchange.splits("AAPL", **years, now=new_york("2005-02-27T23:59")) == []
    assert exchange.splits("AAPL", **years, now=new_york("2005-02-28T00:00")) == [split]
    assert exchange.splits("AAPL", first=date(2005, 3, 1), last=date(2013, 1, 1), now=new_york("2012-01-03")) == []
    assert exchange.splits("NOBODY", **years, now=new_york("2012-01-03")) == []


def test_a_dividend_is_unknown_before_its_date_and_adjusted_for_later_splits() -> None:
    bars = [Bar("X", date(2012, 12, 13), 10, 10, 10, 10, 1)]
    tape = Tape(bars={"X": bars}, dividends={"X": [Dividend("X", date(2005, 2, 8), 0.5)]})
    years = {"first": date(2000, 1, 1), "last": date(2013, 1, 1)}
    market = Exchange(tape)
    assert market.dividends("X", **years, now=new_york("2005-02-07T23:59")) == []
    paid = {"symbol": "X", "date": "2005-02-08", "amount": 0.5, "adjustedAmount": 0.5, "currency": "USD"}
    assert market.dividends("X", **years, now=new_york("2005-02-08T00:00")) == [paid]


# ── hours ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("when", "is_open", "period", "holiday"),
    [
        ("2012-12-14T03:59", False, None, None),
        ("2012-12-14T04:00", False, "pre-market", None),
        ("2012-12-14T09:30", True, "regular", None),
        ("2012-12-14T15:59:59", True, "regular", None),
        ("2012-12-14T16:00", False, "post-market", None),
        ("2012-12-14T20:00", False, None, None),
        ("2012-11-23T13:00", False, "post-market", None),
        ("2012-12-15T12:00", False, None, None),
        ("2012-12-25T12:00", False, None, "Christmas"),
        ("2012-10-29T12:00", False, None, "Exchange closed"),
    ],
)
def test_the_market_says_whether_it_is_open(
    exchange: Exchange, when: str, is_open: bool, period: str | None, holiday: str | None
) -> None:
    assert exchange.status(new_york(when)) == {
        "exchange": "US",
        "holiday": holiday,
        "isOpen": is_open,
        "session": period,
        "timezone": "America/New_York",
        "t": epoch(when),
    }


def test_planned_holidays_are_known_ahead_and_a_hurricane_is_not(exchange: Exchange) -> None:
    def dates(now: datetime) -> dict[str, str]:
        return {found["atDate"]: found["tradingHour"] for found in exchange.holidays(now)["data"]}

    before, after = dates(new_york("2012-10-28T12:00")), dates(new_york("2012-10-30T12:00"))
    assert before["2012-12-25"] == ""
    assert before["2012-11-23"] == "09:30-13:00"
    assert before["2013-01-01"] == ""
    assert set(after) - set(before) == {"2012-10-29", "2012-10-30"}
    assert exchange.holidays(new_york("2049-06-01T12:00"))["data"]
