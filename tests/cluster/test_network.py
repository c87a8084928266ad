"""Pods reach only the services that they use if the network enforces NetworkPolicies."""

import json

import pytest

from local.declarations.checkout import read_services
from tests.cluster.cluster import BROKER, IMAGE, ROOT, Release, eventually, mesh_runs
from tests.cluster.conftest import Shop
from tests.cluster.manifests import client_pod

SERVICES = {service.name: f"shop-{service.workload}:9000" for service in read_services(ROOT)}
BROKER_ADDRESS = {"nats": "shop-nats:4222", "rabbitmq": "shop-rabbitmq:5672"}[BROKER]
TRIAL_SERVERS = {"shop-postgres:5432", BROKER_ADDRESS, "shop-mail:8026"}
EDGE, KUBERNETES = "shop-edge:80", "kubernetes.default.svc:443"
ADDRESSES = sorted({*SERVICES.values(), *TRIAL_SERVERS, EDGE, KUBERNETES})

# The edge has the keys of tokens.
REACHED = {
    f"deployment/shop-{service.workload}": {EDGE}
    | {SERVICES[callee] for callee in service.callees}
    | ({"shop-postgres:5432"} if service.declaration.database else set())
    | ({BROKER_ADDRESS} if service.events else set())
    | ({"shop-mail:8026"} if service.declaration.mail else set())
    for service in read_services(ROOT)
} | {
    "deployment/shop-edge": set(SERVICES.values()),
    "deployment/shop-mail": set(),
    "deployment/shop-provisioner": {BROKER_ADDRESS},
    "pod/operator": set(SERVICES.values()) | {EDGE},
}

CONNECT = """
import concurrent.futures, json, socket, sys

def reached(address):
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 5).close()
    except OSError:
        return False
    return True

with concurrent.futures.ThreadPoolExecutor(len(sys.argv)) as pool:
    print(json.dumps([address for address, yes in zip(sys.argv[1:], pool.map(reached, sys.argv[1:])) if yes]))
"""


@pytest.fixture(scope="module")
def network(shop: Shop) -> Release:
    """The release beside an operator's pod. Skips where NetworkPolicies have no effect, and where each connection ends
    at Linkerd's proxy, which takes it first and refuses it then.
    """
    if mesh_runs():
        pytest.skip("Linkerd's proxy takes every connection")
    labels = {"app.kubernetes.io/name": "operator", "app.kubernetes.io/part-of": "shop"}
    for pod in (
        client_pod("lonely", IMAGE, labels={"lonely": "true"}),
        client_pod("operator", IMAGE, account="shop-operator", labels=labels),
    ):
        shop.release.kubectl("apply", "--filename=-", text=json.dumps(pod))
        shop.release.kubectl("wait", f"pod/{pod['metadata']['name']}", "--for=condition=Ready", "--timeout=60s")
    deny = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "lonely"},
        "spec": {"podSelector": {"matchLabels": {"lonely": "true"}}, "policyTypes": ["Egress"]},
    }
    shop.release.kubectl("apply", "--filename=-", text=json.dumps(deny))
    address = shop.release.pods("edge")[0]["status"]["podIP"]
    try:
        eventually(lambda: not connections(shop.release, "pod/lonely", f"{address}:8080"), within_s=10)
    except AssertionError:
        pytest.skip("this cluster's network does not enforce NetworkPolicies")
    return shop.release


@pytest.mark.parametrize("source", REACHED)
def test_a_pod_reaches_what_it_uses_and_nothing_else(network: Release, source: str) -> None:
    """The Kubernetes API is nobody's. Whether pods reach themselves by their Service, is the network's affair."""
    own = source.partition("/")[2]
    others = [address for address in ADDRESSES if not address.startswith(f"{own}:")]
    assert connections(network, source, *others) == REACHED[source]


def test_strangers_reach_the_edge_alone(network: Release) -> None:
    """A pod that is not part of the release reaches only the edge."""
    assert connections(network, "pod/client", *ADDRESSES) - {KUBERNETES} == {EDGE}


def connections(release: Release, source: str, *addresses: str) -> set[str]:
    """The addresses that a pod can connect to."""
    return set(json.loads(release.kubectl("exec", source, "--", "python", "-c", CONNECT, *addresses)))
