"""A release on a cluster after `helm install --wait` has returned."""

import json
import subprocess
import uuid

import pytest

from tests.cluster.cluster import DEPLOYMENTS, GRPCURL, IMAGE, CommandFailed, Object, Release, eventually, mesh_runs
from tests.cluster.conftest import Shop
from tests.cluster.manifests import client_pod

OPERATOR = {"app.kubernetes.io/name": "operator", "app.kubernetes.io/part-of": "shop"}


def test_everything_is_ready(release: Release) -> None:
    """After a first installation, every workload has its pods, and no pod has restarted."""
    assert release.is_ready()
    assert {each["metadata"]["name"] for each in release.get("deployments")} >= {f"shop-{name}" for name in DEPLOYMENTS}
    restarts = {
        pod["metadata"]["name"]: container["restartCount"]
        for pod in release.get("pods")
        for container in pod["status"].get("containerStatuses", ())
    }
    assert not any(restarts.values()), restarts


def test_every_object_was_taken_as_it_is(release: Release) -> None:
    """The API server knows every field of every object, with Linkerd also those of its and the Gateway API's kinds."""
    manifest = release.helm("get", "manifest", "shop")
    found = release.kubectl("get", "--filename=-", "--output=name", text=manifest)
    for kind in ("server", "authorizationpolicy", "meshtlsauthentication", "grpcroute", "httplocalratelimitpolicy"):
        assert (f"{kind}." in found) == release.has_policies()
    release.kubectl(
        "apply",
        "--dry-run=server",
        "--server-side",
        "--force-conflicts",
        "--validate=strict",
        "--filename=-",
        text=manifest,
    )


@pytest.mark.parametrize("check", ["health", "round-trip", "denied"])
def test_each_check_of_helm_test_proves_its_promise(release: Release, check: str) -> None:
    """Each pod of `helm test` proves one promise. The check for denied calls exists only with Linkerd's policies, and
    fails without Linkerd.
    """
    ask = ("test", "shop", f"--filter=name=shop-{check}", "--timeout=60s")
    if check == "denied" and not release.has_policies():
        assert f"shop-{check}" not in release.helm("get", "hooks", "shop")
    elif check != "denied" or mesh_runs():
        release.helm(*ask)
    else:
        with pytest.raises(CommandFailed, match=f"shop-{check}"):
            release.helm(*ask)


def test_the_calls_of_the_readme(shop: Shop) -> None:
    """A customer signs up, signs in, asks, and orders, through the edge. Stock and payment confirm the order."""
    assert shop.client.call("GET", "/v1/information", token=shop.token) == {"text": "The answer is 42."}
    order = shop.client.call(
        "POST",
        f"/v1/orders?request_id={uuid.uuid4()}",
        token=shop.token,
        body={"lines": [{"product": shop.product, "quantity": 2}]},
    )
    eventually(lambda: state(shop, order) != "STATE_PENDING", within_s=60)
    assert state(shop, order) == "STATE_CONFIRMED"
    with pytest.raises(CommandFailed, match="401"):
        shop.client.call("GET", "/v1/information")


def state(shop: Shop, order: Object) -> str:
    """The state of an order."""
    found: str = shop.client.call("GET", f"/v1/{order['name']}", token=shop.token)["state"]
    return found


def test_who_the_client_is(shop: Shop) -> None:
    """The edge believes X-Forwarded-For of the proxies that the values name, and of nobody else, which the audit log
    shows.
    """
    forwarded = "198.51.100.7"
    sign_in_in_vain(shop, forwarded)
    assert forwarded not in clients_that_failed(shop)
    [address] = {pod["status"]["podIP"] for pod in shop.release.get("pods") if pod["metadata"]["name"] == "client"}
    try:
        shop.release.install(f"--set=edge.trustedProxies={{{address}}}")
        for pod in shop.release.pods("edge"):
            trusted = shop.release.kubectl("exec", pod["metadata"]["name"], "--", "printenv", "TRUSTED_PROXIES")
            own = [each["ip"] for each in pod["status"]["podIPs"]]
            sidecar = [*own, "127.0.0.1", "::1"] if shop.release.has_policies() else []
            assert trusted.strip().split(",") == [*sidecar, address]
        sign_in_in_vain(shop, forwarded)
        assert forwarded in clients_that_failed(shop)
    finally:
        shop.release.helm("rollback", "shop", "--wait")


def sign_in_in_vain(shop: Shop, forwarded: str) -> None:
    """Signs in as an unknown user from the given address."""
    form = {"grant_type": "password", "username": f"{uuid.uuid4()}@example.com", "password": "not the password"}
    with pytest.raises(CommandFailed, match="invalid_grant"):
        shop.client.call("POST", "/v1/oauth2/token", form=form, headers={"x-forwarded-for": forwarded})


def clients_that_failed(shop: Shop) -> set[str]:
    """The clients of failed sign-ins, in identity's audit log."""
    lines = shop.release.kubectl("logs", "--selector=app.kubernetes.io/name=identity", "--tail=-1").splitlines()
    records = [json.loads(line) for line in lines if '"audit"' in line]
    found = {line["client"] for line in records if line["event"] == "sign_in" and line["outcome"] == "failed"}
    assert found
    return found


def test_an_operator_asks_with_grpcurl(shop: Shop) -> None:
    """From a pod with the operators' account, grpcurl lists services, checks health, and calls a method by token."""
    pod = client_pod("operator", IMAGE, account="shop-operator", labels=OPERATOR)
    if mesh_runs():
        pod["metadata"]["annotations"] = {"linkerd.io/inject": "enabled"}
    shop.release.kubectl("apply", "--filename=-", text=json.dumps(pod))
    shop.release.kubectl("wait", "pod/operator", "--for=condition=Ready", "--timeout=60s")
    into = ("kubectl", "--namespace", shop.release.namespace, "exec", "--stdin", "operator", "--")
    with GRPCURL.open("rb") as program:
        subprocess.run([*into, "sh", "-c", "cat >/tmp/grpcurl && chmod +x /tmp/grpcurl"], stdin=program, check=True)

    def grpcurl(*arguments: str) -> str:
        return shop.release.kubectl("exec", "operator", "--", "/tmp/grpcurl", "-plaintext", *arguments)

    assert "meshwright.orders.v1.OrdersService" in grpcurl("shop-orders:9000", "list")
    assert '"SERVING"' in grpcurl("shop-orders:9000", "grpc.health.v1.Health/Check")
    method = "meshwright.information.v1.InformationService/GetInformation"
    if not mesh_runs():  # where Linkerd runs, only the edge may call it
        answer = grpcurl("-H", f"authorization: Bearer {shop.token}", "shop-information:9000", method)
        assert json.loads(answer) == {"text": "The answer is 42."}


def test_a_second_installation_changes_nothing(release: Release) -> None:
    """The same values over again give the same manifest and the same objects, secrets included; no pod is restarted."""
    before, manifest = objects(release), release.helm("get", "manifest", "shop")
    release.install()
    assert release.helm("get", "manifest", "shop") == manifest
    assert objects(release) == before


def objects(release: Release) -> dict[str, Object]:
    """Returns the objects and long-running pods of the release as the API server has them, without the fields that it
    sets itself.
    """
    manifest = release.helm("get", "manifest", "shop")
    found = json.loads(release.kubectl("get", "--filename=-", "--output=json", text=manifest))["items"]
    for each in found:
        each.pop("status", None)
        each["metadata"] = {
            key: each["metadata"].get(key) for key in ("name", "uid", "generation", "labels", "annotations")
        }
    pods = release.get("pods", "--selector=app.kubernetes.io/instance=shop")
    pods = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in found} | {
        f"Pod/{pod['metadata']['name']}": {} for pod in pods
    }


def test_a_missing_secret_is_reported_before_anything_is_created(release: Release) -> None:
    """A sentence at installation, not a pod that cannot start."""
    with pytest.raises(
        CommandFailed, match=r"services\.orders\.existingSecret: there is no Secret nowhere in the namespace"
    ):
        release.install("--set=services.orders.existingSecret=nowhere")
