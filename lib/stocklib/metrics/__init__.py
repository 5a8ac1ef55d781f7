"""Return and risk of a series of prices or of an account's value: one positive number a session in, oldest first.

Conventions, the same in gold: simple returns of split-adjusted closes, 252 sessions a year, sample standard deviation
(ddof 1). Rates come in percent, as gold's columns do: a ``cagr`` of 12.5 is 12.5 % a year. Only ``returns`` are
fractions, because they are multiplied. ``risk_free_percent`` is a year's simple rate; a session's is 1/252 of it. A
ratio whose denominator is 0 is NaN, and so is a rate too large for a double. Losses are negative.

Prices are refused (``InputError``) when they are not a series of numbers, out of order, zero, negative or infinite. A
missing one (NaN) is a session without a bar, as ``prices(…, holes="nan")`` gives it: a return is that of one session,
and one over a hole is ignored; growth is from the first price to the last. A figure a year needs one value a session:
of bars within the day, take each session's last one.
"""

from stocklib.metrics.drawdowns import Drawdown, drawdown, max_drawdown, ulcer_index, worst_drawdowns
from stocklib.metrics.growth import SESSIONS_A_YEAR, cagr, returns, total_return
from stocklib.metrics.ratios import (
    NO_DEVIATION,
    SharpeBand,
    alpha,
    beta,
    calmar,
    information_ratio,
    sharpe,
    sharpe_band,
    sortino,
)
from stocklib.metrics.risk import (
    VOLATILITY_WINDOW,
    average_gain,
    average_loss,
    hit_rate,
    kurtosis,
    profit_factor,
    rolling_volatility,
    skew,
    volatility,
)
from stocklib.metrics.tails import cvar, gaussian_cvar, gaussian_var, value_at_risk

__all__ = [
    "NO_DEVIATION",
    "SESSIONS_A_YEAR",
    "VOLATILITY_WINDOW",
    "Drawdown",
    "SharpeBand",
    "alpha",
    "average_gain",
    "average_loss",
    "beta",
    "cagr",
    "calmar",
    "cvar",
    "drawdown",
    "gaussian_cvar",
    "gaussian_var",
    "hit_rate",
    "information_ratio",
    "kurtosis",
    "max_drawdown",
    "profit_factor",
    "returns",
    "rolling_volatility",
    "sharpe",
    "sharpe_band",
    "skew",
    "sortino",
    "total_return",
    "ulcer_index",
    "value_at_risk",
    "volatility",
    "worst_drawdowns",
]
