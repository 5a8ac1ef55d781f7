"""The guard against looking ahead: it catches those who do, and lets the honest pass."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_bars import SYMBOLS, market, walk

from stocklib.backtest import (
    buy_and_hold,
    check_no_look_ahead,
    donchian_breakout,
    ema_crossover,
    momentum_rotation,
    rsi_reversion,
    run,
    sma_crossover,
    volatility_target,
)
from stocklib.errors import InputError


@pytest.fixture
def prices() -> pd.DataFrame:
    return walk(4, 300)


def closes(prices: pd.DataFrame) -> pd.Series:
    return prices.set_index("date")["close"]


def held_where(said: pd.Series) -> pd.Series:
    return said.astype("float64")


def tomorrow(prices: pd.DataFrame) -> pd.Series:
    """A negative shift: the next close is known today."""
    return held_where(closes(prices).shift(-1) > closes(prices))


def against_the_whole(prices: pd.DataFrame) -> pd.Series:
    """A z-score with the mean and the deviation of the full sample."""
    series = closes(prices)
    return held_where((series - series.mean()) / series.std() < -0.5)


def centred(prices: pd.DataFrame) -> pd.Series:
    """A window with the bar in its middle."""
    series = closes(prices)
    return held_where(series < series.rolling(11, center=True, min_periods=1).mean())


def filled_from_behind(prices: pd.DataFrame) -> pd.Series:
    """A monthly figure that every day of the month is given."""
    series = closes(prices)
    month = series.index.to_period("M")
    return held_where(series.groupby(month).transform("last") > series.groupby(month).transform("first"))


def scaled_by_the_largest(prices: pd.DataFrame) -> pd.Series:
    """Weights that are divided by the largest one there will be."""
    momentum = closes(prices).pct_change(20).clip(lower=0).fillna(0)
    return momentum / momentum.max()


def upside_down(prices: pd.DataFrame) -> pd.Series:
    """An average over the series in reverse."""
    series = closes(prices)
    return held_where(series < series[::-1].ewm(span=10).mean()[::-1])


CHEATS = [tomorrow, against_the_whole, centred, filled_from_behind, scaled_by_the_largest, upside_down]


@pytest.mark.parametrize("cheat", CHEATS, ids=lambda cheat: cheat.__name__)
def test_a_strategy_that_looks_ahead_is_caught(cheat: Callable[..., pd.Series], prices: pd.DataFrame) -> None:
    with pytest.raises(InputError, match=r"looks ahead: with data up to 200\d-\d\d-\d\d it decided"):
        check_no_look_ahead(prices, cheat)


HONEST = [
    buy_and_hold,
    partial(sma_crossover, fast=5, slow=20),
    partial(ema_crossover, fast=5, slow=20),
    rsi_reversion,
    donchian_breakout,
    volatility_target,
    lambda prices: held_where(closes(prices) > closes(prices).shift(1)),
]


@pytest.mark.parametrize("strategy", HONEST, ids=range(len(HONEST)))
def test_an_honest_strategy_passes(strategy: Callable[..., pd.Series], prices: pd.DataFrame) -> None:
    check_no_look_ahead(prices, strategy)


def test_a_rotation_among_symbols_that_list_and_pause_passes_and_one_that_cheats_does_not() -> None:
    prices = market(3, gaps=0.2)
    check_no_look_ahead(prices, partial(momentum_rotation, window=5, hold=2))

    def winners_of_the_year(prices: pd.DataFrame) -> pd.DataFrame:
        panel = prices.pivot(index="date", columns="symbol", values="close").ffill()
        best = panel.iloc[-1] / panel.bfill().iloc[0] == (panel.iloc[-1] / panel.bfill().iloc[0]).max()
        return pd.DataFrame([best.astype("float64")] * len(panel), panel.index, SYMBOLS)

    with pytest.raises(InputError, match="looks ahead"):
        check_no_look_ahead(market(5), winners_of_the_year)


def a_frame_outside(prices: pd.DataFrame) -> Callable[[pd.DataFrame], pd.Series]:
    """Weights of a frame that the strategy closes over: as many as that has, whatever it is given."""
    return lambda bars: tomorrow(prices)


def a_frame_outside_on_the_bars_dates(prices: pd.DataFrame) -> Callable[[pd.DataFrame], pd.Series]:
    """The same, brought to the dates that are asked for."""
    said = tomorrow(prices)
    return lambda bars: said.loc[bars["date"]]


def the_first_call(prices: pd.DataFrame) -> Callable[[pd.DataFrame], pd.Series]:
    """What was computed at the first call is the answer to every other."""
    kept: list[pd.Series] = []

    def memoised(bars: pd.DataFrame) -> pd.Series:
        if not kept:
            kept.append(tomorrow(bars))
        return kept[0]

    return memoised


def the_first_call_on_the_bars_dates(prices: pd.DataFrame) -> Callable[[pd.DataFrame], pd.Series]:
    """The same, with nothing where the first call knew nothing."""
    kept: list[pd.Series] = []

    def memoised(bars: pd.DataFrame) -> pd.Series:
        if not kept:
            kept.append(tomorrow(bars))
        return kept[0].reindex(bars["date"]).fillna(0.0)

    return memoised


def a_call_before_the_guard_s(prices: pd.DataFrame) -> Callable[[pd.DataFrame], pd.Series]:
    """The first call was the caller's own, on all the bars."""
    memoised = the_first_call_on_the_bars_dates(prices)
    memoised(prices)
    return memoised


@pytest.mark.parametrize(
    "make",
    [
        a_frame_outside,
        a_frame_outside_on_the_bars_dates,
        the_first_call,
        the_first_call_on_the_bars_dates,
        a_call_before_the_guard_s,
    ],
    ids=lambda make: make.__name__,
)
@pytest.mark.parametrize("count", [12, 300])
def test_a_strategy_that_knows_more_than_it_is_given_is_caught(make: Callable[..., Any], count: int) -> None:
    prices = walk(4, count)
    with pytest.raises(InputError, match=r"looks ahead|failed on the same bars dated 28 years later"):
        check_no_look_ahead(prices, make(prices))


def test_twelve_weights_for_a_few_bars_are_said_to_be_so() -> None:
    prices = walk(4, 12)
    with pytest.raises(InputError, match=r"it returned 12 weights for the bars up to 2003-01-07, which are 4"):
        check_no_look_ahead(prices, a_frame_outside(prices))


@pytest.mark.parametrize("part", [(0.0, 0.25), (0.05, 0.1), (0.0, 0.02)])
def test_a_peek_in_the_first_quarter_alone_is_caught(part: tuple[float, float]) -> None:
    prices = walk(7, 300)
    begin, end = (prices["date"].iloc[int(share * 300)] for share in part)

    def early(bars: pd.DataFrame) -> pd.Series:
        said = tomorrow(bars)
        return said.where((said.index >= begin) & (said.index <= end), 0.0)

    # its dates are known by heart; without them, by places
    with pytest.raises(InputError, match="looks ahead"):
        check_no_look_ahead(prices, early)

    def by_place(bars: pd.DataFrame) -> pd.Series:
        said = tomorrow(bars)
        return said.where(np.arange(len(said)) <= part[1] * 300, 0.0)

    with pytest.raises(InputError, match=r"looks ahead: with data up to 2003.* it decided"):
        check_no_look_ahead(prices, by_place)


def test_a_peek_that_needs_so_many_bars_is_caught_where_the_future_is_another_one() -> None:
    prices = walk(8, 300)

    def whole_bars_only(bars: pd.DataFrame) -> pd.Series:
        """It looks ahead only where all the bars are there."""
        return tomorrow(bars) if len(bars) == 300 else held_where(closes(bars).rolling(2).mean() < 0)

    with pytest.raises(InputError, match="looks ahead"):
        check_no_look_ahead(prices, whole_bars_only)

    def a_constant_but_for_the_whole(bars: pd.DataFrame) -> pd.Series:
        series = closes(bars)
        rises = series.iloc[-1] > 0.5 * series.iloc[0] if len(bars) == 300 else True
        return pd.Series(float(rises), series.index)

    with pytest.raises(InputError, match="and another future it decided 0"):
        check_no_look_ahead(prices, a_constant_but_for_the_whole)


def test_weights_that_were_made_outside_and_are_given_by_place_are_caught(prices: pd.DataFrame) -> None:
    for whole in (prices, prices.drop(columns="date"), prices.head(40)):
        known = (whole["close"].shift(-1) > whole["close"]).to_numpy(dtype="float64")

        def by_heart(bars: pd.DataFrame, known: Any = known) -> pd.Series:
            return pd.Series(known[: len(bars)], pd.Index(bars.get("date", bars.index)))

        with pytest.raises(InputError, match="looks ahead: it decides the same for any bars"):
            check_no_look_ahead(whole, by_heart)

    def dice(bars: pd.DataFrame) -> pd.Series:
        return pd.Series(np.random.default_rng(1).integers(0, 2, len(bars)) * 1.0, pd.Index(bars["date"]))

    def every_second(bars: pd.DataFrame) -> pd.Series:
        return pd.Series(np.arange(len(bars)) % 2 * 1.0, pd.Index(bars["date"]))

    for honest in (dice, every_second):
        check_no_look_ahead(prices, honest)


def test_a_strategy_of_the_calendar_and_one_of_other_columns_pass(prices: pd.DataFrame) -> None:
    def by_month_and_weekday(bars: pd.DataFrame) -> pd.Series:
        when = pd.DatetimeIndex(bars["date"])
        return pd.Series(((when.month < 5) & (when.day_of_week < 3)).astype(float), when)

    check_no_look_ahead(prices, by_month_and_weekday)
    mood = prices.assign(mood=np.sin(np.arange(len(prices))))
    check_no_look_ahead(mood, lambda bars: held_where(bars.set_index("date")["mood"] > 0))
    with pytest.raises(InputError, match="looks ahead"):
        check_no_look_ahead(mood, lambda bars: held_where(bars.set_index("date")["mood"].shift(-1) > 0))


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_bars_within_the_day_are_cut_and_shuffled_too(zone: str) -> None:
    days = pd.bdate_range("2012-03-05", periods=10, tz="America/New_York")
    minutes = pd.DatetimeIndex([day + pd.Timedelta(minutes=570 + 5 * n) for day in days for n in range(30)])
    minutes = minutes.tz_convert(zone)
    prices = walk(4, 300).drop(columns="date").assign(time=minutes)
    check_no_look_ahead(prices, partial(sma_crossover, fast=5, slow=20))

    def first_hour(bars: pd.DataFrame) -> pd.Series:
        when = pd.DatetimeIndex(bars["time"]).tz_convert("America/New_York")
        return pd.Series((when.hour == 10).astype(float), pd.DatetimeIndex(bars["time"]))

    check_no_look_ahead(prices, first_hour)
    with pytest.raises(InputError, match="looks ahead"):
        check_no_look_ahead(prices, lambda bars: first_hour(bars).shift(-1).fillna(0.0))


def test_it_says_what_it_checked(prices: pd.DataFrame) -> None:
    seen: list[pd.DataFrame] = []

    def rule(bars: pd.DataFrame) -> pd.Series:
        seen.append(bars)
        return sma_crossover(bars, 5, 20)

    checked = check_no_look_ahead(prices, rule, cuts=4)
    assert (checked.bars, checked.times[0], checked.times[-1]) == (300, prices["date"][0], prices["date"].iloc[-1])
    ends = {bars["date"].iloc[-1] for bars in seen if len(bars) < 300}
    assert set(checked.cuts) == ends
    # the others of all bars: the whole, other dates, other bars on other days, and the other futures
    assert checked.futures == len([bars for bars in seen if len(bars) == 300]) - 3 == 2 * len(checked.futures_from)
    first, last = (f"{day:%Y-%m-%d}" for day in (checked.cuts[0], checked.cuts[-1]))
    said = repr(checked)
    assert f"in 300 bars, from 2003-01-02 to {prices['date'].iloc[-1]:%Y-%m-%d}" in said
    assert f"ended at {len(ends)} of them, from {first} to {last}" in said
    assert f"{checked.futures} other futures after {len(checked.futures_from)} of them" in said
    assert "It cannot see a column of the bars that looks ahead itself" in said
    with pytest.raises(AttributeError):
        checked.futures = 0  # type: ignore[misc]


def test_what_it_cannot_catch_is_said() -> None:
    assert "What it cannot catch" in str(check_no_look_ahead.__doc__)
    prices = walk(4, 60).assign(restated=lambda f: f["close"].shift(-1))
    check_no_look_ahead(
        prices, lambda bars: held_where(bars.set_index("date")["restated"] > bars.set_index("date")["close"])
    )


def test_a_few_bars_cannot_be_cut(prices: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="too few to cut"):
        check_no_look_ahead(prices.head(5), buy_and_hold)


def test_a_peek_that_seldom_decides_is_caught_as_well() -> None:
    prices = walk(9, 2_000)

    def before_the_big_days(prices: pd.DataFrame) -> pd.Series:
        return held_where(closes(prices).pct_change().shift(-1) > 0.045)

    assert 0 < before_the_big_days(prices).sum() < 40
    with pytest.raises(InputError, match="looks ahead"):
        check_no_look_ahead(prices, before_the_big_days)


def test_weights_without_dates_are_refused(prices: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="weights are a series or a frame by date, not ndarray"):
        check_no_look_ahead(prices, lambda bars: bars["close"].to_numpy())
    with pytest.raises(InputError, match="not ndarray"):
        run(prices, prices["close"].to_numpy())  # type: ignore[arg-type]
