"""Alerts and the dashboard ask for what our processes measure."""

import json
import re
from collections.abc import Iterator

import promql_parser as promql
import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from edge.http import access_record as observation
from mesh.events import metrics as events
from mesh.telemetry import metrics as calls
from tests.chart.render import CHART

# Labels that a scrape adds: the location of the process, and the bounds of a histogram.
SCRAPED = {"namespace", "pod", "workload", "le"}
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}

ALERTS = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
DASHBOARD = json.loads((CHART / "files" / "dashboard.json").read_text())
EXPRESSIONS = {alert["alert"]: alert["expr"] for alert in ALERTS} | {
    f"{panel['title']} {target['refId']}": target["expr"].replace("$__rate_interval", "5m")
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
}


def measured() -> dict[str, set[str]]:
    """The series of our processes, and their labels."""
    made = [each for module in (calls, events, observation) for each in vars(module).values()]
    found: dict[str, set[str]] = {}
    for metric in (each for each in made if isinstance(each, MetricWrapperBase)):
        [described] = metric.describe()
        for suffix in SUFFIXES[described.type]:
            found[described.name + suffix] = {*metric._labelnames}
    return found


def parts(expression: promql.Expr) -> Iterator[promql.Expr]:
    """An expression and all that it is made of."""
    yield expression
    inner = [getattr(expression, name, None) for name in ("lhs", "rhs", "expr", "vector_selector")]
    for each in [*inner, *getattr(expression, "args", ())]:
        if each is not None:
            yield from parts(each)


@pytest.mark.parametrize("text", EXPRESSIONS.values(), ids=list(EXPRESSIONS))
def test_an_expression_finds_series(text: str) -> None:
    """Each expression is valid PromQL, and uses only series and labels that exist."""
    known = measured()
    found = list(parts(promql.parse(text)))
    selectors = [each for each in found if isinstance(each, promql.VectorSelector)]
    assert selectors
    labels = {label for each in selectors for label in known[each.name or ""]} | SCRAPED
    asked = {matcher.name for each in selectors for matcher in each.matchers.matchers}
    for each in found:
        if isinstance(each, promql.AggregateExpr) and each.modifier is not None:
            asked |= set(each.modifier.labels)
    assert asked <= labels


@pytest.mark.parametrize("alert", ALERTS, ids=[alert["alert"] for alert in ALERTS])
def test_an_alert_has_a_remedy(alert: dict[str, dict[str, str]]) -> None:
    """An alert has a sentence for the person on call, uses existing labels, and is in the operators' documentation."""
    operations = (CHART.parents[1] / "docs" / "operations.md").read_text()
    assert f"| {alert['alert']} |" in operations
    assert alert["labels"]["severity"] in {"page", "ticket"}
    [aggregated] = {
        tuple(each.modifier.labels)
        for each in parts(promql.parse(str(alert["expr"])))
        if isinstance(each, promql.AggregateExpr) and each.modifier is not None
    }
    assert set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["description"])) <= set(aggregated)
