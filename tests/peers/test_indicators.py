"""Indicators are those of pandas-ta-classic and of empyrical-reloaded, on thirteen years of recorded bars."""

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd
import pytest
from adjusted import split_adjusted

from stocklib import indicators

ta = pytest.importorskip("pandas_ta_classic", reason="pandas-ta-classic is not installed; make test-peers installs it")
# its own arithmetic, not TA-Lib's, which is ours
OWN = {"talib": False}


@pytest.fixture(scope="module", params=["AAPL", "IBM", "MSFT"])
def bars(request: pytest.FixtureRequest) -> pd.DataFrame:
    return split_adjusted(request.param).set_index("date")


def columns(found: Any) -> list[pd.Series]:
    if isinstance(found, pd.Series):
        return [found]
    return [found[name] for name in found] if isinstance(found, pd.DataFrame) else list(vars(found).values())


def hlc(bars: pd.DataFrame) -> Iterable[pd.Series]:
    return (bars[name] for name in ("high", "low", "close"))


Work = Callable[[pd.DataFrame], Any]
PAIRS: dict[str, tuple[Work, Work]] = {
    "sma": (lambda b: indicators.sma(b["close"], 20), lambda b: ta.sma(b["close"], 20, **OWN)),
    "ema": (lambda b: indicators.ema(b["close"], 20), lambda b: ta.ema(b["close"], 20, **OWN)),
    "wma": (lambda b: indicators.wma(b["close"], 20), lambda b: ta.wma(b["close"], 20, **OWN)),
    "rsi": (lambda b: indicators.rsi(b["close"], 14), lambda b: ta.rsi(b["close"], 14, **OWN)),
    # theirs are line, histogram, signal
    "macd": (lambda b: indicators.macd(b["close"]), lambda b: ta.macd(b["close"], **OWN).iloc[:, [0, 2, 1]]),
    "bollinger": (
        lambda b: indicators.bollinger(b["close"], 20),
        lambda b: ta.bbands(b["close"], 20, 2, **OWN).iloc[:, :3],
    ),
    "atr": (lambda b: indicators.atr(*hlc(b), window=14), lambda b: ta.atr(*hlc(b), length=14, **OWN)),
    "stochastic": (
        lambda b: indicators.stochastic(*hlc(b), smooth=3),
        lambda b: ta.stoch(*hlc(b), k=14, d=3, smooth_k=3, **OWN).reindex(b.index),
    ),
    "obv": (lambda b: indicators.obv(b["close"], b["volume"]), lambda b: ta.obv(b["close"], b["volume"], **OWN)),
    "vwap": (
        lambda b: indicators.vwap(sum(hlc(b)) / 3, b["volume"], session=b.index.to_period("M")),
        lambda b: ta.vwap(*hlc(b), b["volume"], anchor="M"),
    ),
    "vwap of a window": (
        lambda b: indicators.vwap(b["close"], b["volume"], window=10),
        lambda b: ta.vwma(b["close"], b["volume"], 10),
    ),
    "zscore": (lambda b: indicators.zscore(b["close"], 30), lambda b: ta.zscore(b["close"], 30)),
    "drawdown": (lambda b: indicators.drawdown(b["close"]), lambda b: -100 * ta.drawdown(b["close"])["DD_PCT"]),
}


@pytest.mark.parametrize("name", PAIRS)
def test_an_indicator_is_that_of_another_library(name: str, bars: pd.DataFrame) -> None:
    ours, theirs = (columns(work(bars)) for work in PAIRS[name])
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.notna().sum() > 3000
        pd.testing.assert_series_equal(
            mine, other, check_names=False, check_freq=False, check_dtype=False, rtol=1e-9, atol=1e-9
        )


def test_rolling_volatility_and_beta_are_empyrical_s(bars: pd.DataFrame) -> None:
    empyrical = pytest.importorskip("empyrical", reason="empyrical-reloaded is not installed; make test-peers does so")
    returns = bars["close"].pct_change()
    market = split_adjusted("IBM").set_index("date")["close"].pct_change().rename("IBM")
    theirs = empyrical.roll_annual_volatility(returns.iloc[1:], 30) * 100
    ours = indicators.rolling_volatility(bars["close"], 30).dropna()
    assert ours.to_numpy() == pytest.approx(theirs.to_numpy(), rel=1e-9)
    betas = indicators.rolling_beta(returns, market, 60).dropna()
    expected = empyrical.roll_beta(returns.iloc[1:], market.iloc[1:], 60)
    assert betas.to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-9)
