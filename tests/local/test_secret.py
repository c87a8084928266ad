"""Files of secrets."""

import stat
from pathlib import Path

import pytest

from local.secret import secret, write_secret


def test_a_secret_stays(tmp_path: Path) -> None:
    """A secret is generated once."""
    assert secret(tmp_path / "a" / "b") == secret(tmp_path / "a" / "b") != secret(tmp_path / "a" / "c")


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o777])
def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path, mode: int) -> None:
    """A file with too wide a mode, as after copying the folder, is closed to others; the secret stays the same."""
    path = tmp_path / "secret"
    made = secret(path)
    path.chmod(mode)
    assert secret(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(mode)
    write_secret(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
