"""The index of what can be done in a checkout."""

import re
import subprocess
from pathlib import Path

import pytest

from local.declarations.ports import OTHERS

ROOT = Path(__file__).parents[2]


def test_help_lists_every_target() -> None:
    """Each target that is meant to be called has its line in `make help`."""
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", "")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = re.findall(r"^  ([a-z0-9-]+)  +\S", done.stdout, re.MULTILINE)
    assert sorted(listed) == sorted(phony[1].split())


@pytest.mark.parametrize("ref", ["", "nosuch", "HEAD:README.md"])
def test_breaking_without_a_ref_ends_with_a_sentence(ref: str) -> None:
    """A ref that is missing, or has no contracts, is named, with the way to call it."""
    done = subprocess.run(
        ["make", "--no-print-directory", "breaking", f"AGAINST={ref}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert done.stdout.endswith("make breaking AGAINST=main\n")
    assert ref in done.stdout
    assert "fatal" not in done.stderr


def test_help_names_every_port() -> None:
    """The variables that choose ports are told, those of the services by the example of one."""
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for variable in {*OTHERS, "ORDERS_PORT", "ORDERS_OPS_PORT"} - {"MAIL_OPS_PORT"}:
        assert variable in done.stdout
