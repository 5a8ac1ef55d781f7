"""Runs a notebook as a job: parameters in, an executed copy out.

A notebook is named by its file under ``notebooks/pipeline`` or ``notebooks/analysis``, by ``my/<name>`` for the user's
own under ``notebooks/my``, or by any path that ends with ``.ipynb``. Parameters are checked against the notebook's own
``parameters`` cell before anything runs. The executed copy goes to ``STOCKS_HOME/runs/<run id>/``, also when the
notebook fails, with the error in it.
"""

import ast
import logging
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import stocklib
from stocklib.errors import NotebookFailed, ParameterError, SettingsError, did_you_mean
from stocklib.host import environment, extra
from stocklib.settings import Settings
from stocklib.state_files import write_state
from workbench.notebook_files import prepare

log = logging.getLogger(__name__)

_ENGINE = "stocks"
# How long JupyterLab may take to end its kernels.
_LAB_SECONDS = 20.0


@dataclass(frozen=True)
class Run:
    """One execution: its id, the executed copy, and the output of the last cell."""

    run_id: str
    path: Path
    result: str


def notebooks(settings: Settings) -> dict[str, Path]:
    """Return every notebook that can be run, by name."""
    root = settings.root / "notebooks"
    folders = (root, root / "pipeline", root / "analysis")
    found = {path.stem: path for folder in folders for path in sorted(folder.glob("*.ipynb"))}
    own = (path for path in sorted((root / "my").rglob("*.ipynb")) if ".ipynb_checkpoints" not in path.parts)
    return found | {path.relative_to(root).with_suffix("").as_posix(): path for path in own}


def parameters(settings: Settings, name: str) -> dict[str, dict[str, Any]]:
    """Return the parameters of a notebook: name, type, default and help, from its ``parameters`` cell."""
    with tempfile.TemporaryDirectory(prefix="stocks-") as folder:
        return _inspect(prepare(_find(settings, name), Path(folder)))


def run(
    settings: Settings,
    name: str,
    *,
    given: Mapping[str, Any] | None = None,
    run_id: str | None = None,
    progress: bool = False,
) -> Run:
    """Execute a notebook with the given parameters and keep the copy.

    Text values are converted to the parameter's type (``2012-12-14``, ``["AAPL","FB"]`` or ``AAPL,FB``, ``true``).
    Raise ``ParameterError`` or ``InvalidNotebook`` before anything runs, ``NotebookFailed`` when a cell raises.
    """
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError
    from traitlets.config import Config

    source = _find(settings, name)
    run_id = run_id or f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{source.stem}-{secrets.token_hex(3)}"
    target = settings.home / "runs" / run_id / f"{source.stem}.ipynb"
    try:
        with kernel_environment(settings), tempfile.TemporaryDirectory(prefix="stocks-") as private:
            ready = prepare(source, Path(private))
            values = check_parameters(_inspect(ready), given or {}, notebook=name)
            _make_folder(target.parent)
            log.info("running %s as %s", source.name, run_id)
            _register_engine()
            papermill.execute_notebook(
                _literal(ready),
                _literal(target),
                engine_name=_ENGINE,
                source=str(source),
                parameters=values,
                cwd=str(source.parent),
                progress_bar=progress,
                log_output=False,
                # no TCP port for the kernel, which is not encrypted: socket files in a folder that only its owner may
                # open
                config=Config({"KernelManager": {"transport": "ipc", "ip": f"{private}/kernel"}}),
                extra_arguments=[
                    # the kernel reports its own end as an error
                    "--IPKernelApp.log_level=CRITICAL",
                    # a notebook of the pipeline draws nothing, so it does not wait a second for Plotly
                    f"--IPKernelApp.exec_PYTHONSTARTUP={source.parent.name != 'pipeline'}",
                ],
            )
        executed = nbformat.read(target, as_version=4)  # type: ignore[no-untyped-call]
    except papermill.PapermillExecutionError as error:
        raise NotebookFailed(
            f"{name} failed: {error.ename}: {error.evalue}\nThe executed copy: {target}", raised=str(error.ename)
        ) from None
    except DeadKernelError as error:
        raise NotebookFailed(f"{name} failed: its kernel died ({error}).\nThe executed copy: {target}") from error
    except (OSError, nbformat.reader.NotJSONError) as error:
        # from the copy, which is written after each cell, or from the kernel's folder
        where = getattr(error, "filename", None) or target
        why = getattr(error, "strerror", None) or "the copy is torn"
        raise NotebookFailed(
            f"{name} failed: {where} cannot be written or read ({why}): make room there, or set STOCKS_HOME to a "
            f"folder on another disk; it can be run again"
        ) from error
    return Run(run_id=run_id, path=target, result=last_text(executed))


@cache
def _register_engine() -> None:
    """Register papermill's engine with a copy that names its notebook instead of a temporary file."""
    from papermill.engines import NBClientEngine, papermill_engines

    class Engine(NBClientEngine):  # type: ignore[misc]
        @classmethod
        def execute_notebook(cls, nb: Any, *arguments: Any, source: str, **more: Any) -> Any:
            nb.metadata.papermill["input_path"] = source
            return super().execute_notebook(nb, *arguments, **more)

    papermill_engines.register(_ENGINE, Engine)


def _literal(path: Path) -> str:
    # papermill fills in text in braces
    return str(path).replace("{", "{{").replace("}", "}}")


def _inspect(notebook: Path) -> dict[str, dict[str, Any]]:
    import papermill

    return dict(papermill.inspect_notebook(_literal(notebook)))


def check_parameters(
    known: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any], *, notebook: str
) -> dict[str, Any]:
    """Return the values in the parameters' types; ``ParameterError`` for an unknown name or an invalid value.

    >>> known = {"days": {"inferred_type_name": "int"}, "symbols": {"inferred_type_name": "list[str]"}}
    >>> check_parameters(known, {"days": "5", "symbols": "AAPL,FB"}, notebook="daily_load")
    {'days': 5, 'symbols': ['AAPL', 'FB']}
    >>> check_parameters(known, {"day": 5}, notebook="daily_load")
    Traceback (most recent call last):
        ...
    stocklib.errors.ParameterError: daily_load has no parameter 'day'; it takes days, symbols. Did you mean days?
    """
    values = {}
    for name, value in given.items():
        if name not in known:
            takes = ", ".join(known) or "none"
            raise ParameterError(f"{notebook} has no parameter {name!r}; it takes {takes}{did_you_mean(name, known)}")
        kind = str(known[name].get("inferred_type_name") or "str").strip("\"'")
        try:
            values[name] = _convert(value, kind)
        except (ValueError, SyntaxError) as error:
            raise ParameterError(f"{notebook}: {name}={value!r} is not a {kind}: {error}") from None
    return values


def _convert(value: Any, kind: str) -> Any:
    kind = kind.replace(" ", "").removesuffix("|None")
    if kind == "list[str]":
        items = value if isinstance(value, list) else _split(str(value))
        if not all(isinstance(item, str) for item in items):
            raise ValueError("every item must be text")
        return items
    if kind == "bool":
        text = str(value).lower()
        if text not in ("true", "false"):
            raise ValueError("true or false")
        return text == "true"
    if kind in ("int", "float"):
        if isinstance(value, bool):
            raise ValueError("a number")
        return int(value) if kind == "int" else float(value)
    text = str(value)
    if kind == "date" or kind.startswith("date"):
        return date.fromisoformat(text).isoformat() if text else ""
    return text


def _split(text: str) -> list[Any]:
    if text.strip().startswith("["):
        return list(ast.literal_eval(text))
    return [part.strip() for part in text.split(",") if part.strip()]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"cannot write to {folder} ({error.strerror}): make it writable, or set STOCKS_HOME to a folder that is"
        ) from error


def _find(settings: Settings, name: str) -> Path:
    if name.endswith(".ipynb") and Path(name).is_file():
        return Path(name).resolve()
    known = notebooks(settings)
    stem = name.removesuffix(".ipynb")
    if stem not in known:
        raise ParameterError(f"there is no notebook {name!r}; there are {', '.join(known)}{did_you_mean(stem, known)}")
    return known[stem]


@contextmanager
def kernel_environment(settings: Settings) -> Iterator[None]:
    """Set the environment so that a kernel started in the block reads the same settings as this process.

    Wrap all notebooks that run in parallel in one block: the environment belongs to the process, not to a thread.
    """
    # a kernel of the same name in the user's folder belongs to another environment
    wanted = {"JUPYTER_PLATFORM_DIRS": "1", "JUPYTER_PREFER_ENV_PATH": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    # kernels run it when they start
    wanted |= {"PYTHONSTARTUP": str(Path(stocklib.__file__).parent / "plots" / "kernel_startup.py")}
    if settings.demo:
        wanted |= {"STOCKS_DEMO": "1", "STOCKS_DEMO_HOME": str(settings.home)}
    else:
        wanted |= {"STOCKS_HOME": str(settings.home)}
    with environment(wanted):
        yield


def last_text(notebook: Any) -> str:
    """Return the last text that a code cell printed or returned: a pipeline notebook's result."""
    for cell in reversed(notebook.cells):
        if cell.cell_type != "code":
            continue
        for output in reversed(joined_outputs(cell)):
            if output.output_type == "stream":
                return str(output.text).strip()
            data = output.get("data", {})
            # the text of a figure or a widget says nothing
            if (text := data.get("text/plain")) and data.keys() <= {"text/plain", "text/html"}:
                return str(text).strip()
    return ""


def joined_outputs(cell: Any) -> list[Any]:
    """Return a code cell's outputs with what it printed in one piece, as JupyterLab shows it.

    A kernel sends printed text every 0.2 s, so a line may arrive in two halves.

    >>> from nbformat.v4 import new_code_cell, new_output
    >>> cell = new_code_cell(outputs=[new_output("stream", text=text) for text in ("2 bars", " loaded\\n")])
    >>> [output.text for output in joined_outputs(cell)]
    ['2 bars loaded\\n']
    """
    joined: list[Any] = []
    for output in cell.outputs:
        last = joined[-1] if joined else None
        if last and last.output_type == output.output_type == "stream" and last.name == output.name:
            joined[-1] = type(last)({**last, "text": last.text + output.text})
        else:
            joined.append(output)
    return joined


def open_lab(settings: Settings, *, host: str = "127.0.0.1", port: int, browser: bool) -> int:
    """Open ``notebooks/start_here.ipynb`` in JupyterLab; return its exit status when it ends.

    Its token is JUPYTER_TOKEN or a generated one.

    Its kernels use socket files that only their owner may open, as those of ``run`` do, and no TCP port.
    """
    with extra("lab"):
        import_module("jupyterlab")
    command = [sys.executable, "-m", "jupyterlab", f"--ip={host}", f"--port={port}"]
    command += [f"--ServerApp.root_dir={settings.root / 'notebooks'}", f"--LabApp.user_settings_dir={_lab(settings)}"]
    command += ["--KernelManager.transport=ipc", "--LabApp.default_url=/lab/tree/start_here.ipynb"]
    # what a reader of notebooks has no use for
    command += [f"--ContentsManager.hide_globs={name}" for name in ("__pycache__", "conftest.py")]
    if not browser:
        command.append("--no-browser")
    if os.geteuid() == 0:  # in a container
        command.append("--allow-root")
    # a socket's path has at most about 100 characters; a home's or macOS's temporary folder can be too long
    sockets = tempfile.TemporaryDirectory(prefix="stocks-lab-", dir="/tmp", ignore_cleanup_errors=True)
    with kernel_environment(settings), sockets as folder, environment({"JUPYTER_RUNTIME_DIR": folder}):
        return _wait(subprocess.Popen(command))


def _wait(lab: subprocess.Popen[bytes]) -> int:
    """Return the exit status of JupyterLab; Ctrl-C asks it to end its kernels, which a kill would leave behind."""
    with lab:
        try:
            return lab.wait()
        except KeyboardInterrupt:
            lab.terminate()
            try:
                lab.wait(_LAB_SECONDS)
            except subprocess.TimeoutExpired:
                lab.kill()
            return 0


def _lab(settings: Settings) -> Path:
    """Return the folder of JupyterLab's settings; by default it fetches neither news nor updates."""
    folder = settings.home / "lab"
    first = folder / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    if not first.exists():
        _make_folder(first.parent)
        write_state(first, b'{"fetchNews": "false", "checkForUpdates": false}\n', durable=False)
    return folder
