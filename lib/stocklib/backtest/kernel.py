"""The account, bar by bar: arrays of prices and target weights in, values and fills out. Compiled once and cached.

The rules are those of ``engine.run``; nothing here knows of dates or names.
"""

from typing import Any

import numpy as np
from numba import njit, prange

# Weights and amounts that differ by less are equal: what rounding leaves is no order.
TOLERANCE = 1e-9
BUY_AND_SELL, STOP_LOSS, TAKE_PROFIT = 0, 1, 2


@njit(cache=True)
def simulate(  # type: ignore[no-untyped-def]
    fill, high, low, opens, close, weights, due, at_open, money,
    commission, slippage, minimum_fee, borrow, whole, stop_loss, take_profit, leverage,
):  # fmt: skip
    """Walk through the bars. ``due[t]``: at bar t nothing is traded (0), every symbol (1), or what changed (2).

    Returns (equity, cash, shares, fills, count, ruined at bar or -1); a row of ``fills`` is bar, symbol, signed shares,
    price, fee, slippage cost, reason.
    """
    count, width = close.shape
    equity, cash_then = np.empty(count), np.empty(count)
    held = np.zeros((count, width))
    shares, entry, acted, last = np.zeros(width), np.zeros(width), np.zeros(width), np.full(width, np.nan)
    delta, wanted = np.zeros(width), np.zeros(width)
    fills = np.empty((256, 7))
    made = 0
    ruined = -1
    for t in range(count):
        if made + 4 * width > fills.shape[0]:
            grown = np.empty((2 * fills.shape[0] + 4 * width, 7))
            grown[:made] = fills[:made]
            fills = grown
        if not at_open and ruined < 0:
            money, made = _stops(t, opens, high, low, shares, entry, money, fills, made,
                                 commission, slippage, minimum_fee, stop_loss, take_profit)  # fmt: skip
        if t > 0 and ruined < 0:
            worth = money
            for i in range(width):
                price = fill[t, i] if not np.isnan(fill[t, i]) else last[i]
                if shares[i] != 0.0:
                    worth += shares[i] * price
            orders = False
            for i in range(width):
                delta[i] = 0.0
                target = weights[t - 1, i]
                changed = due[t] == 1 or (due[t] == 2 and abs(target - acted[i]) > TOLERANCE)
                if np.isnan(target) or not changed or np.isnan(fill[t, i]):
                    continue
                acted[i] = target
                wanted[i] = target
                delta[i] = target * worth - shares[i] * fill[t, i]
                if (target == 0.0 and shares[i] != 0.0) or abs(delta[i]) > TOLERANCE * abs(worth):
                    orders = True
                else:
                    delta[i] = 0.0
            if orders:
                money, made = _trade(t, fill, shares, entry, wanted, delta, worth, money, fills, made,
                                     commission, slippage, minimum_fee, whole, leverage)  # fmt: skip
        if at_open and ruined < 0:
            money, made = _stops(t, opens, high, low, shares, entry, money, fills, made,
                                 commission, slippage, minimum_fee, stop_loss, take_profit)  # fmt: skip
        worth = money
        for i in range(width):
            if not np.isnan(close[t, i]):
                last[i] = close[t, i]
            if shares[i] != 0.0:
                if shares[i] < 0.0 and t > 0:
                    fee = -shares[i] * last[i] * borrow
                    money -= fee
                    worth -= fee
                worth += shares[i] * last[i]
            held[t, i] = shares[i]
        equity[t] = worth
        cash_then[t] = money
        if worth <= 0.0 and ruined < 0:
            # nothing is left to trade with: what is owed stays owed
            ruined = t
            money = worth
            cash_then[t] = worth
            for i in range(width):
                shares[i] = 0.0
    return equity, cash_then, held, fills[:made], ruined


@njit(cache=True)
def _fee(value, commission, minimum_fee):  # type: ignore[no-untyped-def]
    return max(value * commission, minimum_fee)


@njit(cache=True)
def _trade(  # type: ignore[no-untyped-def]
    t, fill, shares, entry, wanted, delta, worth, money, fills, made,
    commission, slippage, minimum_fee, whole, leverage,
):  # fmt: skip
    """Sell first, then buy with what there is; where it is not enough, every purchase shrinks alike."""
    width = len(shares)
    for i in range(width):
        if delta[i] > 0.0 or (delta[i] == 0.0 and not (wanted[i] == 0.0 and shares[i] > 0.0)):
            continue
        price = fill[t, i] * (1 - slippage)
        closes = wanted[i] == 0.0 and shares[i] > 0.0
        amount = shares[i] if closes else -delta[i] / fill[t, i]
        if whole and not closes:
            amount = np.floor(amount + TOLERANCE)
        if amount <= 0.0:
            continue
        money, made = _book(t, i, -amount, price, fill[t, i], shares, entry, money, fills, made,
                            commission, minimum_fee, BUY_AND_SELL)  # fmt: skip
    # what each purchase would cost, and how many shares it is
    total = 0.0
    need = np.zeros(width)
    for i in range(width):
        covers = wanted[i] == 0.0 and shares[i] < 0.0
        if not (delta[i] > 0.0 or covers):
            continue
        price = fill[t, i] * (1 + slippage)
        if covers:
            amount = -shares[i]
        else:
            begun = -shares[i] if shares[i] < 0.0 else 0.0
            budget = wanted[i] * worth if shares[i] < 0.0 and wanted[i] > 0.0 else delta[i]
            begun = begun if shares[i] < 0.0 and wanted[i] > 0.0 else 0.0
            amount = begun + max(_affordable(budget, price, commission, minimum_fee), 0.0)
        need[i] = amount
        total += amount * price + _fee(amount * price, commission, minimum_fee)
    room = money + (leverage - 1) * max(worth, 0.0)
    for i in range(width):
        # a short position's proceeds are no money to spend
        if shares[i] < 0.0 and need[i] == 0.0:
            room += shares[i] * fill[t, i]
    short_of = total > room * (1 + TOLERANCE) + TOLERANCE
    for i in range(width):
        if need[i] <= 0.0:
            continue
        price = fill[t, i] * (1 + slippage)
        amount = need[i]
        covers = wanted[i] == 0.0 and shares[i] < 0.0
        if short_of and not covers:
            amount = max(_affordable((amount * price + _fee(amount * price, commission, minimum_fee)) * room / total,
                                     price, commission, minimum_fee), 0.0)  # fmt: skip
        if whole and not covers:
            amount = np.floor(amount + TOLERANCE)
        if amount <= 0.0:
            continue
        money, made = _book(t, i, amount, price, fill[t, i], shares, entry, money, fills, made,
                            commission, minimum_fee, BUY_AND_SELL)  # fmt: skip
    return money, made


@njit(cache=True)
def _affordable(budget, price, commission, minimum_fee):  # type: ignore[no-untyped-def]
    """How many shares a budget pays for, its fee included."""
    amount = budget / (price * (1 + commission))
    if amount * price * commission < minimum_fee:
        amount = (budget - minimum_fee) / price
    return amount


@njit(cache=True)
def _book(  # type: ignore[no-untyped-def]
    t, i, amount, price, quoted, shares, entry, money, fills, made, commission, minimum_fee, reason
):
    """Exchange shares for money, and remember the fill; ``entry`` is the average price of what is held."""
    fee = _fee(abs(amount) * price, commission, minimum_fee)
    before, after = shares[i], shares[i] + amount
    if abs(after) < TOLERANCE * abs(amount):
        after = 0.0
    if after == 0.0:
        entry[i] = 0.0
    elif before == 0.0 or (before > 0.0) != (after > 0.0):
        entry[i] = price
    elif abs(after) > abs(before):
        entry[i] = (entry[i] * before + price * amount) / after
    shares[i] = after
    row = fills[made]
    row[0], row[1], row[2], row[3] = t, i, amount, price
    row[4], row[5], row[6] = fee, abs(amount * (price - quoted)), reason
    return money - amount * price - fee, made + 1


@njit(cache=True)
def _stops(  # type: ignore[no-untyped-def]
    t, opens, high, low, shares, entry, money, fills, made,
    commission, slippage, minimum_fee, stop_loss, take_profit,
):  # fmt: skip
    """Leave positions whose stop or target lies inside the bar; where both do, the stop came first."""
    if stop_loss <= 0.0 and take_profit <= 0.0:
        return money, made
    for i in range(len(shares)):
        if shares[i] == 0.0 or np.isnan(high[t, i]):
            continue
        side = 1.0 if shares[i] > 0.0 else -1.0
        price, reason = np.nan, STOP_LOSS
        worst = low[t, i] if side > 0.0 else high[t, i]
        best = high[t, i] if side > 0.0 else low[t, i]
        if stop_loss > 0.0:
            level = entry[i] * (1 - side * stop_loss)
            if side * (worst - level) <= 0.0:
                # a bar that opens beyond the level is left at its open
                price = min(opens[t, i], level) if side > 0.0 else max(opens[t, i], level)
        if np.isnan(price) and take_profit > 0.0:
            level = entry[i] * (1 + side * take_profit)
            if side * (best - level) >= 0.0:
                price = max(opens[t, i], level) if side > 0.0 else min(opens[t, i], level)
                reason = TAKE_PROFIT
        if np.isnan(price):
            continue
        money, made = _book(t, i, -shares[i], price * (1 - side * slippage), price, shares, entry, money, fills, made,
                            commission, minimum_fee, reason)  # fmt: skip
    return money, made


@njit(cache=True, parallel=True)
def crossovers(averages, closes, fills, pairs, money, commission, slippage):  # type: ignore[no-untyped-def]
    """Hold while the fast average is above the slow one, for each (fast, slow) of ``pairs``, rows of ``averages``.

    A row of the answer is final value, mean return, sample deviation of the returns, deepest drawdown (as a fraction),
    trades begun, share of bars in the market, downside deviation.
    """
    count = len(closes)
    answer = np.empty((len(pairs), 7))
    for k in prange(len(pairs)):
        fast, slow = averages[pairs[k, 0]], averages[pairs[k, 1]]
        cash, shares, worth, top = money, 0.0, money, money
        mean, squares, downside, deepest = 0.0, 0.0, 0.0, 0.0
        trades, inside = 0, 0
        for t in range(count):
            if t > 0:
                hold = fast[t - 1] > slow[t - 1] * (1 + TOLERANCE)
                if hold and shares == 0.0:
                    shares = cash / (fills[t] * (1 + slippage) * (1 + commission))
                    cash = 0.0
                    trades += 1
                elif not hold and shares > 0.0:
                    cash = shares * fills[t] * (1 - slippage) * (1 - commission)
                    shares = 0.0
            now = cash + shares * closes[t]
            if shares > 0.0:
                inside += 1
            if t > 0:
                change = now / worth - 1
                step = change - mean
                mean += step / t
                squares += step * (change - mean)
                if change < 0.0:
                    downside += change * change
            worth = now
            top = max(top, now)
            deepest = min(deepest, now / top - 1)
        answer[k, 0], answer[k, 1] = worth, mean
        answer[k, 2] = np.sqrt(squares / (count - 2)) if count > 2 else np.nan
        answer[k, 3], answer[k, 4], answer[k, 5] = deepest, trades, inside / count
        answer[k, 6] = np.sqrt(downside / (count - 1))
    return answer


def compile_all() -> Any:
    """Compile (or read from the cache) what the first run would otherwise wait for."""
    two = np.ones((2, 1))
    due = np.full(2, 2, dtype=np.int8)
    simulate(two, two, two, two, two, two, due, True, 1.0, 0.0, 0.0, 0.0, 0.0, False, 0.0, 0.0, 1.0)
    return crossovers(np.ones((2, 2)), np.ones(2), np.ones(2), np.array([[0, 1]]), 1.0, 0.0, 0.0)
