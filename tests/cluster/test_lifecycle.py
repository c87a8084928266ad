"""A release from its first version to its end, and after. This one is small, and goes without a mesh."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import ADA, CHART, Client, Release, packaged

SMALL = ("--values", str(CHART / "values-trial.yaml"), "--set=linkerd.enabled=false,workloads.env.LOG_LEVEL=debug")
SECRETS = (
    ("identity", "STAFF_PASSWORD"),
    ("identity", "KEY_ENCRYPTION_SECRET"),
    ("orders", "DATABASE_URL"),
    ("nats", "orders"),
)


@pytest.fixture(scope="module")
def small() -> Iterator[Release]:
    """A namespace for it."""
    with Release("meshwright-test-small").in_namespace() as release:
        yield release


@pytest.fixture(scope="module")
def previous() -> Iterator[Path]:
    """The chart's version before this one: PREVIOUS names it; without it, this one under a lower number."""
    if "PREVIOUS" in os.environ:
        yield Path(os.environ["PREVIOUS"])
    else:
        with packaged("0.0.1") as chart:
            yield chart


def test_data_and_secrets_outlive_an_upgrade_and_the_release(small: Release, previous: Path) -> None:
    """The version before, this one, none, and this one again: who signed up signs in, and no password has changed.
    Without the release, its Secrets and its data are left, and nothing else.
    """
    small.install(*SMALL, chart=previous)
    client = Client(small)
    client.call("POST", "/v1/users", body=ADA)
    secrets = [small.secret(*each) for each in SECRETS]

    small.install(*SMALL)
    assert client.token(ADA["email"], ADA["password"])
    assert [small.secret(*each) for each in SECRETS] == secrets

    small.helm("uninstall", "shop", "--wait", "--cascade=foreground")
    assert left_by(small) == {"secrets", "persistentvolumeclaims"}

    small.install(*SMALL)
    assert client.token(ADA["email"], ADA["password"])
    assert [small.secret(*each) for each in SECRETS] == secrets


def left_by(release: Release) -> set[str]:
    """The kinds of the objects in the namespace that bear the name of the release."""
    kinds = release.kubectl("api-resources", "--namespaced", "--verbs=list", "--output=name").split()
    found = release.kubectl(
        "get", ",".join(kind for kind in kinds if not kind.startswith("events")), "--output=name"
    ).split()
    return {each.partition("/")[0].partition(".")[0] + "s" for each in found if "/shop" in each or "-shop-" in each}
