"""What the last ledger counted from the producer to silver, and whether it balanced."""

from dataclasses import dataclass
from datetime import UTC, datetime

from stocklib import market
from stocklib.settings import Settings

_COUNTED = ["landed", "loaded", "in_silver", "duplicates", "quarantined", "dead_letters", "waiting", "lost"]


@dataclass(frozen=True)
class Delivery:
    """The counts of a ledger, by name, and its time; the number of problems, and of hops that it could not check."""

    checked_at: datetime
    counts: dict[str, int]
    problems: int
    accepted: int
    unchecked: int


def read_delivery(settings: Settings) -> Delivery | None:
    """Return the ledger that was published last; None before the first."""
    tables = ("ledger", "ledger_runs", "ledger_problems", "ledger_unchecked")
    days, runs, problems, unchecked = (market.table(f"ops.{name}", settings=settings) for name in tables)
    if days.empty:
        return None
    counts = {name: int(days[name].sum()) for name in _COUNTED}
    counts["confirmed"] = int(runs["confirmed"].sum())
    # an event can be lost without a missing offset, and the other way round
    counts["lost"] = max(counts["lost"], int(runs["lost"].sum()))
    at = days["checked_at"].max().to_pydatetime().replace(tzinfo=UTC)
    accepted = int(problems["accepted"].sum())
    return Delivery(at, counts, len(problems) - accepted, accepted, len(unchecked))
