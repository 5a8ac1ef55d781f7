"""What a rule would have earned: bars and a signal in, an account with its trades and costs out.

A signal says at a bar's close what to hold: 1 for all in, 0 for out. It is traded at the *next* bar's open, so nothing
is decided with a price that was not yet known.
"""

from stocklib.backtest.engine import Result, run, summary
from stocklib.backtest.strategies import buy_and_hold, sma_crossover

__all__ = ["Result", "buy_and_hold", "run", "sma_crossover", "summary"]
