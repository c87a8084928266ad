"""A release from its first version to its end, and after. This one is small, and goes without a mesh."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import (
    ADA,
    CHART,
    IMAGE,
    Client,
    Release,
    eventually,
    mails,
    orders_published,
    packaged,
)

# Low requests, so that two CPUs have room for it beside the release that the other tests share.
CPU = ",".join(f"{part}.resources.requests.cpu=10m" for part in ("workloads", "postgres"))
SMALL = (
    *("--values", str(CHART / "values-trial.yaml")),
    f"--set=linkerd.enabled=false,workloads.env.LOG_LEVEL=debug,{CPU}",
)
SECRETS = (
    ("identity", "STAFF_PASSWORD"),
    ("identity", "KEY_ENCRYPTION_SECRET"),
    ("orders", "DATABASE_URL"),
)
BROKER = ("orders", "BROKER_URL")  # another version may have other users
PREVIOUS = os.environ.get("PREVIOUS", "")


@pytest.fixture(scope="module")
def small() -> Iterator[Release]:
    """A namespace for it."""
    with Release("meshwright-test-small").in_namespace() as release:
        yield release


@pytest.fixture(scope="module")
def previous() -> Iterator[Path]:
    """The chart's version before this one: PREVIOUS names it; without it, this one under a lower number."""
    if PREVIOUS:
        yield Path(PREVIOUS)
    else:
        with packaged("0.0.1") as chart:
            yield chart


def test_data_and_secrets_outlive_an_upgrade_and_the_release(small: Release, previous: Path) -> None:
    """The version before, this one, none, and this one again: who signed up signs in, and no password has changed.
    Another version replaces every pod, and its events arrive. Without the release, its Secrets and its data are left,
    and nothing else.
    """
    small.install(*SMALL, chart=previous, image=os.environ.get("PREVIOUS_IMAGE", IMAGE))
    client = Client(small)
    client.call("POST", "/v1/users", body=ADA)
    secrets, pods = [small.secret(*each) for each in SECRETS], small.deployed()

    small.install(*SMALL)
    if PREVIOUS:
        assert not pods & small.deployed()
    place_an_order(small, client)
    assert [small.secret(*each) for each in SECRETS] == secrets
    secrets.append(small.secret(*BROKER))

    small.helm("uninstall", "shop", "--wait", "--cascade=foreground")
    assert left_by(small) == {"secrets", "persistentvolumeclaims"}

    small.install(*SMALL)
    assert client.token(ADA["email"], ADA["password"])
    assert [small.secret(*each) for each in (*SECRETS, BROKER)] == secrets


def place_an_order(release: Release, client: Client) -> None:
    """Places an order by an earlier customer for a new product, and registers a user: one event each, and a mail."""
    published = orders_published(release)
    product = client.product(release)
    ada = client.token(ADA["email"], ADA["password"])
    body = {"lines": [{"product": product, "quantity": 1}]}
    client.call("POST", f"/v1/orders?request_id={uuid.uuid4()}", token=ada, body=body)
    eventually(lambda: orders_published(release) == published + 1, within_s=60)
    client.call("POST", "/v1/users", body=ADA | {"email": "grace@example.com"})
    eventually(lambda: "grace@example.com" in mails(release), within_s=60)


def left_by(release: Release) -> set[str]:
    """The kinds of the objects in the namespace that bear the name of the release."""
    kinds = release.kubectl("api-resources", "--namespaced", "--verbs=list", "--output=name").split()
    found = release.kubectl(
        "get", ",".join(kind for kind in kinds if not kind.startswith("events")), "--output=name"
    ).split()
    return {each.partition("/")[0].partition(".")[0] + "s" for each in found if "/shop" in each or "-shop-" in each}
