"""The document of the contract with everything."""

import json
from pathlib import Path
from typing import Any

import pytest

from edge.contract.contract import Contract, load, read
from tests.edge.contracts import compile_image
from tests.edge.openapi.contracts import TORTURE, documents_of

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def torture(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    """A contract with everything that OpenAPI has to say something about."""
    return read(compile_image(TORTURE, tmp_path_factory.mktemp("torture")))


@pytest.fixture(scope="session")
def shapes(torture: Contract) -> dict[str, Any]:
    """Its document."""
    made: dict[str, Any] = json.loads(b"".join(documents_of(torture).pieces()))
    return made


@pytest.fixture(scope="session")
def store() -> Contract:
    """The contracts of the store."""
    return load(ROOT / "gen" / "contracts.binpb")


@pytest.fixture(scope="session")
def shop(store: Contract) -> dict[str, Any]:
    """The document of the store, which checks tokens."""
    made: dict[str, Any] = json.loads(b"".join(documents_of(store, secured=True).pieces()))
    return made
