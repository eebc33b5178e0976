"""What stands in deploy/ fits the node: metrics that exist, rules and units that their own tools accept."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from node.metrics import METRICS

DEPLOY = Path(__file__).parent.parent / "deploy"
SHOWN = {f"{metric.name}_total" if metric.counts else metric.name for metric in METRICS}
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
EXPOSURE_MAX = 3.0

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def expressions() -> list[str]:
    """Return what rules and dashboards ask Prometheus."""
    found = re.findall(r"^ +expr: (.*)$", (DEPLOY / "prometheus" / "rules.yml").read_text("utf-8"), re.MULTILINE)
    for path in DASHBOARDS:
        board = json.loads(path.read_text("utf-8"))
        found += [target["expr"] for panel in board["panels"] for target in panel["targets"]]
        found += [each["query"] for each in board["templating"]["list"]]
    return found


def test_only_metrics_that_exist_are_asked_for() -> None:
    """In rules and dashboards; the labels that they tell apart by exist, too."""
    labels = {name: metric.labels for metric in METRICS for name in (metric.name, f"{metric.name}_total")}
    asked = expressions()
    assert len(DASHBOARDS) == 2 and len(asked) > 40
    for expression in asked:
        for name, selector in re.findall(r"(saltern_\w+)(?:\{([^}]*)\})?", expression):
            assert name in SHOWN, expression
            used = set(re.findall(r"(\w+)\s*=", selector)) - {"instance", "job"}
            assert used <= set(labels[name]), expression


def test_legends_name_labels_that_exist() -> None:
    """Of the metric that is drawn, and after a sum those that it keeps."""
    labels = {name: metric.labels for metric in METRICS for name in (metric.name, f"{metric.name}_total")}
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text("utf-8"))["panels"]:
            for target in panel["targets"]:
                (name,) = re.findall(r"saltern_\w+", target["expr"])
                kept = re.findall(r"by \(([\w, ]+)\)", target["expr"])
                known = kept[0].split(", ") if kept else labels[name]
                assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= set(known), target


def test_each_dashboard_has_places_and_names_of_its_own() -> None:
    for path in DASHBOARDS:
        board = json.loads(path.read_text("utf-8"))
        ids = [panel["id"] for panel in board["panels"]]
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
        assert len(set(ids)) == len(set(places)) == len(ids)


@needs_promtool
def test_prometheus_takes_the_rules_and_their_tests_pass() -> None:
    """Each rule has a test in which it fires, and one in which it does not."""
    rules, tests = DEPLOY / "prometheus" / "rules.yml", DEPLOY / "prometheus" / "rules.test.yml"
    assert "SUCCESS" in run("promtool", "check", "rules", str(rules))
    assert "SUCCESS" in run("promtool", "test", "rules", str(tests))
    names = set(re.findall(r"alert: (\w+)", rules.read_text("utf-8")))
    fired = set(re.findall(r"alertname: (\w+)\n +exp_alerts:\n", tests.read_text("utf-8")))
    quiet = set(re.findall(r"alertname: (\w+)\n +exp_alerts: \[\]\n", tests.read_text("utf-8")))
    assert fired == quiet == names


def test_each_alarm_is_told_in_both_languages() -> None:
    """In one line, with the node that it is about."""
    told = re.findall(r'^ +summary: "(.*)"$', (DEPLOY / "prometheus" / "rules.yml").read_text("utf-8"), re.MULTILINE)
    assert len(told) >= 30
    for summary in told:
        assert re.fullmatch(r".*[一-鿿].*[。：].*[A-Za-z].* \S*\{\{ \$labels\.instance \}\}", summary), summary


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_are_hardened(unit: Path) -> None:
    """The exposure level as systemd itself has it: 0 is best, 10 worst."""
    said = run("systemd-analyze", "security", "--offline=true", "--no-pager", str(unit))
    level = re.search(r"Overall exposure level for .*: ([0-9.]+)", said)
    assert level is not None and float(level[1]) < EXPOSURE_MAX
