"""The report's word on delivery: what the last ledger counted from the producer to silver, and whether it balanced."""

from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from stocklib import market
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
    """What a ledger counted, by name, and when; how many problems it found, and how many hops it could not check."""

    checked_at: datetime
    counts: dict[str, int]
    problems: int
    accepted: int
    unchecked: int

    @property
    def is_balanced(self) -> bool:
        """Whether nothing was wrong that nobody had accepted."""
        return not self.problems


def read_delivery(settings: Settings) -> Delivery | None:
    """The ledger that was published last; None before the first."""
    days, runs = (market.table(f"ops.{name}", settings=settings) for name in ("ledger", "ledger_runs"))
    problems, unchecked = (
        market.table(f"ops.{name}", settings=settings) for name in ("ledger_problems", "ledger_unchecked")
    )
    if days.empty:
        return None
    counts = {name: int(days[name].sum()) for name, _, _ in (*_FLOW[1:], *_REST)}
    counts["confirmed"] = int(runs["confirmed"].sum())
    # an event can be lost without an offset that shows it, and the other way round
    counts["lost"] = max(counts["lost"], int(runs["lost"].sum()))
    at = days["checked_at"].max().to_pydatetime().replace(tzinfo=UTC)
    accepted = int(problems["accepted"].sum())
    return Delivery(at, counts, len(problems) - accepted, accepted, len(unchecked))


def section(delivery: Delivery | None) -> str:
    """The card; nothing where no ledger was made."""
    if delivery is None:
        return ""
    verdict = "balances" if delivery.is_balanced else "does not balance"
    mark = "up" if delivery.is_balanced else "down"
    flow, rest = ("".join(_tile(delivery, *one) for one in names) for names in (_FLOW, _REST))
    return f"""<section class="card wide" id="delivery">
<div class="bar"><h2>Delivery</h2><span class="verdict {mark}">the ledger {verdict}</span></div>
<p class="note">{escape(_note(delivery))}</p>
<div class="tiles flow">{flow}</div><div class="tiles">{rest}</div>
</section>"""


def _note(delivery: Delivery) -> str:
    when = f"{delivery.checked_at:%-d %B %Y, %H:%M} UTC"
    told = [f"Quotes and trades, counted on {when} from what Kafka, the lake and the warehouse hold."]
    if delivery.problems:
        told.append(f"What is wrong ({delivery.problems}) is named by “stocks ledger”.")
    if delivery.accepted:
        told.append(f"Known and accepted: {delivery.accepted}.")
    if delivery.unchecked:
        told.append(f"{delivery.unchecked} of 4 hops could not be checked.")
    return " ".join(told)


def _tile(delivery: Delivery, name: str, label: str, meaning: str) -> str:
    count = delivery.counts[name]
    # a run whose heartbeat is not on this machine has confirmed what nobody here knows
    shown = "–" if name == "confirmed" and not count else f"{count:,}"
    alarm = " down" if name == "lost" and count else ""
    return (
        f'<div class="tile{alarm}"><span class="small">{label}</span><span class="count">{shown}</span>'
        f'<span class="meaning">{meaning}</span></div>'
    )
