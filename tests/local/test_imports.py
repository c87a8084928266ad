"""The files that a process imports."""

from pathlib import Path

import pytest

from local.imports import Imports


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("import mesh.errors\n", {"mesh/__init__.py", "mesh/errors.py"}),
        ("import os, mesh.errors as errors  # both\n", {"mesh/__init__.py", "mesh/errors.py"}),
        ("from mesh.errors import NotFound\n", {"mesh/__init__.py", "mesh/errors.py"}),
        ("from mesh import (\n    errors,\n)\n", {"mesh/__init__.py", "mesh/errors.py"}),
        ("def main():\n    from shop.v1 import shop_pb\n", {"gen/shop/v1/shop_pb.py"}),
        ("from mesh import nothing\n", {"mesh/__init__.py"}),
        ("import json\n# import mesh.errors\n", set()),
        ("from mesh.chain import last\n", {"mesh/__init__.py", "mesh/chain.py", "mesh/errors.py"}),
    ],
)
def test_each_form_of_import_is_followed(text: str, files: set[str], tmp_path: Path) -> None:
    """Packages, modules, and members that are modules, also of modules that import others, each other even."""
    for name, content in {
        "mesh/__init__.py": "",
        "mesh/errors.py": "from mesh import chain\n" if "chain" in text else "",
        "mesh/chain.py": "import mesh.errors\n",
        "gen/shop/v1/shop_pb.py": "",
        "services/orders/domain/order.py": text,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    found = {path.as_posix() for path in Imports(tmp_path).of(Path("services/orders"))}
    assert found == files | {"services/orders/domain/order.py"}


def test_a_module_is_found_without_its_suffix(tmp_path: Path) -> None:
    """The mail server is a module, not a package."""
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "mail.py").write_text("")
    assert Imports(tmp_path).of(Path("local/mail")) == {Path("local/mail.py")}
