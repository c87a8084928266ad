"""The form of docstrings: a verb first in functions, a noun phrase in modules and classes."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("mesh", "edge", "services", "demo", "local", "tools", "benchmarks")
VERB: Final = re.compile(r"(?!(?:Its|This|Others)\b)[A-Z][a-z]+s\b")
RIDDLE: Final = re.compile(r"(?:What|Whatever|Who|Whether|How|Where|When|Which|That)\b")

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Documented: TypeAlias = ast.Module | ast.ClassDef | Function


def documented(package: str) -> Iterator[tuple[str, Documented, str]]:
    """Yields the place, the definition and the docstring of everything that has one in a package."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, Documented) and (text := ast.get_docstring(node)):
                yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}", node, text


def is_test(place: str, function: Function) -> bool:
    """Returns whether a function is a test: the template of a service contains some."""
    return "/tests/" in f"/{place}" and function.name.startswith("test_")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_function_begins_with_a_verb(package: str) -> None:
    """The docstring of a function begins with a verb in the third person; that of __init__ may describe parameters, and
    that of a test says what it proves.
    """
    functions = [
        (place, text)
        for place, node, text in documented(package)
        if isinstance(node, Function) and node.name != "__init__" and not is_test(place, node)
    ]
    assert functions
    assert [place for place, text in functions if not VERB.match(text)] == []


@pytest.mark.parametrize("package", [*PACKAGES, "tests"])
def test_no_docstring_begins_with_a_clause(package: str) -> None:
    """No docstring begins with a word such as "What" or "Whether", whose clause the reader would have to complete. That
    of a test may begin with a condition: "When the token expires, the stream ends."
    """
    found = list(documented(package))
    assert found
    assert [place for place, node, text in found if RIDDLE.match(text) and not is_condition(place, node, text)] == []


def is_condition(place: str, node: Documented, text: str) -> bool:
    """Returns whether the docstring is that of a test and begins with "When"."""
    return isinstance(node, Function) and is_test(place, node) and text.startswith("When ")
