"""The schemas of Linkerd's, the Gateway API's and the Prometheus operator's objects, as strict as their controllers,
webhooks and proxies. The schemas of their CRDs accept much that has no effect, or the wrong one.
"""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
PortName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=15)]
PortNumber = Annotated[int, Field(ge=1, le=65535, strict=True)]
Duration = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*(ms|s|m|h)$")]
GrpcCodes = Annotated[
    str,
    StringConstraints(
        pattern=r"^(cancelled|deadline-exceeded|internal|resource-exhausted|unavailable)"
        r"(,(cancelled|deadline-exceeded|internal|resource-exhausted|unavailable))*$"
    ),
]
GrpcName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z_0-9]*(\.[A-Za-z_][A-Za-z_0-9]*)*$")]
MethodName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z_0-9]*$")]

RULES_MAX, MATCHES_MAX, MATCHES_OF_A_ROUTE_MAX = 16, 64, 128


class Strict(BaseModel):
    """Refuses fields that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Metadata(Strict):
    """The metadata of an object that has no effect by its annotations."""

    name: Name
    labels: dict[str, str]


class Selector(Strict):
    """Pods by their labels; an empty one would select all of the namespace."""

    matchLabels: Annotated[dict[str, str], Field(min_length=1)]  # noqa: N815


class ServerSpec(Strict):
    """A port of pods. The names of protocols are case-sensitive."""

    podSelector: Selector  # noqa: N815
    port: PortName | PortNumber
    proxyProtocol: Literal["HTTP/1", "HTTP/2", "gRPC", "opaque"]  # noqa: N815
    accessPolicy: Literal["deny", "all-unauthenticated", "all-authenticated"]  # noqa: N815


class Server(Strict):
    apiVersion: Literal["policy.linkerd.io/v1beta3"]  # noqa: N815
    kind: Literal["Server"]
    metadata: Metadata
    spec: ServerSpec


class ServerRef(Strict):
    """Without its group a reference is to a Service of that name, or to nothing."""

    group: Literal["policy.linkerd.io"]
    kind: Literal["Server"]
    name: Name


class RouteRef(Strict):
    group: Literal["gateway.networking.k8s.io"]
    kind: Literal["GRPCRoute", "HTTPRoute"]
    name: Name


class AuthenticationRef(Strict):
    group: Literal["policy.linkerd.io"]
    kind: Literal["MeshTLSAuthentication", "NetworkAuthentication"]
    name: Name


class AuthorizationPolicySpec(Strict):
    """The authentications must all be given; at most one of each kind is accepted, and none would admit everyone."""

    targetRef: ServerRef | RouteRef  # noqa: N815
    requiredAuthenticationRefs: Annotated[list[AuthenticationRef], Field(min_length=1, max_length=2)]  # noqa: N815

    @model_validator(mode="after")
    def _one_of_each_kind(self) -> Self:
        kinds = [ref.kind for ref in self.requiredAuthenticationRefs]
        if len(kinds) != len(set(kinds)):
            raise ValueError("two authentications of one kind are refused")
        return self


class AuthorizationPolicy(Strict):
    apiVersion: Literal["policy.linkerd.io/v1alpha1"]  # noqa: N815
    kind: Literal["AuthorizationPolicy"]
    metadata: Metadata
    spec: AuthorizationPolicySpec


class IdentityRef(Strict):
    """One ServiceAccount. Without a name it would mean all of the namespace."""

    kind: Literal["ServiceAccount"]
    name: Name
    namespace: Name


class MeshTLSAuthenticationSpec(Strict):
    identityRefs: Annotated[list[IdentityRef], Field(min_length=1)]  # noqa: N815


class MeshTLSAuthentication(Strict):
    apiVersion: Literal["policy.linkerd.io/v1alpha1"]  # noqa: N815
    kind: Literal["MeshTLSAuthentication"]
    metadata: Metadata
    spec: MeshTLSAuthenticationSpec


class Network(Strict):
    cidr: IPv4Network | IPv6Network


class NetworkAuthenticationSpec(Strict):
    networks: Annotated[list[Network], Field(min_length=1)]


class NetworkAuthentication(Strict):
    apiVersion: Literal["policy.linkerd.io/v1alpha1"]  # noqa: N815
    kind: Literal["NetworkAuthentication"]
    metadata: Metadata
    spec: NetworkAuthenticationSpec


class Rate(Strict):
    requestsPerSecond: Annotated[int, Field(ge=1, strict=True)]  # noqa: N815


class RateLimitSpec(Strict):
    targetRef: ServerRef  # noqa: N815
    total: Rate


class HTTPLocalRateLimitPolicy(Strict):
    apiVersion: Literal["policy.linkerd.io/v1alpha1"]  # noqa: N815
    kind: Literal["HTTPLocalRateLimitPolicy"]
    metadata: Metadata
    spec: RateLimitSpec


class Delivery(Strict):
    """The delivery of calls through a route. Without the codes nothing is retried; a limit of 0 retries once."""

    retried_codes: GrpcCodes | None = Field(None, alias="retry.linkerd.io/grpc")
    retries_max: Annotated[str, StringConstraints(pattern=r"^[1-9]$")] | None = Field(
        None, alias="retry.linkerd.io/limit"
    )
    timeout: Duration | None = Field(None, alias="timeout.linkerd.io/request")

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.retried_codes is None) != (self.retries_max is None):
            raise ValueError("retries need both their codes and their limit")
        return self


class RouteMetadata(Metadata):
    annotations: Delivery | None = None


class ServiceRef(Strict):
    group: Literal["core"]
    kind: Literal["Service"]
    name: Name
    port: PortNumber


class Backend(Strict):
    name: Name
    port: PortNumber


class GrpcMethod(Strict):
    service: GrpcName
    method: MethodName | None = None


class GrpcMatch(Strict):
    method: GrpcMethod


class GrpcRule(Strict):
    matches: Annotated[list[GrpcMatch], Field(min_length=1, max_length=MATCHES_MAX)] | None = None
    backendRefs: Annotated[list[Backend], Field(min_length=1)] | None = None  # noqa: N815


class GRPCRouteSpec(Strict):
    parentRefs: Annotated[list[ServerRef | ServiceRef], Field(min_length=1, max_length=1)]  # noqa: N815
    rules: Annotated[list[GrpcRule], Field(min_length=1, max_length=RULES_MAX)]

    @property
    def inbound(self) -> bool:
        """Returns whether the object is about permissions and not about the delivery of calls."""
        return isinstance(self.parentRefs[0], ServerRef)

    @model_validator(mode="after")
    def _fits_its_parent(self) -> Self:
        if sum(len(rule.matches or ()) for rule in self.rules) > MATCHES_OF_A_ROUTE_MAX:
            raise ValueError(f"a route has {MATCHES_OF_A_ROUTE_MAX} matches at most")
        for rule in self.rules:
            if self.inbound and (rule.backendRefs is not None or rule.matches is None):
                raise ValueError("a rule of a Server's route has matches and no backends")
            if not self.inbound and rule.backendRefs is None:
                raise ValueError("a rule of a Service's route names its backends")
        return self


class GRPCRoute(Strict):
    apiVersion: Literal["gateway.networking.k8s.io/v1"]  # noqa: N815
    kind: Literal["GRPCRoute"]
    metadata: RouteMetadata
    spec: GRPCRouteSpec

    @model_validator(mode="after")
    def _delivers_outbound_only(self) -> Self:
        if self.spec.inbound and self.metadata.annotations is not None:
            raise ValueError("annotations have no effect on a Server's route")
        return self


class PathMatch(Strict):
    type: Literal["Exact"]
    value: Annotated[str, StringConstraints(pattern=r"^/")]


class HttpMatch(Strict):
    path: PathMatch
    method: Literal["GET"]


class HttpRule(Strict):
    matches: Annotated[list[HttpMatch], Field(min_length=1, max_length=MATCHES_MAX)]


class GatewayRef(Strict):
    name: Name
    namespace: Name | None = None
    sectionName: str | None = None  # noqa: N815


class GatewayRule(Strict):
    backendRefs: Annotated[list[Backend], Field(min_length=1)]  # noqa: N815


class ServersRouteSpec(Strict):
    parentRefs: Annotated[list[ServerRef], Field(min_length=1, max_length=1)]  # noqa: N815
    rules: Annotated[list[HttpRule], Field(min_length=1, max_length=RULES_MAX)]


class GatewaysRouteSpec(Strict):
    parentRefs: Annotated[list[GatewayRef], Field(min_length=1)]  # noqa: N815
    hostnames: Annotated[list[Name], Field(min_length=1)]
    rules: Annotated[list[GatewayRule], Field(min_length=1, max_length=1)]


class HTTPRoute(Strict):
    apiVersion: Literal["gateway.networking.k8s.io/v1"]  # noqa: N815
    kind: Literal["HTTPRoute"]
    metadata: Metadata
    spec: ServersRouteSpec | GatewaysRouteSpec


class Relabeling(Strict):
    sourceLabels: list[str]  # noqa: N815
    targetLabel: str  # noqa: N815


class Endpoint(Strict):
    port: PortName
    path: str
    relabelings: list[Relabeling]


class PodMonitorSpec(Strict):
    selector: Selector
    podMetricsEndpoints: Annotated[list[Endpoint], Field(min_length=1)]  # noqa: N815


class PodMonitor(Strict):
    apiVersion: Literal["monitoring.coreos.com/v1"]  # noqa: N815
    kind: Literal["PodMonitor"]
    metadata: Metadata
    spec: PodMonitorSpec


class Alert(Strict):
    alert: str
    expr: str
    labels: dict[Literal["severity"], Literal["page", "ticket"]]
    annotations: dict[Literal["summary", "description"], str]
    wait: Duration | None = Field(None, alias="for")


class AlertGroup(Strict):
    name: str
    rules: Annotated[list[Alert], Field(min_length=1)]


class PrometheusRuleSpec(Strict):
    groups: Annotated[list[AlertGroup], Field(min_length=1)]


class PrometheusRule(Strict):
    apiVersion: Literal["monitoring.coreos.com/v1"]  # noqa: N815
    kind: Literal["PrometheusRule"]
    metadata: Metadata
    spec: PrometheusRuleSpec


KINDS: dict[str, type[BaseModel]] = {
    kind.__name__: kind
    for kind in (
        Server,
        AuthorizationPolicy,
        MeshTLSAuthentication,
        NetworkAuthentication,
        HTTPLocalRateLimitPolicy,
        GRPCRoute,
        HTTPRoute,
        PodMonitor,
        PrometheusRule,
    )
}
GROUPS = ("policy.linkerd.io", "linkerd.io", "gateway.networking.k8s.io", "monitoring.coreos.com")


def is_ours_to_check(each: dict[str, Any]) -> bool:
    """Returns whether the kind of the object is not one of Kubernetes itself."""
    return each["apiVersion"].split("/")[0] in GROUPS
