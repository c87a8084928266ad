"""`make service`, cut off."""

import sys
from pathlib import Path
from typing import Any

import pytest

from tools import service


def test_a_service_that_was_cut_off_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command can be repeated: its name is not taken by the files of the first try."""
    (tmp_path / "services").mkdir()
    written: list[Path] = []

    def interrupt(files: Any) -> None:
        written.extend(tmp_path / path for path in files)
        assert all(path.exists() for path in written)
        raise KeyboardInterrupt

    monkeypatch.setattr(service, "ROOT", tmp_path)
    monkeypatch.setattr(service, "tidy", interrupt)
    monkeypatch.setattr(sys, "argv", ["service.py", "reviews"])
    with pytest.raises(KeyboardInterrupt):
        service.main()
    assert written
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    monkeypatch.setattr(service, "tidy", lambda _files: None)
    service.main()
    assert all(path.exists() for path in written)
