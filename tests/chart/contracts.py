"""The calls that contracts and code declare, read without the code that renders the chart."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from protobuf import DescMethod, DescService
from protobuf.wkt import FileDescriptorSet
from protobuf.wkt.google.protobuf.descriptor_pb import MethodOptions

from mesh.codegen.generator import python_name
from mesh.contract.policy import policy_of
from tests.chart.render import ROOT

EDGE = "edge"
SERVICES = tuple(sorted(path.parent.name for path in (ROOT / "services").glob("*/__main__.py")))
WORKLOADS = frozenset({EDGE, *SERVICES})
REPEATABLE = {MethodOptions.IdempotencyLevel.NO_SIDE_EFFECTS, MethodOptions.IdempotencyLevel.IDEMPOTENT}


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a contract, and who may call it."""

    workload: str
    service: str
    name: str
    callers: frozenset[str]
    repeatable: bool
    timeout_s: float | None

    @classmethod
    def of(cls, desc: DescMethod) -> "Method":
        """Reads it from its descriptor."""
        policy = policy_of(desc)
        callers = WORKLOADS if "*" in policy.callers else policy.callers | (set() if policy.internal else {EDGE})
        workload = desc.parent.type_name.split(".")[1]
        repeatable = desc.idempotency in REPEATABLE
        return cls(workload, desc.parent.type_name, desc.name, frozenset(callers), repeatable, policy.timeout_s)


def _descriptors() -> Iterator[DescMethod]:
    image = FileDescriptorSet.from_binary((ROOT / "gen" / "contracts.binpb").read_bytes())
    for desc in image.to_registry():
        if isinstance(desc, DescService) and desc.type_name.startswith("meshwright."):
            yield from desc.methods


METHODS = tuple(Method.of(desc) for desc in _descriptors())
PYTHON_NAMES = {(desc.parent.name, python_name(desc)): Method.of(desc) for desc in _descriptors()}


@cache
def calls_in_code() -> frozenset[tuple[str, Method]]:
    """Each call that a service's code makes of a generated client, with the service."""
    return frozenset((name, method) for name in SERVICES for method in _calls(ROOT / "services" / name))


def _calls(folder: Path) -> Iterator[Method]:
    for path in folder.rglob("*.py"):
        tree = ast.parse(path.read_text())
        clients = {
            alias.name.removesuffix("Client")
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").endswith("_grpc")
            for alias in node.names
            if alias.name.endswith("Client")
        }
        called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        yield from (method for (service, name), method in PYTHON_NAMES.items() if service in clients and name in called)
