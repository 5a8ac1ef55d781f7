"""The semantic model as TMDL: records in, each file's text out. Tabs make the structure, as in Power BI's."""

import re

from workbench.powerbi.model import (
    Column,
    Hierarchy,
    Measure,
    Model,
    Parameter,
    Relationship,
    Role,
    Table,
    derived_id,
)
from workbench.powerbi.sources import source_column, text

_CULTURE = "en-US"


def definition(model: Model, source: str) -> dict[str, str]:
    """Every file of the ``definition`` folder by its path."""
    files = {
        "database.tmdl": "database\n\tcompatibilityLevel: 1600\n",
        "model.tmdl": _model(model),
        "relationships.tmdl": "\n".join(map(_relationship, model.relationships)),
        "expressions.tmdl": "\n".join(map(_parameter, model.parameters)),
        f"cultures/{_CULTURE}.tmdl": f"cultureInfo {_CULTURE}\n",
    }
    files |= {f"tables/{table.name}.tmdl": _table(table, model, source) for table in model.tables}
    files |= {f"roles/{role.name}.tmdl": _role(role) for role in model.roles}
    return files


def name_of(name: str) -> str:
    """A name as TMDL takes it: in quotes unless it is a plain word.

    >>> name_of("gold_kpi"), name_of("Change %"), name_of("Sotheby's")
    ('gold_kpi', "'Change %'", "'Sotheby''s'")
    """
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else "'" + name.replace("'", "''") + "'"


def _model(model: Model) -> str:
    lines = [
        "model Model",
        f"\tculture: {_CULTURE}",
        "\tdefaultPowerBIDataSourceVersion: powerBI_V3",
        "\tdiscourageImplicitMeasures",
        f"\tsourceQueryCulture: {_CULTURE}",
        "\tdataAccessOptions",
        "\t\tlegacyRedirects",
        "\t\treturnErrorValuesAsNull",
        "",
        # no hidden date table for each date column: dim_date is the calendar
        "annotation __PBI_TimeIntelligenceEnabled = 0",
        "",
        *(f"ref table {name_of(table.name)}" for table in model.tables),
        "",
        *(f"ref role {name_of(role.name)}" for role in model.roles),
        "",
        f"ref cultureInfo {_CULTURE}",
    ]
    return "\n".join(lines) + "\n"


def _table(table: Table, model: Model, source: str) -> str:
    lines = [*_described(table.description, 0), f"table {name_of(table.name)}"]
    lines += [f"\tlineageTag: {derived_id('table', table.name)}"]
    lines += ["\tisHidden"] if table.hidden else []
    lines += ["\tdataCategory: Time"] if table.is_calendar else []
    lines += _refresh(table, model) if table.refresh and table.name in model.modes else []
    for measure in table.measures:
        lines += _measure(measure)
    for column in table.columns:
        lines += _column(table, column, source)
    for hierarchy in table.hierarchies:
        lines += _hierarchy(table, hierarchy)
    return "\n".join([*lines, *_partition(table, model)]) + "\n"


def _refresh(table: Table, model: Model) -> list[str]:
    """For Snowflake, where the window of a refresh becomes SQL. Hybrid asks for today's rows as they are read."""
    refresh = table.refresh
    assert refresh is not None
    mode = "hybrid" if model.modes[table.name] == "hybrid" else "import"
    return [
        "",
        "\trefreshPolicy",
        "\t\tpolicyType: basic",
        f"\t\tmode: {mode}",
        "\t\trollingWindowGranularity: year",
        f"\t\trollingWindowPeriods: {refresh.keep}",
        "\t\tincrementalGranularity: day",
        f"\t\tincrementalPeriods: {refresh.fresh}",
        "\t\tsourceExpression =",
        *_indented(model.queries[table.name], 4),
    ]


def _measure(measure: Measure) -> list[str]:
    dax = measure.dax.split("\n")
    first = [f"\tmeasure {name_of(measure.name)} = {dax[0]}"]
    if len(dax) > 1:
        first = [f"\tmeasure {name_of(measure.name)} =", *_indented(measure.dax, 3)]
    return [
        "",
        *_described(measure.description, 1),
        *first,
        *([f"\t\tformatString: {measure.format}"] if measure.format else []),
        *(["\t\tisHidden"] if measure.hidden else []),
        f"\t\tdisplayFolder: {measure.folder}",
        f"\t\tlineageTag: {derived_id('measure', measure.name)}",
    ]


def _column(table: Table, column: Column, source: str) -> list[str]:
    named = f"[{column.name}]" if column.calculated else source_column(column.name, source if table.schema else "")
    facts = [
        f"dataType: {column.kind}",
        *(["isHidden"] if column.hidden else []),
        *(["isKey"] if column.key else []),
        *(["isNameInferred", "isDataTypeInferred"] if column.calculated else []),
        *([f"formatString: {column.format}"] if column.format else []),
        *([f"displayFolder: {column.folder}"] if column.folder else []),
        f"lineageTag: {derived_id('column', table.name, column.name)}",
        "summarizeBy: none",
        f"sourceColumn: {named}",
        *([f"sortByColumn: {name_of(column.sort_by)}"] if column.sort_by else []),
    ]
    dated = ["", "\t\tannotation UnderlyingDateTimeDataType = Date"] if column.is_date else []
    head = ["", *_described(column.description, 1), f"\tcolumn {name_of(column.name)}"]
    return [*head, *(f"\t\t{fact}" for fact in facts), "", "\t\tannotation SummarizationSetBy = User", *dated]


def _hierarchy(table: Table, hierarchy: Hierarchy) -> list[str]:
    lines = ["", *_described(hierarchy.description, 1), f"\thierarchy {name_of(hierarchy.name)}"]
    lines.append(f"\t\tlineageTag: {derived_id('hierarchy', table.name, hierarchy.name)}")
    for level, column in hierarchy.levels:
        tag = derived_id("level", table.name, hierarchy.name, level)
        lines += ["", f"\t\tlevel {name_of(level)}", f"\t\t\tlineageTag: {tag}", f"\t\t\tcolumn: {name_of(column)}"]
    return lines


def _partition(table: Table, model: Model) -> list[str]:
    kind = "calculated" if table.name in model.calculated else "m"
    mode = model.modes.get(table.name, "import")
    mode = mode if mode in ("directQuery", "dual") else "import"
    head = ["", f"\tpartition {name_of(table.name)} = {kind}", f"\t\tmode: {mode}", "\t\tsource ="]
    return [*head, *_indented(model.queries[table.name], 4)]


def _relationship(one: Relationship) -> str:
    tag = derived_id("relationship", one.table, one.column)
    start, end = (f"{name_of(t)}.{name_of(c)}" for t, c in ((one.table, one.column), (one.to_table, one.to_column)))
    return f"relationship {tag}\n\tfromColumn: {start}\n\ttoColumn: {end}\n"


def _role(role: Role) -> str:
    lines = [*_described(role.description, 0), f"role {name_of(role.name)}", "\tmodelPermission: read", ""]
    for table, dax in role.filters:
        lines.append(f"\ttablePermission {name_of(table)} = {dax}")
    return "\n".join(lines) + "\n"


def _parameter(one: Parameter) -> str:
    value = f"#datetime({one.value}, 0, 0, 0)" if one.kind == "DateTime" else text(one.value)
    meta = f'meta [IsParameterQuery = true, Type = "{one.kind}", IsParameterQueryRequired = true]'
    lines = [
        *_described(one.description, 0),
        f"expression {one.name} = {value} {meta}",
        f"\tlineageTag: {derived_id('parameter', one.name)}",
        "",
        f"\tannotation PBI_ResultType = {one.kind}",
    ]
    return "\n".join(lines) + "\n"


def _described(description: str, depth: int) -> list[str]:
    return [f"{chr(9) * depth}/// {' '.join(description.split())}"] if description else []


def _indented(body: str, depth: int) -> list[str]:
    return ["\t" * depth + line.replace("    ", "\t") if line else "" for line in body.split("\n")]
