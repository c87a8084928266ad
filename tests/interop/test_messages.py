"""The same wire format for three runtimes: protobuf-py, Google's protobuf and betterproto2."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import meshwright_client.google.type as betterproto_type
import meshwright_client.meshwright.orders.v1 as betterproto_orders
import pytest
from googleapis.google.type.money_pb import Money
from meshwright.orders.v1.orders_pb import Order, OrderLine
from protobuf.wkt import Timestamp

from local.declarations.checkout import read_services

ROOT = Path(__file__).resolve().parents[2]

ORDER = Order(
    name="orders/1",
    customer="users/ünïcödé",
    lines=[OrderLine(product="products/1", quantity=2, unit_price=Money(currency_code="EUR", units=-3, nanos=-5))],
    total=Money(currency_code="EUR", units=2**62, nanos=1),
    state=Order.State.PENDING,
    create_time=Timestamp(seconds=1_760_000_000, nanos=123_000_000),
    etag="7",
)


@pytest.fixture(scope="session")
def standard(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Returns the standard `_pb2` and `_pb2_grpc` modules of all contracts, by grpcio-tools."""
    folder = tmp_path_factory.mktemp("standard")
    files = [path.relative_to(ROOT / "proto").as_posix() for path in (ROOT / "proto").rglob("*.proto")]
    compiler = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}", f"-I{ROOT / 'third_party'}"]
    outputs = [f"--python_out={folder}", f"--grpc_python_out={folder}"]
    subprocess.run([*compiler, *outputs, "buf/validate/validate.proto", *files], check=True)
    return folder


def test_standard_stubs_are_compiled_for_every_service(standard: Path) -> None:
    """grpcio-tools compiles every contract, so that Python clients need none of our code."""
    for service in read_services(ROOT):
        folder = standard / "meshwright" / service.name / "v1"
        stubs = "".join(path.read_text() for path in folder.glob("*_pb2_grpc.py"))
        assert service.types
        assert [name for name in service.types if f"class {name.rpartition('.')[2]}Stub" not in stubs] == []


def test_googles_runtime_reads_and_writes_the_same(standard: Path) -> None:
    """A message passes through Google's runtime without a change."""
    program = (
        "import sys; from meshwright.orders.v1.orders_pb2 import Order; "
        "order = Order.FromString(sys.stdin.buffer.read()); assert order.lines[0].unit_price.nanos == -5; "
        "sys.stdout.buffer.write(order.SerializeToString())"
    )
    command = [sys.executable, "-c", program]
    environment = {"PYTHONPATH": str(standard)}
    back = subprocess.run(command, input=ORDER.to_binary(), env=environment, capture_output=True, check=True).stdout
    assert Order.from_binary(back) == ORDER


def test_betterproto_reads_and_writes_the_same() -> None:
    """A message passes through the runtime of betterproto2 without a change."""
    order = betterproto_orders.Order.parse(ORDER.to_binary())
    assert order.create_time == datetime(2025, 10, 9, 8, 53, 20, 123_000, tzinfo=UTC)
    assert order.lines[0].unit_price == betterproto_type.Money(currency_code="EUR", units=-3, nanos=-5)
    assert Order.from_binary(bytes(order)) == ORDER
