"""What the contracts say to the mesh."""

from pathlib import Path

import pytest
import yaml
from protobuf.wkt import FileDescriptorSet

from mesh.codegen.chart import UnknownWorkload, write_contracts
from tools import generate

ROOT = Path(__file__).resolve().parents[2]
IMAGE = (ROOT / "gen" / "contracts.binpb").read_bytes()
CONTRACT = "proto/meshwright/identity/v1/identity.proto"
WORKLOADS = frozenset({"catalog", "identity", "information", "notifications", "orders"})
# The same contracts with a caller that is misspelt: field 6 of the option, of 13 bytes.
MISSPELT = IMAGE.replace(b"\x32\x0dnotifications", b"\x32\x0dnotificationz")


def contracts(image: bytes = IMAGE, workloads: frozenset[str] = WORKLOADS) -> str:
    """The file that is written for an image."""
    return write_contracts(FileDescriptorSet.from_binary(image), workloads)


def test_a_method_is_written_as_the_contract_has_it() -> None:
    """Callers, the edge among them where there is a route; whether it may be repeated; its limits."""
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
    """A method with a route and with callers is open to both."""
    catalog = yaml.safe_load(contracts())["catalog"]["meshwright.catalog.v1.CatalogService"]
    assert catalog["BatchGetProducts"]["callers"] == ["edge", "orders"]


def test_only_what_a_workload_serves_is_written() -> None:
    """A contract that nobody serves yet, or that a library brought, gets no policy."""
    assert set(yaml.safe_load(contracts())) == WORKLOADS
    assert "information" not in yaml.safe_load(contracts(workloads=WORKLOADS - {"information"}))


def test_a_caller_that_is_no_workload_is_refused_where_it_stands() -> None:
    """The sentence names the file, the line, the method, and what could stand there."""
    line = next(
        number
        for number, text in enumerate((ROOT / CONTRACT).read_text().splitlines(), start=1)
        if 'callers: "notifications"' in text
    )
    expected = (
        rf"^meshwright/identity/v1/identity\.proto:{line}: ResolveUser names the caller 'notificationz', which is no "
        r"workload\. Name some of these: catalog, identity, .*orders; or '\*', which is all of them\.$"
    )
    with pytest.raises(UnknownWorkload, match=expected):
        contracts(MISSPELT)


def test_generation_stops_at_such_a_caller(tmp_path: Path) -> None:
    """`make generate` says so and writes nothing."""
    image = tmp_path / "contracts.binpb"
    image.write_bytes(MISSPELT)
    with pytest.raises(SystemExit, match=r"^proto/meshwright/identity/v1/identity\.proto:\d+: ResolveUser"):
        generate.chart_files(image)
