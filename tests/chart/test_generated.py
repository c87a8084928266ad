"""Generated secrets are kept over upgrades, and releases that form one mesh agree on them."""

import json
from collections.abc import Iterator

import pytest

from local.declarations.checkout import read_services
from tests.chart.cluster_api import ClusterApi, cluster_api
from tests.chart.render import ROOT

CLIENT = "notifications"
WITHOUT_CLIENT = ("--set=prefix=shop", f"--set=services.{CLIENT}.enabled=false")
CLIENT_ALONE = (
    "--set=prefix=shop,edge.enabled=false,postgres.enabled=false,nats.enabled=false,mail.url=smtp://mail",
    f"--set=services.{CLIENT}.databaseUrl=postgresql://db/n,services.{CLIENT}.brokerUrl=nats://n:x@nats,mail.enabled=false",
    *(f"--set=services.{each.name}.enabled=false" for each in read_services(ROOT) if each.name != CLIENT),
)


@pytest.fixture
def cluster() -> Iterator[ClusterApi]:
    """Yields an empty cluster."""
    with cluster_api() as api:
        yield api


def issued(cluster: ClusterApi) -> str:
    """Returns the secret that identity accepts from the client."""
    secret: str = json.loads(cluster.values("shop-identity")["SERVICE_CLIENTS"])[CLIENT]
    return secret


def own(cluster: ClusterApi) -> str:
    """Returns the secret that the client sends."""
    return cluster.values(f"shop-{CLIENT}")["CLIENT_SECRET"]


def test_an_upgrade_keeps_every_secret(cluster: ClusterApi) -> None:
    """A second upgrade with the same values changes no Secret."""
    cluster.install("shop")
    before = {name: cluster.values(name) for name in cluster.secrets}
    cluster.install("shop")
    assert {name: cluster.values(name) for name in cluster.secrets} == before
    assert own(cluster) == issued(cluster)


def test_a_client_of_another_release_has_the_secret_that_the_issuer_knows(cluster: ClusterApi) -> None:
    """A service that is a release of its own can obtain tokens, although identity read its clients before."""
    cluster.install("shop", *WITHOUT_CLIENT)
    known = issued(cluster)
    cluster.install("shop", *WITHOUT_CLIENT)
    assert issued(cluster) == known
    cluster.install("alone", *CLIENT_ALONE)
    assert own(cluster) == known
    cluster.install("shop", *WITHOUT_CLIENT)
    assert (own(cluster), issued(cluster)) == (known, known)


def test_an_issuer_learns_the_secret_of_an_earlier_release(cluster: ClusterApi) -> None:
    """The other way round, identity's release accepts the client that was there before."""
    cluster.install("alone", *CLIENT_ALONE)
    known = own(cluster)
    cluster.install("shop", *WITHOUT_CLIENT)
    assert issued(cluster) == known


def test_a_deleted_secret_of_a_client_is_made_anew(cluster: ClusterApi) -> None:
    """The secret is rotated by removing it from the client's Secret; identity's does not bring the old one back."""
    cluster.install("shop")
    known = own(cluster)
    del cluster.secrets[f"shop-{CLIENT}"]["data"]["CLIENT_SECRET"]
    cluster.install("shop")
    assert own(cluster) == issued(cluster) != known
