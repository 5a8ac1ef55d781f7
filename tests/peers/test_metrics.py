"""Metrics are those of empyrical-reloaded, and of scipy where that has none, to 1e-10, on thirteen years of bars.

The list of drawdowns is vectorbt's.

Ours are in percent where theirs are fractions, take a year's risk-free rate where theirs take a session's, and are
annualised where ``excess_sharpe`` is not.
"""

import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from adjusted import split_adjusted

from stocklib import metrics

empyrical = pytest.importorskip("empyrical", reason="empyrical-reloaded is not installed; make test-peers installs it")
stats = pytest.importorskip("scipy.stats", reason="scipy is not installed; make test-peers installs it")

YEAR = math.sqrt(252)
FREE = 3.0
A_SESSION = FREE / 100 / 252


@pytest.fixture(scope="module", params=["AAPL", "MSFT"])
def prices(request: pytest.FixtureRequest) -> pd.Series:
    return split_adjusted(request.param).set_index("date")["close"]


@pytest.fixture(scope="module")
def benchmark() -> pd.Series:
    return split_adjusted("IBM").set_index("date")["close"]


Ours = Callable[[pd.Series], float]
Theirs = Callable[[Any], float]
ALONE: dict[str, tuple[Ours, Theirs]] = {
    "total return": (metrics.total_return, lambda r: 100 * empyrical.cum_returns_final(r)),
    "CAGR": (metrics.cagr, lambda r: 100 * empyrical.annual_return(r)),
    "volatility": (lambda p: metrics.volatility(p, window=None), lambda r: 100 * empyrical.annual_volatility(r)),
    "Sharpe": (
        lambda p: metrics.sharpe(p, risk_free_percent=FREE),
        lambda r: empyrical.sharpe_ratio(r, risk_free=A_SESSION),
    ),
    "Sortino": (
        lambda p: metrics.sortino(p, risk_free_percent=FREE),
        lambda r: empyrical.sortino_ratio(r, required_return=A_SESSION),
    ),
    "Calmar": (metrics.calmar, lambda r: empyrical.calmar_ratio(r)),
    "max drawdown": (lambda p: metrics.max_drawdown(p).percent, lambda r: 100 * empyrical.max_drawdown(r)),
    "VaR": (metrics.value_at_risk, lambda r: 100 * empyrical.value_at_risk(r, 0.05)),
    "VaR of one in a hundred": (
        lambda p: metrics.value_at_risk(p, share=0.01),
        lambda r: 100 * empyrical.value_at_risk(r, 0.01),
    ),
    "CVaR": (metrics.cvar, lambda r: 100 * empyrical.conditional_value_at_risk(r, 0.05)),
    "Gaussian VaR": (metrics.gaussian_var, lambda r: 100 * stats.norm.ppf(0.05, r.mean(), r.std())),
    "Gaussian CVaR": (
        metrics.gaussian_cvar,
        lambda r: 100 * stats.norm.expect(lambda x: x, (), r.mean(), r.std(), ub=gaussian(r), conditional=True),
    ),
    "skew": (metrics.skew, lambda r: stats.skew(r, bias=False)),
    "half the width of the Sharpe ratio's band": (
        lambda p: (metrics.sharpe_band(p).high - metrics.sharpe_band(p).low) / 2,
        lambda r: stats.norm.ppf(0.975) * YEAR * sharpe_error(r.mean() / r.std(), stats.skew(r), stats.kurtosis(r), r),
    ),
    "kurtosis": (metrics.kurtosis, lambda r: stats.kurtosis(r, bias=False)),
}
TOGETHER: dict[str, tuple[Callable[..., float], Callable[..., float]]] = {
    "beta": (metrics.beta, lambda r, b: empyrical.beta(r, b, risk_free=A_SESSION)),
    "alpha": (
        lambda p, b: metrics.alpha(p, b, risk_free_percent=FREE),
        lambda r, b: 100 * empyrical.alpha(r, b, risk_free=A_SESSION),
    ),
    "information ratio": (metrics.information_ratio, lambda r, b: YEAR * empyrical.excess_sharpe(r, b)),
}


def gaussian(returns: pd.Series) -> float:
    return float(stats.norm.ppf(0.05, returns.mean(), returns.std()))


def sharpe_error(ratio: float, skew: float, excess: float, returns: pd.Series) -> float:
    """Mertens (2002), as quantstats writes it: 1 + s²/2 - skew × s + excess kurtosis × s²/4."""
    return math.sqrt((1 + ratio**2 / 2 - skew * ratio + excess / 4 * ratio**2) / (len(returns) - 1))


def test_the_drawdowns_are_vectorbt_s(prices: pd.Series) -> None:
    vectorbt = pytest.importorskip("vectorbt", reason="vectorbt is not installed; make test-peers installs it")
    theirs = vectorbt.Drawdowns.from_ts(prices).records_readable.assign(
        percent=lambda rows: 100 * (rows["Valley Value"] / rows["Peak Value"] - 1)
    )
    theirs = theirs.sort_values("percent", kind="stable").head(10)
    ours = metrics.worst_drawdowns(prices)
    assert [one.percent for one in ours] == pytest.approx(theirs["percent"].tolist(), rel=1e-10)
    assert [one.peak for one in ours] == theirs["Peak Timestamp"].tolist()
    assert [one.trough for one in ours] == theirs["Valley Timestamp"].tolist()
    is_open = (theirs["Status"] == "Active").tolist()
    assert [one.recovered is None for one in ours] == is_open
    ends = [one.recovered or prices.index[-1] for one in ours]
    assert ends == theirs["End Timestamp"].tolist()


@pytest.mark.parametrize("name", ALONE)
def test_a_metric_is_empyrical_s(name: str, prices: pd.Series) -> None:
    ours, theirs = ALONE[name]
    assert ours(prices) == pytest.approx(theirs(prices.pct_change().iloc[1:]), rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("name", TOGETHER)
def test_a_metric_against_a_benchmark_is_empyrical_s(name: str, prices: pd.Series, benchmark: pd.Series) -> None:
    ours, theirs = TOGETHER[name]
    expected = theirs(prices.pct_change().iloc[1:], benchmark.pct_change().iloc[1:])
    assert ours(prices, benchmark) == pytest.approx(expected, rel=1e-10, abs=1e-10)
