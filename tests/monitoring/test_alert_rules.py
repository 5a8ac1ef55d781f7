"""The alert rules: Prometheus takes them, each fires when it should and not otherwise, and the metrics are there."""

import re
import shutil
import subprocess

import pytest
import yaml
from mirrors import ROOT

from stocklib.monitoring.prometheus import METRICS

RULES = ROOT / "monitoring" / "rules.yml"
CASES = ROOT / "monitoring" / "rules_test.yml"


@pytest.mark.parametrize(
    "arguments", [["check", "rules", RULES], ["test", "rules", CASES]], ids=["are valid", "fire when they should"]
)
def test_the_alert_rules(arguments: list[str]) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not on PATH: apt-get install prometheus")
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_every_rule_has_a_case_in_which_it_fires() -> None:
    rules = {rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}
    cases = [case for test in yaml.safe_load(CASES.read_text())["tests"] for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == rules


def test_every_metric_of_a_rule_or_a_case_is_one_that_processes_give_and_is_in_the_docs() -> None:
    given = {metric["name"] for metric in METRICS}
    docs = (ROOT / "docs" / "health.md").read_text()
    for path in (RULES, CASES):
        named = set(re.findall(r"\bstocks_\w+", path.read_text()))
        assert named
        assert named <= given
    assert {name for name in given if f"`{name}" not in docs} == set()


def test_the_docs_show_the_rules_as_they_are() -> None:
    assert f"```yaml\n{RULES.read_text()}```" in (ROOT / "docs" / "health.md").read_text()
