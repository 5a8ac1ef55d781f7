"""The backtest of a tear sheet and its benchmark, from a strategy's name, parameters as text, and symbols."""

import ast
import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from stocklib import backtest, market
from stocklib.errors import DateRangeError, InputError, ParameterError, did_you_mean
from stocklib.report.own_rules import Strategy, names_a_file, read_rule
from stocklib.settings import Settings

log = logging.getLogger(__name__)

_BUILT_IN = (
    backtest.sma_crossover,
    backtest.ema_crossover,
    backtest.rsi_reversion,
    backtest.donchian_breakout,
    backtest.volatility_target,
    backtest.buy_and_hold,
    backtest.momentum_rotation,
)
STRATEGIES: dict[str, Strategy] = {rule.__name__: rule for rule in _BUILT_IN}
_ACRONYMS = {"sma", "ema", "rsi"}
_KINDS = {"bool": bool, "int": int, "float": float, "str": str}


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

    ``name`` is a built-in strategy's, or ``file.py:function`` (``own_rules``). A rule gets bars with their dates as
    index: those of one symbol, and several symbols share the account equally. One that is annotated to return a frame
    gets the bars of all symbols at once. The benchmark buys and holds the same symbols, or another one, under the same
    costs; on a session without a bar it is worth its last close.
    ``ParameterError`` names the existing strategies and parameters.
    """
    strategy = find_strategy(name)
    parameters = read_parameters(strategy, given)
    bars = market.prices(symbols, start, end, adjust=adjust, index=True, settings=settings)
    costs = {key: value for key, value in options.items() if key != "rebalance"}
    rebalance = options.get("rebalance") or ("month" if strategy is backtest.momentum_rotation else "change")
    result = backtest.run(bars, _weights(strategy, bars, parameters), rebalance=rebalance, **costs)
    others = _on_sessions(settings, benchmark, result.equity.index, adjust=adjust) if benchmark else bars
    held = backtest.run(others, backtest.buy_and_hold(others), **costs)
    return Trial(
        name=strategy.__name__,
        result=result,
        benchmark_name=_held([benchmark] if benchmark else held.bars.symbols),
        benchmark=held,
        prices=bars,
        parameters={**parameters, "rebalance": rebalance, "adjust": adjust, **costs},
    )


def _held(symbols: Sequence[str]) -> str:
    return f"Buy and hold {symbols[0]}" if len(symbols) == 1 else "Buy and hold, equal weights"


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


def title_of(name: str) -> str:
    """Return a built-in strategy's name as a heading; that of a function of your own without underscores.

    >>> title_of("sma_crossover"), title_of("buy_and_hold"), title_of("my_dip")
    ('SMA crossover', 'Buy and hold', 'my dip')
    """
    title = " ".join(word.upper() if word in _ACRONYMS else word for word in name.split("_"))
    return title[:1].upper() + title[1:] if name in STRATEGIES else title


def find_strategy(name: str) -> Strategy:
    """Return a built-in strategy by its name, or the function of ``file.py:function``."""
    if names_a_file(name):
        return read_rule(name)
    if name not in STRATEGIES:
        raise ParameterError(
            f"there is no strategy {name!r}; there are {', '.join(STRATEGIES)}, and functions of your own files, as in "
            f"my_rules.py:dip{did_you_mean(name, STRATEGIES)}"
        )
    return STRATEGIES[name]


def described() -> list[tuple[str, str]]:
    """Return each built-in strategy with its parameters, their defaults, and what it does.

    >>> dict(described())["ema_crossover"]
    'fast=10, slow=30. Hold while the fast exponential moving average of the closes is above the slow one.'
    """
    return [
        (name, f"{', '.join(f'{key}={each.default}' for key, each in _takes(rule).items()) or 'no parameter'}. {said}")
        for name, rule in STRATEGIES.items()
        if (said := str(inspect.getdoc(rule)).splitlines()[0].replace("``", ""))
    ]


def read_parameters(rule: Strategy, given: Mapping[str, str]) -> dict[str, Any]:
    """Return a strategy's parameters, the given ones in their own types, the others at their defaults.

    The type is that of the annotation, else of the default.

    >>> read_parameters(backtest.sma_crossover, {"fast": "12"})
    {'fast': 12, 'slow': 30}
    """
    name, takes = rule.__name__, _takes(rule)
    listed = ", ".join(takes) or "none"
    unknown = [key for key in given if key not in takes]
    if unknown:
        raise ParameterError(
            f"{name} has no parameter {unknown[0]!r}; it takes {listed}{did_you_mean(unknown[0], takes)}"
        )
    missing = [key for key, each in takes.items() if each.default is each.empty and key not in given]
    if missing:
        raise ParameterError(f"{name} needs {' and '.join(missing)}; it takes {listed}")
    return {key: _typed(name, each, given[key]) if key in given else each.default for key, each in takes.items()}


def _takes(rule: Strategy) -> dict[str, inspect.Parameter]:
    """Return the parameters after the bars, by name."""
    named = list(inspect.signature(rule).parameters.items())[1:]
    return {key: each for key, each in named if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)}


def _typed(name: str, parameter: inspect.Parameter, text: str) -> Any:
    """Return a parameter's text in its type: of no simple type, a Python literal, else the text."""
    annotated = getattr(parameter.annotation, "__name__", parameter.annotation)
    kind = _KINDS.get(annotated) or _KINDS.get(type(parameter.default).__name__)
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        return kind(text) if kind else ast.literal_eval(text)
    except (ValueError, SyntaxError, KeyError):
        if kind is None:
            return text
        default = "" if parameter.default is parameter.empty else f", as its default {parameter.default!r} is"
        wanted = "true or false" if kind is bool else f"a valid {kind.__name__}"
        raise ParameterError(f"{name}: {parameter.name}={text!r} is not {wanted}{default}") from None


def _weights(strategy: Strategy | str, bars: pd.DataFrame, parameters: Mapping[str, Any]) -> pd.Series | pd.DataFrame:
    rule = STRATEGIES[strategy] if isinstance(strategy, str) else strategy
    symbols = list(bars["symbol"].unique())
    if len(symbols) == 1 or "DataFrame" in str(inspect.signature(rule).return_annotation):
        weights: pd.Series | pd.DataFrame = rule(bars, **parameters)
        return weights
    each, young = _each(rule, bars, parameters)
    if any(isinstance(weights, pd.DataFrame) for weights in each.values()):
        raise InputError(
            f"{rule.__name__} returns a frame: annotate it with -> pd.DataFrame to get all symbols at once"
        )
    # through a session without a bar a position stays; a symbol that is not listed yet has none
    weights = pd.DataFrame(each).sort_index().ffill().fillna(0.0) / len(each)
    return weights.assign(**dict.fromkeys(young, 0.0))[symbols]


def _each(
    rule: Strategy, bars: pd.DataFrame, parameters: Mapping[str, Any]
) -> tuple[dict[str, pd.Series | pd.DataFrame], list[str]]:
    """Return the weights of each symbol, and the symbols that the rule refuses, unless it refuses all of them."""
    each: dict[str, pd.Series | pd.DataFrame] = {}
    refused: dict[str, InputError] = {}
    for symbol in bars["symbol"].unique():
        try:
            each[symbol] = rule(bars[bars["symbol"] == symbol], **parameters)
        except InputError as error:
            refused[symbol] = error
    if not each:
        raise next(iter(refused.values()))
    for symbol, reason in refused.items():
        log.warning("%s is left out: %s", symbol, reason)
    return each, list(refused)
