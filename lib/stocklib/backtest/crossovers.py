"""Many moving-average crossovers at once: ``kernel.simulate`` for one symbol, all in or out, no stops.

It keeps only the figures of each run; a test shows that they equal those of ``engine.run``.
"""

import numpy as np
from numba import njit, prange

from stocklib.backtest.kernel import TOLERANCE


@njit(cache=True, parallel=True)
def crossovers(averages, closes, fills, pairs, money, commission, slippage):  # type: ignore[no-untyped-def]
    """Hold while the fast average is above the slow one, for each (fast, slow) of ``pairs``, rows of ``averages``.

    A row of the answer holds final value, mean return, its sample deviation, deepest drawdown (a negative fraction),
    trades, share of bars held.
    """
    count = len(closes)
    answer = np.empty((len(pairs), 6))
    for k in prange(len(pairs)):
        fast, slow = averages[pairs[k, 0]], averages[pairs[k, 1]]
        cash, shares, worth, top = money, 0.0, money, money
        first, total, squares, deepest = 0.0, 0.0, 0.0, 1.0
        trades, inside, moves = 0, 0, 0
        for t in range(1, count):
            now = cash
            hold = fast[t - 1] > slow[t - 1] * (1 + TOLERANCE)
            if hold != (shares > 0.0) and not np.isnan(fills[t]):
                if hold:
                    shares = cash / (fills[t] * (1 + slippage) * (1 + commission))
                    cash = 0.0
                    trades += 1
                else:
                    cash = now = shares * fills[t] * (1 - slippage) * (1 - commission)
                    shares = 0.0
            if shares > 0.0:
                inside += 1
                now = shares * closes[t]
            # an account that holds nothing does not move
            if now != worth:
                change = now / worth - 1
                if moves == 0:
                    first = change
                # relative to the first one, so that equal values have no deviation
                total += change - first
                squares += (change - first) ** 2
                moves += 1
                worth = now
                if now > top:
                    top = now
                elif now < deepest * top:
                    deepest = now / top
        still = count - 1 - moves
        total -= still * first
        squares += still * first**2
        answer[k, 0], answer[k, 1] = worth, first + total / (count - 1)
        spread = squares - total * total / (count - 1)
        answer[k, 2] = np.sqrt(max(spread, 0.0) / (count - 2)) if count > 2 else np.nan
        answer[k, 3], answer[k, 4], answer[k, 5] = deepest - 1, trades, inside / count
    return answer
