"""Clients inside the mesh: grpcurl, a standard grpcio client, and the generated betterproto2 client."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpclib.client
import meshwright_client.meshwright.catalog.v1 as catalog
import meshwright_client.meshwright.orders.v1 as orders
import pytest

from tests.system.mesh import ROOT, Client, Mesh

GRPCURL = shutil.which("grpcurl") or str(ROOT / ".tools" / "bin" / "grpcurl")
SERVICES = {
    "identity": ("IdentityService/GetUser", {"name": "users/me"}, "displayName"),
    "catalog": ("CatalogService/ListProducts", {"pageSize": 1}, None),
    "orders": ("OrdersService/ListOrders", {}, None),
    "notifications": ("NotificationsService/ListNotifications", {}, None),
    "information": ("InformationService/GetInformation", {}, "text"),
    "support": ("SupportService/ListConversations", {}, None),
}


def grpcurl(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs grpcurl, with no flags but -plaintext and those given."""
    return subprocess.run([GRPCURL, "-plaintext", *arguments], capture_output=True, text=True, check=False)


def token(client: Client) -> str:
    """Returns the client's Authorization header."""
    return str(client.headers["authorization"])


@pytest.mark.parametrize("name", SERVICES)
def test_grpcurl_lists_describes_and_calls(mesh: Mesh, customer: Client, name: str) -> None:
    """Reflection provides everything that grpcurl needs to know about a service."""
    address, service = mesh.address(name), f"meshwright.{name}.v1.{name.capitalize()}Service"
    listed = grpcurl(address, "list").stdout.split()
    assert {service, "grpc.health.v1.Health"} <= set(listed)
    assert "(.google.api.http)" in grpcurl(address, "describe", service).stdout
    method, request, field = SERVICES[name]
    call = [
        "-H",
        f"authorization: {token(customer)}",
        "-d",
        json.dumps(request),
        address,
        f"meshwright.{name}.v1.{method}",
    ]
    answered = grpcurl(*call)
    assert answered.returncode == 0, answered.stderr
    assert field is None or json.loads(answered.stdout)[field]
    health = grpcurl(address, "grpc.health.v1.Health/Check")
    assert json.loads(health.stdout) == {"status": "SERVING"}


def test_grpcurl_shows_what_was_wrong(mesh: Mesh, customer: Client) -> None:
    """grpcurl decodes the details of errors by reflection: ErrorInfo, and BadRequest with each field at fault."""
    order = json.dumps({"order": {"lines": [{"product": "products/1", "quantity": -1}]}})
    flags = ("-H", f"authorization: {token(customer)}", "-d", order)
    refused = grpcurl(*flags, mesh.address("orders"), "meshwright.orders.v1.OrdersService/CreateOrder")
    assert '"reason": "INVALID_FIELD"' in refused.stderr
    assert '"field": "order.lines[0].quantity"' in refused.stderr
    assert "unknown" not in refused.stderr


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"catalog"}))
def test_a_service_rejects_calls_without_a_token(mesh: Mesh, name: str) -> None:
    """Each service verifies tokens itself, not only the edge."""
    refused = grpcurl(
        "-d", json.dumps(SERVICES[name][1]), mesh.address(name), f"meshwright.{name}.v1.{SERVICES[name][0]}"
    )
    assert "Code: Unauthenticated" in refused.stderr


def test_a_user_can_not_call_an_internal_method(mesh: Mesh, customer: Client) -> None:
    """ResolveUser admits only the workloads that the contract names, and the edge does not serve it."""
    address, method = mesh.address("identity"), "meshwright.identity.v1.IdentityService/ResolveUser"
    request = ["-H", f"authorization: {token(customer)}", "-d", '{"user": "users/me"}', address, method]
    assert "Code: PermissionDenied" in grpcurl(*request).stderr


def test_a_standard_grpcio_client(mesh: Mesh, customer: Client, tmp_path: Path) -> None:
    """Stubs by grpcio-tools alone, without our code, can call a service and receive rich errors."""
    files = [path.relative_to(ROOT / "proto").as_posix() for path in (ROOT / "proto").rglob("*.proto")]
    compiler = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}", f"-I{ROOT / 'third_party'}"]
    outputs = [f"--python_out={tmp_path}", f"--grpc_python_out={tmp_path}"]
    subprocess.run([*compiler, *outputs, "buf/validate/validate.proto", *files], check=True)
    program = """
import grpc, sys
from google.rpc import error_details_pb2, status_pb2
from meshwright.information.v1 import information_pb2, information_pb2_grpc
from meshwright.orders.v1 import orders_pb2, orders_pb2_grpc
information, orders, token = sys.argv[1:]
metadata = [("authorization", token)]
with grpc.insecure_channel(information) as channel:
    stub = information_pb2_grpc.InformationServiceStub(channel)
    print(stub.GetInformation(information_pb2.GetInformationRequest(), metadata=metadata).text)
with grpc.insecure_channel(orders) as channel:
    stub = orders_pb2_grpc.OrdersServiceStub(channel)
    try:
        stub.GetOrder(orders_pb2.GetOrderRequest(name="nonsense"), metadata=metadata)
    except grpc.RpcError as error:
        details = dict(error.trailing_metadata())["grpc-status-details-bin"]
        for packed in status_pb2.Status.FromString(details).details:
            request = error_details_pb2.BadRequest()
            if packed.Unpack(request):
                print(error.code().name, request.field_violations[0].field)
"""
    command = [sys.executable, "-c", program, mesh.address("information"), mesh.address("orders"), token(customer)]
    done = subprocess.run(command, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["The answer is 42.", "INVALID_ARGUMENT name"], done.stderr


async def test_the_betterproto_client(mesh: Mesh, staff: Client, customer: Client) -> None:
    """The generated client of the consumers lists products and places an order."""
    product = staff.create_product()
    host, port = mesh.address("catalog").split(":")
    async with grpclib.client.Channel(host, int(port)) as channel:
        got = await catalog.CatalogServiceStub(channel).get_product(catalog.GetProductRequest(name=product["name"]))
    assert (got.title, got.price and got.price.units) == (product["title"], 24)
    host, port = mesh.address("orders").split(":")
    request: Any = orders.CreateOrderRequest(
        order=orders.Order(lines=[orders.OrderLine(product=product["name"], quantity=2)])
    )
    async with grpclib.client.Channel(host, int(port)) as channel:
        stub = orders.OrdersServiceStub(channel, metadata={"authorization": token(customer)})
        placed = await stub.create_order(request)
    assert placed.total is not None
    assert (placed.total.units, placed.total.nanos) == (49, 800_000_000)


async def test_the_betterproto_client_finds_the_reason_of_an_error(
    mesh: Mesh, customer: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    """The code for that in the client's README prints the reason that it says."""
    blocks = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "clients/python/README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    host, port = mesh.address("orders").split(":")
    async with grpclib.client.Channel(host, int(port)) as channel:
        stub = orders.OrdersServiceStub(channel, metadata={"authorization": token(customer)})
        names = {"stub": stub, "GetOrderRequest": orders.GetOrderRequest, "GRPCError": grpclib.GRPCError}
        code = compile(blocks[1], "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        await eval(code, names)
    assert capsys.readouterr().out == "['ORDER_NOT_FOUND']\n"
