"""Generated modules that are wrong."""

import os
from pathlib import Path

import pytest

from tools import generate
from tools.generation.modules import module_problems

HEAD = "# Generated from things/v1/things.proto. DO NOT EDIT.\n"
CLIENT_HEAD = "# sources: things/v1/events.proto, things/v1/things.proto\n"
THINGS = "gen/things/v1/things_grpc.py"


def problems(folder: Path, text: str) -> list[str]:
    """Returns the problems of a folder with this module."""
    path = folder / "things/v1/things_grpc.py"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return [str(problem) for problem in module_problems(folder, "gen")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("class A:\n    x: int\n\nclass B:\n    x: int\n\ndef x(): ...\n", []),
        (
            f'{HEAD}class A:\n    """A "thing""""\n',
            [
                f'{THINGS}:3: is not Python: unterminated string literal (detected at line 3): """A "thing"""". '
                "It is generated from things/v1/things.proto."
            ],
        ),
        (
            f"{CLIENT_HEAD}class A:\n    async def import(self): ...\n",
            [
                f"{THINGS}:3: is not Python: invalid syntax: async def import(self): .... "
                "It is generated from things/v1/events.proto, things/v1/things.proto."
            ],
        ),
        ("x = '\0'\n", [f"{THINGS}:1: is not Python: source code string cannot contain null bytes."]),
        ("class A: ...\nclass A: ...\n", [f"{THINGS}:2: defines A twice."]),
        ("A: int = 1\nA: int = 2\n", [f"{THINGS}:2: defines A twice."]),
        ("class A:\n    def f(self): ...\n    async def f(self): ...\n", [f"{THINGS}:3: defines f twice."]),
    ],
    ids=["right", "quote", "keyword", "null", "class", "constant", "method"],
)
def test_a_module_that_cannot_be_imported_or_loses_a_name_is_a_problem(
    tmp_path: Path, text: str, expected: list[str]
) -> None:
    """The problem has the file, the line, and the contracts from which it is generated."""
    assert problems(tmp_path, text) == expected


def test_the_generated_modules_are_right() -> None:
    """The committed modules have no problems."""
    for name in ("gen", generate.CLIENTS):
        assert list(module_problems(generate.ROOT / name, name)) == []


def test_generation_stops_at_a_wrong_module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A generated module that is not Python replaces nothing."""
    real = generate.buf

    def generated(*arguments: str | Path) -> None:
        real(*arguments)
        if "buf.gen.yaml" in arguments:
            (Path(arguments[-1]) / "meshwright/orders/v1/orders_grpc.py").write_text(f"{HEAD}def f(:\n")

    monkeypatch.setattr(generate, "buf", generated)
    monkeypatch.setattr("sys.argv", ["generate.py", str(tmp_path)])
    monkeypatch.setenv("PATH", os.environ["PATH"])  # main() changes it
    with pytest.raises(SystemExit, match=r"^gen/meshwright/orders/v1/orders_grpc\.py:2: is not Python: "):
        generate.main()
    assert list(tmp_path.iterdir()) == []
