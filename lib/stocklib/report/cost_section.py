"""What the warehouse cost: the costs of the last week in, a card of the report out. Nothing where it costs nothing."""

from collections.abc import Sequence
from html import escape

from stocklib.warehouse.cost import Cost

_SHOWN = 5


def section(costs: Sequence[Cost]) -> str:
    """The card: what each day cost, and what most of it went for."""
    if not costs:
        return ""
    days = sorted({cost.day for cost in costs})
    tiles = "".join(
        _tile(f"{day:%-d %B}", _credits(of_day := [c for c in costs if c.day == day]), _meaning(of_day)) for day in days
    )
    about = "Credits are estimated from when statements ran." if any(cost.is_estimated for cost in costs) else ""
    return f"""<section class="card wide" id="cost"><h2>Warehouse</h2>
<p class="note">{escape(f"Credits by day (UTC). Most of them went for {_most(costs)}. {about}".strip())}</p>
<div class="tiles">{tiles}</div>
</section>"""


def _credits(costs: Sequence[Cost]) -> str:
    return f"{sum(cost.credits for cost in costs):.2f}"


def _meaning(costs: Sequence[Cost]) -> str:
    statements, seconds = sum(cost.statements for cost in costs), sum(cost.seconds for cost in costs)
    return f"{statements:,} statements, {seconds:,.0f} s, {sum(cost.bytes for cost in costs) / 1e6:,.0f} MB"


def _most(costs: Sequence[Cost]) -> str:
    by_part: dict[str, float] = {}
    for cost in costs:
        by_part[cost.part] = by_part.get(cost.part, 0.0) + cost.credits
    largest = sorted(by_part.items(), key=lambda one: (-one[1], one[0]))[:_SHOWN]
    return ", ".join(f"{part} ({credits:.2f})" for part, credits in largest)


def _tile(label: str, count: str, meaning: str) -> str:
    return (
        f'<div class="tile"><span class="small">{escape(label)}</span><span class="count">{count}</span>'
        f'<span class="meaning">{escape(meaning)}</span></div>'
    )
