"""The permitted calls, computed only from rendered Kubernetes objects with the rules of a running Linkerd 2.20.

A request to a port of a pod is decided in this order:

1. A pod that is not injected takes everything.
2. A port that no Server selects has the pod's default policy; Kubernetes' own HTTP probes pass all the same.
3. A Server whose protocol knows no route (opaque), or that has none, has one implied route, and the paths of probes
   are open.
4. Once a Server has routes, a request goes to the best match among them: an exact method before its whole service, then
   the older route (of one age: the first by name). The others do not count. What none matches is not found.
5. GRPCRoutes count on a gRPC Server only and HTTPRoutes on an HTTP one only; the wrong kind is accepted, and lets
   nobody in.
6. A policy on the route or on its Server lets in whom all of its authentications name. More policies let in more. A
   policy with an authentication that does not exist lets in nobody; one without any lets in everyone.
7. Whom no policy lets in has the Server's access policy.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

Object = Mapping[str, Any]

POLICY_GROUP = "policy.linkerd.io"
GATEWAY_GROUP = "gateway.networking.k8s.io"
INJECT = "linkerd.io/inject"
DEFAULT_POLICY = "config.linkerd.io/default-inbound-policy"
PROXY_METRICS_PORT = 4191
ROUTE_KINDS = {"gRPC": "GRPCRoute", "HTTP/1": "HTTPRoute", "HTTP/2": "HTTPRoute", "unknown": "HTTPRoute"}
PROTOCOLS = frozenset({*ROUTE_KINDS, "opaque", "TLS"})


class Decision(Enum):
    """The outcome of a request."""

    ALLOWED = "allowed"
    DENIED = "denied"
    NOT_FOUND = "not found"


@dataclass(frozen=True, slots=True)
class Client:
    """The sender of a request: its ServiceAccount as "namespace/name" (None outside of the mesh) and its address."""

    account: str | None
    address: str = "10.42.0.7"


@dataclass(frozen=True, slots=True)
class Call:
    """A gRPC call."""

    service: str
    method: str


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request without a body."""

    path: str
    verb: str = "GET"


@dataclass(frozen=True, slots=True)
class Connection:
    """Bytes of a protocol that the mesh does not read."""


@dataclass(frozen=True, slots=True)
class Pod:
    """The properties that all pods of a workload share."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    spec: Mapping[str, Any]

    @property
    def account(self) -> str:
        return f"{self.namespace}/{self.spec.get('serviceAccountName', 'default')}"

    @property
    def injected(self) -> bool:
        return self.annotations.get(INJECT) == "enabled"

    @property
    def ports(self) -> dict[str, int]:
        """The ports of its containers by name."""
        containers = self.spec["containers"]
        return {port["name"]: port["containerPort"] for each in containers for port in each.get("ports", ())}

    def probes(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Each probe of its containers, with its kind."""
        for container in self.spec["containers"]:
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                if kind in container:
                    yield kind, container[kind]


class AuthorizationGraph:
    """The decisions that the proxies of a release's pods would take."""

    def __init__(self, objects: Iterable[Object], namespace: str) -> None:
        self._namespace = namespace
        self._by_kind: dict[str, list[Object]] = {}
        for each in objects:
            self._by_kind.setdefault(each["kind"], []).append(each)
        self.pods = [self._pod(each) for kind in ("Deployment", "StatefulSet", "Job") for each in self.of_kind(kind)]
        self._attached: dict[str, list[tuple[str, Object]]] = {}
        for route in (*self.of_kind("GRPCRoute"), *self.of_kind("HTTPRoute")):
            for server in _servers_of(route):
                self._attached.setdefault(server, []).append((route["kind"], route))

    def of_kind(self, kind: str) -> list[Object]:
        """The objects of a kind."""
        return self._by_kind.get(kind, [])

    def pod(self, name: str) -> Pod:
        """The pods of the workload of this name."""
        return next(pod for pod in self.pods if pod.name == name)

    def servers(self, pod: Pod, port: int) -> list[Object]:
        """The Servers of a port, the one that counts first."""
        chosen = [each for each in self.of_kind("Server") if _selects(each["spec"], pod, port)]
        return sorted(chosen, key=_name)

    def decide(self, client: Client, pod: Pod, port: int, request: Call | Request | Connection) -> Decision:
        """Returns the outcome of a request to this port of a pod."""
        if not pod.injected:
            return Decision.ALLOWED
        servers = self.servers(pod, port)
        if not servers:
            if _is_probe(request, pod, port):
                return Decision.ALLOWED
            return _by_access_policy(pod.annotations.get(DEFAULT_POLICY, "all-unauthenticated"), client)
        server = servers[0]
        if server["spec"].get("proxyProtocol", "unknown") not in PROTOCOLS:
            return Decision.DENIED  # don't rely on how a proxy treats a misspelt protocol
        return self._decide_at(server, client, request, probe=_is_probe(request, pod, port))

    def _decide_at(
        self, server: Object, client: Client, request: Call | Request | Connection, *, probe: bool
    ) -> Decision:
        protocol = server["spec"].get("proxyProtocol", "unknown")
        attached = self._attached.get(_name(server), [])
        wanted = ROUTE_KINDS.get(protocol)
        if any(kind != wanted for kind, _ in attached):
            return Decision.DENIED
        if isinstance(request, Call) and protocol in {"HTTP/1", "opaque", "TLS"}:
            return Decision.DENIED
        if not attached:
            return Decision.ALLOWED if probe else self._authorize(server, [], client)
        matches = [(_match(route, request), route) for _, route in attached]
        best = [(score, route) for score, route in matches if score is not None]
        if not best:
            return Decision.NOT_FOUND
        _, chosen = min(best, key=lambda match: (-match[0], _name(match[1])))
        return self._authorize(server, [chosen], client)

    def _authorize(self, server: Object, routes: list[Object], client: Client) -> Decision:
        targets = [(POLICY_GROUP, "Server", _name(server))]
        targets += [(GATEWAY_GROUP, route["kind"], _name(route)) for route in routes]
        for policy in self.of_kind("AuthorizationPolicy"):
            ref = policy["spec"]["targetRef"]
            if (ref.get("group"), ref["kind"], ref["name"]) in targets and self._admits(policy, client):
                return Decision.ALLOWED
        return _by_access_policy(server["spec"].get("accessPolicy", "deny"), client)

    def _admits(self, policy: Object, client: Client) -> bool:
        refs = policy["spec"]["requiredAuthenticationRefs"]
        return all(self._authenticates(ref, client) for ref in refs)

    def _authenticates(self, ref: Object, client: Client) -> bool:
        if ref.get("group") != POLICY_GROUP:
            return False
        found = [each for each in self.of_kind(ref["kind"]) if _name(each) == ref["name"]]
        if not found:
            return False
        if ref["kind"] == "MeshTLSAuthentication":
            return client.account is not None and self._names(found[0], client.account)
        address = ipaddress.ip_address(client.address)
        return any(address in ipaddress.ip_network(network["cidr"]) for network in found[0]["spec"]["networks"])

    def _names(self, authentication: Object, account: str) -> bool:
        spec = authentication["spec"]
        namespace, name = account.split("/")
        identity = f"{name}.{namespace}.serviceaccount.identity.linkerd.cluster.local"
        for pattern in spec.get("identities", ()):
            if pattern in {"*", identity} or (pattern.startswith("*.") and identity.endswith(pattern[1:])):
                return True
        return any(
            ref["kind"] == "ServiceAccount"
            and ref.get("name", name) == name
            and ref.get("namespace", self._namespace) == namespace
            for ref in spec.get("identityRefs", ())
        )

    def _pod(self, owner: Object) -> Pod:
        template = owner["spec"]["template"]
        metadata = template["metadata"]
        namespace = owner["metadata"].get("namespace", self._namespace)
        annotations = metadata.get("annotations", {})
        return Pod(_name(owner), namespace, metadata["labels"], annotations, template["spec"])


def _name(each: Object) -> str:
    return str(each["metadata"]["name"])


def _servers_of(route: Object) -> set[str]:
    """The Servers that a route belongs to. One whose reference has no group is not attached to anything."""
    refs = route["spec"]["parentRefs"]
    return {ref["name"] for ref in refs if (ref.get("group"), ref["kind"]) == (POLICY_GROUP, "Server")}


def _selects(spec: Mapping[str, Any], pod: Pod, port: int) -> bool:
    wanted = spec["podSelector"].get("matchLabels", {})
    if not wanted.items() <= pod.labels.items():
        return False
    number = pod.ports.get(spec["port"]) if isinstance(spec["port"], str) else spec["port"]
    return bool(number == port)


def _is_probe(request: Call | Request | Connection, pod: Pod, port: int) -> bool:
    """Returns whether this is a request of the pod's own probes, for which a route is implied."""
    if not isinstance(request, Request) or request.verb != "GET":
        return False
    if port == PROXY_METRICS_PORT:
        return request.path in {"/live", "/ready"}
    asked = (probe["httpGet"] for _, probe in pod.probes() if "httpGet" in probe)
    return any(request.path == get["path"] and port == pod.ports.get(get["port"], get["port"]) for get in asked)


def _by_access_policy(policy: str, client: Client) -> Decision:
    """Addresses of these tests are all of the cluster's."""
    if policy in {"all-unauthenticated", "cluster-unauthenticated", "audit"}:
        return Decision.ALLOWED
    if policy in {"all-authenticated", "cluster-authenticated"} and client.account is not None:
        return Decision.ALLOWED
    return Decision.DENIED


def _match(route: Object, request: Call | Request | Connection) -> int | None:
    """Returns how exactly the best rule of a route matches the request, None if no rule matches."""
    scores = [
        score
        for rule in route["spec"].get("rules", ())
        for match in rule.get("matches") or [{}]
        if (score := _score(route["kind"], match, request)) is not None
    ]
    return max(scores, default=None)


def _score(kind: str, match: Mapping[str, Any], request: Call | Request | Connection) -> int | None:
    if kind == "GRPCRoute" and isinstance(request, Call):
        wanted = match.get("method", {})
        said = {"service": request.service, "method": request.method}
        given = {key: value for key, value in said.items() if key in wanted}
        return len(given) if all(wanted[key] == value for key, value in given.items()) else None
    if kind == "HTTPRoute" and isinstance(request, Request):
        if match.get("method", request.verb) != request.verb:
            return None
        path = match.get("path", {"type": "PathPrefix", "value": "/"})
        if path["type"] == "Exact":
            return 1_000_000 if path["value"] == request.path else None
        prefix = path["value"].rstrip("/")
        return len(prefix) if request.path == prefix or request.path.startswith(f"{prefix}/") else None
    return None
