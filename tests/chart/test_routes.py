"""Each method has one inbound route and at most one outbound route, and is retried only where that is safe."""

from collections.abc import Iterator
from math import ceil

import pytest

from tests.chart.contracts import METHODS, Method
from tests.chart.mesh_kinds import Delivery, GRPCRoute, ServerRef, ServiceRef
from tests.chart.render import rendered

ROUTES = [GRPCRoute.model_validate(each) for each in rendered("default") if each["kind"] == "GRPCRoute"]
each_method = pytest.mark.parametrize("method", METHODS, ids=[f"{method.service}/{method.name}" for method in METHODS])


def routes_of(method: Method, *, inbound: bool) -> Iterator[GRPCRoute]:
    """The routes that name a method, one for each time they do."""
    for route in ROUTES:
        if route.spec.inbound is inbound:
            for match in (match for rule in route.spec.rules for match in rule.matches or ()):
                if (match.method.service, match.method.method) in {
                    (method.service, method.name),
                    (method.service, None),
                }:
                    yield route


def milliseconds_of(duration: str) -> int:
    """Reads a duration in whole seconds or in whole milliseconds: Linkerd accepts no fractions."""
    return int(duration.removesuffix("ms")) if duration.endswith("ms") else int(duration.removesuffix("s")) * 1000


@each_method
def test_a_method_is_routed_once_inbound(method: Method) -> None:
    """Each method has exactly one inbound route: of two only the older counts, without one the method is not found."""
    (route,) = routes_of(method, inbound=True)
    assert route.spec.parentRefs == [
        ServerRef(group="policy.linkerd.io", kind="Server", name=f"shop-{method.workload}")
    ]


@each_method
def test_a_method_is_routed_once_outbound(method: Method) -> None:
    """Each method has one outbound route with the contract's timeout; it retries only idempotent methods."""
    (route,) = routes_of(method, inbound=False)
    (parent,) = route.spec.parentRefs
    assert parent == ServiceRef(group="core", kind="Service", name=f"shop-{method.workload}", port=9000)
    delivery = route.metadata.annotations or Delivery.model_validate({})
    assert (delivery.retried_codes is not None) is method.repeatable
    assert milliseconds_of(delivery.timeout or "") == ceil((method.timeout_s or 0) * 1000)


@pytest.mark.parametrize("workload", sorted({method.workload for method in METHODS}))
def test_other_calls_are_delivered_as_they_are(workload: str) -> None:
    """A Service with routes refuses what none matches: health and reflection have one, without retries."""
    name = f"shop-{workload}"
    outbound = [route for route in ROUTES if route.spec.parentRefs[0].name == name and not route.spec.inbound]
    (other,) = (route for route in outbound if any(rule.matches is None for rule in route.spec.rules))
    assert other.metadata.annotations is None
    for route in outbound:
        for rule in route.spec.rules:
            assert [(backend.name, backend.port) for backend in rule.backendRefs or ()] == [(name, 9000)]


def test_no_route_names_what_no_contract_has() -> None:
    """Every method that is routed exists, or is an operator's."""
    known = {(method.service, method.name) for method in METHODS}
    for route in ROUTES:
        for match in (match for rule in route.spec.rules for match in rule.matches or ()):
            assert (match.method.service, match.method.method) in known or match.method.service.startswith("grpc.")
