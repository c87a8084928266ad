"""The chart fits contracts of another team: services without database, events and mail, many methods and callers."""

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.declarations.service_name import name_problem
from tests.chart.authorization_graph import AuthorizationGraph, Call, Client, Decision
from tests.chart.mesh_kinds import KINDS, is_ours_to_check
from tests.chart.render import CHART, Object, objects, rendered, template
from tests.chart.test_objects import empty_lists

LONG = tuple(f"a_service_whose_name_is_very_very_long{number}" for number in range(6))
WORKLOADS = ("shelf", "order", "items", "items_order", *LONG)
CALLERS: dict[str, list[str]] = {
    **{f"Get{number}": ["edge"] for number in range(150)},
    "OfTwo": ["items", "order"],
    "OfOne": ["items_order"],
    "OfAll": ["*"],
    "OfMany": list(LONG),
}
SERVICE = "meshwright.shelf.v1.ShelfService"


def write_chart(folder: Path) -> Path:
    """Writes the chart as `make generate` would for these contracts, without events, databases and mail."""
    chart = folder / "meshwright"
    shutil.copytree(CHART, chart)
    method = {"kind": "unary", "idempotent": True, "public": False, "timeout": "5s"}
    contracts = {
        name: {f"meshwright.{name}.v1.Service": {"Get": {"callers": ["edge"], **method}}} for name in WORKLOADS
    }
    contracts["shelf"] = {SERVICE: {name: {"callers": callers, **method} for name, callers in CALLERS.items()}}
    files: dict[str, Any] = {"contracts": contracts, "services": {name: {} for name in WORKLOADS}, "events": {}}
    for name, document in files.items():
        (chart / f"{name}.yaml").write_text(yaml.safe_dump(document))
    return chart


@pytest.fixture(scope="module")
def render(tmp_path_factory: pytest.TempPathFactory) -> tuple[Object, ...]:
    """Returns the objects with all default values."""
    done = template(chart=write_chart(tmp_path_factory.mktemp("chart")))
    assert done.returncode == 0, done.stderr
    return objects(done.stdout)


def test_a_cluster_accepts_the_objects(render: tuple[Object, ...]) -> None:
    """No route has more matches than the Gateway API allows, no name is too long or taken twice, and no list is empty:
    a NetworkPolicy that selects a name among none is rejected.
    """
    for each in render:
        if is_ours_to_check(each):
            KINDS[each["kind"]].model_validate(each)
        assert list(empty_lists(each)) == []
    names = Counter((each["kind"], each["metadata"]["name"]) for each in render)
    assert names.most_common(1)[0][1] == 1


def test_the_mesh_allows_the_calls_of_the_contract_only(render: tuple[Object, ...]) -> None:
    """Each method is open to its callers and to nobody else, whatever other names theirs resemble when joined."""
    graph = AuthorizationGraph(render, "shop")
    clients = {name: Client(f"shop/shop-{name.replace('_', '-')}") for name in ("edge", *WORKLOADS)}
    for method, callers in CALLERS.items():
        calls = {
            name: graph.decide(client, graph.pod("shop-shelf"), 9000, Call(SERVICE, method))
            for name, client in clients.items()
        }
        allowed = {name for name, decision in calls.items() if decision is Decision.ALLOWED}
        assert allowed == set(clients if "*" in callers else callers), method


def test_each_method_is_routed_once(render: tuple[Object, ...]) -> None:
    """A method is in one inbound and in one outbound route, even if several routes share the methods of its callers."""
    for kind in ("Server", "Service"):
        routed = Counter(_methods(render, kind))
        assert {name: count for name, count in routed.items() if name in CALLERS} == dict.fromkeys(CALLERS, 1)


def _methods(render: tuple[Object, ...], parent: str) -> Iterator[str]:
    for each in render:
        if each["kind"] == "GRPCRoute" and each["spec"]["parentRefs"][0]["kind"] == parent:
            for rule in each["spec"]["rules"]:
                yield from (
                    match["method"].get("method", "")
                    for match in rule.get("matches", ())
                    if match["method"]["service"] == SERVICE
                )


@pytest.mark.parametrize("server", ["postgres", "nats", "rabbitmq", "mail"])
def test_a_trial_server_without_users_is_left_out(render: tuple[Object, ...], server: str) -> None:
    """A server that no service uses is not installed, nor is what belongs to it."""
    named = {each["metadata"]["name"] for each in render}
    assert f"shop-{server}" not in named
    assert "shop-provisioner" not in named


def test_a_service_that_is_left_out_takes_its_mail_server_along() -> None:
    """The only service that sends mail can be disabled: a NetworkPolicy for no client would be rejected."""
    done = template("--set=services.notifications.enabled=false")
    assert done.returncode == 0, done.stderr
    assert [path for each in objects(done.stdout) for path in empty_lists(each)] == []


def test_no_service_can_have_the_name_of_another_object() -> None:
    """The objects of a service have its name, so a name that another object of such a kind has is rejected."""
    default = {(each["kind"], each["metadata"]["name"].removeprefix("shop-")) for each in rendered("default")}
    kinds = {kind for kind, name in default if name == "orders"}
    services = {name for kind, name in default if kind == "Deployment"}
    others = {name for kind, name in default if kind in kinds} - services
    assert others >= {"ops", "proxy", "operator", "postgres", "nats"}
    for name in others:
        assert name_problem(name), name


@pytest.mark.parametrize("name", ["all", "operators"])
def test_no_service_can_have_the_name_of_a_group_of_callers(name: str) -> None:
    """A route is named by its callers: shop-orders-from-all is that of all workloads."""
    assert name_problem(name)
