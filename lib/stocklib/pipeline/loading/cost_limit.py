"""The limit on a day's warehouse cost: scheduled work ends with an error when the credits are spent."""

import time
from datetime import UTC, datetime

from stocklib.errors import CostLimitReached
from stocklib.settings import Settings
from stocklib.warehouse import Warehouse
from stocklib.warehouse.cost import midnight, next_midnight

# The question costs a statement itself, so a process asks at most this often.
_ASK_SECONDS = 300.0
_asked: dict[tuple[str, float], float] = {}


def stay_within_cost_limit(settings: Settings, warehouse: Warehouse) -> None:
    """Raise ``CostLimitReached`` when this UTC day's statements cost ``SNOWFLAKE_CREDITS_A_DAY``; 0 is no limit."""
    limit = float(settings.snowflake_credits_a_day)
    key = (str(settings.home), limit)
    if not limit or time.monotonic() < _asked.get(key, 0.0):
        return
    now = datetime.now(UTC)
    found = warehouse.costs(since=midnight(now))
    spent = sum(cost.credits for cost in found)
    if spent >= limit:
        about = "about " if any(cost.is_estimated for cost in found) else ""
        raise CostLimitReached(
            f"not run: today's statements have cost {about}{spent:.2f} credits, and SNOWFLAKE_CREDITS_A_DAY is "
            f"{limit:g}. Nothing is lost: what lands stays in the lake, and the first run after "
            f"{next_midnight(now):%Y-%m-%d %H:%M} UTC loads it. `stocks cost` says what "
            "caused the cost; with a higher limit work goes on at once"
        )
    _asked[key] = time.monotonic() + _ASK_SECONDS
