"""The release that most tests share."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from tests.cluster.cluster import ADA, BROKER, Client, Release

collect_ignore = [] if BROKER == "nats" else ["test_nats.py"]

TOKEN_USED_S: Final = 300.0
"""How long a token is used. It is valid for 15 minutes, of which a load may take some."""


@dataclass(slots=True)
class Shop:
    """The release with a customer, and a product in stock."""

    release: Release
    client: Client
    product: str
    _token: str = ""
    _token_until: float = 0.0

    @property
    def token(self) -> str:
        """Returns an access token of the customer, a new one every TOKEN_USED_S."""
        if time.monotonic() > self._token_until:
            self._token = self.client.token(ADA["email"], ADA["password"])
            self._token_until = time.monotonic() + TOKEN_USED_S
        return self._token


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
    return Shop(release, client, product)
