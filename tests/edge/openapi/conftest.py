"""The OpenAPI documents of the test contract and of the store."""

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
    """Returns a contract with all features that a document describes."""
    return read(compile_image(TORTURE, tmp_path_factory.mktemp("torture")))


@pytest.fixture(scope="session")
def shapes(torture: Contract) -> dict[str, Any]:
    """Returns the document of that contract."""
    made: dict[str, Any] = json.loads(b"".join(documents_of(torture).pieces()))
    return made


@pytest.fixture(scope="session")
def store() -> Contract:
    """Returns the contracts of the store."""
    return load(ROOT / "gen" / "contracts.binpb")


@pytest.fixture(scope="session")
def shop(store: Contract) -> dict[str, Any]:
    """Returns the document of the store, which checks tokens."""
    made: dict[str, Any] = json.loads(b"".join(documents_of(store, secured=True).pieces()))
    return made
