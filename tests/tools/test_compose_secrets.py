"""tools/compose_secrets.py."""

from pathlib import Path

import pytest

from tools import compose_secrets
from tools.compose_secrets import NAMES, main


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it writes."""
    path = tmp_path / ".env"
    monkeypatch.setattr(compose_secrets, "FILE", path)
    return path


def test_all_secrets_are_made_once_for_the_owner_only(file: Path) -> None:
    """Each has a value of its own, and the second run changes nothing."""
    main()
    made = file.read_text()
    values = dict(line.split("=") for line in made.splitlines())
    assert tuple(values) == NAMES
    assert len(set(values.values())) == len(NAMES)
    assert file.stat().st_mode & 0o777 == 0o600
    main()
    assert file.read_text() == made


def test_what_is_there_stays(file: Path) -> None:
    """A file of the user's own, even without an end of its last line, gains what it lacks."""
    file.write_text("PORT=8081\nSTAFF_PASSWORD=mine")
    main()
    lines = file.read_text().splitlines()
    assert lines[:2] == ["PORT=8081", "STAFF_PASSWORD=mine"]
    assert [line.partition("=")[0] for line in lines[2:]] == [name for name in NAMES if name != "STAFF_PASSWORD"]
