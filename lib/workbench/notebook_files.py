"""Notebook files made ready to run: whichever editor and kernel saved one, it runs in the project's Python.

A path of ``.ipynb`` in, a copy with the project's kernel out. The kernel that a file names is only where it was last
edited. A file that is cut off, holds no code or is in another language is one ``InvalidNotebook``.
"""

import json
from pathlib import Path
from typing import Any

from stocklib.errors import InvalidNotebook
from stocklib.text_files import read_text

# The name under which Jupyter finds the kernel of the Python that runs this.
KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
_PYTHON = {"python", "python3", "ipython"}


def prepare(source: Path, folder: Path) -> Path:
    """Write a copy of a notebook with the project's kernel to ``folder``, and return its path."""
    import nbformat

    target = folder / source.name
    nbformat.write(read_notebook(source), target)  # type: ignore[no-untyped-call]
    return target


def read_notebook(source: Path) -> Any:
    """Return the notebook of a file (nbformat 4) with the project's kernel in its metadata.

    Missing metadata, outputs and execution counts are filled in. Raise ``InvalidNotebook``.
    """
    import nbformat

    content = _complete(_read_json(source), source)
    _check_language(content["metadata"], source)
    try:
        # half of a surrogate pair is valid JSON, but cannot be written to a file
        text = json.dumps(content, ensure_ascii=False).encode().decode()
        as_saved = nbformat.reader.reads(text)  # type: ignore[no-untyped-call]
        notebook = nbformat.from_dict(nbformat.convert(as_saved, 4))  # type: ignore[no-untyped-call]
        # metadata of an earlier run, which papermill writes again
        notebook.metadata.pop("papermill", None)
        # old formats have no metadata of the file
        notebook.metadata.update(kernelspec=KERNEL, language_info={"name": "python"})
        nbformat.validate(notebook)
    except (nbformat.ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise InvalidNotebook(f"{source} is not a valid notebook: {why}. Save it again in JupyterLab") from error
    if not any(cell.cell_type == "code" for cell in notebook.cells):
        raise InvalidNotebook(f"{source} has no code cell: there is nothing to run")
    return notebook


def _read_json(source: Path) -> Any:
    try:
        return json.loads(read_text(source))
    except RecursionError as error:
        raise InvalidNotebook(f"{source} is not a notebook: its lists are nested too deep to be read") from error
    except ValueError as error:
        where = "is empty" if not source.stat().st_size else f"ends or breaks at line {getattr(error, 'lineno', '1')}"
        raise InvalidNotebook(
            f"{source} is cut off or damaged, it {where}: restore it, for example with git checkout -- {source.name}"
        ) from error


def _complete(content: Any, source: Path) -> dict[str, Any]:
    if not isinstance(content, dict) or not isinstance(content.get("cells", content.get("worksheets")), list):
        raise InvalidNotebook(f"{source} is not a notebook: it has no list of cells")
    filled: dict[str, Any] = {"nbformat": 4, "nbformat_minor": 5} | content
    filled["metadata"] = content["metadata"] if isinstance(content.get("metadata"), dict) else {}
    if filled["nbformat"] == 4 and "cells" in content:
        # cells have an id since 4.5
        minor = filled["nbformat_minor"]
        filled["nbformat_minor"] = minor if isinstance(minor, int) and minor > 5 else 5
        filled["cells"] = [_complete_cell(cell, place) for place, cell in enumerate(content["cells"])]
    return filled


def _complete_cell(cell: Any, place: int) -> Any:
    if not isinstance(cell, dict):
        return cell
    code: dict[str, Any] = {"outputs": [], "execution_count": None} if cell.get("cell_type") == "code" else {}
    return {"id": f"cell-{place}", "metadata": {}, "source": "", **code, **cell}


def _check_language(metadata: dict[str, Any], source: Path) -> None:
    named = [metadata.get("language_info"), metadata.get("kernelspec")]
    names = [part.get(key) for part, key in zip(named, ("name", "language"), strict=True) if isinstance(part, dict)]
    language = next((str(one) for one in names if one), "python")
    if language.lower() not in _PYTHON:
        raise InvalidNotebook(f"{source} is written in {language}, and the project runs only Python notebooks")
