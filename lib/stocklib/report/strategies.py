"""The backtest of a tear sheet and its benchmark, from a strategy's name, parameters as text, and symbols."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from stocklib import backtest, market
from stocklib.errors import DateRangeError, ParameterError
from stocklib.settings import Settings

# one symbol in, one series out: several symbols share the account equally
_ONE_SYMBOL = {
    "sma_crossover": backtest.sma_crossover,
    "ema_crossover": backtest.ema_crossover,
    "rsi_reversion": backtest.rsi_reversion,
    "donchian_breakout": backtest.donchian_breakout,
    "volatility_target": backtest.volatility_target,
}
_MANY_SYMBOLS = {"buy_and_hold": backtest.buy_and_hold, "momentum_rotation": backtest.momentum_rotation}
STRATEGIES: dict[str, Any] = {**_ONE_SYMBOL, **_MANY_SYMBOLS}


@dataclass(frozen=True)
class Trial:
    """A strategy and its benchmark, run over the same sessions; ``parameters`` are all that it was run with."""

    name: str
    result: backtest.Result
    benchmark_name: str
    benchmark: backtest.Result
    prices: pd.DataFrame
    parameters: Mapping[str, Any]


def try_strategy(
    settings: Settings,
    name: str,
    *,
    given: Mapping[str, str],
    symbols: Sequence[str] | None = None,
    start: date | None = None,
    end: date | None = None,
    benchmark: str | None = None,
    adjust: str = "split",
    **options: Any,
) -> Trial:
    """Run a strategy over gold's prices; ``options`` are those of ``backtest.run``, ``adjust`` is that of ``prices``.

    Several symbols under a rule for one symbol share the account equally. The benchmark buys and holds the
    same symbols, or another one, under the same costs; on a session without a bar it is worth its last close.
    ``ParameterError`` names the existing strategies and parameters.
    """
    strategy = STRATEGIES.get(name)
    if strategy is None:
        raise ParameterError(f"there is no strategy {name!r}; there are {', '.join(STRATEGIES)}")
    parameters = read_parameters(name, given)
    bars = market.prices(symbols, start, end, adjust=adjust, settings=settings)
    costs = {key: value for key, value in options.items() if key != "rebalance"}
    rebalance = options.get("rebalance") or ("month" if name == "momentum_rotation" else "change")
    result = backtest.run(bars, _weights(name, bars, parameters), rebalance=rebalance, **costs)
    others = _on_sessions(settings, benchmark, result.equity.index, adjust=adjust) if benchmark else bars
    held = backtest.run(others, backtest.buy_and_hold(others), **costs)
    return Trial(
        name=name,
        result=result,
        benchmark_name=f"Buy and hold {benchmark}" if benchmark else "Buy and hold",
        benchmark=held,
        prices=bars,
        parameters={**parameters, "rebalance": rebalance, "adjust": adjust, **costs},
    )


def _on_sessions(settings: Settings, symbol: str, sessions: pd.Index, *, adjust: str) -> pd.DataFrame:
    """Return a symbol's bars on these sessions; a row without prices where it has none."""
    bars = market.prices(symbol, end=sessions[-1], adjust=adjust, settings=settings)
    if bars["date"].min() > sessions[0]:
        raise DateRangeError(
            f"the benchmark {symbol} has prices from {bars['date'].min():%Y-%m-%d} on, after the first session "
            f"{sessions[0]:%Y-%m-%d}: choose a later --start"
        )
    if bars["date"].max() < sessions[1]:
        raise DateRangeError(
            f"the benchmark {symbol} has prices up to {bars['date'].max():%Y-%m-%d}, and the sessions begin on "
            f"{sessions[0]:%Y-%m-%d}: choose another one, or an earlier --start"
        )
    placed = bars.set_index("date").reindex(sessions.rename("date")).reset_index().assign(symbol=symbol)
    placed.attrs = bars.attrs
    return placed


def read_parameters(name: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Return a strategy's parameters, the given ones in their own types, the others at their defaults.

    >>> read_parameters("sma_crossover", {"fast": "10", "slow": "30"})
    {'fast': 10, 'slow': 30}
    >>> read_parameters("sma_crossover", {"fast": "10"})
    Traceback (most recent call last):
        ...
    stocklib.errors.ParameterError: sma_crossover needs slow; it takes fast, slow
    """
    takes = dict(list(inspect.signature(STRATEGIES[name]).parameters.items())[1:])
    listed = ", ".join(takes) or "none"
    unknown = [key for key in given if key not in takes]
    if unknown:
        raise ParameterError(f"{name} has no parameter {unknown[0]!r}; it takes {listed}")
    missing = [key for key, each in takes.items() if each.default is inspect.Parameter.empty and key not in given]
    if missing:
        raise ParameterError(f"{name} needs {' and '.join(missing)}; it takes {listed}")
    values = {}
    for key, each in takes.items():
        try:
            values[key] = each.annotation(given[key]) if key in given else each.default
        except ValueError:
            raise ParameterError(f"{name}: {key}={given[key]!r} is not a {each.annotation.__name__}") from None
    return values


def _weights(name: str, bars: pd.DataFrame, parameters: Mapping[str, Any]) -> pd.Series | pd.DataFrame:
    symbols = list(bars["symbol"].unique())
    if name in _MANY_SYMBOLS or len(symbols) == 1:
        weights: pd.Series | pd.DataFrame = STRATEGIES[name](bars, **parameters)
        return weights
    each = {symbol: STRATEGIES[name](rows, **parameters) for symbol, rows in bars.groupby("symbol")}
    # through a session without a bar a position stays; a symbol that is not listed yet has none
    return pd.DataFrame(each).sort_index().ffill().fillna(0.0) / len(symbols)
