"""The dbt project keeps its rules, and each rule finds what breaks it."""

import copy
import json
from collections.abc import Callable
from typing import Any

import manifest_rules as rules
import pytest
from landed import settings_in

from stocklib.warehouse import open_warehouse


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> rules.Manifest:
    settings = settings_in(tmp_path_factory.mktemp("manifest"))
    warehouse = open_warehouse(settings)
    assert warehouse.dbt(["parse"], quiet=False).success
    path = next((settings.home / "warehouse" / "dbt").glob("*/target/manifest.json"))
    return dict(json.loads(path.read_text()))


def model(manifest: rules.Manifest, name: str) -> Any:
    return manifest["nodes"][f"model.stocks.{name}"]


def reads(manifest: rules.Manifest, name: str, parent: str) -> None:
    model(manifest, name)["depends_on"]["nodes"].append(parent)


def untest(manifest: rules.Manifest, name: str, kind: str) -> None:
    for test in manifest["nodes"].values():
        if test.get("attached_node") == f"model.stocks.{name}" and test["test_metadata"]["name"] == kind:
            test["attached_node"] = None


def chain(manifest: rules.Manifest) -> None:
    for view in ("gold_kpi", "gold_treechart", "fact_stock_performance", "fact_daily_stock_quotes"):
        model(manifest, view)["config"]["materialized"] = "view"
    reads(manifest, "fact_daily_stock_quotes", "model.stocks.int_company_actions")


def spread(manifest: rules.Manifest) -> None:
    """Four copies of a model that nothing reads."""
    for number in range(4):
        leaf = copy.deepcopy(model(manifest, "dim_date")) | {"unique_id": f"leaf{number}", "name": f"dim_{number}"}
        manifest["nodes"][f"leaf{number}"] = leaf


MUTANTS: list[tuple[rules.Rule, Callable[[rules.Manifest], Any], str]] = [
    (rules.names, lambda m: model(m, "gold_kpi").update(name="kpi"), "kpi does not begin"),
    (rules.names, lambda m: model(m, "gold_kpi").update(schema="silver"), "gold_kpi is in models/gold/"),
    (
        rules.sources,
        lambda m: reads(m, "gold_kpi", "source.stocks.raw.trading_sessions"),
        "gold_kpi of gold reads the source trading_sessions",
    ),
    (
        rules.sources,
        lambda m: reads(m, "stg_stock_trades_raw", "source.stocks.raw.stock_quotes"),
        "stg_stock_trades_raw reads 2 sources",
    ),
    (
        rules.sources,
        lambda m: reads(m, "stg_stock_trades_raw", "source.stocks.raw.stock_quotes"),
        "raw.stock_quotes is read by stg_stock_quotes_raw, stg_stock_trades_raw",
    ),
    (
        rules.layers,
        lambda m: reads(m, "gold_kpi", "model.stocks.stg_stock_quotes_raw"),
        "gold_kpi of gold reads stg_stock_quotes_raw of bronze",
    ),
    (
        rules.layers,
        lambda m: reads(m, "int_daily_bars", "model.stocks.gold_kpi"),
        "int_daily_bars of silver reads gold_kpi of gold",
    ),
    (
        rules.named_tables,
        lambda m: model(m, "gold_kpi").update(raw_code="select * from silver.int_daily_bars"),
        "gold_kpi names silver.int_daily_bars itself",
    ),
    (rules.descriptions, lambda m: model(m, "gold_kpi").update(description="Prices."), "gold_kpi does not end"),
    (
        rules.descriptions,
        lambda m: model(m, "gold_kpi")["columns"]["as_of"].update(description=" "),
        "gold_kpi.as_of is not described",
    ),
    (rules.descriptions, lambda m: model(m, "gold_kpi").update(columns={}), "gold_kpi describes no column"),
    (
        rules.descriptions,
        lambda m: m["exposures"]["exposure.stocks.power_bi"].update(description=""),
        "power_bi is not described",
    ),
    (rules.tests, lambda m: untest(m, "gold_kpi", "unique_combination"), "the key of gold_kpi is not tested"),
    (rules.tests, lambda m: untest(m, "gold_kpi", "always"), "nothing is always true of gold_kpi"),
    (
        rules.contracts,
        lambda m: model(m, "gold_kpi")["config"]["contract"].update(enforced=False),
        "the contract of gold_kpi is not enforced",
    ),
    (
        rules.contracts,
        lambda m: model(m, "gold_kpi")["columns"]["as_of"].update(data_type=None),
        "gold_kpi.as_of has no type",
    ),
    (rules.unused, lambda m: m["exposures"].clear(), "nothing reads gold_treechart"),
    (rules.fan_out, spread, "dim_stock_symbols ends in 4 models"),
    (rules.chained_views, chain, "is the last of"),
]


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps_the_rule(rule: rules.Rule, manifest: rules.Manifest) -> None:
    assert list(rule(manifest)) == []


@pytest.mark.parametrize(("rule", "break_it", "said"), MUTANTS, ids=[f"{m[0].__name__}-{m[2]}" for m in MUTANTS])
def test_a_rule_finds_what_breaks_it(
    rule: rules.Rule, break_it: Callable[[rules.Manifest], Any], said: str, manifest: rules.Manifest
) -> None:
    mutant = copy.deepcopy(manifest)
    break_it(mutant)
    assert any(said in sentence for sentence in rule(mutant)), list(rule(mutant))


def test_every_rule_has_a_mutant() -> None:
    assert {rule for rule, _, _ in MUTANTS} == set(rules.RULES)


def test_every_exception_is_needed(manifest: rules.Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    for rule in (rules.layers, rules.unused):
        names = rules.ALLOWED[rule.__name__]
        with monkeypatch.context() as patch:
            patch.setitem(rules.ALLOWED, rule.__name__, set())
            found = " ".join(rule(manifest))
        assert all(name in found for name in names), rule.__name__
