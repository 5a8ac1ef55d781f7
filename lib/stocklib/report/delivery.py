"""The report's card of delivery: what the last ledger counted from the producer to silver, and whether it balanced."""

from dataclasses import dataclass
from datetime import UTC, datetime

from stocklib import market
from stocklib.report.shell import part
from stocklib.settings import Settings

# what is counted, what it is called, and what it means
_FLOW = (
    ("confirmed", "Confirmed", "by Kafka"),
    ("landed", "Landed", "messages in the lake"),
    ("loaded", "Loaded", "rows of RAW"),
    ("in_silver", "In silver", "each event once"),
)
_REST = (
    ("duplicates", "Duplicates removed", "counted once"),
    ("quarantined", "Quarantined", "kept, and not believed"),
    ("dead_letters", "Dead letters", "refused, and kept"),
    ("waiting", "Waiting", "on their way"),
    ("lost", "Lost", "nowhere to be found"),
)


@dataclass(frozen=True)
class Delivery:
    """The counts of a ledger, by name, and its time; the number of problems, and of hops that it could not check."""

    checked_at: datetime
    counts: dict[str, int]
    problems: int
    accepted: int
    unchecked: int

    @property
    def is_balanced(self) -> bool:
        """Whether the ledger had no open problem."""
        return not self.problems


def read_delivery(settings: Settings) -> Delivery | None:
    """Return the ledger that was published last; None before the first."""
    days, runs = (market.table(f"ops.{name}", settings=settings) for name in ("ledger", "ledger_runs"))
    problems, unchecked = (
        market.table(f"ops.{name}", settings=settings) for name in ("ledger_problems", "ledger_unchecked")
    )
    if days.empty:
        return None
    counts = {name: int(days[name].sum()) for name, _, _ in (*_FLOW[1:], *_REST)}
    counts["confirmed"] = int(runs["confirmed"].sum())
    # an event can be lost without a missing offset, and the other way round
    counts["lost"] = max(counts["lost"], int(runs["lost"].sum()))
    at = days["checked_at"].max().to_pydatetime().replace(tzinfo=UTC)
    accepted = int(problems["accepted"].sum())
    return Delivery(at, counts, len(problems) - accepted, accepted, len(unchecked))


def section(delivery: Delivery | None) -> str:
    """Return the card; nothing where no ledger was made."""
    if delivery is None:
        return ""
    return part("delivery.html", delivery=delivery, flow=_FLOW, rest=_REST)
