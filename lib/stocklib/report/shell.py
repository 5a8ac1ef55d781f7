"""A page that needs nothing else: a template with the shared head and style, the drawing script, plotly.js, figures."""

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from stocklib import plots


def fill(template: str, parts: Mapping[str, str], *, figures: Mapping[str, Any]) -> str:
    """The page of a template; ``parts`` are HTML already, ``figures`` are drawn where ``data-figure`` names them."""
    shared = {
        "style": _read("style.css"),
        "drawing": _read("drawing.js"),
        "figures": as_json(dict(figures)),
        "templates": as_json({name: plain(plots.template(dark=name == "dark")) for name in ("light", "dark")}),
        "plotly": plots.library().replace("</script", "<\\/script"),
    }
    known = {**parts, **shared}
    page = _read(template).replace("{{head}}", _read("head.html"))
    return re.sub(r"\{\{(\w+)\}\}", lambda found: known[found.group(1)], page)


def plain(figure: Any) -> dict[str, Any]:
    """A figure or template as JSON, without the template that the page adds itself."""
    made: dict[str, Any] = json.loads(figure.to_json()) if hasattr(figure, "to_json") else figure.to_plotly_json()
    made.get("layout", {}).pop("template", None) if "data" in made else None
    return made


def as_json(value: Any) -> str:
    """JSON that may stand inside a script element, whatever text it holds."""
    made = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return made.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _read(name: str) -> str:
    return (files("stocklib.report") / name).read_text(encoding="utf-8")
