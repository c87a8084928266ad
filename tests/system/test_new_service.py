"""`make service` in a copy of the checkout: what it writes passes all checks as it stands, and runs."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.checkout import ROOT, Checkout
from tests.system.mesh import Client, Mesh

SERVICE: Final = "order_items"
CODE: Final = (f"services/{SERVICE}", f"tests/services/{SERVICE}")
GOLDEN: Final = "tests/chart/test_render.py::test_a_render_is_the_committed_one"
BIN: Final = ROOT / ".tools" / "bin"


HAS_COMPOSE: Final = (
    shutil.which("docker") is not None
    and subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0
)

pytestmark = pytest.mark.timeout(300)  # some steps are programs that take their time on a busy machine


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    """A copy of the checkout with one service more, for which everything is generated."""
    with Checkout.copied() as copy:
        if (cache := ROOT / ".mypy_cache").is_dir():
            shutil.copytree(cache, copy.folder / cache.name)  # without it, mypy takes a minute
        for arguments in (("service", "NAME=order-items"), ("generate",)):
            done = copy.make(*arguments)
            assert done.returncode == 0, done.stderr
        yield copy


def test_it_is_clean(checkout: Checkout) -> None:
    """Linter, formatter, import-linter and the type checker find nothing in its code and tests."""
    programs = checkout.folder / ".venv" / "bin"
    for command in (
        ("ruff", "check", *CODE),
        ("ruff", "format", "--check", *CODE),
        ("lint-imports", "--no-cache"),
        ("mypy", *CODE),
    ):
        done = checkout.run(programs / command[0], *command[1:])
        assert done.returncode == 0, done.stdout + done.stderr


def test_its_tests_pass(checkout: Checkout) -> None:
    """The service's own tests pass, and those of all contracts and of the chart's renders."""
    contracts = [f"tests/contract/test_{name}.py" for name in ("comments", "contracts", "docstrings")]
    arguments = ("-q", "--numprocesses=0", "-p", "no:cacheprovider", CODE[1], *contracts, GOLDEN)
    done = checkout.run(checkout.folder / ".venv/bin/python", "-m", "pytest", *arguments)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


@pytest.mark.skipif(not HAS_COMPOSE, reason="Docker Compose is not installed")
def test_docker_compose_accepts_it(checkout: Checkout) -> None:
    """Docker Compose itself reads the file, with the secrets that are made for it."""
    made = checkout.run(checkout.folder / ".venv/bin/python", "tools/compose_secrets.py")
    assert made.returncode == 0, made.stderr
    done = checkout.run("docker", "compose", "config", "--services")
    assert done.returncode == 0, done.stderr
    assert "order-items" in done.stdout.split()


def test_containers_and_clusters_run_it(checkout: Checkout) -> None:
    """Compose has its container, and the chart its deployment and the policy by which the edge may call it."""
    composed = yaml.safe_load((checkout.folder / "compose.yaml").read_text())["services"]["order-items"]
    assert composed["command"] == ["services.order_items"]
    chart = checkout.folder / "charts/meshwright"
    apis = [
        f"--api-versions={api}"
        for api in ("policy.linkerd.io/v1beta3/Server", "gateway.networking.k8s.io/v1/GRPCRoute")
    ]
    done = checkout.run(BIN / "helm", "template", "shop", chart, *apis)
    assert done.returncode == 0, done.stderr
    objects = {(each["kind"], each["metadata"]["name"]) for each in yaml.safe_load_all(done.stdout) if each}
    assert {("Deployment", "shop-order-items"), ("AuthorizationPolicy", "shop-order-items-from-edge")} <= objects


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "make service NAME=reviews"),
        (["NAME=order-items"], "The name order_items is taken: there is services/order_items."),
        (["NAME=products"], "The URL /v1/products is taken by proto/meshwright/catalog/v1/catalog.proto."),
        (["NAME=Reviews"], "Did you mean reviews?"),
    ],
)
def test_a_name_that_is_missing_taken_or_wrong_is_explained(checkout: Checkout, arguments: list[str], why: str) -> None:
    """An invalid name is an error, and nothing is written."""
    before = sorted(checkout.folder.glob("*/*"))
    done = checkout.make("service", *arguments)
    assert done.returncode != 0
    assert why in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(checkout.folder.glob("*/*")) == before


@pytest.fixture(scope="module")
def mesh(checkout: Checkout) -> Iterator[Mesh]:
    """The copy's mesh, up and ready."""
    with Mesh.running(checkout.home, checkout=checkout.folder, PYTHONPATH=checkout.python_path) as running:
        yield running


def test_it_is_served(mesh: Mesh, checkout: Checkout) -> None:
    """The service is called by REST and gRPC, its stream reports changes and resumes, and documentation and status show
    it.
    """
    with Client(mesh) as client:
        client.register()
        created = client.post("/v1/orderItems", json={"displayName": "First"})
        assert created.status_code == 201, created.text
        name = created.json()["name"]
        stream: dict[str, str] = {"accept": "text/event-stream"}
        with client.stream("GET", "/v1/orderItems:watch", headers=stream) as response:
            event = read_event(response.iter_lines())
            assert json.loads(event["data"])["orderItem"] == created.json()
            called = grpcurl(mesh, client, "UpdateOrderItem", {"orderItem": {"name": name, "displayName": "Second"}})
            assert called["displayName"] == "Second"
        with client.stream("GET", "/v1/orderItems:watch", headers=stream | {"last-event-id": event["id"]}) as response:
            assert json.loads(read_event(response.iter_lines())["data"])["orderItem"]["displayName"] == "Second"
        assert client.delete(f"/v1/{name}").status_code == 200
        assert client.get("/v1/orderItems").json().get("orderItems", []) == []
        assert "/v1/orderItems" in client.get("/openapi.json").text
    status = subprocess.run(
        [checkout.folder / ".venv/bin/python", "-m", "local", "status"],
        cwd=checkout.folder,
        env=checkout.environment | {"MESH_HOME": str(mesh.home), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert status.returncode == 0, status.stdout
    assert "order-items" in status.stdout


def read_event(lines: Iterator[str]) -> dict[str, str]:
    """Returns the fields of the next server-sent event that has data."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name:
            fields[name] = value.strip()
        if not line and "data" in fields:
            return fields
    raise AssertionError(fields)


def grpcurl(mesh: Mesh, client: Client, method: str, request: dict[str, object]) -> dict[str, str]:
    """Calls the service by reflection."""
    full_name = f"meshwright.order_items.v1.OrderItemsService/{method}"
    header = f"authorization: {client.headers['authorization']}"
    command: list[str | Path] = [BIN / "grpcurl", "-plaintext", "-H", header, "-d", json.dumps(request)]
    done = subprocess.run(
        [*command, mesh.address("order-items"), full_name], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, str] = json.loads(done.stdout)
    return answer
