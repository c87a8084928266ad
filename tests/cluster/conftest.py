"""The release that most tests share."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.cluster.cluster import ADA, Client, Release


@dataclass(frozen=True, slots=True)
class Shop:
    """The release with a customer, and a product in stock."""

    release: Release
    client: Client
    token: str
    product: str


@pytest.fixture(scope="session")
def release() -> Iterator[Release]:
    """Installs the chart from nothing, by the instructions in values.yaml."""
    with Release("meshwright-test").in_namespace() as release:
        release.install()
        yield release


@pytest.fixture(scope="session")
def shop(release: Release) -> Shop:
    """The same, in use."""
    client = Client(release)
    product = client.product(release)
    client.call("POST", "/v1/users", body=ADA)
    return Shop(release, client, client.token(ADA["email"], ADA["password"]), product)
