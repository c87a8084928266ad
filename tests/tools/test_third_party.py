"""The .proto files of others that the contracts import."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_registry_out_of_reach_is_a_sentence(tmp_path: Path) -> None:
    """Without a network, the reason and what to check are said, and the next run starts over."""
    command = [sys.executable, str(ROOT / "tools" / "third_party.py"), str(tmp_path / "third_party")]
    offline = {**os.environ, "PIP_NO_INDEX": "1"}
    done = subprocess.run(command, env=offline, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Could not download protovalidate; pip says above why.")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "third_party" / ".versions").exists()
