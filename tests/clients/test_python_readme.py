"""The README of the client package for Python."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from meshwright_client.meshwright.orders.v1 import OrdersServiceStub

README: Final = (Path(__file__).resolve().parents[2] / "clients/python/README.md").read_text()
BLOCKS: Final = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
SPANS: Final = re.findall(r"`([^`\n]*\bstub\.[^`\n]*)`", README)


def calls(code: str) -> Iterator[tuple[str, bool]]:
    """Yields the methods of stubs that code calls, and whether it iterates over their responses."""
    tree = ast.parse(code)
    iterated = {id(node.iter) for node in ast.walk(tree) if isinstance(node, ast.AsyncFor)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            stub = ast.unparse(node.func.value)
            if stub == "stub" or stub.startswith("OrdersServiceStub("):
                yield node.func.attr, id(node) in iterated


@pytest.mark.parametrize("code", [*BLOCKS, *(f"async def main():\n    {each}: ..." for each in SPANS)])
def test_it_calls_each_method_as_what_it_is(code: str) -> None:
    """A unary method is awaited, a stream is iterated over, and both exist."""
    found = list(calls(code))
    assert found
    for name, iterates in found:
        assert inspect.isasyncgenfunction(getattr(OrdersServiceStub, name)) is iterates
