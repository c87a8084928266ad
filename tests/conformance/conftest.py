"""Contracts in each dialect of the language."""

import pytest

from tests.conformance.contracts import EDITION_2023, PROTO2, PROTO3
from tests.conformance.dialect import Dialect, dialect_of


@pytest.fixture(scope="session")
def proto3(tmp_path_factory: pytest.TempPathFactory) -> Dialect:
    """Returns both implementations of a contract in proto3, the dialect that ProtoJSON is defined for."""
    return dialect_of(PROTO3, tmp_path_factory.mktemp("proto3"))


@pytest.fixture(scope="session")
def proto2(tmp_path_factory: pytest.TempPathFactory) -> Dialect:
    """Returns both implementations of a contract in proto2, with the features that only it has."""
    return dialect_of(PROTO2, tmp_path_factory.mktemp("proto2"))


@pytest.fixture(scope="session")
def editions(tmp_path_factory: pytest.TempPathFactory) -> Dialect:
    """Returns both implementations of a contract in edition 2023, with features that it sets."""
    return dialect_of(EDITION_2023, tmp_path_factory.mktemp("editions"))
