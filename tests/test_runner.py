"""A notebook as a job: wrong parameters are refused before anything runs, and every run leaves its copy."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest

from stocklib import runner
from stocklib.errors import NotebookFailed, ParameterError, SettingsError
from stocklib.settings import Settings, read_settings


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A project of its own with one notebook that adds, and fails when told to."""
    (tmp_path / "dbt_stocks").mkdir()
    (tmp_path / "dbt_stocks" / "dbt_project.yml").touch()
    folder = tmp_path / "notebooks" / "pipeline"
    folder.mkdir(parents=True)
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    parameters = 'amount = 1  # type: int how many\nsymbols = []  # type: list[str] which\nday = ""  # type: date when'
    cells = [
        parameters,
        "from stocklib.settings import read_settings\nassert amount < 10",
        "print(amount + 1, symbols, day)\nprint(read_settings().home)",
    ]
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in cells]
    notebook.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(notebook, folder / "adding.ipynb")
    monkeypatch.chdir(tmp_path)
    return read_settings(environ={"STOCKS_HOME": str(tmp_path / "home")})


def test_parameters_go_in_and_the_executed_copy_comes_out(project: Settings) -> None:
    done = runner.run(project, "adding", given={"amount": "5", "symbols": "AAPL,FB", "day": "2012-12-14"})
    assert done.result.splitlines() == ["6 ['AAPL', 'FB'] 2012-12-14", str(project.home)]
    assert done.path == project.home / "runs" / done.run_id / "adding.ipynb"
    assert "injected-parameters" in done.path.read_text()


def test_the_source_is_never_changed(project: Settings) -> None:
    source = project.root / "notebooks" / "pipeline" / "adding.ipynb"
    before = source.read_bytes()
    runner.run(project, "adding", given={"amount": 2})
    assert source.read_bytes() == before


def test_a_failed_notebook_says_why_and_keeps_its_copy(project: Settings) -> None:
    with pytest.raises(NotebookFailed, match="AssertionError") as raised:
        runner.run(project, "adding", given={"amount": 50})
    copies = list((project.home / "runs").rglob("adding.ipynb"))
    assert str(copies[0]) in str(raised.value)
    assert "AssertionError" in copies[0].read_text()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"amonut": "5"}, "no parameter 'amonut'; it takes amount, symbols, day"),
        ({"amount": "five"}, "is not a int"),
        ({"amount": True}, "is not a int"),
        ({"day": "14.12.2012"}, "is not a date"),
        ({"symbols": "[1, 2]"}, "every item must be text"),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_runs(
    project: Settings, given: dict[str, object], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        runner.run(project, "adding", given=given)
    assert not (project.home / "runs").exists()


def test_two_notebooks_side_by_side_read_the_same_settings(project: Settings) -> None:
    with runner.kernel_environment(project), ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: runner.run(project, "adding"), range(3)))
    assert {run.result.splitlines()[1] for run in done} == {str(project.home)}
    assert len({run.run_id for run in done}) == 3


def test_a_home_that_cannot_be_written_is_one_clear_error(project: Settings) -> None:
    project.home.parent.mkdir(exist_ok=True)
    project.home.write_text("a file where a folder should be")
    with pytest.raises(SettingsError, match="STOCKS_HOME"):
        runner.run(project, "adding")


def test_an_unknown_notebook_names_those_that_exist(project: Settings) -> None:
    with pytest.raises(ParameterError, match="there are adding"):
        runner.run(project, "subtracting")
