"""The index of what can be done in a checkout."""

import re
import subprocess
from pathlib import Path

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


def test_help_names_every_port() -> None:
    """The variables that choose ports are told, those of the services by the example of one."""
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for variable in {*OTHERS, "ORDERS_PORT", "ORDERS_OPS_PORT"} - {"MAIL_OPS_PORT"}:
        assert variable in done.stdout
