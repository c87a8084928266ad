"""The contracts' declarations for the service mesh, as the YAML files from which the Helm chart derives its policies.

They hold, for each method of each workload's gRPC services, the callers, whether it is idempotent, and the timeout.
Durations have the format that Linkerd accepts.
"""

from collections.abc import Collection
from typing import Any

import yaml
from protobuf import DescMethod, DescService
from protobuf.wkt import FileDescriptorSet

from mesh.contract.events import participants
from mesh.contract.policy import DEFAULT_TIMEOUT_S, Policy, is_idempotent, policy_of

HEADER = "# The contracts in proto/ for the mesh. Written by `make generate`: change the contracts, not this file.\n"

EVENTS_HEADER = (
    "# The events that services publish and consume. Written by `make generate`: change the contracts, not this file.\n"
)


def write_contracts(image: FileDescriptorSet, workloads: Collection[str]) -> str:
    """Returns the text of the file of methods, for the contracts of these workloads."""
    document: dict[str, dict[str, Any]] = {}
    for service in _services(image, workloads):
        methods = {method.name: _method(method) for method in service.methods}
        document.setdefault(workload_of(service), {})[service.type_name] = methods
    return HEADER + yaml.safe_dump(document, default_flow_style=None, width=120)


def write_events(image: FileDescriptorSet) -> str:
    """Returns the text of the file of events, with their publishers and consumers."""
    document = {
        service.name: {"publishes": list(service.publishes), "consumes": list(service.consumes)}
        for service in participants(image.to_registry())
    }
    return EVENTS_HEADER + yaml.safe_dump(document, default_flow_style=None, width=120)


def workload_of(service: DescService) -> str:
    """Returns the workload of a service, which its package names: meshwright.orders.v1 belongs to orders."""
    return service.file.proto.package.rpartition(".")[0].rpartition(".")[2]


def _services(image: FileDescriptorSet, workloads: Collection[str]) -> list[DescService]:
    """Returns the services of these workloads, sorted by name."""
    services = [desc for desc in image.to_registry() if isinstance(desc, DescService)]
    return sorted((each for each in services if workload_of(each) in workloads), key=lambda each: each.type_name)


def _method(method: DescMethod) -> dict[str, Any]:
    policy = policy_of(method)
    entry: dict[str, Any] = {
        "callers": sorted(policy.connecting),
        "idempotent": is_idempotent(method),
        "kind": method.method_kind,
        "public": policy.public,
    }
    if (timeout_s := _timeout_s(method, policy)) is not None:
        entry["timeout"] = _duration(timeout_s)
    if (limit := policy.rate_limit) is not None:
        entry["rateLimit"] = {"requests": limit.requests, "per": _duration(limit.per_s)}
    return entry


def _timeout_s(method: DescMethod, policy: Policy) -> float | None:
    """Returns the timeout of a method; None for a stream without one, which lasts until either side ends it."""
    if policy.timeout_s is None and method.method_kind == "unary":
        return DEFAULT_TIMEOUT_S
    return policy.timeout_s


def _duration(seconds: float) -> str:
    """Returns a duration in whole seconds or milliseconds, because Linkerd accepts no fractions: 5s, 1500ms. It is
    rounded up, because 0ms would be no timeout at all (Gateway API, HTTPRouteTimeouts).
    """
    if seconds == int(seconds):
        return f"{seconds:.0f}s"
    nanoseconds = round(seconds * 10**9)
    return f"{-(-nanoseconds // 10**6)}ms"
