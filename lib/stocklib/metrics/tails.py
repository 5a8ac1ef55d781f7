"""The tail of the returns: value at risk and the mean beyond it, in percent of a session (a loss is negative)."""

from statistics import NormalDist

import numpy as np
import pandas as pd

from stocklib.indicators.columns import check_number
from stocklib.metrics.growth import known_returns


def value_at_risk(prices: pd.Series, *, share: float = 0.05) -> float:
    """Historical VaR: the return that the worst ``share`` of sessions stayed below, interpolated linearly.

    Source: P. Jorion, Value at Risk (2006), chapter 5.

    >>> round(value_at_risk(pd.Series([100.0, 110.0, 99.0, 99.0]), share=0.25), 6)
    -5.0
    """
    return float(100 * np.quantile(known_returns(prices), _checked(share)))


def cvar(prices: pd.Series, *, share: float = 0.05) -> float:
    """Historical CVaR, or expected shortfall: the mean of the worst returns, floor((n - 1) · share) + 1 of them.

    Source: C. Acerbi, D. Tasche, Expected Shortfall, Economic Notes (2002).

    >>> round(cvar(pd.Series([100.0, 110.0, 99.0, 99.0]), share=0.5), 6)
    -5.0
    """
    changes = np.sort(known_returns(prices).to_numpy())
    worst = int((len(changes) - 1) * _checked(share)) + 1
    return float(100 * changes[:worst].mean())


def gaussian_var(prices: pd.Series, *, share: float = 0.05) -> float:
    """VaR of a normal distribution with the returns' mean and sample deviation: μ + σ Φ⁻¹(share).

    At a share of one half it is the mean:

    >>> round(gaussian_var(pd.Series([100.0, 110.0, 99.0]), share=0.5), 6) + 0
    0.0
    """
    changes = known_returns(prices)
    return float(100 * (changes.mean() + changes.std(ddof=1) * NormalDist().inv_cdf(_checked(share))))


def gaussian_cvar(prices: pd.Series, *, share: float = 0.05) -> float:
    """CVaR of a normal distribution with the returns' mean and sample deviation: μ - σ φ(Φ⁻¹(share)) / share.

    With μ = 0, σ = √0.02 and one half: -100 √0.02 · 0.398942 / 0.5:

    >>> round(gaussian_cvar(pd.Series([100.0, 110.0, 99.0]), share=0.5), 6)
    -11.283792
    """
    changes, normal = known_returns(prices), NormalDist()
    beyond = normal.pdf(normal.inv_cdf(_checked(share))) / share
    return float(100 * (changes.mean() - changes.std(ddof=1) * beyond))


def _checked(share: float) -> float:
    check_number("share", share, expected="between 0 and 1, such as 0.05", within=lambda value: 0 < value < 1)
    return share
