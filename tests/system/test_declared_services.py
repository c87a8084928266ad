"""Services with names of several words, in a copy of the checkout: all that has to be written for a service is its
folder and its contract.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.checkout import ROOT, Checkout
from tests.system.mesh import Mesh, eventually

CONTRACTS = {
    "order_items": """
// Counts.
service OrderItemsService {
  // Counts an item: prints a label, and calls what the contract does not let it.
  rpc CountItem(CountItemRequest) returns (CountItemResponse) {
    option (google.api.http) = {post: "/v1/orderItems:count"};
    option (meshwright.policy.v1.method) = {public: true timeout: {seconds: 5}};
  }
}

// Request message for CountItem.
message CountItemRequest {}

// Response message for CountItem.
message CountItemResponse {
  // The label that was printed.
  string label = 1;
  // Why the other call was refused.
  string refusal = 2;
}

// Published when an item was counted.
message ItemCounted {
  option (meshwright.policy.v1.event) = {consumers: "item_labels"};
  // The label.
  string label = 1;
}
""",
    "item_labels": """
// Prints labels.
service ItemLabelsService {
  // Prints a label.
  rpc PrintLabel(PrintLabelRequest) returns (Label) {
    option (meshwright.policy.v1.method) = {timeout: {seconds: 2} callers: "order_items"};
  }
  // Lists the labels of items that were counted.
  rpc ListLabels(ListLabelsRequest) returns (ListLabelsResponse) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = {get: "/v1/itemLabels"};
    option (meshwright.policy.v1.method) = {public: true timeout: {seconds: 2}};
  }
}

// Request message for PrintLabel.
message PrintLabelRequest {}

// A label.
message Label {
  // Its text.
  string text = 1;
}

// Request message for ListLabels.
message ListLabelsRequest {}

// Response message for ListLabels.
message ListLabelsResponse {
  // The texts.
  repeated string labels = 1;
}
""",
}
HEAD = """syntax = "proto3";

// Of a test.
package meshwright.{name}.v1;

import "google/api/annotations.proto";
import "meshwright/policy/v1/policy.proto";
"""
ORDER_ITEMS = """
from pydantic import Field

from mesh.client import Channel
from mesh.database import Database
from mesh.errors import MeshError
from mesh.events import Relay, connect, publish
from mesh.identity import ServiceTokens
from mesh.process import run
from mesh.server import serve
from mesh.settings import Address, ClientSettings, DatabaseSettings, EventSettings, ServiceSettings
from meshwright.item_labels.v1.item_labels_grpc import ItemLabelsServiceClient
from meshwright.item_labels.v1.item_labels_pb import ListLabelsRequest, PrintLabelRequest
from meshwright.order_items.v1.order_items_grpc import OrderItemsServiceBase
from meshwright.order_items.v1.order_items_pb import CountItemResponse, ItemCounted


class Settings(ServiceSettings, ClientSettings, DatabaseSettings, EventSettings):
    item_labels_address: Address = Field()
    greeting: str = Field()
    greeting_secret: str = Field()


class Handlers(OrderItemsServiceBase):
    def __init__(self, database, client, greeting):
        self._database, self._client, self._greeting = database, client, greeting

    async def count_item(self, request, call):
        label = f"{self._greeting} {(await self._client.print_label(PrintLabelRequest())).text}"
        async with self._database.transaction() as tx:
            await publish(tx, ItemCounted(label=label), source="order_items", aggregate="items/1")
        try:
            await getattr(self._client, "list_" + "labels")(ListLabelsRequest())
        except MeshError as error:
            return CountItemResponse(label=label, refusal=f"{error.code.name} {error.reason}")
        return CountItemResponse(label=label)


async def wire(process, settings):
    database = await process.enter(Database.open(settings, process.name))
    broker = await process.enter(connect(settings.broker_url.get_secret_value(), process.name))
    await process.enter(Relay(database, broker))
    tokens = ServiceTokens(settings.token_url, settings.client_id, settings.client_secret.get_secret_value())
    address = settings.item_labels_address
    channel = Channel("item_labels", address, caller=process.name, tokens=tokens, in_mesh=settings.service_mesh)
    client = ItemLabelsServiceClient(await process.enter(channel, required=False))
    await serve(process, settings, Handlers(database, client, settings.greeting))


if __name__ == "__main__":
    run("order_items", Settings, wire)
"""
ITEM_LABELS = """
from mesh.database import Database
from mesh.events import Inbox, connect
from mesh.process import run
from mesh.server import serve
from mesh.settings import DatabaseSettings, EventSettings, ServiceSettings
from meshwright.item_labels.v1.item_labels_grpc import ItemLabelsServiceBase
from meshwright.item_labels.v1.item_labels_pb import Label, ListLabelsResponse
from meshwright.order_items.v1.order_items_pb import ItemCounted


class Settings(ServiceSettings, DatabaseSettings, EventSettings):
    pass


class Handlers(ItemLabelsServiceBase):
    def __init__(self, database):
        self._database = database

    async def print_label(self, request, call):
        return Label(text=call.caller.subject)

    async def list_labels(self, request, call):
        async with self._database.transaction() as tx:
            return ListLabelsResponse(labels=[row["text"] for row in await tx.fetch("SELECT text FROM labels")])

    async def item_counted(self, tx, event):
        await tx.execute("INSERT INTO labels (text) VALUES ($1)", event.data.label)


async def wire(process, settings):
    database = await process.enter(Database.open(settings, process.name))
    broker = await process.enter(connect(settings.broker_url.get_secret_value(), process.name))
    handlers = Handlers(database)
    inbox = Inbox(database, broker, service=process.name, handlers={ItemCounted: handlers.item_counted})
    await process.enter(inbox)
    await serve(process, settings, handlers)


if __name__ == "__main__":
    run("item_labels", Settings, wire)
"""
DECLARED = 'database = true\ngenerated_secrets = ["GREETING_SECRET"]\n[env]\nGREETING = "Costs $5, {it} \'said\'"\n'
FILES = {
    **{
        f"proto/meshwright/{name}/v1/{name}.proto": HEAD.replace("{name}", name) + contract
        for name, contract in CONTRACTS.items()
    },
    "services/order_items/__init__.py": "",
    "services/order_items/__main__.py": ORDER_ITEMS,
    "services/order_items/service.toml": DECLARED,
    "services/item_labels/__init__.py": "",
    "services/item_labels/__main__.py": ITEM_LABELS,
    "services/item_labels/service.toml": "database = true\n",
    "services/item_labels/migrations/0001_labels.sql": "CREATE TABLE labels (text text NOT NULL);\n",
}
LABEL = "Costs $5, {it} 'said' workloads/order_items"


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    """A copy of the checkout with two services more, for which everything is generated."""
    with Checkout.copied() as copy:
        for path, text in FILES.items():
            (copy.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (copy.folder / path).write_text(text)
        done = copy.run(sys.executable, "tools/generate.py")
        assert done.returncode == 0, done.stderr
        yield copy


def test_compose_runs_it(checkout: Checkout) -> None:
    """The container has the host name with a hyphen, its database and user, its addresses, secrets and variables."""
    compose = yaml.safe_load((checkout.folder / "compose.yaml").read_text())
    assert compose["services"]["order-items"]["command"] == ["services.order_items"]
    environment = compose["services"]["order-items"]["environment"]
    ours = {
        name: value for name, value in environment.items() if not name.startswith(("JWKS", "ENDED", "LOG", "TOKEN"))
    }
    password = "{ORDER_ITEMS_%s_PASSWORD:?run make compose}"
    assert ours == {
        "DATABASE_URL": f"postgresql://order_items:${password % 'DATABASE'}@postgres:5432/order_items",
        "BROKER_URL": f"nats://order_items:${password % 'BROKER'}@nats:4222",
        "ITEM_LABELS_ADDRESS": "item-labels:9000",
        "CLIENT_ID": "order_items",
        "CLIENT_SECRET": "${ORDER_ITEMS_CLIENT_SECRET:?run make compose}",
        "GREETING_SECRET": "${GREETING_SECRET:?run make compose}",
        "GREETING": "Costs $$5, {it} 'said'",
    }
    clients = compose["services"]["identity"]["environment"]["SERVICE_CLIENTS"]
    assert '"order_items": "${ORDER_ITEMS_CLIENT_SECRET}"' in clients
    upstreams = compose["services"]["edge"]["environment"]["UPSTREAMS"]
    assert "meshwright.order_items.v1.OrderItemsService=order-items:9000" in upstreams
    assert "order_items" in compose["services"]["migrations"]["command"]
    assert 'CREATE DATABASE "order_items" OWNER "order_items";' in compose["configs"]["databases"]["content"]


def test_the_chart_has_it(checkout: Checkout) -> None:
    """The chart has its policies, its Secret, and valid names; production names a Secret for it, too."""
    helm = ROOT / ".tools" / "bin" / "helm"
    apis = ["policy.linkerd.io/v1beta3/Server", "gateway.networking.k8s.io/v1/GRPCRoute"]
    apis += ["monitoring.coreos.com/v1/PodMonitor", "monitoring.coreos.com/v1/PrometheusRule"]
    chart = checkout.folder / "charts/meshwright"
    render: list[str | Path] = [helm, "template", "shop", chart, *(f"--api-versions={api}" for api in apis)]
    done = checkout.run(*render)
    assert done.returncode == 0, done.stderr
    objects = {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(done.stdout) if each}
    container = objects["Deployment", "shop-order-items"]["spec"]["template"]["spec"]["containers"][0]
    variables = {each["name"]: each.get("value") for each in container["env"]}
    assert variables["ITEM_LABELS_ADDRESS"] == "shop-item-labels:9000"
    assert variables["GREETING"] == "Costs $5, {it} 'said'"
    secret = objects["Secret", "shop-order-items"]["data"]
    assert set(secret) == {"CLIENT_SECRET", "DATABASE_URL", "GREETING_SECRET", "BROKER_URL"}
    assert ("AuthorizationPolicy", "shop-item-labels-from-order.items") in objects
    done = checkout.run(*render, "--values", chart / "values-production.yaml")
    assert done.returncode == 0, done.stderr
    objects = {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(done.stdout) if each}
    container = objects["Deployment", "shop-order-items"]["spec"]["template"]["spec"]["containers"][0]
    assert {"secretRef": {"name": "order-items"}} in container["envFrom"]


@pytest.fixture(scope="module")
def mesh(checkout: Checkout) -> Iterator[Mesh]:
    """The copy's mesh, up and ready."""
    with Mesh.running(checkout.home, checkout=checkout.folder, PYTHONPATH=checkout.python_path) as running:
        yield running


def test_make_up_runs_it(mesh: Mesh) -> None:
    """It is reached by REST, calls another service as itself, and its event is consumed. The call that the other
    service's contract does not let it make is refused as on a cluster, although the public may make it.
    """
    counted = httpx.post(f"{mesh.url}/v1/orderItems:count", json={}, timeout=30)
    assert counted.json() == {"label": LABEL, "refusal": "PERMISSION_DENIED CALLER_NOT_ALLOWED"}
    eventually(lambda: httpx.get(f"{mesh.url}/v1/itemLabels").json() == {"labels": [LABEL]})
    assert mesh.process("order-items").ready
