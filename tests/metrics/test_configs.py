"""The dashboard and the alerts speak of metrics that there are, and Prometheus takes them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from nodeorch.api.catalogue import CATALOGUE
from nodeorch.model.view import STATES
from tests.metrics.prometheus import CONFIGS, needs_prometheus, promtool

RULES = CONFIGS / "prometheus" / "nodeorch.rules.yml"
DASHBOARD = CONFIGS / "grafana" / "nodeorch.json"
PLAYED = Path(__file__).with_name("alerts.test.yml")

KNOWN = {name for family in CATALOGUE for name in family.samples}
LABELS = {"nodeorch_workload_state"}
"""A state set has its own name as a label."""


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def queries() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel.get("targets", ())]


@pytest.mark.parametrize("path", [RULES, DASHBOARD, PLAYED], ids=lambda path: path.name)
def test_every_metric_that_is_named_exists(path: Path) -> None:
    named = set(re.findall(r"\bnodeorch_\w+", path.read_text()))
    assert len(named) > 10
    assert named - LABELS <= KNOWN


def test_every_label_that_is_asked_for_exists() -> None:
    from_prometheus = {"le", "instance", "job", *LABELS}
    known = from_prometheus | {label for family in CATALOGUE for label in family.labels}
    for text in (*queries(), RULES.read_text()):
        inside = re.findall(r"(\w+)\s*(?:=~|!=|!~|=)\s*\\?\"", text)
        grouped = re.findall(r"(?:by|on) \(([^)]*)\)", text)
        assert {*inside, *(label.strip() for g in grouped for label in g.split(","))} <= known


def test_every_state_that_is_named_exists() -> None:
    for words in re.findall(r'nodeorch_workload_state=~?"([^"]*)"', RULES.read_text()):
        assert set(words.split("|")) <= set(STATES)


def test_every_alert_is_played_and_says_what_to_do() -> None:
    alerts = re.findall(r"alert: (\w+)\n(.*?)(?=\n\n|\Z)", RULES.read_text(), re.S)
    assert len(alerts) >= 15
    for name, text in alerts:
        assert f'alertname="{name}",alertstate="firing"' in PLAYED.read_text()
        for part in ("severity: ", "summary: ", "description: "):
            assert part in text, name


def test_the_dashboard_hangs_together() -> None:
    shown = panels()
    assert len({panel["id"] for panel in shown}) == len(shown)
    assert len({panel["title"] for panel in shown if panel["type"] == "row"}) >= 4
    taken: set[tuple[int, int]] = set()
    for panel in shown:
        at = panel["gridPos"]
        cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells)
        taken |= cells
        assert panel["type"] == "row" or panel["targets"]


@needs_prometheus
def test_prometheus_takes_the_configuration() -> None:
    assert "SUCCESS" in promtool("check", "config", CONFIGS / "prometheus" / "prometheus.yml")


@needs_prometheus
def test_each_alert_fires_for_what_it_is_made_for() -> None:
    assert "SUCCESS" in promtool("test", "rules", PLAYED)


@needs_prometheus
def test_the_queries_of_the_dashboard_are_queries(tmp_path: Path) -> None:
    """Given as rules, because promtool parses those."""
    rules = [
        {"record": f"q{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(queries())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", file)
