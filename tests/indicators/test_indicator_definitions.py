"""Every indicator is its definition, written out with pandas, on thirteen years of recorded bars."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from adjusted import split_adjusted

from stocklib import indicators

Bars = pd.DataFrame


@pytest.fixture(scope="module", params=["AAPL", "IBM", "MSFT"])
def bars(request: pytest.FixtureRequest) -> Bars:
    return split_adjusted(request.param).set_index("date")


@pytest.fixture(scope="module")
def market() -> pd.Series:
    """Returns of a benchmark: the mean of three symbols."""
    closes = [split_adjusted(symbol).set_index("date")["close"] for symbol in ("AAPL", "IBM", "MSFT")]
    return pd.concat([close / close.shift(1) - 1 for close in closes], axis=1).mean(axis=1, skipna=False)


def smoothed(values: pd.Series, window: int, alpha: float) -> pd.Series:
    """An exponential average that begins with the mean of its first window."""
    known = values.dropna()
    begun = known.iloc[window - 1 :].copy()
    begun.iloc[0] = known.iloc[:window].mean()
    return begun.ewm(alpha=alpha, adjust=False).mean().reindex(values.index)


def ema(values: pd.Series, window: int) -> pd.Series:
    return smoothed(values, window, 2 / (window + 1))


def macd(bars: Bars) -> pd.DataFrame:
    line = ema(bars["close"], 12) - ema(bars["close"], 26)
    return pd.DataFrame({"line": line, "signal": ema(line, 9), "histogram": line - ema(line, 9)})


def rsi(bars: Bars) -> pd.Series:
    change = bars["close"].diff()
    up, down = (smoothed(side.clip(lower=0).where(change.notna()), 14, 1 / 14) for side in (change, -change))
    return 100 - 100 / (1 + up / down)


def bollinger(bars: Bars) -> pd.DataFrame:
    rolling = bars["close"].rolling(20)
    middle, width = rolling.mean(), 2 * rolling.std(ddof=0)
    return pd.DataFrame({"lower": middle - width, "middle": middle, "upper": middle + width})


def atr(bars: Bars) -> pd.Series:
    before = bars["close"].shift(1)
    ranges = [bars["high"] - bars["low"], (bars["high"] - before).abs(), (bars["low"] - before).abs()]
    return smoothed(pd.concat(ranges, axis=1).max(axis=1).where(before.notna()), 14, 1 / 14)


def stochastic(bars: Bars) -> pd.DataFrame:
    low, high = bars["low"].rolling(14).min(), bars["high"].rolling(14).max()
    k = (100 * (bars["close"] - low) / (high - low)).rolling(3).mean()
    return pd.DataFrame({"k": k, "d": k.rolling(3).mean()})


def obv(bars: Bars) -> pd.Series:
    return (np.sign(bars["close"].diff()).fillna(1) * bars["volume"]).cumsum()


def vwap(bars: Bars) -> pd.Series:
    return (bars["close"] * bars["volume"]).rolling(10).sum() / bars["volume"].rolling(10).sum()


def ewma_volatility(bars: Bars) -> pd.Series:
    squares, answer, last = ((bars["close"].pct_change()) ** 2).to_numpy(), [], np.nan
    for number, square in enumerate(squares):
        last = square if number == 1 else 0.94 * last + 0.06 * square
        answer.append(100 * np.sqrt(252 * last) if number >= 30 else np.nan)
    return pd.Series(answer, bars.index)


def parkinson(bars: Bars) -> pd.Series:
    squares = np.log(bars["high"] / bars["low"]) ** 2
    return 100 * np.sqrt(252 * squares.rolling(30).apply(lambda part: part.sum() / (4 * 30 * np.log(2)), raw=True))


def garman_klass(bars: Bars) -> pd.Series:
    high, low, close = (np.log(bars[name] / bars["open"]) for name in ("high", "low", "close"))
    squares = 0.5 * (high - low) ** 2 - (2 * np.log(2) - 1) * close**2
    return 100 * np.sqrt(252 * squares.rolling(30).apply(np.mean, raw=True))


def of_close(name: str, *args: Any) -> Callable[[Bars], Any]:
    return lambda bars: getattr(indicators, name)(bars["close"], *args)


DEFINITIONS: dict[str, tuple[Callable[[Bars], Any], Callable[[Bars], Any]]] = {
    "sma": (of_close("sma", 20), lambda bars: bars["close"].rolling(20).mean()),
    "ema": (of_close("ema", 20), lambda bars: ema(bars["close"], 20)),
    "wma": (
        of_close("wma", 20),
        lambda bars: bars["close"].rolling(20).apply(lambda part: np.average(part, weights=range(1, 21)), raw=True),
    ),
    "rsi": (of_close("rsi", 14), rsi),
    "macd": (of_close("macd"), macd),
    "bollinger": (of_close("bollinger", 20), bollinger),
    "atr": (lambda bars: indicators.atr(bars["high"], bars["low"], bars["close"], 14), atr),
    "stochastic": (lambda bars: indicators.stochastic(bars["high"], bars["low"], bars["close"], smooth=3), stochastic),
    "obv": (lambda bars: indicators.obv(bars["close"], bars["volume"]), obv),
    "vwap": (lambda bars: indicators.vwap(bars["close"], bars["volume"], window=10), vwap),
    "rolling_volatility": (
        of_close("rolling_volatility", 30),
        lambda bars: bars["close"].pct_change().rolling(30).std() * 100 * np.sqrt(252),
    ),
    "ewma_volatility": (of_close("ewma_volatility"), ewma_volatility),
    "parkinson": (lambda bars: indicators.parkinson(bars["high"], bars["low"], 30), parkinson),
    "garman_klass": (
        lambda bars: indicators.garman_klass(*(bars[name] for name in ("open", "high", "low", "close")), 30),
        garman_klass,
    ),
    "drawdown": (of_close("drawdown"), lambda bars: 100 * (bars["close"] / bars["close"].expanding().max() - 1)),
    "zscore": (
        of_close("zscore", 30),
        lambda bars: (bars["close"] - bars["close"].rolling(30).mean()) / bars["close"].rolling(30).std(),
    ),
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_an_indicator_is_its_definition(name: str, bars: Bars) -> None:
    ours, definition = (work(bars) for work in DEFINITIONS[name])
    if isinstance(definition, pd.Series):
        ours, definition = {name: ours}, definition.to_frame(name)
    else:
        ours = vars(ours)
    assert set(ours) == set(definition)
    for part, values in ours.items():
        assert values.notna().sum() > 3000
        pd.testing.assert_series_equal(values, definition[part], check_names=False, rtol=1e-9, atol=1e-9)


def test_beta_and_correlation_are_those_of_each_window(bars: Bars, market: pd.Series) -> None:
    returns = bars["close"].pct_change()
    betas = indicators.rolling_beta(returns, market, 60)
    correlations = indicators.rolling_correlation(returns, market, 60)
    assert betas.first_valid_index() == correlations.first_valid_index() == bars.index[60]
    for end in range(61, len(bars) + 1, 50):
        mine, theirs = (series.iloc[end - 60 : end].to_numpy() for series in (returns, market))
        slope = np.polyfit(theirs, mine, 1)[0]
        assert betas.iloc[end - 1] == pytest.approx(slope, rel=1e-9)
        assert correlations.iloc[end - 1] == pytest.approx(np.corrcoef(mine, theirs)[0, 1], rel=1e-9)


def test_every_indicator_has_its_definition_here() -> None:
    assert set(DEFINITIONS) | {"rolling_beta", "rolling_correlation"} == {
        name for name in indicators.__all__ if name.islower()
    }
