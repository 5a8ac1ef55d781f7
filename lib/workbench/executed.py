"""Executed notebooks: the list of past runs, and one run as an HTML page to send.

The copies under ``STOCKS_HOME/runs`` are the record; nothing else is kept about a run.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from stocklib.host import extra
from stocklib.report import shell
from stocklib.report.replay import Replay
from stocklib.settings import Settings
from workbench.runner import joined_outputs, last_text

_PLOTLY = "application/vnd.plotly.v1+json"
_WIDGET = "application/vnd.jupyter.widget-view+json"
_LONGEST = 100


@dataclass(frozen=True)
class PastRun:
    """An executed copy. ``state`` is ``done``, ``failed``, or ``unfinished``: it runs, or was killed."""

    notebook: str
    began: datetime | None
    seconds: float | None
    parameters: Mapping[str, Any]
    state: str
    result: str
    copy: Path
    page: Path | None

    def __str__(self) -> str:
        began = f"{self.began.astimezone():%Y-%m-%d %H:%M:%S %Z}" if self.began else "unknown time"
        took = "" if self.seconds is None else f", {self.seconds:.1f} s"
        given = "".join(f" {name}={value}" for name, value in self.parameters.items())
        result = f": {self.result}" if self.result else ""
        return f"{began}  {self.notebook}{given}\n    {self.state}{took}{result}\n    {self.page or self.copy}"


def past_runs(settings: Settings, *, notebook: str | None = None, limit: int | None = None) -> list[PastRun]:
    """Return the runs whose executed copies are there, the latest first; a damaged copy is an unfinished run."""
    stem = notebook and Path(notebook).stem
    copies = (path for path in (settings.home / "runs").rglob("*.ipynb") if stem in (None, "", path.stem))
    latest = sorted(copies, key=lambda path: path.stat().st_mtime, reverse=True)
    return [_past_run(path) for path in latest[:limit]]


def _past_run(path: Path) -> PastRun:
    import nbformat

    try:
        return _described(path, nbformat.read(path, as_version=4))  # type: ignore[no-untyped-call]
    except (OSError, ValueError, AttributeError) as error:
        return PastRun(path.stem, None, None, {}, "unfinished", f"the copy cannot be read ({error})", path, None)


def _described(path: Path, notebook: Any) -> PastRun:
    facts, page = notebook.metadata.papermill, path.with_suffix(".html")
    state, result = "done", last_text(notebook)
    if failure := _failure(notebook):
        state, result = "failed", failure
    elif facts.get("end_time") is None:
        state, result = "unfinished", ""
    # of an analysis the last output is a part of a table or a figure
    is_told = state == "failed" or Path(facts.get("input_path", "")).parent.name == "pipeline"
    first = result.splitlines()[0] if result and is_told else ""
    return PastRun(
        notebook=path.stem,
        began=datetime.fromisoformat(facts["start_time"]) if facts.get("start_time") else None,
        seconds=facts.get("duration"),
        parameters=dict(facts.get("parameters") or {}),
        state=state,
        result=first if len(first) <= _LONGEST else f"{first[:_LONGEST]} …",
        copy=path,
        page=page if page.exists() else None,
    )


def _failure(notebook: Any) -> str:
    errors = (
        f"{output.ename}: {output.evalue}"
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    )
    return next(errors, "")


def write_page(copy: Path, *, replay: Replay | None = None) -> Path:
    """Write an executed copy as one self-contained HTML file next to it, and return the page's path.

    Figures follow the reader's light or dark mode; code is folded. The page makes no request. Where a ``replay`` is
    published it says so.
    """
    import nbformat

    notebook = nbformat.read(copy, as_version=4)  # type: ignore[no-untyped-call]
    figures: dict[str, Any] = {}
    cells = [_cell(cell, figures) for cell in notebook.cells]
    past = _described(copy, notebook)
    began = f"run on {past.began.astimezone():%d %b %Y, %H:%M %Z}" if past.began else ""
    given = (f"{name} = {value}" for name, value in past.parameters.items())
    page = shell.page(
        "notebook.html",
        figures=figures,
        title=copy.stem.replace("_", " "),
        facts=[fact for fact in (copy.stem, began, *given) if fact],
        cells=cells,
        code_style=_code_style(),
        replay=replay,
    )
    return shell.write_page(copy.with_suffix(".html"), page)


def _code_style() -> str:
    """Return the colours of the code, for light and dark pages."""
    with extra("lab"):
        from pygments.formatters.html import HtmlFormatter

    modes = {".highlight": "default", '[data-theme="dark"] .highlight': "github-dark"}
    return "\n".join(HtmlFormatter(style=style).get_style_defs(where) for where, style in modes.items())


def _cell(cell: Any, figures: dict[str, Any]) -> dict[str, Any]:
    """Return a cell's highlighted code and the HTML of its text or outputs; figures are collected by name."""
    with extra("lab"):
        from nbconvert.filters.highlight import Highlight2HTML
        from nbconvert.filters.markdown import markdown2html

    if cell.cell_type != "code":
        return {"code": "", "html": [markdown2html(cell.source)]}
    code = Highlight2HTML()(cell.source, language="python") if cell.source.strip() else ""
    return {"code": code, "html": list(_outputs(cell, figures))}


def _outputs(cell: Any, figures: dict[str, Any]) -> Iterator[str]:
    with extra("lab"):
        from nbconvert.filters.ansi import ansi2html

    for output in joined_outputs(cell):
        if output.output_type == "stream":
            yield f'<pre class="{output.name}">{ansi2html(output.text)}</pre>'
        elif output.output_type == "error":
            yield f"<pre>{ansi2html(chr(10).join(output.traceback))}</pre>"
        elif figure := output.data.get(_PLOTLY):
            name = f"figure-{len(figures) + 1}"
            layout = {part: value for part, value in figure["layout"].items() if part != "template"}
            figures[name] = {"data": figure["data"], "layout": layout}
            yield f'<div class="figure" data-figure="{name}"></div>'
        elif _WIDGET in output.data:
            yield '<p class="note">Here JupyterLab shows controls.</p>'
        elif html := output.data.get("text/html"):
            yield html
        elif picture := output.data.get("image/png"):
            yield f'<img alt="" src="data:image/png;base64,{picture.strip()}">'
        elif text := output.data.get("text/plain"):
            yield f"<pre>{ansi2html(text)}</pre>"
