"""A notebook as a job: wrong parameters are refused before anything runs, and every run leaves its copy."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
import requests
import websocket
from click.testing import CliRunner
from outages import files_of_at_most

from stocklib import errors
from stocklib.errors import InvalidNotebook, NotebookFailed, ParameterError, SettingsError
from stocklib.settings import Settings, read_settings
from workbench import runner
from workbench.cli import main
from workbench.notebook_files import read_notebook


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A project of its own with one notebook that adds, and fails when told to; saved in an environment elsewhere."""
    (tmp_path / "dbt_stocks").mkdir()
    (tmp_path / "dbt_stocks" / "dbt_project.yml").touch()
    folder = tmp_path / "notebooks" / "pipeline"
    folder.mkdir(parents=True)
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "my_conda_env", "display_name": ".venv", "language": "python"}}
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
    return read_settings(environ={"STOCKS_HOME": str(tmp_path / "home {of} mine")})


def test_parameters_go_in_and_the_executed_copy_comes_out(project: Settings) -> None:
    done = runner.run(project, "adding", given={"amount": "5", "symbols": "AAPL,FB", "day": "2012-12-14"})
    assert done.result.splitlines() == ["6 ['AAPL', 'FB'] 2012-12-14", str(project.home)]
    assert done.path == project.home / "runs" / done.run_id / "adding.ipynb"
    copy = nbformat.read(done.path, as_version=4)
    assert "injected-parameters" in str(copy.cells)
    # it was run by, and says so, the project's own Python, whatever the file named
    assert copy.metadata.kernelspec.name == "python3"
    assert copy.metadata.papermill.input_path == f"{project.root / 'notebooks' / 'pipeline' / 'adding.ipynb'}"
    assert copy.metadata.papermill.output_path == f"{done.path}"


def test_pandas_plots_with_plotly_in_a_kernel_and_the_pipeline_s_kernels_do_not_wait_for_it(project: Settings) -> None:
    notebook = nbformat.v4.new_notebook()
    asked = "import pandas as pd, sys\nprint(sorted(name for name in globals() if name.startswith('stock')))"
    # in two pieces, as a slow cell's line arrives
    drawn = "print('by', end=' ', flush=True)\nprint(type(pd.Series([1]).plot()).__module__, 'plotly' in sys.modules)"
    notebook.cells = [nbformat.v4.new_code_cell(asked), nbformat.v4.new_code_cell(drawn)]
    folder = project.root / "notebooks" / "analysis"
    folder.mkdir()
    nbformat.write(notebook, folder / "drawing.ipynb")
    done = runner.run(project, "drawing")
    assert done.result == "by plotly.graph_objs._figure True"
    # the kernel's start leaves no name in the notebook
    assert "[]" in str(nbformat.read(done.path, as_version=4).cells[0].outputs)
    notebook.cells = [nbformat.v4.new_code_cell("import sys\nprint('plotly' in sys.modules)")]
    nbformat.write(notebook, folder.with_name("pipeline") / "loading.ipynb")
    assert runner.run(project, "loading").result == "False"


CODE = {"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "execution_count": None, "source": "1"}
GOOD = {"cells": [CODE], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.mark.parametrize(
    "saved",
    [
        GOOD,
        {**GOOD, "metadata": {"kernelspec": {"name": "my_conda_env"}}},
        {**GOOD, "metadata": {"kernelspec": {"name": "ir", "display_name": "R"}, "language_info": {"name": "python"}}},
        # without metadata, and without what other tools leave out
        {"cells": [CODE]},
        {"cells": [{"cell_type": "code", "source": ["1"]}], "nbformat": 4, "nbformat_minor": 4},
        {**GOOD, "metadata": {"papermill": None}},
        # of an old Jupyter
        {
            "worksheets": [{"cells": [{"cell_type": "code", "language": "python", "input": "1", "outputs": []}]}],
            "metadata": {"name": ""},
            "nbformat": 3,
            "nbformat_minor": 0,
        },
        {"cells": [{"cell_type": "code", "code": "1", "prompt_number": 1}], "nbformat": 1},
    ],
)
def test_a_notebook_runs_in_the_projects_kernel_whatever_its_file_says(tmp_path: Path, saved: dict[str, Any]) -> None:
    path = tmp_path / "one.ipynb"
    path.write_text(json.dumps(saved), encoding="utf-8-sig")
    read = read_notebook(path)
    assert read.metadata.kernelspec.name == "python3"
    assert [cell.source for cell in read.cells] == ["1"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "cut off or damaged, it is empty"),
        (json.dumps(GOOD, indent=1)[:90], "cut off or damaged, it ends or breaks at line"),
        ("<<<<<<< HEAD\n" + json.dumps(GOOD), "cut off or damaged, it ends or breaks at line 1"),
        ("[]", "no list of cells"),
        ("[" * 100_000, "nested too deep"),
        ('{"nbformat": 4}', "no list of cells"),
        ('{"cells": []}', "no code cell"),
        ('{"cells": [{"cell_type": "code", "source": "\\ud800"}]}', "not a valid notebook"),
        ('{"cells": [1]}', "not a valid notebook"),
        ('{"cells": [{"cell_type": "code", "source": 5}]}', "not a valid notebook"),
        (json.dumps({**GOOD, "metadata": {"language_info": {"name": "R"}}}), "is written in R"),
        (json.dumps({**GOOD, "metadata": {"kernelspec": {"name": "j", "language": "julia"}}}), "is written in julia"),
    ],
)
def test_a_file_that_is_no_notebook_is_one_sentence(project: Settings, content: str, said: str) -> None:
    path = project.root / "notebooks" / "pipeline" / "broken.ipynb"
    path.write_text(content)
    with pytest.raises(InvalidNotebook, match=said) as raised:
        runner.run(project, "broken")
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (project.home / "runs").exists()


def test_one_broken_notebook_hides_no_other_from_the_list(project: Settings) -> None:
    (project.root / "notebooks" / "pipeline" / "broken.ipynb").write_text("{")
    told = CliRunner(env={"STOCKS_HOME": str(project.home)}).invoke(main, ["run"])
    assert told.exit_code == 0
    assert "-p amount=…  int" in told.stdout
    assert "cannot be run:" in told.stdout


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
    assert nbformat.read(copies[0], as_version=4).metadata.papermill.input_path.endswith("pipeline/adding.ipynb")
    assert (raised.value.raised, raised.value.is_hopeless) == ("AssertionError", False)


@pytest.mark.parametrize(
    ("name", "is_hopeless"),
    [
        # what the request or the settings say is wrong again
        *(
            (name, True)
            for name in (
                "SettingsError",
                "InputError",
                "SymbolError",
                "DateRangeError",
                "ParameterError",
                "InvalidNotebook",
                "KeyRefused",
                "PlanRefused",
                "HistoryRefused",
                "WrongSource",
            )
        ),
        # what may be over in a minute
        *(
            (name, False)
            for name in (
                "SourceError",
                "SourceUnavailable",
                "RateLimited",
                "BadAnswer",
                "NoQuote",
                "HistoryMissing",
                "StreamError",
                "LakeError",
                "WarehouseBusy",
                "TransformFailed",
                "StaleData",
                # and what is none of ours, whatever it is called
                "ValueError",
                "NoSuchError",
                "kind",
                "",
            )
        ),
    ],
)
def test_whether_another_try_can_help_is_an_attribute_also_of_a_notebooks_error(name: str, is_hopeless: bool) -> None:
    assert NotebookFailed("KeyRefused: PlanRefused", raised=name).is_hopeless is is_hopeless
    kind = getattr(errors, name, None)
    assert kind is None or kind.is_hopeless is is_hopeless


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


@pytest.mark.parametrize("beyond_the_source", [False, True], ids=["before a cell", "with its output"])
def test_a_full_disk_is_one_sentence_that_names_the_copy(project: Settings, beyond_the_source: bool) -> None:
    source = project.root / "notebooks" / "pipeline" / "adding.ipynb"
    notebook = nbformat.read(source, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("print('x' * 100_000)"))
    nbformat.write(notebook, source)
    # no file of this process, or of a kernel that it starts, can grow beyond so many bytes
    with files_of_at_most(20_000 if beyond_the_source else 100), pytest.raises(NotebookFailed) as caught:
        runner.run(project, "adding")
    said = str(caught.value)
    assert "\n" not in said
    assert "adding.ipynb cannot be written or read" in said
    assert "make room there" in said


def test_an_unknown_notebook_names_those_that_exist(project: Settings) -> None:
    with pytest.raises(ParameterError, match="there are adding"):
        runner.run(project, "subtracting")


def test_a_kernel_of_jupyterlab_takes_commands_on_no_port_and_wants_the_token(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    # as long as homes are
    home = tmp_path / ("a" * 60) / "home"
    environ = {**os.environ, "STOCKS_HOME": str(home), "HOME": str(home.parent), "JUPYTER_TOKEN": "the-token"}
    command = [sys.executable, "-m", "workbench.cli", "lab", "--no-browser", "--port", str(port)]
    api, token = f"http://127.0.0.1:{port}/api", {"Authorization": "token the-token"}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as lab:
        try:
            wait_for(lambda: responds(f"{api}/status", token))
            assert requests.post(f"{api}/kernels", timeout=10).status_code == 403
            kernel = requests.post(f"{api}/kernels", headers=token, timeout=30).json()["id"]
            channels = f"ws://127.0.0.1:{port}/api/kernels/{kernel}/channels"
            assert answer_of(channels, "6 * 7") == "42"
            # pandas plots with Plotly there, without an import of ours
            assert answer_of(channels, "type(__import__('pandas').Series([1, 2]).plot()).__name__") == "'Figure'"
            (process,) = [
                p for p in psutil.Process(lab.pid).children(recursive=True) if "ipykernel_launcher" in p.cmdline()
            ]
            file = Path(process.cmdline()[process.cmdline().index("-f") + 1])
            facts = json.loads(file.read_text())
            assert facts["transport"] == "ipc"
            assert Path(f"{facts['ip']}-{facts['shell_port']}").is_socket()
            assert file.parent.stat().st_mode & 0o777 == 0o700
            # what is left takes the output of forked processes, which ipykernel signs
            assert len({c.laddr for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}) <= 1
        finally:
            # as Ctrl-C does
            lab.send_signal(signal.SIGTERM)
            lab.communicate(timeout=60)
    assert not file.parent.exists()
    assert not process.is_running()


def responds(url: str, headers: dict[str, str]) -> bool:
    try:
        return requests.get(url, headers=headers, timeout=10).ok
    except requests.ConnectionError:
        return False


def answer_of(channels: str, code: str) -> str:
    """What a kernel answers to a line of code."""
    header = {"msg_id": "one", "username": "", "session": "a", "msg_type": "execute_request", "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    request = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    connection = websocket.create_connection(channels, timeout=60, header={"Authorization": "token the-token"})
    try:
        connection.send(json.dumps(request))
        while True:
            message = json.loads(connection.recv())
            if message["msg_type"] == "execute_result":
                return str(message["content"]["data"]["text/plain"])
    finally:
        connection.close()


def wait_for(truth: Callable[[], bool], *, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.1)
