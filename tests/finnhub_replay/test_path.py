"""The reconstructed path of a session: it is the recorded bar, exactly, and the same one everywhere."""

import hashlib
import subprocess
import sys
from datetime import date
from statistics import NormalDist

import numpy as np
import pytest

from finnhub_replay.path import SessionPath, minute_volumes, session_path
from finnhub_replay.tape import Bar, Tape
from stocklib.sessions import session

DAY = date(2012, 12, 14)


def path_of(bar: Bar) -> SessionPath:
    found = session(bar.day)
    assert found
    return session_path(bar, int((found.close - found.open).total_seconds()))


def is_exact(path: SessionPath, bar: Bar) -> bool:
    price = path.price
    return bool((price[0], price.max(), price.min(), price[-1]) == (bar.open, bar.high, bar.low, bar.close))


def is_the_bar(path: SessionPath, bar: Bar) -> bool:
    price = path.price
    seen = (path.high[-1], path.low[-1]) == (bar.high, bar.low) and path.high[0] == path.low[0] == bar.open
    return bool(is_exact(path, bar) and seen and (path.low <= price).all() and (price <= path.high).all())


def test_every_recorded_session_is_its_bar_exactly_and_moves_as_a_random_walk_of_its_range_does(tape: Tape) -> None:
    bars = [bar for symbol in tape.symbols for bar in tape.bars[symbol]]
    assert len(bars) > 12_000
    # a move from any second of any bar is larger than so many standard deviations once in a thousand such tapes
    most = -NormalDist().inv_cdf(0.001 / 2 / (len(bars) * 23_400))
    for number, bar in enumerate(bars):
        path = path_of(bar)
        # the extremes so far take a third of the time
        assert is_exact(path, bar) if number % 8 else is_the_bar(path, bar), bar
        log, seconds, spread = np.log(path.price), len(path.price) - 1, np.log(bar.high / bar.low)
        # a walk's mean range is the square root of 8 / pi standard deviations; its way is at most three times the range
        for apart in (60, 240, abs(int(path.price.argmax()) - int(path.price.argmin()))):
            share = apart / seconds
            bound = spread * (most * np.sqrt(share * np.pi / 8) + 3 * share) + 0.01 / bar.low
            assert np.abs(log[apart:] - log[: len(log) - apart]).max() <= bound, (bar, apart)


def test_what_was_seen_so_far_only_widens(tape: Tape) -> None:
    path = path_of(tape.bars["MSFT"][1000])
    assert (np.diff(path.high) >= 0).all()
    assert (np.diff(path.low) <= 0).all()


@pytest.mark.parametrize(
    "prices",
    [
        (10, 10, 10, 10),
        (10, 10, 9, 9),
        (9, 10, 9, 10),
        (10, 10, 9, 10),
        (438.1799, 439.0001, 430.0099, 430.0099),
        (0.0123, 0.0125, 0.0121, 0.0122),
        (0.0001, 0.0002, 0.0001, 0.0001),
        (0.00001, 0.00003, 0.000005, 0.00002),
        (1, 1000, 0.01, 2),
        (250_000, 251_000.5, 249_999.99, 250_001),
        (700_000, 712_345.67, 690_000.01, 690_000.01),
    ],
)
@pytest.mark.parametrize("seconds", [12_600, 23_400])
def test_bars_of_every_shape_are_met_exactly(prices: tuple[float, ...], seconds: int) -> None:
    for symbol in ("A", "B", "C", "D"):
        bar = Bar(symbol, DAY, *prices, 1000)
        path = session_path(bar, seconds)
        assert is_the_bar(path, bar)
        assert len(path.price) == seconds + 1


def test_a_half_day_has_12600_seconds_and_a_whole_one_23400(tape: Tape) -> None:
    lengths = {}
    for day in (date(2012, 11, 23), date(2012, 12, 24), DAY):
        bar = tape.bar("AAPL", day)
        assert bar
        lengths[day.isoformat()] = len(path_of(bar).price) - 1
    assert lengths == {"2012-11-23": 12_600, "2012-12-24": 12_600, "2012-12-14": 23_400}


def test_prices_between_the_extremes_are_in_cents(tape: Tape) -> None:
    bar = tape.bar("AAPL", DAY)
    assert bar
    price = path_of(bar).price
    assert set(price.tolist()) - {bar.open, bar.high, bar.low, bar.close} <= set(np.round(price, 2).tolist())
    assert len(set(price.tolist())) > 300


def test_another_process_sees_the_same_path_and_another_day_another_one(tape: Tape) -> None:
    bar = Bar("AAPL", DAY, 514.75, 518.13, 505.58, 509.79, 36056400)
    program = (
        "import datetime, hashlib; from finnhub_replay.path import session_path;"
        "from finnhub_replay.tape import Bar;"
        "bar = Bar('AAPL', datetime.date(2012, 12, 14), 514.75, 518.13, 505.58, 509.79, 36056400);"
        "print(hashlib.sha256(session_path(bar, 23400).price.tobytes()).hexdigest())"
    )
    theirs = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    ours = session_path(bar, 23_400)
    assert hashlib.sha256(ours.price.tobytes()).hexdigest() == theirs
    other_day = session_path(Bar("AAPL", date(2012, 12, 13), 514.75, 518.13, 505.58, 509.79, 36056400), 23_400)
    other_symbol = session_path(Bar("MSFT", DAY, 514.75, 518.13, 505.58, 509.79, 36056400), 23_400)
    assert (other_day.price != ours.price).any()
    assert (other_symbol.price != ours.price).any()


@pytest.mark.parametrize("volume", [0, 1, 389, 390, 36_056_400, 2_000_000_003])
@pytest.mark.parametrize("minutes", [210, 390])
def test_the_minutes_volumes_sum_to_the_days(volume: int, minutes: int) -> None:
    volumes = minute_volumes(volume, minutes)
    assert len(volumes) == minutes
    assert volumes.sum() == volume
    assert (volumes >= 0).all()


def test_a_rate_that_is_finer_than_cents_moves_all_day() -> None:
    bar = Bar("EURUSD=X", DAY, 1.0860, 1.0890, 1.0850, 1.0870, 0)
    path = session_path(bar, 23_400)
    assert is_the_bar(path, bar)
    prices, seconds = np.unique(path.price, return_counts=True)
    assert len(prices) >= 20
    assert seconds.max() < 23_400 / 4
