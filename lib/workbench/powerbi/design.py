"""The design: the files under ``project``, as Power BI Desktop saves them, opened at a symbol and in a theme.

Pages, visuals, themes and measures are designed in Power BI Desktop, so they stand there as files and not in code
(docs/powerbi.md says how to change one).
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stocklib.errors import InputError
from stocklib.text_files import read_text
from workbench.powerbi.star import SYMBOLS

DESIGN = Path(__file__).parent / "project"
THEMES = {"light": "stocks.json", "dark": "stocks-dark.json"}
_VISUAL = "/visual.json"
_REPORT = "stocks.Report/definition/report.json"
# A column or a measure of a table in TMDL, with its lines up to the next one.
_DEFINED = re.compile(
    r"^\t(column|measure) ('(?:[^']|'')*'|\w+)(.*?)(?=^\t(?:///|column|measure|hierarchy|partition)|\Z)", re.M | re.S
)
# Lines of a measure that are its properties; those of its DAX stand deeper.
_PROPERTY = re.compile(r"^\t\t\w.*$", re.M)


def designed_files(*, symbol: str, look: str) -> dict[str, str]:
    """Return the text of each designed file by its path; slicers of one symbol choose ``symbol``."""
    paths = sorted(path for path in DESIGN.rglob("*") if path.is_file())
    files = {path.relative_to(DESIGN).as_posix(): read_text(path) for path in paths}
    for name, text in files.items():
        if name.endswith(_VISUAL):
            files[name] = _opened_at(text, symbol)
    report = json.loads(files[_REPORT])
    report["themeCollection"]["customTheme"]["name"] = THEMES[look]
    return files | {_REPORT: as_json(report)}


def as_json(body: Any) -> str:
    """Return a file's JSON as Power BI Desktop lays it out."""
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def check_bindings(files: Mapping[str, str]) -> None:
    """Raise ``InputError`` for a column or measure that the model lacks; it names the visuals and measures in need."""
    known: set[tuple[str, str, str]] = set()
    formulas: dict[str, str] = {}
    for path, text in files.items():
        if "/tables/" in path:
            table = Path(path).stem
            for kind, name, body in _DEFINED.findall(text):
                known.add((kind, table, _unquoted(name)))
                if kind == "measure":
                    formulas[_unquoted(name)] = _PROPERTY.sub("", body)
    visuals = {path: json.loads(text).get("visual", {}) for path, text in files.items() if path.endswith(_VISUAL)}
    broken = [
        f"{_title(path, visual, files)} shows {table}[{name}]"
        for path, visual in visuals.items()
        for kind, table, name in _fields(visual)
        if (kind, table, name) not in known
    ]
    readable = {("" if kind == "measure" else table, name) for kind, table, name in known}
    broken += [
        f"the measure {measure} reads {table}[{name}]"
        for measure, dax in formulas.items()
        for table, name in sorted(references(dax) - readable)
    ]
    if broken:
        raise InputError("what the report shows is no longer in dbt's models: " + "; ".join(dict.fromkeys(broken)))


def references(dax: str) -> set[tuple[str, str]]:
    """Return the columns that DAX names, with their tables, and the measures, without; not what it makes itself.

    >>> sorted(references("CALCULATE(MAX(gold_kpi[as_of]), dim_date[year] = 2012) + [Change %] + [@x]"))
    [('', 'Change %'), ('dim_date', 'year'), ('gold_kpi', 'as_of')]
    """
    return set(re.findall(r"(\b[A-Za-z_]\w*|)\[([^@\]][^\]]*)\]", dax))


def literal(value: str) -> dict[str, Any]:
    """Return a text as PBIR writes a constant.

    >>> literal("Sotheby's")
    {'Literal': {'Value': "'Sotheby''s'"}}
    """
    return {"Literal": {"Value": "'" + value.replace("'", "''") + "'"}}


def _opened_at(text: str, symbol: str) -> str:
    """Return a visual, at ``symbol`` if it is a slicer that chooses one symbol."""
    body = json.loads(text)
    for entry in body.get("visual", {}).get("objects", {}).get("general", []):
        chosen = entry["properties"].get("filter", {}).get("filter")
        if chosen and chosen["From"][0]["Entity"] == SYMBOLS:
            among = chosen["Where"][0]["Condition"].get("In", {})
            if len(among.get("Values", [])) == 1:
                among["Values"] = [[literal(symbol)]]
                return as_json(body)
    return text


def _title(path: str, visual: dict[str, Any], files: Mapping[str, str]) -> str:
    page = json.loads(files[path.split("/visuals/")[0] + "/page.json"])["displayName"]
    try:
        text = visual["visualContainerObjects"]["title"][0]["properties"]["text"]["expr"]["Literal"]["Value"]
    except KeyError:
        # untitled, or titled by a measure: its folder's name
        text = path.split("/")[-2]
    return f"{page}: {_unquoted(text)}"


def _unquoted(name: str) -> str:
    return name[1:-1].replace("''", "'") if name.startswith("'") else name


def _fields(node: Any) -> Iterator[tuple[str, str, str]]:
    """Yield the kind, table and name of each column and measure of the model below a node of JSON."""
    if isinstance(node, list):
        for one in node:
            yield from _fields(one)
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("Column", "Measure"):
                source = value["Expression"].get("SourceRef", {})
                # an alias has no entity, a measure of the report itself has a schema
                if "Entity" in source and "Schema" not in source:
                    yield key.lower(), source["Entity"], value["Property"]
            yield from _fields(value)
