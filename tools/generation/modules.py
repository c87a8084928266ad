"""Faults of generated modules, found before the modules replace the old ones."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from local.declarations.problem import Problem

_SOURCES: Final = re.compile(r"^# (?:Generated from|sources:) (.+?)(?:\. DO NOT EDIT\.)?$", re.MULTILINE)

_Fault = tuple[int, str]


def module_problems(folder: Path, name: str) -> Iterator[Problem]:
    """Yields what is wrong with the modules below a folder, which will have this name in the checkout."""
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for line, why in _faults(text):
            found = _SOURCES.search(text)
            origin = f" It is generated from {found[1]}." if found else ""
            yield Problem(f"{name}/{path.relative_to(folder).as_posix()}", line, f"{why}.{origin}")


def _faults(text: str) -> Iterator[_Fault]:
    """Yields the lines of a module that are not Python, or else those where a name replaces an earlier one."""
    try:
        tree = ast.parse(text)
        compile(tree, "", "exec")
    except SyntaxError as error:
        place = f": {error.text.strip()}" if error.text else ""
        yield error.lineno or 1, f"is not Python: {error.msg}{place}"
    except ValueError as error:  # null bytes, before Python 3.11.4
        yield 1, f"is not Python: {error}"
    else:
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef):
                yield from _twice(node.body)


def _twice(body: list[ast.stmt]) -> Iterator[_Fault]:
    """Yields the functions, classes and annotated names of a body that an earlier line has defined, because two names
    of a contract are one in Python.
    """
    names = set[str]()
    for node in body:
        match node:
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
                | ast.AnnAssign(target=ast.Name(id=name))
            ):
                if name in names:
                    yield node.lineno, f"defines {name} twice"
                names.add(name)
