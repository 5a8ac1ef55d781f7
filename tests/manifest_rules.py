"""Rules of the dbt project, checked on its manifest: what `dbt-project-evaluator` asks, without its package.

Each rule takes the manifest and yields a sentence for each thing that breaks it. An exception stands in ``ALLOWED``
with its reason.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

Manifest = dict[str, Any]
Rule = Callable[[Manifest], Iterator[str]]

PREFIXES = {
    "bronze": ("stg_",),
    "silver": ("stg_", "int_", "dim_", "quarantined_", "suspect_"),
    "gold": ("dim_", "fact_", "gold_"),
}
# the layers whose models a layer may name; seeds belong to silver
READS = {"bronze": set[str](), "silver": {"bronze", "silver", "raw"}, "gold": {"silver", "gold"}}
ALLOWED = {
    # the calendar is our own table: silver has nothing to clean in it
    "layers": {"stg_trading_sessions"},
    # people read them to see what was refused, and why
    "unused": {
        "quarantined_actions",
        "quarantined_candles",
        "quarantined_profiles",
        "quarantined_quotes",
        "quarantined_trades",
    },
}
# as many as dbt-project-evaluator allows by default
MOST_LEAVES, MOST_CHAINED_VIEWS = 3, 4
_NAMED_TABLE = re.compile(r"\b(?:from|join)\s+((?:raw|bronze|silver|gold)\.\w+)", re.IGNORECASE)


def models(manifest: Manifest) -> list[Any]:
    return [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]


def parents(manifest: Manifest, node: Any, kind: str) -> list[Any]:
    """The direct parents of a node: ``model``, ``seed`` or ``source``."""
    every = {**manifest["nodes"], **manifest["sources"]}
    return [every[name] for name in node["depends_on"]["nodes"] if every[name]["resource_type"] == kind]


def children(manifest: Manifest, node: Any) -> list[Any]:
    others = [*models(manifest), *manifest["exposures"].values()]
    return [other for other in others if node["unique_id"] in other["depends_on"]["nodes"]]


def names(manifest: Manifest) -> Iterator[str]:
    """A model stands in the folder of its schema, and its prefix is one of its layer's."""
    for node in models(manifest):
        if node["schema"] not in PREFIXES or not node["original_file_path"].startswith(f"models/{node['schema']}/"):
            yield f"{node['name']} is in {node['original_file_path']}, and its schema is {node['schema']}"
        elif not node["name"].startswith(PREFIXES[node["schema"]]):
            yield f"{node['name']} does not begin with one of {PREFIXES[node['schema']]}"


def sources(manifest: Manifest) -> Iterator[str]:
    """Only bronze reads sources, each model one, and each source is read by one model."""
    read: dict[str, list[str]] = {name: [] for name in manifest["sources"]}
    for node in models(manifest):
        found = parents(manifest, node, "source")
        for source in found:
            read[source["unique_id"]].append(node["name"])
        if found and node["schema"] != "bronze":
            yield f"{node['name']} of {node['schema']} reads the source {found[0]['name']}"
        if len(found) != 1 and node["schema"] == "bronze":
            yield f"{node['name']} reads {len(found)} sources"
    for name, readers in read.items():
        if len(readers) > 1:
            yield f"{name} is read by {', '.join(sorted(readers))}"


def layers(manifest: Manifest) -> Iterator[str]:
    """A model names models of its own layer or of the one below."""
    for node in models(manifest):
        for parent in [*parents(manifest, node, "model"), *parents(manifest, node, "seed")]:
            if parent["schema"] not in READS.get(node["schema"], ()) and parent["name"] not in ALLOWED["layers"]:
                yield f"{node['name']} of {node['schema']} reads {parent['name']} of {parent['schema']}"


def named_tables(manifest: Manifest) -> Iterator[str]:
    """A model names tables by ``ref`` and ``source``, so that dbt knows the order."""
    for node in models(manifest):
        for found in _NAMED_TABLE.findall(node["raw_code"]):
            yield f"{node['name']} names {found} itself"


def descriptions(manifest: Manifest) -> Iterator[str]:
    """Every model, column, source and exposure is described, and a model's description ends with its grain."""
    for node in models(manifest):
        if "One row per" not in node["description"].split(". ")[-1]:
            yield f"the description of {node['name']} does not end with its grain"
        for column in node["columns"].values():
            if not column["description"].strip():
                yield f"{node['name']}.{column['name']} is not described"
        if not node["columns"]:
            yield f"{node['name']} describes no column"
    for node in [*manifest["sources"].values(), *manifest["exposures"].values()]:
        if not node["description"].strip():
            yield f"{node['name']} is not described"


def tests(manifest: Manifest) -> Iterator[str]:
    """Every model has a test of its key, and every table of gold one of what is always true of it."""
    found: dict[str, set[str]] = {}
    for test in manifest["nodes"].values():
        if test["resource_type"] == "test" and test["test_metadata"]:
            found.setdefault(test["attached_node"], set()).add(test["test_metadata"]["name"])
    for node in models(manifest):
        kinds = found.get(node["unique_id"], set())
        if "unique_combination" not in kinds:
            yield f"the key of {node['name']} is not tested"
        if node["schema"] == "gold" and "always" not in kinds:
            yield f"nothing is always true of {node['name']}"


def contracts(manifest: Manifest) -> Iterator[str]:
    """Gold's contracts are enforced, with a type for each column."""
    for node in models(manifest):
        if node["schema"] == "gold":
            if not node["config"]["contract"]["enforced"]:
                yield f"the contract of {node['name']} is not enforced"
            for column in node["columns"].values():
                if not column["data_type"]:
                    yield f"{node['name']}.{column['name']} has no type"


def unused(manifest: Manifest) -> Iterator[str]:
    """Another model or an exposure reads each model."""
    for node in models(manifest):
        if not children(manifest, node) and node["name"] not in ALLOWED["unused"]:
            yield f"nothing reads {node['name']}"


def fan_out(manifest: Manifest) -> Iterator[str]:
    """A model has few direct children that no model reads: shared work belongs into one of them."""
    for node in models(manifest):
        below = [child for child in children(manifest, node) if child["resource_type"] == "model"]
        leaves = sorted(child["name"] for child in below if not children(manifest, child))
        if len(leaves) > MOST_LEAVES:
            yield f"{node['name']} ends in {len(leaves)} models: {', '.join(leaves)}"


def chained_views(manifest: Manifest) -> Iterator[str]:
    """Views over views are few: each query computes them all."""

    def depth(node: Any) -> int:
        if node["config"]["materialized"] != "view":
            return 0
        return 1 + max((depth(parent) for parent in parents(manifest, node, "model")), default=0)

    for node in models(manifest):
        if depth(node) > MOST_CHAINED_VIEWS:
            yield f"{node['name']} is the last of {depth(node)} views"


RULES: tuple[Rule, ...] = (
    names,
    sources,
    layers,
    named_tables,
    descriptions,
    tests,
    contracts,
    unused,
    fan_out,
    chained_views,
)
