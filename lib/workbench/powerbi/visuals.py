"""Visuals as PBIR holds them: what is bound to which role, a title, an alternative text, a place on page and phone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.powerbi.measures import MEASURES

SCHEMAS = "https://developer.microsoft.com/json-schemas/fabric/item/report/definition"
_CONTAINER = f"{SCHEMAS}/visualContainer/2.9.0/schema.json"
_PHONE = f"{SCHEMAS}/visualContainerMobileState/2.4.0/schema.json"


@dataclass(frozen=True)
class Field:
    """A measure, or a column of a table. ``shown`` is another name for it."""

    table: str
    name: str
    is_measure: bool = False
    shown: str = ""

    def expression(self) -> dict[str, Any]:
        what = "Measure" if self.is_measure else "Column"
        return {what: {"Expression": {"SourceRef": {"Entity": self.table}}, "Property": self.name}}

    @property
    def reference(self) -> str:
        return f"{self.table}.{self.name}"


@dataclass(frozen=True)
class Visual:
    """One visual. ``place`` is x, y, width, height on the page; ``phone`` the height on the phone, 0 for none.

    ``link`` is what a press on it does, as Power BI calls it.
    """

    name: str
    kind: str
    title: str
    alt: str
    place: tuple[int, int, int, int]
    roles: Mapping[str, Sequence[Field]] = field(default_factory=dict)
    phone: int = 0
    objects: Mapping[str, Any] = field(default_factory=dict)
    sort: tuple[Field, str] | None = None
    link: str = ""

    def fields(self) -> list[Field]:
        """Everything it shows."""
        return [one for fields in self.roles.values() for one in fields]


def measure(name: str, shown: str = "") -> Field:
    return Field(MEASURES, name, is_measure=True, shown=shown)


def column(table: str, name: str, shown: str = "") -> Field:
    return Field(table, name, shown=shown)


def literal(value: str | int | float | bool) -> dict[str, Any]:
    """A constant as PBIR writes it.

    >>> literal("Sotheby's")["expr"]["Literal"]["Value"], literal(2.5)["expr"]["Literal"]["Value"]
    ("'Sotheby''s'", '2.5D')
    """
    if isinstance(value, bool):
        written = "true" if value else "false"
    elif isinstance(value, str):
        written = "'" + value.replace("'", "''") + "'"
    else:
        written = f"{value}L" if isinstance(value, int) else f"{value}D"
    return {"expr": {"Literal": {"Value": written}}}


def colour(value: str) -> dict[str, Any]:
    return {"solid": {"color": literal(value)}}


def container(visual: Visual, number: int) -> dict[str, Any]:
    """The visual's ``visual.json``; ``number`` is its turn with the tab key."""
    x, y, width, height = visual.place
    title: dict[str, Any] = {"show": literal(bool(visual.title))}
    if visual.title:
        title["text"] = literal(visual.title)
    shown: dict[str, Any] = {"visualType": visual.kind}
    if visual.roles:
        shown["query"] = _query(visual)
    if visual.objects:
        shown["objects"] = dict(visual.objects)
    shown["visualContainerObjects"] = {
        "general": [{"properties": {"altText": literal(visual.alt)}}],
        "title": [{"properties": title}],
    }
    if visual.link:
        pressed = {"show": literal(True), "type": literal(visual.link)}
        shown["visualContainerObjects"]["visualLink"] = [{"properties": pressed}]
    shown["drillFilterOtherVisuals"] = True
    position = {"x": x, "y": y, "z": number, "width": width, "height": height, "tabOrder": number}
    return {"$schema": _CONTAINER, "name": visual.name, "position": position, "visual": shown}


def on_phone(visual: Visual, y: int, number: int, *, width: int) -> dict[str, Any]:
    """The visual's ``mobile.json``: below the one before it, as wide as the phone."""
    position = {"x": 0, "y": y, "z": number, "width": width, "height": visual.phone, "tabOrder": number}
    return {"$schema": _PHONE, "position": position}


def one_value(field_: Field, value: str) -> dict[str, Any]:
    """A slicer's choice when the report is opened."""
    source = {"Column": {"Expression": {"SourceRef": {"Source": "t"}}, "Property": field_.name}}
    chosen = {"In": {"Expressions": [source], "Values": [[literal(value)["expr"]]]}}
    where = {"Version": 2, "From": [{"Name": "t", "Entity": field_.table, "Type": 0}], "Where": [{"Condition": chosen}]}
    return {"filter": {"filter": where}}


def _query(visual: Visual) -> dict[str, Any]:
    state = {role: {"projections": [_projection(one) for one in fields]} for role, fields in visual.roles.items()}
    query: dict[str, Any] = {"queryState": state}
    if visual.sort:
        by, direction = visual.sort
        query["sortDefinition"] = {
            "sort": [{"field": by.expression(), "direction": direction}],
            "isDefaultSort": False,
        }
    return query


def _projection(one: Field) -> dict[str, Any]:
    found: dict[str, Any] = {"field": one.expression(), "queryRef": one.reference, "nativeQueryRef": one.name}
    if one.shown:
        found["displayName"] = one.shown
    if not one.is_measure:
        found["active"] = True
    return found
