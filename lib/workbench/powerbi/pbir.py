"""The report as PBIR: pages and visuals in, the files of the report's folder out, as JSON."""

import re
from typing import Any

from stocklib.errors import InputError
from workbench.powerbi.model import Model
from workbench.powerbi.pages import HEIGHT, WIDTH, Page
from workbench.powerbi.theme import theme
from workbench.powerbi.visuals import SCHEMAS, container, literal, on_phone

_PHONE_WIDTH, _PHONE_GAP = 324, 8
_RESOURCES = "StaticResources/RegisteredResources"
THEMES = {"light": "stocks.json", "dark": "stocks-dark.json"}


def report_files(pages: tuple[Page, ...], *, look: str) -> dict[str, Any]:
    """Every file of the report's ``definition`` folder and its themes, by path."""
    files: dict[str, Any] = {
        "definition/version.json": {"$schema": f"{SCHEMAS}/versionMetadata/1.0.0/schema.json", "version": "2.0.0"},
        "definition/report.json": _report(look),
        "definition/pages/pages.json": {
            "$schema": f"{SCHEMAS}/pagesMetadata/1.1.0/schema.json",
            "pageOrder": [page.name for page in pages],
            "activePageName": pages[0].name,
        },
        f"{_RESOURCES}/{THEMES['light']}": theme(),
        f"{_RESOURCES}/{THEMES['dark']}": theme(dark=True),
    }
    for page in pages:
        folder = f"definition/pages/{page.name}"
        files[f"{folder}/page.json"] = _page(page)
        y = 0
        for number, visual in enumerate(page.visuals):
            place = f"{folder}/visuals/{visual.name}"
            files[f"{place}/visual.json"] = container(visual, number)
            if visual.phone:
                files[f"{place}/mobile.json"] = on_phone(visual, y, number, width=_PHONE_WIDTH)
                y += visual.phone + _PHONE_GAP
    return files


def check_bindings(pages: tuple[Page, ...], model: Model) -> None:
    """Every field that a visual shows is in the model; ``InputError`` names the visuals that a lost column breaks."""
    broken = []
    for page in pages:
        for visual in page.visuals:
            for field in visual.fields():
                table = model.table(field.table)
                names = (
                    {one.name for one in (table.measures if field.is_measure else table.columns)} if table else set()
                )
                if field.name not in names:
                    broken.append(f"{page.title}: {visual.title} shows {field.table}[{field.name}]")
    known = {(table.name, column.name) for table in model.tables for column in table.columns}
    known |= {("", measure.name) for table in model.tables for measure in table.measures}
    for table in model.tables:
        for measure in table.measures:
            lost = sorted(f"{name}[{column}]" for name, column in references(measure.dax) - known)
            broken += [f"the measure {measure.name} reads {one}" for one in lost]
    if broken:
        raise InputError("what the report shows is no longer in dbt's models: " + "; ".join(broken))


def references(dax: str) -> set[tuple[str, str]]:
    """The columns that DAX names, with their tables, and the measures, which have none; not what it makes itself.

    >>> sorted(references("CALCULATE(MAX(gold_kpi[as_of]), dim_date[year] = 2012) + [Change %] + [@x]"))
    [('', 'Change %'), ('dim_date', 'year'), ('gold_kpi', 'as_of')]
    """
    return set(re.findall(r"(\b[A-Za-z_]\w*|)\[([^@\]][^\]]*)\]", dax))


def _report(look: str) -> dict[str, Any]:
    version = {"visual": "2.9.0", "page": "2.1.0", "report": "3.3.0"}
    items = [{"name": name, "path": name, "type": "CustomTheme"} for name in THEMES.values()]
    return {
        "$schema": f"{SCHEMAS}/report/3.3.0/schema.json",
        "themeCollection": {
            "customTheme": {"name": THEMES[look], "reportVersionAtImport": version, "type": "RegisteredResources"}
        },
        "resourcePackages": [{"name": "RegisteredResources", "type": "RegisteredResources", "items": items}],
        "settings": {
            "useStylableVisualContainerHeader": True,
            "useEnhancedTooltips": True,
            "defaultDrillFilterOtherVisuals": True,
            "allowChangeFilterTypes": True,
        },
        "objects": {"outspacePane": [{"properties": {"expanded": literal(False)}}]},
    }


def _page(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = {
        "$schema": f"{SCHEMAS}/page/2.1.0/schema.json",
        "name": page.name,
        "displayName": page.title,
        "displayOption": "FitToPage",
        "height": HEIGHT,
        "width": WIDTH,
    }
    if page.drill is not None:
        name, field = f"{page.name}_drill", page.drill.expression()
        found["type"] = "Drillthrough"
        found["visibility"] = "HiddenInViewMode"
        found["filterConfig"] = {
            "filters": [{"name": name, "field": field, "type": "Categorical", "howCreated": "Drillthrough"}]
        }
        found["pageBinding"] = {
            "name": f"{page.name}_binding",
            "type": "Drillthrough",
            "parameters": [{"name": f"{page.name}_parameter", "boundFilter": name, "fieldExpr": field}],
        }
    return found
