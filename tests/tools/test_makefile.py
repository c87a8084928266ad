"""The index of what can be done in a checkout."""

import re
import subprocess
import sys
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


def recipe(*arguments: str) -> str:
    """Returns the commands of a target and of all that it needs, as if nothing were there yet."""
    command = ["make", "--no-print-directory", "--dry-run", "--always-make", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_what_a_service_needs_is_explained_without_packages() -> None:
    """`make service` without a name installs nothing for its explanation."""
    assert "environment.py" in recipe("service", "NAME=reviews")
    assert "environment.py" not in recipe("service")
    command = ["make", "service", f"PYTHON={sys.executable} -S"]  # -S: without site-packages
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "make service NAME=order-items" in done.stderr


@pytest.mark.parametrize(("value", "means_yes"), [("1", True), ("yes", True), ("0", False), ("no", False), ("", False)])
def test_a_dead_letter_is_replayed_out_of_order_only_on_request(value: str, means_yes: bool) -> None:
    """OVERTAKEN=0 is no request."""
    replayed = recipe("dead-letters", "SERVICE=orders", "REPLAY=all", f"OVERTAKEN={value}")
    assert "--replay all" in replayed
    assert ("--overtaken" in replayed) is means_yes


def test_one_service_is_tested_without_programs_in_go() -> None:
    """The tests of one service need only the packages, not Helm and the other programs in Go."""
    alone = recipe("test", "SERVICE=order-items")
    assert "tests/services/order_items tests/contract" in alone
    assert "mypy" in alone
    assert "ruff check" in alone
    assert "go_tools.py" not in alone
    assert "go_tools.py helm" in recipe("test")


def test_a_service_without_tests_is_a_sentence() -> None:
    """A wrong name is found before anything is installed or checked."""
    command = ["make", "--no-print-directory", "test", "SERVICE=nosuch"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stdout == "There is no folder tests/services/nosuch.\n"


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


def test_breaking_compares_rules_and_policies_too() -> None:
    """buf compares messages and methods; it ignores custom options, such as HTTP rules."""
    commands = recipe("breaking", "AGAINST=HEAD")
    assert "buf breaking" in commands
    assert "python -m tools.breaking" in commands


def test_help_names_every_port() -> None:
    """`make help` lists the variables of ports, for services by an example."""
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for variable in {*OTHERS, "ORDERS_PORT", "ORDERS_OPS_PORT"} - {"MAIL_OPS_PORT"}:
        assert variable in done.stdout
