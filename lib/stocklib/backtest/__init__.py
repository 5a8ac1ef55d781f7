"""What a rule would have earned: bars and target weights in, an account with its trades and costs out.

Weights say at a bar's close what to hold: 1 for all in, 0 for out. They are traded on the *next* bar, so nothing is
decided with a price that was not yet known; ``check_no_look_ahead`` shows that of a strategy.
"""

from stocklib.backtest.bar_arrays import Bars, read_bars
from stocklib.backtest.built_in import (
    buy_and_hold,
    donchian_breakout,
    ema_crossover,
    momentum_rotation,
    rsi_reversion,
    sma_crossover,
    volatility_target,
)
from stocklib.backtest.engine import run
from stocklib.backtest.guard import LookAheadCheck, check_no_look_ahead
from stocklib.backtest.result import Result, summary
from stocklib.backtest.shown import report
from stocklib.backtest.sweeps import sweep, walk_forward

__all__ = [
    "Bars",
    "LookAheadCheck",
    "Result",
    "buy_and_hold",
    "check_no_look_ahead",
    "donchian_breakout",
    "ema_crossover",
    "momentum_rotation",
    "read_bars",
    "report",
    "rsi_reversion",
    "run",
    "sma_crossover",
    "summary",
    "sweep",
    "volatility_target",
    "walk_forward",
]
