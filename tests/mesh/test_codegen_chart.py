"""The contracts' declarations for the service mesh."""

from pathlib import Path

import pytest
import yaml
from protobuf.wkt import FileDescriptorSet

from mesh.codegen.chart import write_contracts
from tests.edge.contracts import compile_image

ROOT = Path(__file__).resolve().parents[2]
IMAGE = (ROOT / "gen" / "contracts.binpb").read_bytes()
WORKLOADS = frozenset(path.parent.name for path in ROOT.glob("services/*/__main__.py"))


def contracts(image: bytes = IMAGE, workloads: frozenset[str] = WORKLOADS) -> str:
    """Returns the file that is written for an image."""
    return write_contracts(FileDescriptorSet.from_binary(image), workloads)


def test_a_method_is_written_as_the_contract_has_it() -> None:
    """The file has the callers (with the edge if there is a route), idempotency and limits."""
    identity = yaml.safe_load(contracts())["identity"]["meshwright.identity.v1.IdentityService"]
    assert identity["ResolveUser"] == {
        "callers": ["notifications"],
        "idempotent": True,
        "kind": "unary",
        "public": False,
        "timeout": "2s",
    }
    assert identity["IssueToken"] == {
        "callers": ["edge"],
        "idempotent": False,
        "kind": "unary",
        "public": True,
        "rateLimit": {"requests": 600, "per": "60s"},
        "timeout": "5s",
    }


def test_a_caller_beside_the_edge_is_kept() -> None:
    """A method with a route and with callers admits both."""
    catalog = yaml.safe_load(contracts())["catalog"]["meshwright.catalog.v1.CatalogService"]
    assert catalog["BatchGetProducts"]["callers"] == ["edge", "orders"]


def test_only_what_a_workload_serves_is_written() -> None:
    """Contracts of libraries, and contracts without a workload, are left out."""
    assert set(yaml.safe_load(contracts())) == WORKLOADS
    assert "information" not in yaml.safe_load(contracts(workloads=WORKLOADS - {"information"}))


@pytest.mark.parametrize(
    ("timeout", "expected"),
    [
        ("seconds: 2", "2s"),
        ("nanos: 1", "1ms"),
        ("nanos: 400000", "1ms"),
        ("nanos: 1000000", "1ms"),
        ("nanos: 1000001", "2ms"),
        ("seconds: 1 nanos: 100000000", "1100ms"),
    ],
)
def test_a_timeout_is_never_shorter_than_in_the_contract(tmp_path: Path, timeout: str, expected: str) -> None:
    """Fractions of a millisecond are rounded up: a timeout of 0ms would be none."""
    text = f"""
    syntax = "proto3";
    package odd.v1;
    import "meshwright/policy/v1/policy.proto";
    message M {{}}
    service S {{
      rpc Get(M) returns (M) {{
        option (meshwright.policy.v1.method) = {{
          public: true timeout: {{{timeout}}} rate_limit: {{requests: 1 per: {{{timeout}}}}}
        }};
      }}
    }}
    """
    image = compile_image(text, tmp_path).SerializeToString()
    method = yaml.safe_load(contracts(image, frozenset({"odd"})))["odd"]["odd.v1.S"]["Get"]
    assert (method["timeout"], method["rateLimit"]["per"]) == (expected, expected)
