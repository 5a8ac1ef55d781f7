"""A self-contained page: a rendered template with style, drawing script, plotly.js and figures."""

import base64
import gzip
import json
import logging
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from stocklib import plots
from stocklib.errors import StocksError
from stocklib.plots.house import day_text, number, short
from stocklib.report import cards
from stocklib.state_files import write_state

log = logging.getLogger(__name__)


def page(template: str, *, figures: Mapping[str, Any], scripts: Sequence[str] = (), **values: Any) -> str:
    """Return the page of a template; ``figures`` are drawn where ``data-figure`` names them.

    ``scripts`` are the page's own, after the one that draws figures.
    """
    return part(
        template,
        figure_names=list(figures),
        style=_read("style.css"),
        drawing="\n".join(map(_read, ["drawing.js", *scripts])),
        figures=as_json(dict(figures)),
        templates=as_json({name: plots.template(dark=name == "dark").to_plotly_json() for name in ("light", "dark")}),
        plotly=plots.library().replace("</script", "<\\/script"),
        **values,
    )


def part(template: str, **values: Any) -> str:
    """Return a template's HTML; every value is escaped unless the template calls it ``safe``."""
    return _environment().get_template(template).render(values)


def plain(figure: Any) -> dict[str, Any]:
    """Return a figure as JSON, without the template that the page adds."""
    made: dict[str, Any] = json.loads(figure.to_json())
    made["layout"].pop("template", None)
    return made


def as_json(value: Any) -> str:
    """Return JSON that is safe inside a script element, with any text."""
    made = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return made.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def packed(value: Any) -> str:
    """Return base64 of gzip of JSON, for what a page reads on request."""
    return base64.b64encode(gzip.compress(json.dumps(value, separators=(",", ":")).encode(), 9, mtime=0)).decode()


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("stocklib.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = (number, cards.price, short, cards.text, cards.direction)
    made.filters |= {filter.__name__: filter for filter in shown} | {"day": day_text}
    return made


def _read(name: str) -> str:
    # not as a template: braces of CSS and JavaScript mean nothing to Jinja
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def write_page(target: Path, page: str) -> Path:
    """Write a page whole or not at all, so that a reader sees the old one or the new one, and return its path."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # it can be written again from the same gold: no promise
        write_state(target, page.encode(), durable=False)
    except OSError as error:
        raise StocksError(
            f"the report cannot be written to {target}: {error.strerror}; choose another --out"
        ) from error
    log.debug("wrote %s (%.1f MB)", target, len(page) / 1e6)
    return target
