"""The calls that the rendered mesh permits are those of the contracts and the code, and a wrong policy is detected."""

import copy
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.chart.authorization_graph import (
    PROXY_METRICS_PORT,
    AuthorizationGraph,
    Call,
    Client,
    Connection,
    Decision,
    Pod,
    Request,
)
from tests.chart.contracts import EDGE, METHODS, SERVICES, WORKLOADS, calls_in_code
from tests.chart.render import Object, rendered

NAMESPACE = "shop"
GRPC_PORT, OPS_PORT, HTTP_PORT = 9000, 9090, 8080
PROMETHEUS = Client("linkerd-viz/prometheus", "10.42.0.9")
OPERATOR = Client("shop/shop-operator")
UNMESHED = Client(None)
OPERATORS_CALLS = [
    Call("grpc.health.v1.Health", "Check"),
    Call("grpc.health.v1.Health", "Watch"),
    Call("grpc.reflection.v1.ServerReflection", "ServerReflectionInfo"),
    Call("grpc.reflection.v1alpha.ServerReflection", "ServerReflectionInfo"),
]
OTHERS = {
    "an operator": OPERATOR,
    "Prometheus": PROMETHEUS,
    "a namesake in another namespace": Client("elsewhere/shop-edge"),
    "who is not in the mesh": UNMESHED,
}
TRIAL_SERVERS = {"postgres": (5432, "DATABASE_URL"), "nats": (4222, "BROKER_URL"), "mail": (8026, "SMTP_URL")}


def pod_of(graph: AuthorizationGraph, workload: str) -> Pod:
    """The pods of a workload of the release."""
    return graph.pod(f"shop-{workload}")


def clients(graph: AuthorizationGraph) -> dict[str, Client]:
    """Everyone who might call, by name: those of the release as the ServiceAccounts that their pods have."""
    accounts = {name: Client(pod_of(graph, name).account) for name in (*sorted(WORKLOADS), *TRIAL_SERVERS)}
    return {**accounts, **OTHERS}


def disagreements(objects: tuple[Object, ...]) -> list[str]:
    """Returns one sentence for each call that the rendered mesh wrongly permits or denies."""
    graph = AuthorizationGraph(objects, NAMESPACE)
    parts = (_methods, _operators, _probes, _metrics, _edge, _trial_servers, _overlaps)
    return [sentence for part in parts for sentence in part(graph)]


def _methods(graph: AuthorizationGraph) -> Iterator[str]:
    """Each method is open to the callers of its contract and to nobody else."""
    for method, (name, client) in itertools.product(METHODS, clients(graph).items()):
        pod = pod_of(graph, method.workload)
        decision = graph.decide(client, pod, GRPC_PORT, Call(method.service, method.name))
        expected = Decision.ALLOWED if name in method.callers else Decision.DENIED
        if decision is not expected:
            yield f"{name} calls {method.service}/{method.name}: {decision.value}, not {expected.value}"


def _operators(graph: AuthorizationGraph) -> Iterator[str]:
    """grpcurl works for operators, and health and descriptors are nobody else's business."""
    for service, call, (name, client) in itertools.product(SERVICES, OPERATORS_CALLS, clients(graph).items()):
        decision = graph.decide(client, pod_of(graph, service), GRPC_PORT, call)
        if decision is not (Decision.ALLOWED if client is OPERATOR else Decision.DENIED):
            yield f"{name} calls {call.service} of {service}: {decision.value}"


def _probes(graph: AuthorizationGraph) -> Iterator[str]:
    """Every probe gets through from the node, which is not in the mesh, and proves something."""
    for pod in graph.pods:
        for kind, probe in pod.probes():
            if "exec" in probe:
                continue
            if "httpGet" not in probe:
                yield f"{kind} of {pod.name} is neither HTTP nor a command"
                continue
            port = pod.ports[probe["httpGet"]["port"]]
            path = probe["httpGet"]["path"]
            decision = graph.decide(Client(None, "192.168.0.1"), pod, port, Request(path))
            if decision is not Decision.ALLOWED:
                yield f"{kind} of {pod.name} at {path}: {decision.value}"
        for path in ("/live", "/ready"):
            if graph.decide(UNMESHED, pod, PROXY_METRICS_PORT, Request(path)) is not Decision.ALLOWED:
                yield f"the probe {path} of the proxy of {pod.name} fails"


def _metrics(graph: AuthorizationGraph) -> Iterator[str]:
    """Prometheus, and nobody else, scrapes every process and every proxy."""
    scrapes = [(pod, PROXY_METRICS_PORT) for pod in graph.pods]
    scrapes += [(pod, OPS_PORT) for pod in graph.pods if "ops" in pod.ports]
    for (pod, port), (name, client) in itertools.product(scrapes, clients(graph).items()):
        decision = graph.decide(client, pod, port, Request("/metrics"))
        if (decision is Decision.ALLOWED) is not (client is PROMETHEUS):
            yield f"{name} scrapes {pod.name}:{port}: {decision.value}"


def _edge(graph: AuthorizationGraph) -> Iterator[str]:
    """The public gets to the edge, in the mesh or not."""
    pod = pod_of(graph, EDGE)
    for name, client in clients(graph).items():
        if graph.decide(client, pod, HTTP_PORT, Request("/v1/orders", "POST")) is not Decision.ALLOWED:
            yield f"{name} is kept away from the edge"


def _trial_servers(graph: AuthorizationGraph) -> Iterator[str]:
    """Each server is open to the services that were given its address."""
    secrets = {each["metadata"]["name"]: each["data"] for each in graph.of_kind("Secret")}
    for server, (port, variable) in TRIAL_SERVERS.items():
        for name, client in clients(graph).items():
            decision = graph.decide(client, pod_of(graph, server), port, Connection())
            given = name in SERVICES and variable in secrets[f"shop-{name}"]
            if (decision is Decision.ALLOWED) is not given:
                yield f"{name} connects to {server}: {decision.value}"


def _overlaps(graph: AuthorizationGraph) -> Iterator[str]:
    """No port has two Servers, of which one would be ignored."""
    for pod in graph.pods:
        for port in {*pod.ports.values(), PROXY_METRICS_PORT}:
            if len(graph.servers(pod, port)) > 1:
                yield f"{pod.name}:{port} has two Servers"


def test_the_mesh_allows_exactly_the_calls_of_the_contracts() -> None:
    """Method by caller: allowed if and only if the contract names it; probes, scrapes, operators and the public too."""
    assert disagreements(rendered("default")) == []


def test_the_calls_that_the_code_makes_are_allowed() -> None:
    """Each call in services/ is named by a contract, gets through, and has the address that it goes to."""
    graph = AuthorizationGraph(rendered("default"), NAMESPACE)
    calls = calls_in_code()
    assert {(caller, method.name) for caller, method in calls} >= {("orders", "BatchGetProducts")}
    for caller, method in calls:
        assert caller in method.callers
        decision = graph.decide(
            clients(graph)[caller], pod_of(graph, method.workload), GRPC_PORT, Call(method.service, method.name)
        )
        assert decision is Decision.ALLOWED
        environment = _environment(pod_of(graph, caller))
        assert environment[f"{method.workload.upper()}_ADDRESS"] == f"shop-{method.workload}:{GRPC_PORT}"


def test_a_caller_that_the_contract_names_does_call() -> None:
    """No contract lets a workload in that has no use for it."""
    named = {(caller, method) for method in METHODS for caller in method.callers - {EDGE}}
    assert named == calls_in_code()


def test_the_edge_knows_every_service() -> None:
    """Its upstreams are all services with contracts, by the names of their Services."""
    graph = AuthorizationGraph(rendered("default"), NAMESPACE)
    upstreams = dict(part.split("=") for part in _environment(pod_of(graph, EDGE))["UPSTREAMS"].split(","))
    assert upstreams == {method.service: f"shop-{method.workload}:{GRPC_PORT}" for method in METHODS}


def _environment(pod: Pod) -> dict[str, str]:
    return {variable["name"]: variable.get("value", "") for variable in pod.spec["containers"][0]["env"]}


Objects = list[dict[str, Any]]
Mutation = Callable[[Objects], None]


def find(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    """Returns one object."""
    return next(each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name)


def without(kind: str, name: str) -> Mutation:
    """Leaves an object out."""
    return lambda objects: objects.remove(find(objects, kind, name))


def changed(kind: str, name: str, *path: str | int, to: Any) -> Mutation:
    """Puts a value in the place of another."""

    def mutate(objects: Objects) -> None:
        place: Any = find(objects, kind, name)
        for step in path[:-1]:
            place = place[step]
        assert place[path[-1]] != to
        place[path[-1]] = to

    return mutate


def without_field(kind: str, name: str, *path: str | int) -> Mutation:
    """Leaves a field out."""

    def mutate(objects: Objects) -> None:
        place: Any = find(objects, kind, name)
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]

    return mutate


def added(source: str, name: str, to: str, **spec: Any) -> Mutation:
    """Adds a copy of an object under another name, with other values in its spec."""

    def mutate(objects: Objects) -> None:
        new = copy.deepcopy(find(objects, source, name))
        new["metadata"]["name"] = to
        new["spec"].update(spec)
        objects.append(new)

    return mutate


FROM_EDGE = "shop-orders-from-edge"
ORDERS = "meshwright.orders.v1.OrdersService"
ON_SERVER = {"group": "policy.linkerd.io", "kind": "Server", "name": "shop-orders"}
GET_ORDER = [{"matches": [{"method": {"service": ORDERS, "method": "GetOrder"}}]}]
EDGE_REF = {"kind": "ServiceAccount", "name": "shop-edge", "namespace": NAMESPACE}
OPS_ROUTE = {"parentRefs": [{"group": "policy.linkerd.io", "kind": "Server", "name": "shop-proxy"}]}

MUTATIONS: dict[str, tuple[Mutation, str]] = {
    "a policy is missing": (without("AuthorizationPolicy", FROM_EDGE), "edge calls .*OrdersService/GetOrder: denied"),
    "a route is missing": (without("GRPCRoute", FROM_EDGE), "edge calls .*GetOrder: not found"),
    "an authentication is missing": (without("MeshTLSAuthentication", FROM_EDGE), "edge calls .*GetOrder: denied"),
    "a Server is missing": (without("Server", "shop-orders"), "edge calls .*GetOrder: denied"),
    "an account is misspelt": (
        changed("MeshTLSAuthentication", FROM_EDGE, "spec", "identityRefs", 0, "name", to="shop-egde"),
        "edge calls .*GetOrder: denied",
    ),
    "an account is of another namespace": (
        changed("MeshTLSAuthentication", FROM_EDGE, "spec", "identityRefs", 0, "namespace", to="elsewhere"),
        "a namesake in another namespace calls .*GetOrder: allowed",
    ),
    "an account more is named": (
        changed(
            "MeshTLSAuthentication",
            "shop-identity-from-notifications",
            "spec",
            "identityRefs",
            to=[EDGE_REF | {"name": "shop-notifications"}, EDGE_REF],
        ),
        "edge calls .*ResolveUser: allowed",
    ),
    "all accounts of a namespace are named": (
        without_field("MeshTLSAuthentication", FROM_EDGE, "spec", "identityRefs", 0, "name"),
        "catalog calls .*GetOrder: allowed",
    ),
    "every identity is named": (
        changed("MeshTLSAuthentication", FROM_EDGE, "spec", to={"identities": ["*"]}),
        "Prometheus calls .*GetOrder: allowed",
    ),
    "no authentication is required": (
        changed("AuthorizationPolicy", FROM_EDGE, "spec", "requiredAuthenticationRefs", to=[]),
        "who is not in the mesh calls .*GetOrder: allowed",
    ),
    "an authentication more is required, that is missing": (
        changed(
            "AuthorizationPolicy",
            FROM_EDGE,
            "spec",
            "requiredAuthenticationRefs",
            to=[{"group": "policy.linkerd.io", "kind": "NetworkAuthentication", "name": "shop-nowhere"}],
        ),
        "edge calls .*GetOrder: denied",
    ),
    "a policy on the Server widens those of its routes": (
        added("AuthorizationPolicy", FROM_EDGE, "shop-orders", targetRef=ON_SERVER),
        "edge calls grpc.health.v1.Health of orders: allowed",
    ),
    "a policy aims at a route that there is not": (
        changed("AuthorizationPolicy", FROM_EDGE, "spec", "targetRef", "name", to="shop-orders-from-egde"),
        "edge calls .*GetOrder: denied",
    ),
    "a policy aims at another kind of route": (
        changed("AuthorizationPolicy", FROM_EDGE, "spec", "targetRef", "kind", to="HTTPRoute"),
        "edge calls .*GetOrder: denied",
    ),
    "the protocol is not gRPC": (
        changed("Server", "shop-orders", "spec", "proxyProtocol", to="HTTP/2"),
        "edge calls .*GetOrder: denied",
    ),
    "the protocol is misspelt": (
        changed("Server", "shop-orders", "spec", "proxyProtocol", to="GRPC"),
        "edge calls .*GetOrder: denied",
    ),
    "the Server lets all of the mesh in": (
        changed("Server", "shop-orders", "spec", "accessPolicy", to="all-authenticated"),
        "catalog calls .*GetOrder: allowed",
    ),
    "the Server only watches": (
        changed("Server", "shop-orders", "spec", "accessPolicy", to="audit"),
        "who is not in the mesh calls .*GetOrder: allowed",
    ),
    "the Server is of another port": (
        changed("Server", "shop-orders", "spec", "port", to="ops"),
        "shop-orders:9090 has two Servers",
    ),
    "the Server selects other pods": (
        changed("Server", "shop-orders", "spec", "podSelector", "matchLabels", "app.kubernetes.io/name", to="catalog"),
        "shop-catalog:9000 has two Servers",
    ),
    "a route's parent has no group": (
        without_field("GRPCRoute", FROM_EDGE, "spec", "parentRefs", 0, "group"),
        "edge calls .*GetOrder: not found",
    ),
    "a route belongs to another Server": (
        changed("GRPCRoute", FROM_EDGE, "spec", "parentRefs", 0, "name", to="shop-catalog"),
        "edge calls .*GetOrder: not found",
    ),
    "a method is misspelt": (
        changed("GRPCRoute", FROM_EDGE, "spec", "rules", 0, "matches", 0, "method", "method", to="CancelOrders"),
        "edge calls .*CancelOrder: not found",
    ),
    "a method stands in two routes": (
        added("GRPCRoute", FROM_EDGE, "shop-orders-a", rules=GET_ORDER),
        "edge calls .*GetOrder: denied",
    ),
    "an HTTPRoute stands on a gRPC Server": (
        added("HTTPRoute", "shop-ops-probes", "shop-orders-http", parentRefs=[ON_SERVER]),
        "edge calls .*GetOrder: denied",
    ),
    "operators have no route": (
        without("GRPCRoute", "shop-orders-from-operators"),
        "an operator calls grpc.health.v1.Health of orders: not found",
    ),
    "one version of reflection has no route": (
        without_field("GRPCRoute", "shop-orders-from-operators", "spec", "rules", 0, "matches", 2),
        "an operator calls grpc.reflection.v1alpha.ServerReflection of orders: not found",
    ),
    "a pod is not injected": (
        without_field("Deployment", "shop-orders", "spec", "template", "metadata", "annotations", "linkerd.io/inject"),
        "who is not in the mesh calls .*GetOrder: allowed",
    ),
    "a pod has another account": (
        changed("Deployment", "shop-edge", "spec", "template", "spec", "serviceAccountName", to="shop-catalog"),
        "edge calls .*GetOrder: denied",
    ),
    "the probes have no route": (without("HTTPRoute", "shop-ops-probes"), "livenessProbe of shop-orders at /livez"),
    "the probes are open to the mesh only": (
        without("NetworkAuthentication", "shop-ops"),
        "readinessProbe of shop-orders at /readyz: denied",
    ),
    "a probe is gRPC's own": (
        changed(
            "Deployment",
            "shop-orders",
            "spec",
            "template",
            "spec",
            "containers",
            0,
            "readinessProbe",
            to={"grpc": {"port": GRPC_PORT}},
        ),
        "readinessProbe of shop-orders is neither HTTP nor a command",
    ),
    "the proxy's port has a route": (
        added("HTTPRoute", "shop-ops-metrics", "shop-proxy", **OPS_ROUTE),
        "the probe /live of the proxy of shop-orders fails",
    ),
    "the metrics have no policy": (
        without("AuthorizationPolicy", "shop-ops-metrics"),
        "Prometheus scrapes shop-orders:9090: denied",
    ),
    "the metrics are open to all": (
        changed(
            "AuthorizationPolicy",
            "shop-ops-metrics",
            "spec",
            "requiredAuthenticationRefs",
            to=[{"group": "policy.linkerd.io", "kind": "NetworkAuthentication", "name": "shop-ops"}],
        ),
        "who is not in the mesh scrapes shop-orders:9090: allowed",
    ),
    "the proxies' metrics have no policy": (
        without("AuthorizationPolicy", "shop-proxy"),
        "Prometheus scrapes shop-orders:4191: denied",
    ),
    "the edge asks for an identity": (
        changed("Server", "shop-edge", "spec", "accessPolicy", to="all-authenticated"),
        "who is not in the mesh is kept away from the edge",
    ),
    "a database is open to all of the mesh": (
        changed("Server", "shop-postgres", "spec", "accessPolicy", to="all-authenticated"),
        "information connects to postgres: allowed",
    ),
    "a broker has no policy": (without("AuthorizationPolicy", "shop-nats"), "orders connects to nats: denied"),
}


@pytest.mark.parametrize(("mutate", "noticed"), MUTATIONS.values(), ids=list(MUTATIONS))
def test_a_wrong_policy_is_noticed(mutate: Mutation, noticed: str) -> None:
    """Each mistake that mesh policies invite is found, and named by whom it hits."""
    objects = copy.deepcopy(list(rendered("default")))
    mutate(objects)
    found = "\n".join(disagreements(tuple(objects)))
    assert re.search(noticed, found), found
