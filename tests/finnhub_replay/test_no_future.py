"""Nothing that the replay answers depends on what is recorded for later: cut the tape off, and it says the same."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from finnhub_replay.candle_answers import PERIODS
from finnhub_replay.clock import read_start as new_york
from finnhub_replay.exchange import Exchange
from finnhub_replay.tape import Bar, Tape
from stocklib.sessions import new_york_date, session

FAR = 4_000_000_000
YEARS = {"first": date(2000, 1, 1), "last": date(2030, 1, 1)}


def cut(tape: Tape, now: datetime) -> Tape:
    """What was known at an instant: the bars up to the session that is on or over, and the splits up to its date."""
    today = new_york_date(now)
    found = session(today)

    def begun(bar: Bar) -> bool:
        return bar.day < today or (bar.day == today and found is not None and found.open <= now)

    bars = {symbol: [bar for bar in rows if begun(bar)] for symbol, rows in tape.bars.items()}
    splits = {symbol: [split for split in rows if split.day <= today] for symbol, rows in tape.splits.items()}
    return replace(tape, bars={symbol: rows for symbol, rows in bars.items() if rows}, splits=splits)


def everything(market: Exchange, symbols: list[str], now: datetime) -> Iterator[Any]:
    """Each answer about prices and actions at an instant; companies come from a list that is not dated."""
    for symbol in symbols:
        yield market.quote(symbol, now)
        yield market.splits(symbol, **YEARS, now=now)
        for resolution in PERIODS:
            yield market.candles(symbol, resolution, first=0, last=FAR, now=now)
        for resolution in ("1", "60"):
            begin = int((now - timedelta(days=4)).timestamp())
            yield market.candles(symbol, resolution, first=begin, last=FAR, now=now)
    yield market.listed(now)


@pytest.mark.parametrize(
    "when",
    [
        "2004-08-19T09:29:59",
        "2005-02-25T20:00",
        "2005-02-28T09:29",
        "2005-02-28T15:59:59.9",
        "2012-05-18T09:30",
        "2012-11-23T12:59:59",
        "2012-11-23T13:00",
        "2012-12-14T12:00:30",
    ],
)
def test_a_tape_that_ends_now_answers_the_same(tape: Tape, exchange: Exchange, when: str) -> None:
    now = new_york(when)
    known = Exchange(cut(tape, now))
    assert list(everything(exchange, tape.symbols, now)) == list(everything(known, tape.symbols, now))


def test_a_company_has_its_shares_on_the_basis_of_its_price(exchange: Exchange) -> None:
    times = ("2005-02-25T16:00", "2005-02-28T09:29:59", "2005-02-28T09:30")
    before, night, after = (exchange.profile("AAPL", new_york(when)) for when in times)
    assert [found["shareOutstanding"] for found in (before, night, after)] == [470.35, 470.35, 940.7]
    assert before["marketCapitalization"] == night["marketCapitalization"]
    assert abs(after["marketCapitalization"] / before["marketCapitalization"] - 1) < 0.05
