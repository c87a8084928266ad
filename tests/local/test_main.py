"""The commands behind the Makefile's targets, as their user meets them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(command: str, home: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command for a mesh in this folder until it ends by itself."""
    environment = {**os.environ, "MESH_HOME": str(home), **variables}
    return subprocess.run(
        (sys.executable, "-m", "local", command), cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("variable", "values"), [("RELOAD", "on or off"), ("BROKER", "nats or rabbitmq")])
def test_a_wrong_setting_is_named_before_anything_starts(tmp_path: Path, variable: str, values: str) -> None:
    """The error has the valid values, and no server has been started for it."""
    done = run("up", tmp_path / "mesh", **{variable: "no"})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Invalid settings:\n{variable}: must be {values}.")
    assert not (tmp_path / "mesh" / "data" / "postgres").exists()
