"""The report's card of costs: the costs of the last week in, a card out; empty where there is no cost."""

from collections.abc import Sequence

from stocklib.plots.house import day_text
from stocklib.report.shell import part
from stocklib.warehouse.cost import Cost

_SHOWN = 5


def section(costs: Sequence[Cost]) -> str:
    """Return the card: the cost of each day, and its largest parts."""
    if not costs:
        return ""
    by_day = {day: [c for c in costs if c.day == day] for day in sorted({cost.day for cost in costs})}
    return part(
        "cost.html",
        most=_most(costs),
        is_estimated=any(cost.is_estimated for cost in costs),
        days=[(day_text(day, "%B"), _credits(of_day), _meaning(of_day)) for day, of_day in by_day.items()],
    )


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
