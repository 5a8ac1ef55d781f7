"""A self-contained page: a rendered template with style, drawing script, plotly.js and figures."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from stocklib import plots
from stocklib.plots.house import day_text
from stocklib.report import cards


def page(template: str, *, figures: Mapping[str, Any], **values: Any) -> str:
    """Return the page of a template; ``figures`` are drawn where ``data-figure`` names them."""
    return part(
        template,
        style=_read("style.css"),
        drawing=_read("drawing.js"),
        figures=as_json(dict(figures)),
        templates=as_json({name: plain(plots.template(dark=name == "dark")) for name in ("light", "dark")}),
        plotly=plots.library().replace("</script", "<\\/script"),
        **values,
    )


def part(template: str, **values: Any) -> str:
    """Return a template's HTML; every value is escaped unless the template calls it ``safe``."""
    return _environment().get_template(template).render(values)


def plain(figure: Any) -> dict[str, Any]:
    """Return a figure or template as JSON, without the template that the page adds."""
    made: dict[str, Any] = json.loads(figure.to_json()) if hasattr(figure, "to_json") else figure.to_plotly_json()
    made.get("layout", {}).pop("template", None) if "data" in made else None
    return made


def as_json(value: Any) -> str:
    """Return JSON that is safe inside a script element, with any text."""
    made = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return made.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("stocklib.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = (cards.number, cards.text, cards.direction, cards.arrow)
    made.filters |= {filter.__name__: filter for filter in shown} | {"day": day_text}
    return made


def _read(name: str) -> str:
    # not as a template: braces of CSS and JavaScript mean nothing to Jinja
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]
