"""The account, bar by bar: arrays of prices and target weights in, values and fills out. Compiled once and cached.

The rules are those of ``engine.run``; this module uses no dates or names. All compiled functions that call one another
are in this file, since numba compiles a cached one again only when its own file changes.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

# Weights and amounts that differ by less are equal: a rounding error is not an order.
TOLERANCE = 1e-9
NOTHING, EVERYTHING, CHANGED = 0, 1, 2
ORDER, STOP_LOSS, TAKE_PROFIT, RUIN = 0, 1, 2, 3


class Prices(NamedTuple):
    """Bars × symbols; NaN where a symbol has no bar."""

    fill: Any
    open: Any
    high: Any
    low: Any
    close: Any


class Costs(NamedTuple):
    """Fractions of a fill's value, money a fill, and a fraction a bar of the value sold short."""

    commission: float
    slippage: float
    minimum_fee: float
    borrow: float


class Rules(NamedTuple):
    """The rules of execution; a stop of 0 is none."""

    at_open: bool
    whole: bool
    stop_loss: float
    take_profit: float
    leverage: float


class Account(NamedTuple):
    """By symbol: shares, average price, and the borrowing costs since the last fill (``loan``); the account's money."""

    shares: Any
    entry: Any
    loan: Any
    money: Any


class Book(NamedTuple):
    """The result of ``simulate``. A row of ``fills``: bar, symbol, shares, price, fee, slippage, loan, reason.

    ``loan`` is the borrowing cost since the symbol's last fill, as in ``Account``.
    """

    equity: Any
    cash: Any
    held: Any
    fills: Any
    loan: Any
    ruined: int


@njit(cache=True)
def simulate(prices, weights, due, money, costs, rules):  # type: ignore[no-untyped-def]
    """Simulate bar by bar; ``due[t]`` says which symbols trade to their target at bar t."""
    count, width = prices.close.shape
    equity, cash, held = np.empty(count), np.empty(count), np.zeros((count, width))
    account = Account(np.zeros(width), np.zeros(width), np.zeros(width), np.array([money]))
    target, acted, last = np.zeros(width), np.zeros(width), np.full(width, np.nan)
    waits = np.zeros(width, dtype=np.bool_)
    fills, made, ruined = np.empty((256, 8)), 0, -1
    stops = rules.stop_loss > 0.0 or rules.take_profit > 0.0
    for t in range(count):
        # in one bar a symbol can be ordered, stopped, and closed with a ruined account
        if made + 3 * width > len(fills):
            grown = np.empty((2 * len(fills) + 3 * width, 8))
            grown[:made] = fills[:made]
            fills = grown
        if stops and ruined < 0 and not rules.at_open:
            made = _stops(t, prices, account, fills, made, costs, rules)
        if ruined < 0 and t > 0:
            worth = _worth(t, prices.fill, last, account)
            if worth <= 0.0:
                made, ruined = _close_all(t, prices.fill, last, account, fills, made), t
            elif _decide(t, weights, due[t], target, acted, waits):
                made = _trade(t, prices, worth, last, target, acted, waits, account, fills, made, costs, rules)
        if stops and ruined < 0 and rules.at_open:
            made = _stops(t, prices, account, fills, made, costs, rules)
        for i in range(width):
            if not np.isnan(prices.close[t, i]):
                last[i] = prices.close[t, i]
            if account.shares[i] < 0.0:
                paid = -account.shares[i] * last[i] * costs.borrow
                account.loan[i] += paid
                account.money[0] -= paid
        equity[t] = _worth(t, prices.close, last, account)
        if ruined < 0 and equity[t] <= 0.0:
            made, ruined = _close_all(t, prices.close, last, account, fills, made), t
        cash[t] = account.money[0]
        for i in range(width):
            held[t, i] = account.shares[i]
    return Book(equity, cash, held, fills[:made], account.loan, ruined)


@njit(cache=True, inline="always")
def _worth(t, price, last, account):  # type: ignore[no-untyped-def]
    """Return money plus shares at the bar's prices, else at the last closes."""
    worth = account.money[0]
    for i in range(len(last)):
        if account.shares[i] != 0.0:
            worth += account.shares[i] * (last[i] if np.isnan(price[t, i]) else price[t, i])
    return worth


@njit(cache=True, inline="always")
def _decide(t, weights, due, target, acted, waits):  # type: ignore[no-untyped-def]
    """Set each symbol's target and which symbols have an order; one without a bar keeps its order."""
    waiting = False
    for i in range(len(target)):
        goal = weights[t - 1, i] if abs(weights[t - 1, i]) > TOLERANCE else 0.0
        if due == CHANGED:
            target[i], waits[i] = goal, abs(goal - acted[i]) > TOLERANCE
        elif due == EVERYTHING:
            target[i], waits[i] = goal, True
        waiting |= waits[i]
    return waiting


@njit(cache=True)
def _trade(t, prices, worth, last, target, acted, waits, account, fills, made, costs, rules):  # type: ignore[no-untyped-def]
    """Sell; then buy back short positions; then buy with the remaining money, all purchases shrunk alike."""
    fill, shares = prices.fill[t], account.shares
    width = len(fill)
    delta, back, budget = np.zeros(width), np.zeros(width), np.zeros(width)
    for i in range(width):
        if not waits[i] or np.isnan(fill[i]):
            continue
        waits[i], acted[i] = False, target[i]
        missing = target[i] * worth - shares[i] * fill[i]
        if abs(missing) > TOLERANCE * worth or (target[i] == 0.0 and shares[i] != 0.0):
            delta[i] = missing
    for i in range(width):
        if delta[i] >= 0.0:
            continue
        ends = target[i] == 0.0
        amount = shares[i] if ends else _rounded(-delta[i] / fill[i], rules.whole)
        price = fill[i] * (1 - costs.slippage)
        # a sale that brings no more than its fee is made only to leave a position
        if ends or amount * price > _fee(amount * price, costs):
            made = _exchange(t, i, -amount, price, fill[i], account, fills, made, costs, ORDER)
    room, asked = account.money[0] + (rules.leverage - 1) * worth, 0.0
    for i in range(width):
        if delta[i] > 0.0 and shares[i] < 0.0:
            back[i] = -shares[i] if target[i] >= 0.0 else _rounded(delta[i] / fill[i], rules.whole)
            room -= _cost(back[i], fill[i], costs)
            budget[i] = max(target[i], 0.0) * worth
        elif delta[i] > 0.0:
            budget[i] = delta[i]
        asked += budget[i]
        # the proceeds of an open short position cannot be spent
        if shares[i] + back[i] < 0.0:
            room += (shares[i] + back[i]) * (last[i] if np.isnan(fill[i]) else fill[i])
    part = min(1.0, max(room, 0.0) / asked) if asked > 0.0 else 0.0
    for i in range(width):
        amount = back[i]
        price = fill[i] * (1 + costs.slippage)
        if budget[i] > 0.0:
            bought = _affordable(_cost(back[i], fill[i], costs) + part * budget[i], price, costs)
            amount = max(back[i], _rounded(bought, rules.whole))
        if amount > 0.0:
            made = _exchange(t, i, amount, price, fill[i], account, fills, made, costs, ORDER)
    return made


@njit(cache=True)
def _stops(t, prices, account, fills, made, costs, rules):  # type: ignore[no-untyped-def]
    """Leave positions at a stop or target: at the open of a bar that opens beyond it, else the stop comes first."""
    for i in range(len(account.shares)):
        held, opened = account.shares[i], prices.open[t, i]
        if held == 0.0 or np.isnan(opened):
            continue
        side = 1.0 if held > 0.0 else -1.0
        worst, best = prices.low[t, i], prices.high[t, i]
        if side < 0.0:
            worst, best = best, worst
        noise = TOLERANCE * account.entry[i]
        stop = account.entry[i] * (1 - side * rules.stop_loss) if rules.stop_loss > 0.0 else -side * np.inf
        goal = account.entry[i] * (1 + side * rules.take_profit) if rules.take_profit > 0.0 else side * np.inf
        if side * (opened - stop) <= noise:
            price, reason = opened, STOP_LOSS
        elif side * (opened - goal) >= -noise:
            price, reason = opened, TAKE_PROFIT
        elif side * (worst - stop) <= noise:
            price, reason = stop, STOP_LOSS
        elif side * (best - goal) >= -noise:
            price, reason = goal, TAKE_PROFIT
        else:
            continue
        made = _exchange(t, i, -held, price * (1 - side * costs.slippage), price, account, fills, made, costs, reason)
    return made


@njit(cache=True)
def _close_all(t, price, last, account, fills, made):  # type: ignore[no-untyped-def]
    """Close a ruined account without costs; its debt stays."""
    free = Costs(0.0, 0.0, 0.0, 0.0)
    for i in range(len(last)):
        if account.shares[i] != 0.0:
            at = last[i] if np.isnan(price[t, i]) else price[t, i]
            made = _exchange(t, i, -account.shares[i], at, at, account, fills, made, free, RUIN)
    return made


@njit(cache=True)
def _exchange(t, i, amount, price, quoted, account, fills, made, costs, reason):  # type: ignore[no-untyped-def]
    """Exchange shares for money and record the fill; ``entry`` is the average price of the position."""
    fee = _fee(abs(amount) * price, costs)
    before, after = account.shares[i], account.shares[i] + amount
    if abs(after) < TOLERANCE * abs(amount):
        after = 0.0
    if before * after <= 0.0:
        account.entry[i] = price
    elif abs(after) > abs(before):
        account.entry[i] = (account.entry[i] * before + price * amount) / after
    row = fills[made]
    row[0], row[1], row[2], row[3] = t, i, amount, price
    row[4], row[5], row[6], row[7] = fee, abs(amount * (price - quoted)), account.loan[i], reason
    account.shares[i], account.loan[i] = after, 0.0
    account.money[0] -= amount * price + fee
    return made + 1


@njit(cache=True)
def _fee(value, costs):  # type: ignore[no-untyped-def]
    return max(value * costs.commission, costs.minimum_fee)


@njit(cache=True)
def _cost(amount, quoted, costs):  # type: ignore[no-untyped-def]
    """Return what so many shares cost to buy, costs included."""
    value = amount * quoted * (1 + costs.slippage)
    return value + _fee(value, costs) if amount > 0.0 else 0.0


@njit(cache=True)
def _affordable(budget, price, costs):  # type: ignore[no-untyped-def]
    """Return how many shares an amount of money buys, fee included."""
    amount = budget / (price * (1 + costs.commission))
    if amount * price * costs.commission < costs.minimum_fee:
        amount = (budget - costs.minimum_fee) / price
    return max(amount, 0.0)


@njit(cache=True)
def _rounded(amount, whole):  # type: ignore[no-untyped-def]
    return np.floor(amount + TOLERANCE) if whole else amount
