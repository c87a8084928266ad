"""The commands of the demo, as their user meets them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from demo.faults import Faults
from demo.link import Link
from local.errors import SetupError
from local.home import Home

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("module", ["demo", "demo.simulate", "demo.audit", "demo.chaos"])
def test_a_name_that_no_folder_can_have_is_a_sentence(module: str) -> None:
    """Each command names the setting."""
    environment = {**os.environ, "MESH_HOME": "a" * 300}
    command = (sys.executable, "-m", module)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith(" can't be the mesh's folder: File name too long. Set MESH_HOME to another one.\n")
    assert "Traceback" not in done.stderr


async def test_no_fault_happens_to_a_mesh_that_has_stopped(tmp_path: Path) -> None:
    """A chaos run during which somebody stops the mesh ends with a sentence."""
    async with Link(1) as link:
        with pytest.raises(SetupError, match="has stopped"):
            await Faults(Home(tmp_path), link, seed=1).cause_one()
