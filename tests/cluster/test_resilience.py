"""Pods come and go, versions come and fail, and the public notices nothing."""

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.cluster import (
    BROKER,
    DEPLOYMENTS,
    IMAGE,
    CommandFailed,
    Release,
    eventually,
    kubectl,
    load,
    orders_published,
    packaged,
    stream,
)
from tests.cluster.conftest import Shop
from tests.cluster.manifests import killer_pod

BEFORE_S = 3  # of load before the change, and after it
PROBED_EVERY_S = 6  # at the latest: a pod that is not ready any more is out by then
TOO_SHORT_S = 40  # for a version that will never be ready
SERVICE_BYTES = 95_000_000  # that a pod of a service holds at most


@contextlib.contextmanager
def without_a_failed_request(shop: Shop) -> Iterator[None]:
    """Sends requests of every kind until the old pods are gone. None fails; each acknowledged order exists once, is
    published once, and is confirmed.
    """
    orders, sent = shop.client.orders(shop.token), orders_sent(shop.release)
    with load(shop.release, ["shop-edge", "80", shop.token, shop.product]) as outcome:
        time.sleep(BEFORE_S)
        yield
        eventually(lambda: all("deletionTimestamp" not in pod["metadata"] for pod in shop.release.get("pods")))
        time.sleep(BEFORE_S)
    assert outcome["failed"] == 0, json.dumps(outcome, indent=2)
    placed = outcome["answers"]["201"]
    assert placed > 100
    assert shop.client.orders(shop.token) == orders + placed
    eventually(lambda: orders_published(shop.release) >= orders + placed)
    eventually(lambda: orders_published(shop.release, "OrderConfirmed") >= orders + placed)
    published = [orders_published(shop.release, event) for event in ("OrderPlaced", "OrderConfirmed")]
    assert published == [orders + placed, orders + placed]
    if BROKER == "nats":  # RabbitMQ does not count what it has delivered
        assert orders_sent(shop.release) == sent + placed


def orders_sent(release: Release) -> int:
    """Returns the number of OrderPlaced that NATS has, 0 with another broker."""
    subjects = stream(release)["state"].get("subjects", {}) if BROKER == "nats" else {}
    return int(subjects.get("meshwright.orders.v1.OrderPlaced", 0))


def test_a_rolling_restart(shop: Shop) -> None:
    """All workloads at once."""
    with without_a_failed_request(shop):
        shop.release.kubectl("rollout", "restart", *(f"deployment/shop-{name}" for name in DEPLOYMENTS))
        eventually(shop.release.is_ready)


def test_an_upgrade(shop: Shop) -> None:
    """To a newer version of the chart whose pods are all others, and back."""
    with without_a_failed_request(shop), packaged("99.0.0") as newer:
        shop.release.install("--set=workloads.env.LOG_LEVEL=debug", chart=newer)
        shop.release.helm("rollback", "shop", "--wait")


def test_changed_connections(shop: Shop) -> None:
    """New URLs, by the values or by a Secret, restart the services that read them, every pod of them and no other, and
    are what the pods have then.
    """
    domain = f"{shop.release.namespace}.svc"
    changed = {
        f"{name}.{value}": shop.release.secret(name, key).replace(f"@shop-{server}:", f"@shop-{server}.{domain}:")
        for name in ("identity", "notifications", "orders", "catalog")
        for value, key, server in (("databaseUrl", "DATABASE_URL", "postgres"), ("brokerUrl", "BROKER_URL", BROKER))
    }
    of_catalog = {
        "DATABASE_URL": changed.pop("catalog.databaseUrl"),
        "BROKER_URL": changed.pop("catalog.brokerUrl"),
    }
    literals = [f"--from-literal={key}={value}" for key, value in of_catalog.items()]
    shop.release.kubectl("create", "secret", "generic", "catalog-connections", *literals)
    before = {name: names_of(shop, name) for name in DEPLOYMENTS}
    values = [f"--set=services.{name}={url}" for name, url in changed.items()]
    with without_a_failed_request(shop):
        try:
            shop.release.install(*values, "--set=services.catalog.existingSecret=catalog-connections")
            after = {name: names_of(shop, name) for name in DEPLOYMENTS}
            restarted = {name for name in DEPLOYMENTS if not before[name] & after[name]}
            assert restarted == {"identity", "notifications", "orders", "catalog"}
            for name in restarted:
                for pod in after[name]:
                    url = shop.release.kubectl("exec", pod, "--", "printenv", "BROKER_URL")
                    assert url.strip() == changed.get(f"{name}.brokerUrl", of_catalog["BROKER_URL"])
        finally:
            shop.release.helm("rollback", "shop", "--wait")


def names_of(shop: Shop, workload: str) -> set[str]:
    """The names of a workload's pods."""
    return {pod["metadata"]["name"] for pod in shop.release.pods(workload)}


def test_deleted_pods(shop: Shop) -> None:
    """Deletes one pod of each workload."""
    with without_a_failed_request(shop):
        shop.release.kubectl(
            "delete", "pod", "--wait=false", *(shop.release.pods(name)[0]["metadata"]["name"] for name in DEPLOYMENTS)
        )
        eventually(shop.release.is_ready)


def test_a_drained_node(shop: Shop) -> None:
    """Pods leave one at a time. Where there is no other node the second of a workload stays, and serves."""
    [*_, pod] = shop.release.pods("edge")
    node = pod["spec"]["nodeName"]
    selector = f"--pod-selector=app.kubernetes.io/part-of=shop,app.kubernetes.io/name in ({','.join(DEPLOYMENTS)})"
    with without_a_failed_request(shop):
        try:
            with contextlib.suppress(CommandFailed):
                kubectl(
                    "drain",
                    node,
                    selector,
                    "--delete-emptydir-data",
                    "--ignore-daemonsets",
                    f"--timeout={TOO_SHORT_S}s",
                )
            assert (
                pod["metadata"]["uid"] not in {each["metadata"]["uid"] for each in shop.release.pods("edge")}
                or len(shop.release.pods("edge")) > 1
            )
        finally:
            kubectl("uncordon", node)
        eventually(shop.release.is_ready)


@pytest.mark.parametrize("workload", ["orders", "edge", "postgres", BROKER])
def test_a_killed_process_comes_back(shop: Shop, workload: str) -> None:
    """kill -9, without a word to anybody: it is started again, and knows all that was acknowledged."""
    order = {"lines": [{"product": shop.product, "quantity": 1}]}
    placed = shop.client.call("POST", "/v1/orders", token=shop.token, body=order)["name"]
    orders = names_of_orders(shop)
    assert placed in orders
    pod = shop.release.pods(workload)[0]
    name, restarts = pod["metadata"]["name"], restarts_of(pod)
    killer = killer_pod("killer", IMAGE, pod["spec"]["nodeName"], pod["metadata"]["uid"])
    with Release("meshwright-test-killer").in_namespace(restricted=False) as elsewhere:
        elsewhere.kubectl("apply", "--filename=-", text=json.dumps(killer))
        eventually(
            lambda: any(
                restarts_of(each) > restarts for each in shop.release.pods(workload) if each["metadata"]["name"] == name
            )
        )
    eventually(shop.release.is_ready)
    eventually(lambda: names_of_orders(shop) == orders)


def names_of_orders(shop: Shop) -> list[str]:
    """Returns the orders on the first page of the customer's list. Their states may still change."""
    return [order["name"] for order in shop.client.call("GET", "/v1/orders", token=shop.token)["orders"]]


def restarts_of(pod: dict[str, Any]) -> int:
    """Returns the number of restarts of a pod's container."""
    count: int = pod["status"]["containerStatuses"][0]["restartCount"]
    return count


def test_a_service_that_is_stopped_takes_no_other_with_it(shop: Shop) -> None:
    """The edge stays ready, and the other services continue to work."""
    shop.release.kubectl("scale", "deployment/shop-orders", "--replicas=0")
    try:
        eventually(lambda: not shop.release.get("pods", "--selector=app.kubernetes.io/name=orders"))
        time.sleep(2 * PROBED_EVERY_S)
        assert shop.client.call("GET", "/v1/information", token=shop.token)
        with pytest.raises(CommandFailed, match="503"):
            shop.client.call("GET", "/v1/orders", token=shop.token)
    finally:
        shop.release.kubectl("scale", "deployment/shop-orders", "--replicas=2")
    eventually(shop.release.is_ready)


def test_an_image_that_is_not_there(shop: Shop) -> None:
    """The previous version continues to serve, and `helm rollback` returns to it."""
    with without_a_failed_request(shop):
        fails(shop, "--set=image.tag=no-such-tag")


def test_a_migration_that_fails(shop: Shop) -> None:
    """No pod of the new version starts; those of the one before serve on."""
    url = "postgresql://nobody:nothing@shop-postgres:5432/nowhere"
    shop.release.kubectl("create", "secret", "generic", "broken", f"--from-literal=DATABASE_URL={url}")
    with without_a_failed_request(shop):
        fails(shop, "--set=services.catalog.existingSecret=broken")


def fails(shop: Shop, value: str) -> None:
    """Upgrades to what can never be ready, and goes back."""
    pods = shop.release.deployed()
    try:
        with pytest.raises(CommandFailed, match="not ready"):
            shop.release.install(value, f"--timeout={TOO_SHORT_S}s")
        assert pods <= shop.release.deployed()
    finally:
        shop.release.helm("rollback", "shop", "--wait")
    assert shop.release.is_ready()


def test_the_memory_of_the_pods(shop: Shop) -> None:
    """After all this each pod of a service holds less than 95 MB, and the kernel has ended none for want of memory."""
    memory = shop.release.memory()
    held = {
        pod["metadata"]["name"]: memory[pod["metadata"]["name"]]
        for name in DEPLOYMENTS
        if name != "edge"
        for pod in shop.release.pods(name)
    }
    assert {name: size for name, size in held.items() if size >= SERVICE_BYTES} == {}
    ends = {
        pod["metadata"]["name"]: container.get("lastState", {}).get("terminated", {}).get("reason")
        for pod in shop.release.get("pods")
        for container in pod["status"].get("containerStatuses", ())
    }
    assert "OOMKilled" not in ends.values(), ends
