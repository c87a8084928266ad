"""Every contract in proto/ follows the rules of style, comments and policies."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from googleapis.google.api.annotations_pb import ext_http
from protobuf import DescMethod, DescService, Registry
from protobuf.wkt import FileDescriptorSet
from protobuf.wkt.google.protobuf.descriptor_pb import MethodOptions

from mesh.contract.policy import ANY_WORKLOAD, policy_of
from services.identity.domain import Role
from tests.edge.contracts import compile_image

ROOT = Path(__file__).resolve().parents[2]
IMAGE = FileDescriptorSet.from_binary((ROOT / "gen" / "contracts.binpb").read_bytes())
REGISTRY = IMAGE.to_registry()
WORKLOADS = {path.name for path in (ROOT / "services").iterdir() if (path / "__main__.py").is_file()}


def services(registry: Registry = REGISTRY) -> list[DescService]:
    """Our services."""
    return [desc for desc in registry if isinstance(desc, DescService) and desc.type_name.startswith("meshwright.")]


STAFF_ONLY = Role.STAFF.scopes - Role.CUSTOMER.scopes
METHODS = [method for service in services() for method in service.methods]
each_method = pytest.mark.parametrize("method", METHODS, ids=[f"{m.parent.name}.{m.name}" for m in METHODS])


def buf(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs buf."""
    program = str(Path(sys.executable).with_name("buf"))
    return subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_buf_lint_is_clean() -> None:
    """The contracts follow buf's standard rules, less the two on response names."""
    linted = buf("lint")
    assert linted.returncode == 0, linted.stdout


def test_buf_format_is_clean() -> None:
    """The contracts are formatted."""
    formatted = buf("format", "--diff", "--exit-code", "proto")
    assert formatted.returncode == 0, formatted.stdout


def test_a_breaking_change_is_found(tmp_path: Path) -> None:
    """Renumbering a field is refused by name; the same contracts again are not."""
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    for folder in ("proto", "third_party"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    against = ("breaking", "--against", str(ROOT / "gen" / "contracts.binpb"))
    assert buf(*against, "proto", folder=tmp_path).returncode == 0
    contract = tmp_path / "proto/meshwright/information/v1/information.proto"
    contract.write_text(contract.read_text().replace("string text = 1", "string text = 2"))
    broken = buf(*against, "proto", folder=tmp_path)
    assert broken.returncode != 0
    assert 'field "1" with name "text" on message "Information"' in broken.stdout


def undocumented() -> Iterator[str]:
    """Each message, field, enum, value, service and RPC of ours without a comment, by its path in the file."""
    for file in IMAGE.file:
        if not file.name.startswith("meshwright/"):
            continue
        assert file.source_code_info is not None
        commented = {tuple(place.path) for place in file.source_code_info.location if place.leading_comments.strip()}
        paths: list[tuple[int, ...]] = [(6, i) for i in range(len(file.service))]
        paths += [(6, i, 2, j) for i, service in enumerate(file.service) for j in range(len(service.method))]
        paths += [(5, i) for i in range(len(file.enum_type))]
        paths += [(5, i, 2, j) for i, enum in enumerate(file.enum_type) for j in range(len(enum.value))]
        for i, message in enumerate(file.message_type):
            paths += [(4, i), *((4, i, 2, j) for j in range(len(message.field)))]
            paths += [(4, i, 4, k, 2, j) for k, e in enumerate(message.enum_type) for j in range(len(e.value))]
        yield from (f"{file.name} {path}" for path in paths if path not in commented)


def test_everything_is_documented() -> None:
    """The comments of the contracts are the API's documentation, so none is missing."""
    assert list(undocumented()) == []


@each_method
def test_a_method_has_a_timeout(method: DescMethod) -> None:
    """No call is without a limit that its contract names: a minute at most, a day if it streams."""
    timeout_s = policy_of(method).timeout_s
    assert timeout_s is not None, f"{method.name} has no timeout: add one to its (meshwright.policy.v1.method)"
    assert 0 < timeout_s <= (60 if method.method_kind == "unary" else 24 * 3600)


def wrong_effects(method: DescMethod) -> str:
    """Returns what to change if the HTTP rule and the idempotency level differ on whether a method only reads; empty
    if they agree. A method without a rule may have either.
    """
    options = method.proto.options
    assert options is not None
    pattern = options[ext_http].pattern if ext_http in options else None
    is_get = pattern is not None and pattern.field == "get"
    if pattern is None or is_get == (method.idempotency == MethodOptions.IdempotencyLevel.NO_SIDE_EFFECTS):
        return ""
    if is_get:
        return f"{method.name} is a GET: add `option idempotency_level = NO_SIDE_EFFECTS;`"
    return f"{method.name} has NO_SIDE_EFFECTS: make its HTTP rule a GET, or remove idempotency_level"


@each_method
def test_a_method_that_reads_is_declared_as_such(method: DescMethod) -> None:
    """GET methods have no side effects, so they may be retried; a POST that creates must not claim that."""
    assert not wrong_effects(method), wrong_effects(method)


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ('option (google.api.http) = {get: "/v1/m"}; option idempotency_level = NO_SIDE_EFFECTS;', ""),
        ('option (google.api.http) = {get: "/v1/m"};', "Read is a GET: add `option idempotency_level"),
        (
            'option (google.api.http) = {post: "/v1/m"}; option idempotency_level = NO_SIDE_EFFECTS;',
            "make its HTTP rule",
        ),
        ('option (google.api.http) = {post: "/v1/m"}; option idempotency_level = IDEMPOTENT;', ""),
        ("option deprecated = false; option idempotency_level = NO_SIDE_EFFECTS;", ""),
        ("option deprecated = false;", ""),
    ],
)
def test_a_wrong_idempotency_level_is_a_sentence(tmp_path: Path, options: str, wrong: str) -> None:
    """A method for other services, without a route, may read or write; with one, its verb and its level agree."""
    contract = f"""\
syntax = "proto3";
package meshwright.m.v1;
import "google/api/annotations.proto";
message M {{}}
service MService {{
  rpc Read(M) returns (M) {{ {options} }}
}}
"""
    image = FileDescriptorSet.from_binary(compile_image(contract, tmp_path).SerializeToString())
    (service,) = services(image.to_registry())
    found = wrong_effects(service.methods[0])
    assert (wrong in found) if wrong else not found


@each_method
def test_what_only_staff_change_is_audited(method: DescMethod) -> None:
    """The audit log has who changed prices, stock, shipments and payments. It has no calls of customers, because it
    outlives their accounts.
    """
    policy = policy_of(method)
    changes = method.idempotency is not MethodOptions.IdempotencyLevel.NO_SIDE_EFFECTS
    only_staff = bool(policy.scopes & STAFF_ONLY)
    assert policy.audited or not (changes and only_staff), f"{method.name} lacks `audited: true`"
    assert only_staff or not policy.audited, f"customers may call {method.name}: remove `audited: true`"


@each_method
def test_access_is_declared_once_and_can_be_granted(method: DescMethod) -> None:
    """A public method wants no scopes, an internal one names its callers, and every caller is a workload."""
    policy = policy_of(method)
    assert not (policy.public and policy.scopes)
    assert not (policy.internal and not policy.callers)
    assert not (policy.internal and (policy.public or policy.scopes))
    assert policy.callers <= WORKLOADS | {ANY_WORKLOAD}
