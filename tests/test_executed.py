"""Executed notebooks: what is listed of each run, and the page that one leaves."""

import json
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from chromium import Page, browser, find
from click.testing import CliRunner
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from page_parts import own_text

from stocklib.errors import NotebookFailed
from stocklib.report.replay import read_replay
from stocklib.settings import Settings, read_settings
from workbench import executed, runner
from workbench.cli import main

PARAMETERS = 'amount = 1  # type: int how many\nname = ""  # type: str whose'
HOSTILE = "<img src=x onerror=document.title='moved'>"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A project with one notebook of the user's own, which prints, draws, and fails for a large amount."""
    (tmp_path / "dbt_stocks").mkdir()
    (tmp_path / "dbt_stocks" / "dbt_project.yml").touch()
    own = tmp_path / "notebooks" / "my" / "ideas"
    own.mkdir(parents=True)
    cells = [
        new_markdown_cell("# A question\n\nIn **words**."),
        new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        new_code_cell("assert amount < 10, 'too many'\nprint(name, amount)"),
        new_code_cell("import plotly.graph_objects as go\ngo.Figure(go.Scatter(y=[1, 3, 2], name=name))"),
        new_code_cell("import pandas as pd\npd.DataFrame({'name': [name], 'close': [0.0001]})"),
    ]
    nbformat.write(new_notebook(cells=cells), own / "dip.ipynb")
    monkeypatch.chdir(tmp_path)
    return read_settings(environ={"STOCKS_HOME": str(tmp_path / "home")})


def test_own_notebooks_run_by_name_or_path_and_are_listed_with_what_became_of_them(project: Settings) -> None:
    first = runner.run(project, "my/ideas/dip", given={"amount": "2"})
    second = runner.run(project, "notebooks/my/ideas/dip.ipynb", given={"name": "AAPL"})
    with pytest.raises(NotebookFailed):
        runner.run(project, "my/ideas/dip", given={"amount": 11})
    torn = project.home / "runs" / "killed" / "dip.ipynb"
    torn.parent.mkdir()
    torn.write_text('{"cells": [')
    copies = executed.past_runs(project)
    assert [(one.state, dict(one.parameters)) for one in copies] == [
        ("unfinished", {}),
        ("failed", {"amount": 11}),
        ("done", {"name": "AAPL"}),
        ("done", {"amount": 2}),
    ]
    assert copies[1].result == "AssertionError: too many"
    assert [one.copy for one in copies[2:]] == [second.path, first.path]
    assert all(one.seconds and one.began for one in copies[1:])
    assert executed.past_runs(project, notebook="another") == []
    assert len(executed.past_runs(project, notebook="my/ideas/dip", limit=2)) == 2


def test_a_copy_that_is_still_written_is_an_unfinished_run(project: Settings) -> None:
    done = runner.run(project, "my/ideas/dip")
    notebook = nbformat.read(done.path, as_version=4)
    notebook.metadata.papermill["end_time"] = None
    nbformat.write(notebook, done.path)
    (one,) = executed.past_runs(project)
    assert (one.state, one.result) == ("unfinished", "")


def test_the_verbs_run_and_runs_name_the_copy_and_the_page(project: Settings) -> None:
    environ = {"STOCKS_HOME": str(project.home)}
    none = CliRunner().invoke(main, ["runs"], env=environ)
    assert (none.exit_code, none.output) == (0, "no notebook was run yet: stocks run lists them\n")
    done = CliRunner().invoke(main, ["run", "my/ideas/dip", "-p", "name=AAPL", "--html"], env=environ)
    assert done.exit_code == 0, done.output
    (page,) = (project.home / "runs").rglob("dip.html")
    assert f"the page: {page}" in done.output
    listed = CliRunner().invoke(main, ["runs", "dip", "--json"], env=environ)
    (one,) = json.loads(listed.output)
    assert (one["notebook"], one["parameters"], one["state"]) == ("dip", {"name": "AAPL"}, "done")
    assert (one["copy"], one["page"]) == (str(page.with_suffix(".ipynb")), str(page))
    shown = CliRunner().invoke(main, ["runs"], env=environ)
    assert "dip name=AAPL" in shown.output
    assert str(page) in shown.output


def test_the_page_says_plainly_that_the_published_data_is_a_replay(project: Settings, gold: Settings) -> None:
    done = runner.run(project, "my/ideas/dip")
    # nothing is published yet
    assert read_replay(project) is None
    assert "Replayed" not in own_text(executed.write_page(done.path).read_text(encoding="utf-8"))
    page = executed.write_page(done.path, replay=read_replay(gold)).read_text(encoding="utf-8")
    assert "<strong>Replayed market data: 14 December 2012.</strong> Recorded prices (14 February 2005 to" in page


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    if find() is None:
        pytest.skip("no Chromium on this machine, so the page was not looked at in a browser")
    with browser(tmp_path / "chromium") as opened:
        yield opened


@pytest.mark.browser
def test_the_page_draws_its_figures_asks_for_nothing_and_takes_text_as_text(project: Settings, page: Page) -> None:
    done = runner.run(project, "my/ideas/dip", given={"name": HOSTILE})
    written = executed.write_page(done.path)
    assert written.stat().st_size < 8e6
    page.open(f"file://{written}")
    page.wait_for("document.querySelectorAll('.js-plotly-plot .scatterlayer path').length > 0")
    assert page.requests == [f"file://{written}"]
    assert page.errors == []
    shown = page.ask("document.body.innerText")
    assert f"{HOSTILE} 1" in shown
    assert "A question" in shown
    assert page.ask("document.title") == "dip"
    assert page.ask("[...document.querySelectorAll('td')].map(c => c.innerText)") == [HOSTILE, "0.0001"]
    # the code is there, folded; papermill adds a cell with the parameters
    assert page.ask("document.querySelectorAll('details:not([open])').length") == 5
    page.open(f"file://{written}", width=390, phone=True)
    assert page.ask("document.documentElement.scrollWidth") == 390
