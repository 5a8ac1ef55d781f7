"""The form that every notebook keeps, and the checked tables that some store.

``python tools/notebook_form.py`` names what breaks it (exit 1); ``--refresh`` executes the analysis notebooks on the
demo's gold and stores the tables marked to be checked. Everything else that is stored is nbstripout's business.
"""

import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]
# Tags of a cell: nbval compares its stored output, and nbstripout leaves that.
CHECKED, KEPT = "nbval-check-output", "keep_output"
MAX_LINES = 8


def notebooks(kind: str = "*") -> list[Path]:
    """Every notebook of the project, or those of one folder (pipeline, analysis); of my/ only the template."""
    root = ROOT / "notebooks"
    found = (
        sorted(root.glob(f"{kind}/*.ipynb"))
        if kind != "*"
        else [*root.glob("*.ipynb"), *sorted(root.glob("*/*.ipynb"))]
    )
    kept = (path for path in found if path.parent.name != "my" or path.stem == "template")
    return [path for path in kept if path.parent.name != ".ipynb_checkpoints"]


def faults(path: Path) -> list[str]:
    """What in this notebook breaks the form, a sentence each."""
    notebook = nbformat.read(path, as_version=4)
    cells = notebook.cells
    found = []
    head = cells[0]
    if head.cell_type != "markdown" or not re.match(
        r"# .*\*\*Reads\*\*.*\*\*Writes\*\*.*\*\*Run when\*\*", head.source, re.S
    ):
        found.append("the first cell is not a title with Reads, Writes, Run when")
    if "import" not in cells[1].source:
        found.append("the second cell does not hold the imports")
    if "parameters" not in cells[2].metadata.get("tags", []):
        found.append("the third cell is not tagged parameters")
    for number, cell in enumerate(cells):
        if cell.cell_type == "code":
            found += [
                f"cell {number}: {fault}" for fault in _code_faults(cell, pipeline=path.parent.name == "pipeline")
            ]
            if number > 2 and cells[number - 1].cell_type != "markdown":
                found.append(f"cell {number}: no sentence before it")
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    if path.parent.name != "pipeline" and "plots.choose(" not in code:
        found.append("no figure with a menu of symbols: plots.choose(…)")
    if ".to_string(" in code:
        found.append("a table printed as text: plots.styled(…)")
    if path.parent.name == "pipeline" and "assert " not in cells[-1].source:
        found.append("the last cell does not assert the result")
    return found


def refresh() -> None:
    """Execute the analysis notebooks on the demo's gold and keep the checked tables."""
    from stocklib.settings import read_settings
    from workbench import runner

    settings = read_settings(demo=True)
    for path in notebooks("analysis"):
        executed = nbformat.read(runner.run(settings, path.stem).path, as_version=4)
        outputs = {cell.id: cell.outputs for cell in executed.cells if cell.cell_type == "code"}
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code" and CHECKED in cell.metadata.get("tags", []):
                cell.outputs = _plain(outputs[cell.id])
                cell.metadata["tags"] = [KEPT, CHECKED]
        nbformat.write(notebook, path)


def _code_faults(cell: nbformat.NotebookNode, *, pipeline: bool) -> list[str]:
    found = []
    lines = [line for line in cell.source.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) > MAX_LINES and "import" not in lines[0]:
        found.append(f"{len(lines)} lines; {MAX_LINES} is the limit")
    if pipeline and (words := re.findall(r"^\s*(def|class|try)\b", cell.source, re.M)):
        found.append(f"{words} belong in stocklib")
    if re.search(r"['\"]/(home|Users|work|tmp|root)\b", cell.source):
        found.append("an absolute path")
    if cell.outputs and CHECKED not in cell.metadata.get("tags", []):
        found.append(f"stored outputs without the tag {CHECKED}")
    if cell.execution_count is not None:
        found.append("an execution count is stored")
    return found


def _plain(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Text alone: a stored table's HTML would only make the diff long."""
    for output in outputs:
        output.pop("execution_count", None)
        if output.output_type == "execute_result":
            output["execution_count"] = None
        if "data" in output:
            output["data"] = {k: v for k, v in output["data"].items() if k == "text/plain"}
    return outputs


def _main(arguments: list[str]) -> int:
    if "--refresh" in arguments:
        refresh()
        return 0
    listed = [f"{path.relative_to(ROOT)}: {fault}" for path in notebooks() for fault in faults(path)]
    sys.stdout.write("".join(f"{line}\n" for line in listed))
    return int(bool(listed))


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
