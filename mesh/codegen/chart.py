"""What the contracts say to the mesh: the file that the Helm chart derives its policies from.

For each workload, each of its gRPC services, and each method: who calls it, whether it may be repeated, and how long it
may take. Durations are written as Linkerd reads them.
"""

from collections.abc import Collection
from typing import Any

import yaml
from protobuf import DescMethod, DescService
from protobuf.wkt import FileDescriptorSet

from mesh.contract.events import participants
from mesh.contract.policy import DEFAULT_TIMEOUT_S, Policy, is_idempotent, policy_of

HEADER = (
    "# What the contracts in proto/ say to the mesh. Written by `make generate`: change the contracts, not this file.\n"
)

EVENTS_HEADER = (
    "# Which events services publish and consume. Written by `make generate`: change the contracts, not this file.\n"
)


def write_contracts(image: FileDescriptorSet, workloads: Collection[str]) -> str:
    """The file's text: what the contracts of these workloads say."""
    document: dict[str, dict[str, Any]] = {}
    for service in _services(image, workloads):
        methods = {method.name: _method(method) for method in service.methods}
        document.setdefault(workload_of(service), {})[service.type_name] = methods
    return HEADER + yaml.safe_dump(document, default_flow_style=None, width=120)


def write_events(image: FileDescriptorSet) -> str:
    """Returns the text of the file that says who publishes and who consumes which events."""
    document = {
        service.name: {"publishes": list(service.publishes), "consumes": list(service.consumes)}
        for service in participants(image)
    }
    return EVENTS_HEADER + yaml.safe_dump(document, default_flow_style=None, width=120)


def workload_of(service: DescService) -> str:
    """The workload that serves it, by its package: meshwright.orders.v1 belongs to orders."""
    return service.file.proto.package.rpartition(".")[0].rpartition(".")[2]


def _services(image: FileDescriptorSet, workloads: Collection[str]) -> list[DescService]:
    """Those that a workload serves, by name."""
    services = [desc for desc in image.to_registry() if isinstance(desc, DescService)]
    return sorted((each for each in services if workload_of(each) in workloads), key=lambda each: each.type_name)


def _method(method: DescMethod) -> dict[str, Any]:
    policy = policy_of(method)
    said: dict[str, Any] = {
        "callers": sorted(policy.connecting),
        "idempotent": is_idempotent(method),
        "kind": method.method_kind,
        "public": policy.public,
    }
    if (timeout_s := _timeout_s(method, policy)) is not None:
        said["timeout"] = _duration(timeout_s)
    if (limit := policy.rate_limit) is not None:
        said["rateLimit"] = {"requests": limit.requests, "per": _duration(limit.per_s)}
    return said


def _timeout_s(method: DescMethod, policy: Policy) -> float | None:
    """None of a stream whose contract names none: it lasts for as long as it is wanted."""
    if policy.timeout_s is None and method.method_kind == "unary":
        return DEFAULT_TIMEOUT_S
    return policy.timeout_s


def _duration(seconds: float) -> str:
    """Linkerd takes whole numbers only: 5s, 1500ms."""
    return f"{seconds:.0f}s" if seconds == int(seconds) else f"{seconds * 1000:.0f}ms"
