"""Fixtures of the tests of the runtime: a contract of their own, and an issuer of tokens."""

import importlib
import sys
from types import SimpleNamespace

import pytest

from tests.issuer import Issuer
from tests.mesh.greeter import GREETER, compile_contract


@pytest.fixture(scope="session")
def greeter(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Returns the generated modules of the greeter contract: `pb` with the messages, `grpc` with the base and the
    client.
    """
    folder = tmp_path_factory.mktemp("greeter")
    compiled = compile_contract(GREETER, "greeter/v1/greeter.proto", folder)
    assert compiled.returncode == 0, compiled.stderr
    sys.path.append(str(folder))
    modules = {name: importlib.import_module(f"greeter.v1.greeter_{name}") for name in ("pb", "grpc")}
    return SimpleNamespace(folder=folder, **modules)


@pytest.fixture
def issuer() -> Issuer:
    """Returns a new issuer with one key."""
    return Issuer()
