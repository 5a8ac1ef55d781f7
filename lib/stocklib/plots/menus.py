"""Several figures as one, with a menu that chooses which is shown: in a notebook, an executed copy and a page alike."""

import re
from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from stocklib.errors import InputError
from stocklib.indicators.columns import check_type
from stocklib.plots.house import text

_ROOM, _TITLE = 46, 36
_PARTS = re.compile(r"([xy]|color)axis\d*|shapes|annotations")


def choose(figures: Mapping[str, go.Figure], *, first: str | None = None) -> go.Figure:
    """Return one figure with a menu of these names; ``first`` is shown at the beginning, else the first of them.

    The menu needs no running kernel. The names stand in for the figures' titles. All figures are in the page, so give
    it some dozens, not hundreds.
    """
    check_type("the figures", figures, Mapping, expected="named figures in a dict")
    if not figures:
        raise InputError("a menu needs at least one named figure")
    shown = next(iter(figures)) if first is None else first
    if shown not in figures:
        raise InputError(f"no figure is called {shown!r}; there are {', '.join(map(str, figures))}")
    drawn = go.Figure(layout=figures[shown].layout)
    for name, one in figures.items():
        drawn.add_traces([trace.update(visible=name == shown) for trace in go.Figure(one).data])
    owners = [name for name, one in figures.items() for _ in one.data]
    above = (drawn.layout.margin.t or 0) - (_TITLE if drawn.layout.title.text else 0)
    layouts = {name: one.to_plotly_json()["layout"] for name, one in figures.items()}
    # a button sets every part that any figure has: what it leaves out stays as the figure before drew it
    parts = {part for layout in layouts.values() for part in layout if _PARTS.fullmatch(part)}
    buttons = [_button(name, parts, layout, owners) for name, layout in layouts.items()]
    place = {"x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "pad": {"b": above + 4}}
    active = list(figures).index(shown)
    height = buttons[active]["args"][1]["height"]
    menu = {"buttons": buttons, "active": active, **place}
    return drawn.update_layout(updatemenus=[menu], margin={"t": above + _ROOM}, title=None, height=height)


def _button(name: str, parts: set[str], layout: dict[str, Any], owners: list[str]) -> dict[str, Any]:
    own = {part: layout.get(part, _absent(part)) for part in sorted(parts)}
    own["height"] = layout.get("height", 420) + _ROOM
    return {"label": text(name), "method": "update", "args": [{"visible": [one == name for one in owners]}, own]}


def _absent(part: str) -> Any:
    if part in ("shapes", "annotations"):
        return []
    if part == "coloraxis":
        return {}
    # an axis that overlays another has no background, which would cover the traces
    return {"visible": False} | ({"overlaying": part[0]} if part[-1].isdigit() else {})
